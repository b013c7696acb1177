//! Statements that take long: on a server that is stopped meanwhile, and in a daemon that is told to end.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::database::{Database, OnMariaDb, OnPostgres};
use super::installation::Ran;
use super::nights::{eventually, log, start};
use super::{EXPIRED, SITE, fill, installation, mariadb, postgres_server, site};

#[test]
#[ignore = "takes more than a minute"]
fn postgresql_that_is_stopped_during_a_count_is_given_up_long_before_the_count_would_be() {
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    fill(&mut *database.connect());
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT count(*)%' \
                 AND application_name = 'forgetd'";
    let lock = ["BEGIN", "LOCK TABLE visitors IN ACCESS EXCLUSIVE MODE"];
    is_given_up(&database, &lock, waits, &|signal| server.signal(signal));
}

#[test]
#[ignore = "takes more than a minute"]
fn mariadb_that_is_stopped_during_a_count_is_given_up_long_before_the_count_would_be() {
    let server = mariadb::MariaDb::start("--skip-networking");
    let database = OnMariaDb::new(&server);
    fill(&mut *database.connect());
    let waits =
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'";
    is_given_up(&database, &["LOCK TABLES visitors WRITE"], waits, &|signal| server.signal(signal));
}

fn is_given_up(database: &dyn Database, lock: &[&str], waits: &str, signal: &dyn Fn(&str)) {
    let installation = installation(&database.declaration(), "store-ip = true");
    let (mut locks, mut looks) = (database.connect(), database.connect());
    lock.iter().for_each(|statement| _ = locks.execute(statement));
    let mut command = installation.command(&["purge", "--yes"]);
    let purge = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the count is under way", || looks.row(waits) == [1]);
    signal("STOP");
    // A count may take an hour; whoever waited for that would not see the end of this test.
    let purged = Ran::of(purge.wait_with_output().unwrap());
    signal("CONT");
    assert_eq!(purged.code, 3, "{purged:?}");
    assert!(purged.stdout.contains("the server has not answered for"), "{purged:?}");
    drop(locks);
    let again = installation.run(&["purge", "--yes"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(database.connect().row("SELECT count(*) FROM visitors"), [EXPIRED.cast_signed()]);
}

#[test]
fn a_daemon_that_is_told_to_end_does_not_wait_for_a_vacuum() {
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    let mut connection = database.connect();
    fill(&mut *connection);
    connection.execute(
        "INSERT INTO visitors SELECT n, 1600000000, repeat('x', 80), '192.0.2.77' FROM generate_series(10000, 60000) AS n",
    );
    // So gently that it would take many minutes.
    for setting in ["vacuum_cost_delay = 100", "vacuum_cost_limit = 1"] {
        connection.execute(&format!("ALTER DATABASE {} SET {setting}", database.name));
    }
    let declaration = format!("{}\nafter = \"vacuum\"", database.declaration());
    let installation = installation(&declaration, "store-ip = true");
    let mut daemon = start(&installation);
    eventually("the daemon is at work", || log(&installation).contains("config.applied"));
    installation.write(SITE, &site(&declaration, "store-ip = false"));
    let vacuums = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'VACUUM%' \
                   AND application_name = 'forgetd'";
    eventually("VACUUM is under way", || connection.row(vacuums) == [1]);
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    eventually("the daemon has ended", || daemon.try_wait().unwrap().is_some());
    assert!(daemon.wait().unwrap().success());
    assert_eq!(connection.row(vacuums), [0]);
    let log = log(&installation);
    let finished = log.lines().rfind(|line| line.contains("run.finished")).unwrap();
    for words in
        ["\"outcome\":\"done\"", "VACUUM was cancelled, since forgetd was told to end", "dead rows until VACUUM"]
    {
        assert!(finished.contains(words), "{words}: {finished}");
    }
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);
}
