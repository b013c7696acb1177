//! Purges of the built binary on database servers, killed at random moments beside an application that goes on writing;
//! connections that the server ends during a COMMIT; servers that crash during a run. Each time no record inside its
//! retention is lost, nothing expired is left after the next run, and the log says exactly what is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "the seed of a failure is wanted")]

#[path = "server_kills/application.rs"]
mod application;
#[path = "server_kills/commits.rs"]
mod commits;
#[path = "server_kills/crashes.rs"]
mod crashes;
#[path = "support/database.rs"]
mod database;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "support/random.rs"]
mod random;
#[path = "server_kills/scene.rs"]
mod scene;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use database::{Database, OnMariaDb, OnPostgres};
use random::{FEW_KILLS, MANY_KILLS, Random, seed};
use rstest::rstest;
use scene::{Scene, Whereabouts};

/// Which of the three actions is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Rows with the rows of a child table.
    EraseRows,
    EraseColumn,
    Truncate,
}

impl Action {
    fn rule(self) -> &'static str {
        match self {
            Action::EraseRows => "shop.example/chat/visitors",
            Action::EraseColumn => "shop.example/chat/visitors/city",
            Action::Truncate => "shop.example/chat/visitors/ip",
        }
    }

    /// What is true of a record that was never touched. Addresses are 192.0.2.77 throughout.
    fn untouched(self) -> &'static str {
        match self {
            Action::EraseRows => "1 = 1",
            Action::EraseColumn => "city IS NOT NULL",
            Action::Truncate => "ip <> '192.0.2.0'",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    /// A database on the server that the tests of this process share.
    fn database(self) -> Box<dyn Database> {
        match self {
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }
}

/// A MariaDB server with a binary log, whose commits survive its end.
fn start_logging_mariadb() -> mariadb::MariaDb {
    // What MariaDB has built in is a plugin of MySQL.
    let semi_sync = if mariadb::is_mysql() { "--plugin-load-add=semisync_source.so" } else { "" };
    mariadb::MariaDb::start(&format!(
        "--skip-networking --log-bin=binlog --server-id=1 --innodb-flush-log-at-trx-commit=2 {semi_sync}"
    ))
}

/// Of the kills so many have to hit between the beginning and the end of a run; the others hit while it opens its files
/// and looks at the table.
const WITHIN: u32 = 5;

/// A night that ended before it could be killed counts for nothing; so many for each kill are a fault of the test.
const MOST_NIGHTS: u32 = 4;

#[rstest]
fn a_purge_killed_at_a_random_moment_loses_and_miscounts_nothing(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
    #[values(Action::EraseRows, Action::EraseColumn, Action::Truncate)] action: Action,
) {
    kill_at_random(kind, action, FEW_KILLS.div_ceil(3));
}

#[rstest]
#[ignore = "takes minutes"]
fn a_purge_killed_a_thousand_times_at_random_loses_and_miscounts_nothing(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
    #[values(Action::EraseRows, Action::EraseColumn, Action::Truncate)] action: Action,
) {
    kill_at_random(kind, action, MANY_KILLS.div_ceil(3));
}

fn kill_at_random(kind: Kind, action: Action, wanted: u32) {
    let seed = seed();
    println!("seed {seed}: run again with FORGETD_TEST_SEED={seed}");
    let mut random = Random(seed);
    let database = kind.database();
    let scene = Scene::new(&*database, action, seed);
    let stop = AtomicBool::new(false);
    let places = std::thread::scope(|scope| {
        scope.spawn(|| application::live(&scene.application, &stop));
        let places = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kill_many(&scene, wanted, &mut random)));
        stop.store(true, Ordering::Relaxed);
        places
    });
    let places = places.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    scene.finish();
    scene.everything_adds_up();
    let count = |place| places.iter().filter(|known| **known == place).count();
    println!(
        "{kind:?}, {action:?}: killed {} times before a run, {} between batches, {} in a batch; resolved: {:?} (committed, rolled back)",
        count(Whereabouts::Outside),
        count(Whereabouts::BetweenBatches),
        count(Whereabouts::InABatch),
        scene.resolved()
    );
    let within = places.iter().filter(|place| **place != Whereabouts::Outside).count();
    assert!(within >= (wanted / WITHIN).try_into().unwrap(), "{within}");
}

/// So many purges that were killed: where they were then.
fn kill_many(scene: &Scene, wanted: u32, random: &mut Random) -> Vec<Whereabouts> {
    let started = Instant::now();
    scene.fill_up();
    scene.finish();
    let mut length = started.elapsed();
    let (mut places, mut nights) = (Vec::new(), 0);
    while places.len() < wanted.try_into().unwrap() {
        nights += 1;
        assert!(nights < MOST_NIGHTS * wanted, "only {} purges could be killed", places.len());
        scene.fill_up();
        let after = random.below(length);
        match scene.killed_after(after) {
            Some(place) => places.push(place),
            None => length = after.max(Duration::from_millis(1)),
        }
        scene.nothing_is_gone_without_evidence();
    }
    places
}
