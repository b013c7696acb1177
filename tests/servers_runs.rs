//! Whole runs against a database server with which others are at work: who is waited for, and what goes on afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/database.rs"]
mod database;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "support/shop.rs"]
mod shop;

use std::cell::Cell;
use std::time::Duration;

use database::{Connection, Database, OnMariaDb, OnPostgres};
use forgetd::audit::{BatchOutcome, Event};
use forgetd::purge::{Outcome, Step, Watcher};
use jiff::Timestamp;
use rstest::rstest;
use shop::{Shop, UNLIMITED, clock, run};

const EXPIRED: u64 = 600;

const RULE: &str = "shop.example/chat/visitors";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    fn database(self) -> Box<dyn Database> {
        match self {
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }

    fn lock(self) -> &'static [&'static str] {
        match self {
            Kind::Postgres => &["BEGIN", "LOCK TABLE visitors IN ACCESS EXCLUSIVE MODE"],
            Kind::MariaDb => &["LOCK TABLES visitors WRITE"],
        }
    }

    fn unlock(self) -> &'static str {
        match self {
            Kind::Postgres => "COMMIT",
            Kind::MariaDb => "UNLOCK TABLES",
        }
    }
}

/// The moment by the servers' clocks, which runs are compared with.
#[expect(clippy::disallowed_methods, reason = "the servers have clocks of their own")]
fn now() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap()
}

/// A shop on a server, where every second visitor is expired.
fn shop_on(database: &dyn Database, further: &str) -> Shop {
    let site = format!(
        r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[settings]
store-ip = true
[retention]
visit = "6 months"
[store.chat]
{}
[[store.chat.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "visit"
{further}"#,
        database.declaration()
    );
    let mut connection = database.connect();
    connection.execute("CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint NOT NULL)");
    let (day, now) = (24 * 3_600, now().as_second());
    let rows: Vec<String> = (0..2 * i64::try_from(EXPIRED).unwrap())
        .map(|id| format!("({id}, {})", now - if id % 2 == 0 { 400 * day } else { day }))
        .collect();
    connection.execute(&format!("INSERT INTO visitors VALUES {}", rows.join(", ")));
    Shop::new(&site, "")
}

/// Locks the table at a step, for longer than the store itself waits.
struct Locks<'a> {
    kind: Kind,
    database: &'a dyn Database,
    at: fn(Step) -> bool,
    locked: Cell<bool>,
}

impl Watcher for Locks<'_> {
    fn reached(&self, step: Step) {
        if !(self.at)(step) || self.locked.replace(true) {
            return;
        }
        let mut connection: Box<dyn Connection> = self.database.connect();
        self.kind.lock().iter().for_each(|statement| _ = connection.execute(statement));
        let unlock = self.kind.unlock();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(7));
            connection.execute(unlock);
        });
    }
}

#[rstest]
fn a_table_that_is_being_changed_is_waited_for(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
    #[values(
        |step| matches!(step, Step::Started { .. }),
        |step| step == Step::Recorded { erased: EXPIRED },
    )]
    at: fn(Step) -> bool,
) {
    let database = kind.database();
    let shop = shop_on(&*database, "");
    let (rule, now) = (shop.rule(RULE), now());
    let watcher = Locks { kind, database: &*database, at, locked: Cell::new(false) };
    let outcome = run(&rule, &mut shop.state(now), UNLIMITED, &clock(now), &watcher).unwrap();
    let Outcome::Ran(ended) = outcome else { panic!("{outcome:?}") };
    assert!(watcher.locked.get());
    assert_eq!((ended.outcome.as_deref(), ended.erased, ended.left), (Some("done"), EXPIRED, Some(0)), "{ended:?}");
}

#[test]
fn a_deadlock_is_tried_again() {
    let database = Kind::Postgres.database();
    let shop = shop_on(&*database, "accepts = [\"trigger:unlucky\"]");
    let mut connection = database.connect();
    for statement in [
        "CREATE SEQUENCE attempts",
        "CREATE FUNCTION unlucky() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
         IF nextval(''public.attempts'') <= 2 THEN RAISE EXCEPTION USING ERRCODE = ''40P01''; END IF; RETURN OLD; END'",
        "CREATE TRIGGER unlucky BEFORE DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION unlucky()",
    ] {
        connection.execute(statement);
    }
    let (rule, now) = (shop.rule(RULE), now());
    let outcome = run(&rule, &mut shop.state(now), UNLIMITED, &clock(now), &forgetd::purge::Unwatched).unwrap();
    let Outcome::Ran(ended) = outcome else { panic!("{outcome:?}") };
    assert_eq!((ended.outcome.as_deref(), ended.erased), (Some("done"), EXPIRED), "{ended:?}");
    assert_eq!(shop.events("batch.rolled-back"), Vec::<Event>::new());
}

/// Stops the server at a step, as one that is paused with its container.
struct Stops<'a> {
    stop: &'a dyn Fn(),
    at: Step,
}

impl Watcher for Stops<'_> {
    fn reached(&self, step: Step) {
        if step == self.at {
            (self.stop)();
        }
    }
}

#[rstest]
#[ignore = "takes minutes"]
fn a_server_that_hangs_ends_the_run_and_the_next_one_goes_on(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
    #[values(Step::Recorded { erased: 500 }, Step::Prepared)] at: Step,
) {
    match kind {
        Kind::Postgres => {
            let server = postgres_server::start();
            hangs(&OnPostgres::new(&server), &|signal| server.signal(signal), at);
        }
        Kind::MariaDb => {
            let server = mariadb::MariaDb::start("--skip-networking");
            hangs(&OnMariaDb::new(&server), &|signal| server.signal(signal), at);
        }
    }
}

/// Nothing breaks the connection, and a socket has no time limit of its own.
fn hangs(database: &dyn Database, signal: &dyn Fn(&str), at: Step) {
    let shop = shop_on(database, "");
    let (rule, before) = (shop.rule(RULE), now());
    let stops = Stops { stop: &|| signal("STOP"), at };
    let ended = run(&rule, &mut shop.state(before), UNLIMITED, &clock(before), &stops);
    signal("CONT");
    let told = format!("{ended:?}");
    assert!(told.contains("the server has not answered for"), "{told}");
    if at != Step::Prepared {
        assert!(told.contains("the server did not come back in time"), "{told}");
    }
    let gone = |event| match event {
        Event::BatchCommitted { rows, .. } | Event::BatchResolved { outcome: BatchOutcome::Committed, rows, .. } => {
            rows
        }
        _ => 0,
    };
    let recorded = |shop: &Shop| -> u64 { shop.entries().into_iter().map(|entry| gone(entry.event)).sum() };
    assert_eq!(recorded(&shop), if at == Step::Prepared { 0 } else { 500 });
    // Whether the COMMIT took effect once the server went on is found out first.
    let after = now();
    let outcome = run(&rule, &mut shop.state(after), UNLIMITED, &clock(after), &forgetd::purge::Unwatched).unwrap();
    let Outcome::Ran(ended) = outcome else { panic!("{outcome:?}") };
    assert_eq!((ended.outcome.as_deref(), ended.left), (Some("done"), Some(0)), "{ended:?}");
    assert_eq!(database.connect().row("SELECT count(*) FROM visitors"), [EXPIRED.cast_signed()]);
    assert_eq!(recorded(&shop), EXPIRED, "{:?}", shop.events("batch.resolved"));
}
