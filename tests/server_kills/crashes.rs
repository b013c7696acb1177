//! The whole server dies during a run, and comes back.

use std::time::{Duration, Instant};

use super::database::{Database, OnMariaDb, OnPostgres};
use super::installation::Ran;
use super::mariadb::MariaDb;
use super::postgres_server::{self, Server};
use super::scene::Scene;
use super::{Action, start_logging_mariadb};

/// How long the server is away, each time: shorter and longer than a first attempt to connect again.
const ABSENCES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(700), Duration::from_secs(3)];

/// Longer than a run tries to reach a server that is away.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that can be killed.
trait Mortal {
    fn crash(&self, pause: Duration);
    /// False where it never will: it has ended by itself.
    fn comes_back(&self) -> bool;
}

impl Mortal for Server {
    fn crash(&self, pause: Duration) {
        Server::crash(self, pause);
    }

    fn comes_back(&self) -> bool {
        Server::wait(self);
        true
    }
}

impl Mortal for MariaDb {
    fn crash(&self, pause: Duration) {
        MariaDb::crash(self, pause);
    }

    fn comes_back(&self) -> bool {
        MariaDb::comes_back(self)
    }
}

/// A run that has erased something and has more to do.
fn until_under_way(scene: &Scene) {
    let started = Instant::now();
    let before = scene.evidence().rows;
    while scene.evidence().rows < before + 700 {
        assert!(started.elapsed() < PATIENCE, "no run got so far");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// False if the server did not come back, and nothing was shown.
fn crash_in_runs(server: &dyn Mortal, database: &dyn Database, durable: &str) -> bool {
    let scene = Scene::new(database, Action::EraseRows, 1);
    for absence in ABSENCES {
        scene.application.lock().unwrap().connection.execute(durable);
        scene.fill_up();
        let purge = scene.begin();
        until_under_way(&scene);
        server.crash(absence);
        while scene.application.lock().unwrap().connection.is_alive() {}
        let ran = Ran::of(purge.wait_with_output().unwrap());
        if !server.comes_back() {
            return false;
        }
        assert!(ran.code == 0 || ran.stdout.contains("the next run"), "away for {absence:?}: {ran:?}");
        scene.application.lock().unwrap().connection = database.connect();
        scene.nothing_is_gone_without_evidence();
        if ran.code == 0 {
            scene.everything_adds_up();
        }
    }
    scene.finish();
    scene.everything_adds_up();
    true
}

/// The server answers before what it answers is on disk, unless it is told otherwise.
#[test]
fn a_postgresql_server_that_crashes_during_a_run_takes_nothing_back_that_the_log_says_is_gone() {
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    assert!(crash_in_runs(&server, &database, "SET synchronous_commit = on"));
}

#[test]
fn a_mariadb_server_that_crashes_during_a_run_takes_nothing_back_that_the_log_says_is_gone() {
    let is_shown = (0..3).any(|_| {
        let server = start_logging_mariadb();
        crash_in_runs(&server, &OnMariaDb::new(&server), "SET @nothing = 0")
    });
    assert!(is_shown, "the server ended by itself each time");
}
