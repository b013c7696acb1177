//! Who is let in: peers, passwords, certificates.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use forgetd::config::site::{After, DatabaseKind, Password, Server};
use forgetd::store::{self, StoreError};
use jiff::{SignedDuration, Timestamp};

use super::postgres_server::{PASSWORD, server};
use super::server_of;

fn secret_file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop-db");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn try_clock(server: Server) -> Result<Option<Timestamp>, StoreError> {
    store::open_database(&DatabaseKind::Postgres { server, after: After::Nothing }).clock()
}

/// The user `secret` of the server, who is one for all databases.
fn create_secret_user() {
    let sql = format!(
        "SELECT pg_advisory_lock(1); DO $$ BEGIN CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'; \
         EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    );
    server().client("postgres").batch_execute(&sql).unwrap();
}

#[test]
fn a_process_is_known_by_its_user_over_the_socket() {
    let mut client = server().client("postgres");
    client.batch_execute("CREATE ROLE peered LOGIN").unwrap();
    let clock = try_clock(server_of(server().url("peered", "postgres"))).unwrap().unwrap();
    let host: Timestamp = std::time::SystemTime::try_into(now_of_host()).unwrap();
    assert!(clock.duration_since(host).abs() < SignedDuration::from_secs(60));
}

#[expect(clippy::disallowed_methods, reason = "the server's clock is compared with the host's")]
fn now_of_host() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[test]
fn a_password_is_taken_from_its_file_and_a_wrong_one_is_told_without_it() {
    create_secret_user();
    let url = server().url("secret", "postgres");
    let with = |content: &str| {
        let (_directory, path) = secret_file(content, 0o600);
        try_clock(Server { password: Some(Password::File(path)), ..server_of(url.clone()) })
    };
    assert!(with(&format!("{PASSWORD}\n")).is_ok());
    let refused = with("battery staple").unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("battery"));
}

#[test]
fn a_password_that_others_may_read_is_not_used() {
    create_secret_user();
    let (_directory, path) = secret_file(PASSWORD, 0o644);
    let server = Server { password: Some(Password::File(path)), ..server_of(server().url("secret", "postgres")) };
    let refused = try_clock(server).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_credential_that_the_service_was_not_given_is_named() {
    let password = Some(Password::Credential("shop-db".to_owned()));
    let refused = try_clock(Server { password, ..server_of(server().url("secret", "postgres")) }).unwrap_err();
    assert!(refused.to_string().contains("LoadCredential=shop-db"), "{refused}");
}

#[test]
fn tls_is_verified_by_the_given_authority_and_by_nobody_else() {
    create_secret_user();
    let (_directory, password) = secret_file(PASSWORD, 0o600);
    let to = |host: &str, ca_file: Option<PathBuf>| {
        let url = format!("postgresql://secret@{host}:{}/postgres?sslmode=verify-full", server().port);
        try_clock(Server { url, password: Some(Password::File(password.clone())), ca_file })
    };
    assert!(to("127.0.0.1", Some(server().ca_file())).is_ok());
    // Not signed by the system's authorities; and the certificate is for another name.
    assert!(to("127.0.0.1", None).is_err());
    assert!(to("localhost", Some(server().ca_file())).is_err());
}

#[test]
fn a_server_that_is_not_there_is_worth_another_attempt() {
    let nowhere = server_of("postgresql://forgetd@/shop?host=/nonexistent".to_owned());
    assert!(matches!(try_clock(nowhere), Err(StoreError::Lost { .. })));
}

#[test]
fn a_database_that_does_not_exist_needs_the_operator() {
    let refused = try_clock(server_of(server().url("postgres", "nonexistent"))).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable { reason, .. } if reason.contains("3D000")), "{refused:?}");
}

/// What a pooler between transactions does with settings that it cannot keep.
#[derive(Clone, Copy)]
enum Pooler {
    Drops,
    Refuses,
}

/// The parameters of a request for a connection, without those of the session.
fn without_options(request: &[u8]) -> Vec<u8> {
    let texts: Vec<&[u8]> = request.split(|byte| *byte == 0).filter(|text| !text.is_empty()).collect();
    let kept = texts.chunks(2).filter(|pair| pair[0] != b"options").flatten();
    let mut request: Vec<u8> = kept.flat_map(|text| [*text, b"\0"].concat()).collect();
    request.push(0);
    request
}

/// Serves one client through `pooler`: the port.
fn through(pooler: Pooler) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = server().directory.join(format!(".s.PGSQL.{}", server().port));
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        // The request: its length, the version of the protocol, names and values.
        let mut head = [0; 8];
        client.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[..4].try_into().unwrap());
        let mut request = vec![0; usize::try_from(length).unwrap() - head.len()];
        client.read_exact(&mut request).unwrap();
        match pooler {
            Pooler::Refuses => {
                let fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
                let length = u32::try_from(fields.len() + 4).unwrap();
                client.write_all(&[b"E", &length.to_be_bytes()[..], fields].concat()).unwrap();
            }
            Pooler::Drops => {
                let request = without_options(&request);
                let length = u32::try_from(request.len() + head.len()).unwrap();
                let mut server = UnixStream::connect(socket).unwrap();
                server.write_all(&[&length.to_be_bytes()[..], &head[4..], &request].concat()).unwrap();
                relay(client, server);
            }
        }
    });
    port
}

fn relay(mut client: TcpStream, mut server: UnixStream) {
    let (mut to_client, mut from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
    let _ended = std::io::copy(&mut client, &mut server);
    let _ended = server.shutdown(Shutdown::Both);
}

#[test]
fn a_pooler_that_cannot_keep_the_settings_of_a_session_is_refused() {
    for pooler in [Pooler::Drops, Pooler::Refuses] {
        let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", through(pooler));
        let refused = try_clock(server_of(url));
        let Err(StoreError::Unavailable { reason, .. }) = &refused else { panic!("{refused:?}") };
        assert!(reason.contains("pooler"), "{reason}");
    }
}
