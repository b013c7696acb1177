//! Mistakes in the declaration of a server: each is told with its place, what is wrong and what to do, and without a
//! secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::database::{Connection, Database, OnMariaDb, OnPostgres};
use super::mariadb;
use super::postgres_server::{self, PASSWORD};
use super::{RULE, installation};

/// A password that no server accepts.
const WRONG: &str = "battery staple";

/// Files with passwords.
struct Secrets {
    _directory: tempfile::TempDir,
    right: PathBuf,
    wrong: PathBuf,
}

impl Secrets {
    fn new() -> Secrets {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        Secrets { right: file("right", PASSWORD), wrong: file("wrong", WRONG), _directory: directory }
    }
}

/// What `check --stores` says of a store that is declared so, which must not be usable.
fn told(kind: &str, url: &str, further: &str) -> String {
    let installation = installation(&format!("kind = \"{kind}\"\nurl = \"{url}\"\n{further}"), "store-ip = true");
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    let all = format!("{}{}", checked.stdout, checked.stderr);
    assert!(!all.contains(WRONG) && !all.contains(PASSWORD), "{all}");
    let refused = all.lines().find(|line| line.starts_with("refused")).unwrap_or_else(|| panic!("{all}"));
    assert!(refused.contains(RULE) && refused.contains(url), "which rule, which store? {refused}");
    // One-off commands and the daemon meet the same.
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    assert!(purged.stdout.contains("held"), "{purged:?}");
    refused.to_owned()
}

fn file(path: &std::path::Path) -> String {
    format!("password-file = \"{}\"", path.display())
}

#[test]
fn what_is_wrong_with_a_login_to_postgresql_is_told_with_its_remedy() {
    let server = postgres_server::server();
    server.client("postgres").execute(&format!("CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'"), &[]).unwrap();
    let secrets = Secrets::new();
    let socket = |user: &str, database: &str| server.url(user, database);
    let network = |host: &str, query: &str| format!("postgresql://secret@{host}:{}/postgres?{query}", server.port);
    let ca_file = format!("{}\nca-file = \"{}\"", file(&secrets.right), server.ca_file().display());
    let cases: [(&str, String, String, &[&str]); 11] = [
        ("wrong password", socket("secret", "postgres"), file(&secrets.wrong), &["password", "the right one?"]),
        ("no password", socket("secret", "postgres"), String::new(), &["asks for a password", "`password-file`"]),
        ("wrong database", socket("postgres", "shopp"), String::new(), &["no such database", "last part of the URL?"]),
        ("unknown user", socket("nobody", "postgres"), String::new(), &["this user is not let in", "pg_hba.conf"]),
        ("no server", "postgresql://a@/b?host=/nowhere".to_owned(), String::new(), &["is the server running?"]),
        ("no such host", "postgresql://a@shop.invalid/b".to_owned(), String::new(), &["lookup", "in `url`?"]),
        (
            "unknown authority",
            network("127.0.0.1", "sslmode=verify-full"),
            file(&secrets.right),
            &["UnknownIssuer", "`ca-file"],
        ),
        (
            "another name",
            network("localhost", "sslmode=verify-full"),
            ca_file.clone(),
            &["localhost", "name that stands in the certificate"],
        ),
        (
            "misspelt word",
            network("127.0.0.1", "sslmode=verify-ful"),
            ca_file.clone(),
            &["sslmode", "`verify-full`", "`disable`"],
        ),
        (
            "misspelt parameter",
            socket("postgres", "postgres") + "&sllmode=x",
            String::new(),
            &["the URL cannot be read"],
        ),
        (
            "no TLS where it is asked for",
            network("127.0.0.1", "sslmode=disable"),
            file(&secrets.right),
            &["pg_hba.conf"],
        ),
    ];
    for (case, url, further, expected) in cases {
        let told = told("postgres", &url, &further);
        expected.iter().for_each(|words| assert!(told.contains(words), "{case}: {told}"));
        let speaks_of_servers = told.contains("is the server running?");
        assert_eq!(speaks_of_servers, case == "no server", "{case}: {told}");
    }
}

#[test]
fn what_is_wrong_with_a_login_to_mariadb_is_told_with_its_remedy() {
    let database = OnMariaDb::new(mariadb::shared());
    let mut administrator = database.connect();
    administrator.execute(&format!("CREATE USER secret@localhost IDENTIFIED BY '{PASSWORD}'"));
    let name = database.database.name.clone();
    administrator.execute(&format!("GRANT SHOW VIEW ON {name}.* TO secret@localhost"));
    let secrets = Secrets::new();
    let socket = mariadb::shared().socket();
    let url = |user: &str, database: &str| format!("mysql://{user}@localhost/{database}?socket={}", socket.display());
    let cases: [(&str, String, String, &[&str]); 7] = [
        ("wrong password", url("secret", &name), file(&secrets.wrong), &["the login was refused", "password"]),
        ("no password", url("secret", &name), String::new(), &["the login was refused", "`password-file`"]),
        ("unknown user", url("somebody", &name), String::new(), &["the login was refused", "user"]),
        ("wrong database", url("root", "shopp"), String::new(), &["no such database", "last part of the URL?"]),
        ("no server", "mysql://a@localhost/b?socket=/nowhere".to_owned(), String::new(), &["is the server running?"]),
        ("no such host", "mysql://a@shop.invalid/b".to_owned(), String::new(), &["lookup", "in `url`?"]),
        ("misspelt parameter", url("secret", &name) + "&sokcet=/x", String::new(), &["`sokcet`", "`socket`"]),
    ];
    for (case, url, further, expected) in cases {
        let told = told("mysql", &url, &further);
        expected.iter().for_each(|words| assert!(told.contains(words), "{case}: {told}"));
        let speaks_of_servers = told.contains("is the server running?");
        assert_eq!(speaks_of_servers, case == "no server", "{case}: {told}");
    }
}

/// The least that the rule needs, as the tool itself spells it out, is enough for everything.
#[test]
fn the_grants_that_are_asked_for_are_enough() {
    let server = postgres_server::server();
    let database = OnPostgres::new(server);
    let mut connection = database.connect();
    super::fill(&mut *connection);
    connection.execute("CREATE ROLE least LOGIN");
    grants_suffice(
        &mut *connection,
        &format!("kind = \"postgres\"\nurl = \"{}\"", server.url("least", &database.name)),
    );
    let server = mariadb::shared();
    let database = OnMariaDb::new(server);
    let mut connection = database.connect();
    super::fill(&mut *connection);
    connection.execute("CREATE USER least@localhost");
    let name = &database.database.name;
    connection.execute(&format!("GRANT SHOW VIEW ON {name}.* TO least@localhost"));
    let url = format!("mysql://least@localhost/{name}?socket={}", server.socket().display());
    grants_suffice(&mut *connection, &format!("kind = \"mysql\"\nurl = \"{url}\""));
}

fn grants_suffice(administrator: &mut dyn Connection, declaration: &str) {
    let installation = installation(declaration, "store-ip = true");
    for _ in 0..5 {
        let checked = installation.run(&["check", "--stores"]);
        if checked.code == 0 {
            break;
        }
        let grants: Vec<&str> =
            checked.stdout.split("GRANT ").skip(1).filter_map(|rest| rest.split(';').next()).collect();
        assert!(!grants.is_empty(), "refused without a grant to give: {checked:?}");
        grants.iter().for_each(|grant| _ = administrator.execute(&format!("GRANT {grant}")));
    }
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    assert!(purged.stdout.contains("pending") && !purged.stdout.contains("not known"), "{purged:?}");
}
