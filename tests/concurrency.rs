//! Several processes at once: daemons and one-off commands on one state directory, purges from two state directories on
//! one database, and meanwhile an application that inserts a thousand rows a second. Whoever erases what, every record is
//! counted once, nobody ends because of a lock or a deadlock, and a hold is honoured from the next batch on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test tells how busy it was")]

#[path = "concurrency/application.rs"]
mod application;
#[path = "concurrency/beside_the_daemon.rs"]
mod beside_the_daemon;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/database.rs"]
mod database;
#[path = "concurrency/deadlocks.rs"]
mod deadlocks;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::process::{Child, Stdio};

use application::{Application, Kind, beside};
use daemon::eventually;
use database::Database;
use evidence::{Evidence, runs_agree};
use installation::{Installation, Ran};
use rstest::rstest;

const RULE: &str = "shop.example/chat/visitors";

/// Visitors that are expired when a night begins.
const BACKLOG: i64 = 6_000;
const NIGHTS: u32 = 3;

/// The same for a run that rests more than it works.
const HELD_BACKLOG: i64 = 4_000;

const SITE: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[retention]
visit = "6 months"
[store.chat]
DECLARATION
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "visit"
children = [{ table = "pages", column = "visitor_id" }]
"#;

/// A state directory with a configuration of its own, whose rule acts on the database.
fn installation(database: &dyn Database, duty: &str) -> Installation {
    let pace = format!("[pace]\nduty = {duty}\nbatch-time = \"10 ms\"\n");
    let daemon = format!("[safety]\napproval = \"automatic\"\nmax-share = 1.0\n{pace}");
    // On a disk a sync takes longer than all the rest.
    let installation = Installation::in_memory(&daemon);
    installation.write("sites/shop.example.toml", &SITE.replace("DECLARATION", &database.declaration()));
    installation
}

fn purge(installation: &Installation) -> Child {
    let mut command = installation.command(&["purge", RULE, "--yes", "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How the one rule ended.
fn end_of(purge: Child) -> (i32, String, u64) {
    let ran = Ran::of(purge.wait_with_output().unwrap());
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let run = &told["runs"][0];
    assert!(run["reason"].is_null() || run["outcome"] == "busy", "{ran:?}");
    (ran.code, run["outcome"].as_str().unwrap().to_owned(), run["erased"].as_u64().unwrap())
}

/// Two processes share one of the state directories, and its lock for the rule; a third has another one, and only what
/// the database offers.
#[rstest]
fn from_two_state_directories_every_record_of_one_database_is_counted_once(
    #[values(Kind::Sqlite, Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let database = kind.database();
    let (first, second) = (installation(&*database, "1.0"), installation(&*database, "1.0"));
    let mut application = Application::new(&*database);
    let mut at_once = 0;
    beside(&*database, || {
        for _ in 0..NIGHTS {
            application.fill_up(BACKLOG);
            let purges = [purge(&first), purge(&first), purge(&second)];
            let [one, other, third] = purges.map(end_of);
            for (code, outcome, _) in [&one, &other] {
                assert!(matches!((code, outcome.as_str()), (0, "done") | (3, "busy")), "{one:?}, {other:?}");
            }
            assert!(one.1 == "done" || other.1 == "done", "{one:?}, {other:?}");
            assert_eq!((third.0, third.1.as_str()), (0, "done"));
            assert_eq!(i64::try_from(one.2 + other.2 + third.2).unwrap(), BACKLOG);
            at_once += u32::from(one.2 + other.2 > 0 && third.2 > 0);
        }
    });
    application.finds_only_the_young();
    let gone = u64::try_from(BACKLOG).unwrap() * u64::from(NIGHTS);
    let counted = [&first, &second].map(|installation| {
        let evidence = Evidence::read(&installation.state());
        assert!(evidence.open.is_empty() && evidence.children == evidence.rows, "{evidence:?}");
        runs_agree(&installation.state(), RULE, (evidence.rows, evidence.children));
        assert_eq!(installation.run(&["audit", "verify"]).code, 0);
        evidence.rows
    });
    assert_eq!(counted.iter().sum::<u64>(), gone, "{counted:?}");
    println!("{kind:?}: {counted:?} counted by the two logs; in {at_once} of {NIGHTS} nights both erased");
}

#[rstest]
fn a_hold_that_another_process_places_during_a_run_is_honoured_from_the_next_batch_on(
    #[values(Kind::Sqlite, Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let database = kind.database();
    let shop = installation(&*database, "0.15");
    let mut application = Application::new(&*database);
    application.fill_up(HELD_BACKLOG);
    beside(&*database, || {
        let run = purge(&shop);
        eventually("a batch", || (Evidence::read(&shop.state()).rows > 0).then_some(()));
        let left = application.expired_left();
        // The last one on its way, whichever way that is: the batch under way does not get there.
        let held = if left[0] == 1 { left[0] } else { left[left.len() - 1] };
        let condition = format!("id={held}");
        let until = ["--until", "2099-01-01", "--reason-code", "lawsuit"];
        let added = shop.run(&[&["hold", "add", RULE, "--where", &condition], &until[..]].concat());
        assert_eq!(added.code, 0, "{added:?}");
        assert!(application.expired_left().len() > 1_000, "the run was over before the hold was placed");
        let (code, outcome, erased) = end_of(run);
        assert_eq!((code, outcome.as_str(), erased), (0, "done", HELD_BACKLOG.unsigned_abs() - 1));
        assert_eq!(application.expired_left(), [held]);
        // Lifted, it keeps nothing any more.
        assert_eq!(shop.run(&["hold", "lift", "1"]).code, 0);
        assert_eq!(end_of(purge(&shop)), (0, "done".to_owned(), 1));
    });
    application.finds_only_the_young();
    let all = HELD_BACKLOG.unsigned_abs();
    assert_eq!(Evidence::read(&shop.state()), Evidence { rows: all, children: all, ..Evidence::default() });
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
}
