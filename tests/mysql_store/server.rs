//! The server as a whole: TLS, logins, clocks, replicas.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forgetd::config::site::{DatabaseKind, Password, Server};
use forgetd::store::{self, Physical, Severity, StoreError};
use mysql::Conn;
use mysql::prelude::Queryable;

use super::mariadb::{self, MariaDb, MariaDbDatabase};
use super::mariadb_pair::{Pair, free_port, seconds_behind, until};
use super::{VISITORS, database, inspect, rows, rule, run, selection};

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
         --ssl-key={0}/server.key --ssl-ca={0}/ca.pem --performance-schema",
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
    let named = "SELECT COUNT(*) FROM performance_schema.session_connect_attrs WHERE ATTR_NAME = 'program_name' \
                 AND ATTR_VALUE = 'forgetd'";
    assert_eq!(database.connect().query_first::<u64, _>(named).unwrap(), Some(1));
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

/// As one does that is paused with its container, or waits for room on its disk. Nothing breaks the connection.
#[test]
fn a_server_that_hangs_is_given_up_and_spoken_to_again_later() {
    let server = MariaDb::start("--skip-networking");
    let database = server.database();
    run(&database, &[VISITORS, "INSERT INTO visitors VALUES (1, 1600000000, '192.0.2.77')"]);
    let kind = database.kind("root");
    let mut store = store::open_database(&kind);
    let look = |store: &mut dyn store::Store| {
        let mut seen = 0;
        store.glance("visitors", &["ip"], &mut |_, _| seen += 1).map(|()| seen)
    };
    assert_eq!(look(store.as_mut()).unwrap(), 1);
    server.signal("STOP");
    let (known, new) = std::thread::scope(|scope| {
        let new = scope.spawn(|| store::open_database(&kind).clock().map(drop));
        (look(store.as_mut()), new.join().unwrap())
    });
    server.signal("CONT");
    let silent = |reason: &str| reason.contains("the server has not answered for");
    assert!(matches!(&known, Err(StoreError::Lost { reason, .. }) if silent(reason)), "{known:?}");
    assert!(matches!(&new, Err(StoreError::Unavailable { reason, .. }) if silent(reason)), "{new:?}");
    store.reconnect();
    assert_eq!(look(store.as_mut()).unwrap(), 1);
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
    let mut reader = database.connect();
    reader.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
    run(&database, &["INSERT INTO visitors SELECT seq, 1, '' FROM seq_1_to_100", "DELETE FROM visitors"]);
    let settled =
        store::open_database(&database.kind("root")).settle(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    let Physical::Pending(text) = &settled else { panic!("{settled:?}") };
    let pages = if mariadb::is_mysql() { "OPTIMIZE TABLE" } else { "innodb_immediate_scrub_data_uncompressed" };
    for words in [pages, "old versions of", "oldest transaction has been open"] {
        assert!(text.contains(words), "{text}");
    }
}

fn with(kind: &DatabaseKind, parameters: &str) -> DatabaseKind {
    let DatabaseKind::Mysql { server } = kind else { panic!("{kind:?}") };
    DatabaseKind::Mysql { server: Server { url: format!("{}{parameters}", server.url), ..server.clone() } }
}

#[test]
fn a_replica_is_waited_for_and_ends_equal_to_the_primary() {
    let pair = Pair::start();
    let database = pair.primary.database();
    let some_fresh = "INSERT INTO visitors SELECT seq, IF(seq % 4 = 0, 1771000000, 1600000000), seq FROM seq_1_to_100";
    run(&database, &[VISITORS, some_fresh]);
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

    let told = with(&database.kind("root"), &format!("&replica={}", pair.replica.socket().display()));
    let rule = rule(told, rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    assert_eq!(inspect::refusals(store.as_mut(), &rule), Vec::<String>::new());
    let mut walk = store.walk(&selection, Duration::from_secs(10)).unwrap();
    pair.until_caught_up();
    walk.prepare(40).unwrap().unwrap().commit().unwrap();
    pair.on_replica("STOP SLAVE SQL_THREAD");
    std::thread::sleep(Duration::from_millis(600));
    assert!(matches!(walk.prepare(40).err(), Some(StoreError::Lagging { lag_s: None, .. })));
    pair.on_replica("START SLAVE SQL_THREAD");
    pair.until_caught_up();
    while let Some(batch) = walk.prepare(40).unwrap() {
        batch.commit().unwrap();
    }
    drop(walk);
    let sql = format!("SELECT id, seen, ip FROM {}.visitors ORDER BY id", database.name);
    let left = |mut connection: Conn| connection.query::<(i64, i64, String), _>(&sql).unwrap();
    let expected: Vec<_> = (1..=25).map(|of_four| (of_four * 4, 1_771_000_000, (of_four * 4).to_string())).collect();
    assert_eq!(left(database.connect()), expected);
    until(|| left(pair.replica.administrator()) == expected);
    let settled = store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    assert!(
        matches!(&settled, Physical::Pending(text) if text.contains("binary log")
            && text.contains("at the earliest 7 days")
            && text.contains(&pair.replica.socket().display().to_string())),
        "{settled:?}"
    );
}

#[test]
fn a_replica_over_the_network_is_asked_and_one_too_far_behind_is_waited_for() {
    let pair = Pair::start();
    let database = pair.primary.database();
    run(&database, &[VISITORS, "INSERT INTO visitors SELECT seq, 1600000000, '' FROM seq_1_to_100"]);
    pair.until_caught_up();
    // The users are replicated.
    run(
        &database,
        &[
            "CREATE USER purger",
            "CREATE USER purger@localhost",
            &format!("GRANT ALL ON {}.* TO purger@localhost", database.name),
            &format!("GRANT {} ON *.* TO purger@localhost", mariadb::key_privilege()),
        ],
    );
    let of_replica = |place: String| rule(with(&database.kind("purger"), &format!("&replica={place}")), rows());
    let told = |rule: &forgetd::plan::TableRule| {
        let findings = store::open_database(&rule.store).inspect(&selection(rule)).unwrap().findings;
        findings.into_iter().map(|finding| (finding.severity, finding.to_string())).collect::<Vec<_>>()
    };
    let tells = |rule: &forgetd::plan::TableRule, severity, words: &str| {
        let told = told(rule);
        assert!(told.iter().any(|(of, message)| *of == severity && message.contains(words)), "{told:?}");
    };
    let over_network = of_replica(format!("127.0.0.1:{}", pair.port));
    until(|| told(&over_network).iter().any(|(_, message)| message.contains("may not ask")));
    let privilege = if mariadb::is_mysql() { "REPLICATION CLIENT" } else { "REPLICA MONITOR" };
    tells(&over_network, Severity::Refusal, &format!("GRANT {privilege} ON *.* TO 'purger'@'localhost'"));
    let grant = format!("GRANT {privilege} ON *.* TO purger");
    run(&database, &[&grant, &format!("{grant}@localhost")]);
    until(|| told(&over_network).is_empty());
    tells(&of_replica(format!("127.0.0.1:{}", free_port())), Severity::Warning, "does not answer");
    let itself = format!("{}", pair.primary.socket().display());
    tells(&of_replica(itself), Severity::Refusal, "it is no replica");

    let selection = selection(&over_network);
    let mut store = store::open_database(&over_network.store);
    let mut walk = store.walk(&selection, Duration::from_secs(1)).unwrap();
    pair.until_caught_up();
    walk.prepare(40).unwrap().unwrap().commit().unwrap();
    pair.on_replica("STOP SLAVE");
    pair.on_replica("CHANGE MASTER TO MASTER_DELAY = 3600");
    pair.on_replica("START SLAVE");
    run(&database, &["INSERT INTO visitors VALUES (1000, 1771000000, '')"]);
    until(|| seconds_behind(&mut pair.replica.administrator()) > Some(2));
    let waits = walk.prepare(40).err();
    assert!(matches!(waits, Some(StoreError::Lagging { lag_s: Some(2..), .. })), "{waits:?}");
}

#[test]
fn a_replica_is_not_taken_for_the_primary() {
    let pair = Pair::start();
    let database = pair.primary.database();
    run(&database, &[VISITORS]);
    pair.until_caught_up();
    let url = format!("mysql://root@localhost/{}?socket={}", database.name, pair.replica.socket().display());
    let kind = DatabaseKind::Mysql { server: Server { url, password: None, ca_file: None } };
    let on_replica = rule(kind, rows());
    let refusals = || inspect::refusals(store::open_database(&on_replica.store).as_mut(), &on_replica);
    until(|| refusals().iter().any(|refusal| refusal.contains("replicates another")));
    pair.on_replica("STOP SLAVE");
    assert!(refusals().iter().any(|refusal| refusal.contains("replicates another")));
    pair.on_replica("RESET SLAVE ALL");
    assert_eq!(refusals(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_too_old_or_only_read_is_refused() {
    // MySQL does not say that it is another version than it is.
    let version = if mariadb::is_mysql() { "" } else { "--version=10.5.9-MariaDB" };
    let server = MariaDb::start(&format!("--skip-networking {version}"));
    let database = server.database();
    run(&database, &[VISITORS, "SET GLOBAL read_only = ON"]);
    let rule = rule(database.kind("root"), rows());
    let refusals = inspect::refusals(store::open_database(&rule.store).as_mut(), &rule);
    let is_told = refusals.iter().any(|refusal| refusal.contains("MariaDB 10.5.9"));
    assert!(is_told || mariadb::is_mysql(), "{refusals:?}");
    assert!(refusals.iter().any(|refusal| refusal.contains("read-only")), "{refusals:?}");
}

#[test]
fn a_server_that_writes_its_commits_later_is_a_warning() {
    let server = MariaDb::start("--skip-networking --innodb-flush-log-at-trx-commit=2");
    let database = server.database();
    run(&database, &[VISITORS]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let findings = store::open_database(&rule.store).inspect(&selection).unwrap().findings;
    let told = findings.iter().any(|finding| {
        finding.severity == Severity::Warning && finding.message.ends_with("innodb_flush_log_at_trx_commit is 2")
    });
    assert!(told, "{findings:?}");
}

#[test]
fn a_login_by_the_system_s_user_needs_no_password() {
    let (options, identified) = match mariadb::is_mysql() {
        true => ("--skip-networking --plugin-load-add=auth_socket.so", "IDENTIFIED WITH auth_socket"),
        false => ("--skip-networking", "IDENTIFIED VIA unix_socket"),
    };
    let server = MariaDb::start(options);
    let database = server.database();
    let whoami = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(whoami.stdout).unwrap().trim().to_owned();
    run(
        &database,
        &[
            &format!("CREATE USER somebody_else@localhost {identified}"),
            &format!("GRANT ALL ON {}.* TO somebody_else@localhost", database.name),
            &format!("CREATE USER IF NOT EXISTS '{user}'@localhost"),
            &format!("ALTER USER '{user}'@localhost {identified}"),
            &format!("GRANT ALL ON *.* TO '{user}'@localhost"),
        ],
    );
    assert!(store::open_database(&database.kind(&user)).clock().unwrap().is_some());
    let other = store::open_database(&database.kind("somebody_else")).clock().unwrap_err();
    assert!(matches!(&other, StoreError::Unavailable { reason, .. } if reason.contains("another user")), "{other}");
}
