//! Whole runs of the daemon on servers whose replica lags.

use super::database::{Connection, Database, OnMariaDb, OnPostgres};
use super::installation::Installation;
use super::mariadb_pair::Pair;
use super::nights::{end, eventually, log, start};
use super::{EXPIRED, SITE, fill, installation_paced, postgres_server, site};

/// Rests after each batch for longer than a replica may lag.
const PACE: &str = "[safety]\napproval = \"automatic\"\nmax-share = 1.0\n\
    [pace]\nduty = 0.05\nbatch-time = \"20 ms\"\nmax-lag = \"100 ms\"\n";

const ADDRESSES: &str = "SELECT count(*) FROM visitors WHERE ip IS NOT NULL";

const RECORDS: &str =
    "SELECT id, last_seen, last_seen * 0 + CASE WHEN ip IS NULL THEN 0 ELSE 1 END FROM visitors ORDER BY id";

/// A primary, and what is done to its replica.
struct Scene<'a> {
    declaration: String,
    primary: Box<dyn Connection>,
    replica: Box<dyn FnMut() -> Box<dyn Connection> + 'a>,
    hold_back: &'a dyn Fn(),
    let_go_on: &'a dyn Fn(),
    /// What is said of the lag.
    told: &'a str,
}

fn on_postgres(run: fn(Scene<'_>)) {
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    let standby = server.standby();
    let on_replica = |sql: &str| standby.client(&database.name).batch_execute(sql).unwrap();
    run(Scene {
        declaration: database.declaration(),
        primary: database.connect(),
        replica: Box::new(|| Box::new(standby.client(&database.name))),
        hold_back: &|| on_replica("SELECT pg_wal_replay_pause()"),
        let_go_on: &|| on_replica("SELECT pg_wal_replay_resume()"),
        told: "a replica lags",
    });
}

fn on_mariadb(run: fn(Scene<'_>)) {
    let pair = Pair::start();
    let database = OnMariaDb::new(&pair.primary);
    let replica = format!("replica={}", pair.replica.socket().display());
    run(Scene {
        declaration: database.declaration().replace("replica=none", &replica),
        primary: database.connect(),
        replica: Box::new(|| {
            let mut connection = pair.replica.administrator();
            mysql::prelude::Queryable::query_drop(&mut connection, format!("USE {}", database.database.name)).unwrap();
            Box::new(connection)
        }),
        hold_back: &|| {
            pair.until_caught_up();
            pair.on_replica("STOP SLAVE SQL_THREAD");
        },
        let_go_on: &|| pair.on_replica("START SLAVE SQL_THREAD"),
        told: "it is not known how far the replicas lag behind",
    });
}

#[test]
fn a_run_pauses_for_a_standby_says_so_and_goes_on_when_it_has_caught_up() {
    on_postgres(pauses_and_goes_on);
}

#[test]
fn a_run_pauses_for_a_replica_of_unknown_lag_says_so_and_goes_on_when_it_has_caught_up() {
    on_mariadb(pauses_and_goes_on);
}

fn told_by_the_daemon(installation: &Installation) -> String {
    std::fs::read_to_string(installation.path().join("daemon.log")).unwrap()
}

fn pauses_and_goes_on(mut scene: Scene<'_>) {
    let installation = installation_paced(PACE, &scene.declaration, "store-ip = true");
    (scene.hold_back)();
    fill(&mut *scene.primary);
    let daemon = start(&installation);
    eventually("the daemon is at work", || log(&installation).contains("config.applied"));
    installation.write(SITE, &site(&scene.declaration, "store-ip = false"));
    let said = |words: &str| told_by_the_daemon(&installation).contains(words);
    eventually("the daemon says that it waits", || said("\"waiting\"") && said(scene.told));
    let status = installation.run(&["status"]);
    assert!(status.stdout.contains("under way, and waits:") && status.stdout.contains(scene.told), "{status:?}");
    let before = scene.primary.row(ADDRESSES);
    assert!(before[0] > 0, "the whole table in one batch");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(scene.primary.row(ADDRESSES), before, "erased while the replica lags");
    assert!(!log(&installation).contains("run.finished"));
    (scene.let_go_on)();
    eventually("the run has ended", || log(&installation).contains("run.finished"));
    assert!(said("waiting is over"), "{}", told_by_the_daemon(&installation));
    let status = installation.run(&["status"]);
    assert!(!status.stdout.contains("and waits:"), "{status:?}");
    end(daemon);
    assert_eq!(scene.primary.row(ADDRESSES), [0]);
    let expected = scene.primary.rows(RECORDS);
    let mut replica = (scene.replica)();
    eventually("the replica is equal", || replica.rows(RECORDS) == expected);
    assert!(log(&installation).contains("\"outcome\":\"done\""), "{}", log(&installation));
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn a_standby_that_does_not_catch_up_ends_the_run_with_what_is_left_and_the_next_one_goes_on() {
    on_postgres(ends_with_what_is_left);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn a_replica_that_does_not_catch_up_ends_the_run_with_what_is_left_and_the_next_one_goes_on() {
    on_mariadb(ends_with_what_is_left);
}

fn ends_with_what_is_left(mut scene: Scene<'_>) {
    let installation = installation_paced(PACE, &scene.declaration, "store-ip = true");
    (scene.hold_back)();
    fill(&mut *scene.primary);
    let purged = installation.json(&["purge", "--yes"], 3);
    let run = &purged["runs"][0];
    let (erased, left) = (run["erased"].as_u64().unwrap(), run["left"].as_u64().unwrap());
    assert_eq!((run["outcome"].as_str(), erased + left), (Some("failed"), EXPIRED), "{purged}");
    assert!(left > 0, "{purged}");
    let reason = run["reason"].as_str().unwrap();
    for words in [scene.told, "needs a longer `max-lag` under `[pace]`", "the next run goes on"] {
        assert!(reason.contains(words), "{purged}");
    }
    let here = scene.primary.row("SELECT count(*) FROM visitors");
    assert_eq!(here, [(EXPIRED + left).cast_signed()]);
    assert_eq!(installation.run(&["status"]).code, 3);
    (scene.let_go_on)();
    let purged = installation.json(&["purge", "--yes"], 0);
    assert_eq!(purged["runs"][0]["erased"], left, "{purged}");
    let expected = scene.primary.rows(RECORDS);
    let mut replica = (scene.replica)();
    eventually("the replica is equal", || replica.rows(RECORDS) == expected);
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);
}
