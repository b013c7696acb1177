//! Runs: what they leave, what the daemon notices, and servers that are away or of the wrong kind.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

use super::database::{Database, OnMariaDb, OnPostgres};
use super::installation::Installation;
use super::{EXPIRED, RULE, SITE, fill, installation, mariadb, postgres_server, site};

/// Whatever is waited for comes much sooner, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    pub(super) fn database(self) -> Box<dyn Database> {
        match self {
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }

    /// What the manuals say of a deleted row.
    fn remains(self) -> &'static [&'static str] {
        match self {
            Kind::Postgres => &["600 dead rows until VACUUM", "write-ahead log", "backups"],
            Kind::MariaDb if mariadb::is_mysql() => {
                &["pages of the data files keep erased bytes", "OPTIMIZE TABLE writes the table anew"]
            }
            Kind::MariaDb => &["pages of the data files keep erased bytes", "innodb_immediate_scrub_data_uncompressed"],
        }
    }
}

pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The whole evidence, and everything else in the state directory that is text.
pub(super) fn log(installation: &Installation) -> String {
    std::fs::read_to_string(installation.state().join("audit/log.jsonl")).unwrap_or_default()
}

#[rstest]
fn what_is_still_there_after_a_run_stands_in_the_log_and_in_status(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let database = kind.database();
    fill(&mut *database.connect());
    let installation = installation(&database.declaration(), "store-ip = true");
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    assert_eq!(database.connect().row("SELECT count(*) FROM visitors"), [EXPIRED.cast_signed()]);
    let log = log(&installation);
    let finished = log.lines().rfind(|line| line.contains("run.finished")).unwrap();
    let status = installation.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    for words in kind.remains() {
        assert!(finished.contains(words), "{words}: {finished}");
        assert!(status.stdout.contains(words), "{words}: {status:?}");
        assert!(purged.stdout.contains(words), "{words}: {purged:?}");
    }
    assert!(!log.contains("canary"), "{log}");
}

pub(super) fn start(installation: &Installation) -> Child {
    let log = std::fs::File::create(installation.path().join("daemon.log")).unwrap();
    installation.command(&["run"]).stdin(Stdio::null()).stderr(log).spawn().unwrap()
}

pub(super) fn end(mut daemon: Child) {
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[rstest]
fn the_daemon_erases_at_once_what_a_changed_setting_forbids(#[values(Kind::Postgres, Kind::MariaDb)] kind: Kind) {
    let database = kind.database();
    let mut connection = database.connect();
    fill(&mut *connection);
    let installation = installation(&database.declaration(), "store-ip = true");
    let daemon = start(&installation);
    eventually("the daemon is at work", || log(&installation).contains("config.applied"));
    installation.write(SITE, &site(&database.declaration(), "store-ip = false"));
    eventually("no address is left", || connection.row("SELECT count(*) FROM visitors WHERE ip IS NOT NULL") == [0]);
    eventually("the run has ended", || log(&installation).contains("run.finished"));
    end(daemon);
    // Of age nothing was due.
    assert_eq!(connection.row("SELECT count(*) FROM visitors"), [2 * EXPIRED.cast_signed()]);
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);
}

/// An address at which no server is now.
fn away(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "kind = \"postgres\"\nurl = \"postgresql://forgetd@/shop?host=/nowhere\"",
        Kind::MariaDb => "kind = \"mysql\"\nurl = \"mysql://forgetd@localhost/shop?socket=/nowhere/socket\"",
    }
}

#[rstest]
fn a_daemon_whose_server_is_away_goes_on_and_says_so(#[values(Kind::Postgres, Kind::MariaDb)] kind: Kind) {
    let installation = installation(away(kind), "store-ip = false");
    let daemon = start(&installation);
    let told = || std::fs::read_to_string(installation.path().join("daemon.log")).unwrap();
    eventually("the daemon has tried", || told().contains("not run"));
    assert!(told().contains("is the server running?"), "{}", told());
    let status = installation.run(&["status"]);
    assert_eq!(status.code, 3, "{status:?}");
    assert!(
        status.stdout.contains("Daemon: running") && status.stdout.contains("is the server running?"),
        "{status:?}"
    );
    let held: Vec<String> =
        log(&installation).lines().filter(|line| line.contains("rule.held")).map(str::to_owned).collect();
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(held[0].contains(RULE), "{held:?}");
    end(daemon);
}

/// One node is a cluster: it certifies every COMMIT as if there were others.
#[test]
fn a_node_of_a_galera_cluster_is_recognised_and_refused() {
    // It is MariaDB's.
    if mariadb::is_mysql() {
        return;
    }
    let node = mariadb::MariaDb::start(
        "--bind-address=127.0.0.1 --port=0 --log-bin=binlog --binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON \
         --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-address=gcomm:// \
         --wsrep-provider-options='gmcast.listen_addr=tcp://127.0.0.1:0'",
    );
    let database = OnMariaDb::new(&node);
    fill(&mut *database.connect());
    let installation = installation(&database.declaration(), "store-ip = true");
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    assert!(
        checked.stdout.contains("Galera") && checked.stdout.contains("this version does not purge there"),
        "{checked:?}"
    );
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    assert_eq!(database.connect().row("SELECT count(*) FROM visitors"), [2 * EXPIRED.cast_signed()]);
}
