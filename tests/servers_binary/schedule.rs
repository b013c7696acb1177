//! The daemon's own schedule on a real server, which is killed and started again while a run is under way.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::database::{Database, OnMariaDb, OnPostgres};
use super::faketime::Clock;
use super::installation::Installation;
use super::nights::{end, eventually, log};
use super::{EXPIRED, SITE, fill, installation_paced, mariadb, postgres_server, site};

/// Rests long after each batch, so that there is time to kill the server in between.
const PACE: &str = "[safety]\napproval = \"automatic\"\nmax-share = 1.0\n\
    [pace]\nduty = 0.005\nbatch-time = \"10 ms\"\n";

/// For how long the server is away.
const AWAY: Duration = Duration::from_secs(5);

#[test]
fn a_rule_that_is_due_erases_on_postgresql_also_when_the_server_is_started_anew_meanwhile() {
    let server = postgres_server::start_in("/tmp", &["fsync=on"]);
    let database = OnPostgres::new(&server);
    comes_due(&database, &|| server.crash(AWAY), &|| server.wait());
}

#[test]
fn a_rule_that_is_due_erases_on_mariadb_also_when_the_server_is_started_anew_meanwhile() {
    let server = mariadb::MariaDb::start("--skip-networking");
    let database = OnMariaDb::new(&server);
    comes_due(&database, &|| server.crash(AWAY), &|| server.wait());
}

fn start(installation: &Installation, clock: &Clock) -> Child {
    let log = std::fs::File::create(installation.path().join("daemon.log")).unwrap();
    let mut command = installation.command(&["run"]);
    command.envs(clock.environment()).stdin(Stdio::null()).stderr(log).spawn().unwrap()
}

fn comes_due(database: &dyn Database, crash: &dyn Fn(), wait: &dyn Fn()) {
    fill(&mut *database.connect());
    let installation = installation_paced(PACE, &database.declaration(), "store-ip = true");
    let every_minute = site(&database.declaration(), "store-ip = true").replace("0 0 1 1 *", "* * * * *");
    installation.write(SITE, &every_minute);
    let clock = Clock::right();
    clock.set_before_a_minute(0);
    let daemon = start(&installation, &clock);
    eventually("the first batch", || log(&installation).contains("batch.committed"));
    crash();
    let told = || std::fs::read_to_string(installation.path().join("daemon.log")).unwrap();
    eventually("the daemon says that it waits", || told().contains("\"waiting\"") && told().contains("no connection"));
    eventually("the run has ended", || log(&installation).contains("run.finished"));
    wait();
    end(daemon);
    assert!(told().contains("waiting is over"), "{}", told());
    let log = log(&installation);
    let finished = log.lines().find(|line| line.contains("run.finished")).unwrap();
    for words in ["\"outcome\":\"done\"".to_owned(), format!("\"erased\":{EXPIRED}"), "\"left\":0".to_owned()] {
        assert!(finished.contains(&words), "{finished}");
    }
    assert!(finished.contains("\"batches\":") && !finished.contains("\"batches\":1,"), "{finished}");
    assert_eq!(database.connect().row("SELECT count(*) FROM visitors"), [EXPIRED.cast_signed()]);
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);
}
