//! The server as a whole: TLS, logins, clocks, replicas.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use forgetd::config::site::{DatabaseKind, Password, Server};
use forgetd::store::{self, Physical, StoreError};
use mysql::prelude::Queryable;
use mysql::{Conn, Row};

use super::mariadb::{self, MariaDb, MariaDbDatabase};
use super::{VISITORS, count, database, inspect, rows, rule, run, selection};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority and a certificate of it for `localhost`, in `directory`.
fn certificates(directory: &Path) {
    let script = "set -e; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key \
        -out ca.pem; openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr; \
        printf 'subjectAltName=DNS:localhost' >names; openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key \
        -CAcreateserial -days 2 -extfile names -out server.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(directory).output().expect("install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn over_the_network_the_servers_certificate_is_verified_and_the_password_comes_from_its_file() {
    let directory = tempfile::tempdir().unwrap().keep();
    certificates(&directory);
    let port = free_port();
    let (authority, password) = (directory.join("ca.pem"), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(password.path(), "s3cret\n").unwrap();
    let options = format!(
        "--bind-address=127.0.0.1 --port={port} --require-secure-transport=ON --ssl-cert={0}/server.pem \
         --ssl-key={0}/server.key --ssl-ca={0}/ca.pem",
        directory.display()
    );
    let server = MariaDb::start_in(directory, &options);
    let database = server.database();
    run(&database, &[VISITORS, "CREATE USER forgetd IDENTIFIED BY 's3cret'", "GRANT ALL ON *.* TO forgetd"]);
    let kind = |url: String, ca_file| {
        let password = Some(Password::File(password.path().to_owned()));
        DatabaseKind::Mysql { server: Server { url, password, ca_file } }
    };
    let url = |host: &str| format!("mysql://forgetd@{host}:{port}/{}", database.name);
    let mut store = store::open_database(&kind(url("localhost"), Some(authority.clone())));
    assert!(store.clock().unwrap().is_some());
    let told = |kind: DatabaseKind| store::open_database(&kind).clock().unwrap_err();
    for (refused, remedy) in [
        (told(kind(url("localhost") + "?ssl-mode=required", None)), "add `ca-file = PATH`"),
        (told(kind(url("127.0.0.1"), Some(authority.clone()))), "name that stands in the certificate"),
    ] {
        assert!(
            matches!(&refused, StoreError::Unavailable { reason, .. }
                if reason.contains("certificate") && reason.contains(remedy)),
            "{refused}"
        );
    }
    let plain = told(kind(url("localhost") + "?ssl-mode=disabled", None));
    assert!(matches!(plain, StoreError::Unavailable { .. }), "{plain}");
}

#[test]
fn a_server_that_is_not_there_or_refuses_the_login_is_told_without_a_secret() {
    let database = database(&[VISITORS]);
    let told = |kind: DatabaseKind| store::open_database(&kind).clock().unwrap_err();
    let nobody = told(database.kind("nobody"));
    assert!(
        matches!(&nobody, StoreError::Unavailable { reason, .. } if reason.contains("login was refused")),
        "{nobody}"
    );
    let url = "mysql://root@localhost/shop?socket=/nowhere/socket".to_owned();
    let nowhere = told(DatabaseKind::Mysql { server: Server { url, password: None, ca_file: None } });
    assert!(matches!(nowhere, StoreError::Unavailable { .. }), "{nowhere}");
}

#[test]
fn the_servers_clock_is_read_in_utc() {
    let database = database(&["SET GLOBAL time_zone = '+05:00'"]);
    let before = mysql_now(&database);
    let told = store::open_database(&database.kind("root")).clock().unwrap().unwrap();
    assert!((told.as_second() - before).abs() <= 60);
}

fn mysql_now(database: &MariaDbDatabase) -> i64 {
    database.connect().query_first("SELECT UNIX_TIMESTAMP()").unwrap().unwrap()
}

#[test]
fn what_stays_on_the_disk_is_told() {
    let database = database(&[VISITORS]);
    let settled = store::open_database(&database.kind("root")).settle().unwrap();
    assert!(matches!(&settled, Physical::Pending(text) if text.contains("innodb_immediate_scrub_data_uncompressed")));
}

fn with(kind: &DatabaseKind, parameters: &str) -> DatabaseKind {
    let DatabaseKind::Mysql { server } = kind else { panic!("{kind:?}") };
    DatabaseKind::Mysql { server: Server { url: format!("{}{parameters}", server.url), ..server.clone() } }
}

fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A primary that writes a binary log, and a replica of it.
fn pair() -> (MariaDb, MariaDb) {
    let port = free_port();
    let primary = MariaDb::start(&format!(
        "--bind-address=127.0.0.1 --port={port} --log-bin=binlog --server-id=1 --binlog-format=ROW --expire-logs-days=7"
    ));
    let replica = MariaDb::start("--skip-networking --server-id=2");
    let mut connection = primary.administrator();
    connection.query_drop("CREATE USER replica@'127.0.0.1' IDENTIFIED BY 's3cret'").unwrap();
    connection.query_drop("GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'").unwrap();
    let mut connection = replica.administrator();
    connection
        .query_drop(format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'replica', \
             MASTER_PASSWORD = 's3cret', MASTER_LOG_FILE = 'binlog.000001', MASTER_LOG_POS = 4, MASTER_CONNECT_RETRY = 1"
        ))
        .unwrap();
    connection.query_drop("START SLAVE").unwrap();
    until(|| seconds_behind(&mut replica.administrator()).is_some());
    (primary, replica)
}

fn seconds_behind(replica: &mut Conn) -> Option<u64> {
    let status: Row = replica.query_first("SHOW REPLICA STATUS").unwrap().unwrap();
    status.get::<Option<u64>, _>("Seconds_Behind_Master").unwrap()
}

#[test]
fn a_replica_is_waited_for_and_ends_equal_to_the_primary() {
    let (primary, replica) = pair();
    let database = primary.database();
    run(&database, &[VISITORS, "INSERT INTO visitors SELECT seq, 1600000000, '' FROM seq_1_to_100"]);
    let unsaid = rule(database.kind("root"), rows());
    let refusals = inspect::refusals(store::open_database(&unsaid.store).as_mut(), &unsaid);
    assert!(refusals.iter().any(|refusal| refusal.contains("replica=HOST:PORT")), "{refusals:?}");
    let mut store = store::open_database(&unsaid.store);
    let unknown = selection(&unsaid);
    let refused = store.walk(&unknown, Duration::from_secs(10)).unwrap().prepare(9).err();
    assert!(matches!(refused, Some(StoreError::Lagging { lag_s: None, .. })), "{refused:?}");
    drop(store);

    // Who may not see other sessions does not see the replica's either, and must not take that for none.
    run(&database, &["CREATE USER blind@localhost", "GRANT SELECT, DELETE, TRIGGER ON visitors TO blind@localhost"]);
    let blind = rule(database.kind("blind"), rows());
    let mut store = store::open_database(&blind.store);
    let refusals = inspect::refusals(store.as_mut(), &blind);
    assert!(
        refusals.iter().any(|refusal| refusal.contains("GRANT PROCESS ON *.* TO 'blind'@'localhost';")),
        "{refusals:?}"
    );
    let unseen = selection(&blind);
    let refused = store.walk(&unseen, Duration::from_secs(10)).unwrap().prepare(9).err();
    assert!(matches!(refused, Some(StoreError::Lagging { lag_s: None, .. })), "{refused:?}");
    drop(store);

    let told = with(&database.kind("root"), &format!("&replica={}", replica.socket().display()));
    let rule = rule(told, rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    assert_eq!(inspect::refusals(store.as_mut(), &rule), Vec::<String>::new());
    let mut walk = store.walk(&selection, Duration::from_secs(10)).unwrap();
    until(|| walk_goes_on(replica.administrator()));
    walk.prepare(40).unwrap().unwrap().commit().unwrap();
    replica.administrator().query_drop("STOP SLAVE SQL_THREAD").unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(matches!(walk.prepare(40).err(), Some(StoreError::Lagging { lag_s: None, .. })));
    replica.administrator().query_drop("START SLAVE SQL_THREAD").unwrap();
    until(|| walk_goes_on(replica.administrator()));
    while let Some(batch) = walk.prepare(40).unwrap() {
        batch.commit().unwrap();
    }
    drop(walk);
    assert_eq!(count(&database, "visitors"), 0);
    let sql = format!("SELECT COUNT(*) FROM {}.visitors", database.name);
    until(|| replica.administrator().query_first::<u64, _>(&sql).unwrap() == Some(0));
    let settled = store.settle().unwrap();
    assert!(
        matches!(&settled, Physical::Pending(text) if text.contains("binary log") && text.contains("7 days")),
        "{settled:?}"
    );
    let _one_server_is_shared = mariadb::shared;
}

fn walk_goes_on(mut replica: Conn) -> bool {
    seconds_behind(&mut replica) == Some(0)
}
