//! Every step of the batch protocol, and every evil that can befall it there. Whatever happens, no record inside its
//! retention is lost, nothing expired is left after the next run, and the audit log counts exactly what is gone.
//!
//! The evil is done in a process of its own: this binary starts itself again with the name of a scenario in its
//! environment, and the test `the_process_that_suffers` then is that process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "the seed of a failure is wanted")]

#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/random.rs"]
mod random;
#[path = "support/shop.rs"]
mod shop;
#[path = "support/suffering.rs"]
mod suffering;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use evidence::{Evidence, runs_agree};
use forgetd::audit::{self, BatchOutcome, Event, Sync, Verdict};
use forgetd::purge::{Outcome, Step, Unwatched, recover_all};
use random::{FEW_KILLS, MANY_KILLS, Random, seed};
use rstest::rstest;
use rusqlite::Connection;
use rustix::process::{Signal, getpid, kill_process};
use shop::{SCHEMA, Shop, UNLIMITED, VISITORS, clock, days, insert, noon, run, site};
use suffering::{FAILED, RAN, REFUSED, STEPS, limit_files};

/// A rule for each action.
const COLUMNS: &str = r#"
[store.chat.table.columns]
city = "visit.location"
ip = { category = "visit.ip-address", do = "truncate" }
"#;

/// Two batches: the first of a run takes 500 records.
const EXPIRED: u32 = 900;
const KEPT: u32 = 300;

/// So many entries that the log is larger than the database: a limit on the size of files then hits the log alone.
const FILLING: u64 = 4_000;

/// How long the application keeps its lock.
const LOCKED: Duration = Duration::from_millis(150);

/// The store waits for five seconds.
const LONGER_THAN_ANY_WAIT: Duration = Duration::from_millis(5_500);

/// More than the state needs, less than a padded database.
const LIMIT_OF_THE_DATABASE: u64 = 2_000_000;

/// What happens to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evil {
    Killed,
    EntryNotWritable,
    Locked,
    DiskFull,
    /// Beyond the table: a lock that outlasts one attempt to commit.
    LockedForLong,
    /// Beyond the table: the disk of the database is full, that of the audit log is not.
    DatabaseFull,
    Nothing,
}

/// Which of the three actions is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    EraseRows,
    EraseColumn,
    Truncate,
}

impl Action {
    const ALL: [Action; 3] = [Action::EraseRows, Action::EraseColumn, Action::Truncate];

    fn rule(self) -> &'static str {
        match self {
            Action::EraseRows => VISITORS,
            Action::EraseColumn => "shop.example/chat/visitors/city",
            Action::Truncate => "shop.example/chat/visitors/ip",
        }
    }

    /// What is true of a record that was never touched. Addresses are 192.0.2.77 throughout.
    fn untouched(self) -> &'static str {
        match self {
            Action::EraseRows => "1",
            Action::EraseColumn => "city IS NOT NULL",
            Action::Truncate => "ip IS NOT '192.0.2.0'",
        }
    }
}

/// Records of both sides of every cutoff. The journal mode is the application's business.
fn scene(journal_mode: &str) -> Shop {
    fill(Shop::new(&site(COLUMNS), SCHEMA), journal_mode)
}

fn fill(shop: Shop, journal_mode: &str) -> Shop {
    let connection = shop.sql();
    connection.pragma_update_and_check(None, "journal_mode", journal_mode, |_| Ok(())).unwrap();
    insert(&connection, EXPIRED, noon() - days(300));
    insert(&connection, KEPT, noon() - days(3));
    shop
}

fn make_the_log_larger_than_the_database(shop: &Shop) {
    let mut state = shop.state(noon());
    for _ in 0..FILLING {
        state.log.append(noon(), &Event::Heartbeat {}, Sync::Later).unwrap();
    }
    state.log.checkpoint().unwrap();
    let size = |path: PathBuf| fs::metadata(path).unwrap().len();
    assert!(size(shop.audit_dir().join("log.jsonl")) > 2 * size(shop.database()));
}

fn child(shop: &Shop, action: Action, step: &str, evil: Evil) -> Child {
    child_for(shop, action.rule(), step, evil)
}

fn child_for(shop: &Shop, rule: &str, step: &str, evil: Evil) -> Child {
    suffering::child(shop, rule, step, &format!("{evil:?}"))
}

#[test]
#[ignore = "the child of the other tests"]
fn the_process_that_suffers() {
    suffering::live(suffer_here);
}

/// What happens to the child.
fn suffer_here(root: &Path, evil: &str, step: Step) {
    let log = root.join("state/audit/log.jsonl");
    match evil {
        "Killed" => kill_process(getpid(), Signal::KILL).unwrap(),
        "EntryNotWritable" => fs::rename(&log, log.with_extension("away")).unwrap(),
        "DiskFull" => limit_files(if store_is_done(step) { 0 } else { fs::metadata(&log).unwrap().len() + 20 }),
        "Locked" => lock_for(&root.join("chat.db"), LOCKED, step),
        "Nothing" => {}
        "DatabaseFull" => limit_files(LIMIT_OF_THE_DATABASE),
        "LockedForLong" => lock_for(&root.join("chat.db"), LONGER_THAN_ANY_WAIT, step),
        other => panic!("{other}"),
    }
}

/// Whether nothing of the database is written any more, so that it need not fit below the limit.
fn store_is_done(step: Step) -> bool {
    matches!(step, Step::Finished | Step::Sealed | Step::Registered)
}

/// Another connection takes the strongest lock it can get at this step, and lets it go after a while.
fn lock_for(database: &Path, duration: Duration, step: Step) {
    let connection = Connection::open(database).unwrap();
    // Inside a batch the write lock is ours, and a reader can still keep a rollback journal from committing.
    let ours = matches!(step, Step::Erased | Step::InFlight | Step::Prepared);
    let (begin, locked) = if ours { ("BEGIN", mpsc::channel()) } else { ("BEGIN EXCLUSIVE", mpsc::channel()) };
    thread::spawn(move || {
        connection.execute_batch(begin).unwrap();
        if ours {
            connection.query_row("SELECT count(*) FROM visitors", [], |_| Ok(())).unwrap();
        }
        locked.0.send(()).unwrap();
        thread::sleep(duration);
        connection.execute_batch("ROLLBACK").unwrap();
    });
    locked.1.recv().unwrap();
}

/// What the operator does before the next run.
fn heal(shop: &Shop, evil: Evil) {
    if evil == Evil::EntryNotWritable {
        let log = shop.audit_dir().join("log.jsonl");
        fs::rename(log.with_extension("away"), log).unwrap();
    }
}

fn expected_end(step: &str, evil: Evil) -> fn(ExitStatus) -> bool {
    match evil {
        Evil::Killed => |status| status.signal() == Some(9),
        Evil::Locked | Evil::LockedForLong | Evil::Nothing => |status| status.code() == Some(RAN),
        // After the checkpoint nothing is written to the log; after the register nothing at all.
        Evil::EntryNotWritable if matches!(step, "Sealed" | "Registered") => |status| status.code() == Some(RAN),
        Evil::DiskFull if step == "Registered" => |status| status.code() == Some(RAN),
        // Resolved at once where the store can be asked, else by the next run.
        Evil::DatabaseFull => |status| status.code() == Some(FAILED),
        Evil::EntryNotWritable | Evil::DiskFull => |status| status.code() == Some(REFUSED),
    }
}

#[rstest]
fn whatever_happens_at_a_step_nothing_is_lost_left_or_miscounted(
    #[values(Evil::Killed, Evil::EntryNotWritable, Evil::Locked, Evil::DiskFull)] evil: Evil,
    #[values(Action::EraseRows, Action::EraseColumn, Action::Truncate)] action: Action,
) {
    for (position, step) in STEPS.into_iter().enumerate() {
        let journal_mode =
            if (position + Action::ALL.iter().position(|a| *a == action).unwrap()) % 2 == 0 { "WAL" } else { "DELETE" };
        println!("{step}, {journal_mode}");
        let shop = scene(journal_mode);
        if evil == Evil::DiskFull {
            make_the_log_larger_than_the_database(&shop);
        }
        let before = Tally::of(&shop, action);
        let status = child(&shop, action, step, evil).wait().unwrap();
        assert!(expected_end(step, evil)(status), "{step}: {status}");
        heal(&shop, evil);
        nothing_is_gone_without_evidence(&shop, action, &before);
        finish(&shop, action);
        everything_adds_up(&shop, action, &before);
    }
}

#[test]
fn a_commit_that_is_refused_is_rolled_back_recorded_and_done_again() {
    let shop = scene("DELETE");
    let before = Tally::of(&shop, Action::EraseRows);
    let status = child(&shop, Action::EraseRows, "Prepared", Evil::LockedForLong).wait().unwrap();
    assert_eq!(status.code(), Some(RAN));
    assert_eq!(shop.events("batch.rolled-back").len(), 1);
    everything_adds_up(&shop, Action::EraseRows, &before);
}

/// SQLite ends the transaction by itself when a write fails during COMMIT: the error alone does not say how. To find out
/// a rollback journal has to be played back, or a frame of the write-ahead log to be written over, and there is no room.
#[rstest]
fn a_commit_with_an_unknown_outcome_is_not_repeated_and_is_resolved_by_the_next_run(
    #[values("DELETE", "WAL")] journal_mode: &str,
) {
    let shop = scene(journal_mode);
    let _reader = pad(&shop);
    let before = Tally::of(&shop, Action::EraseRows);
    let status = child(&shop, Action::EraseRows, "Prepared", Evil::DatabaseFull).wait().unwrap();
    assert!(expected_end("Prepared", Evil::DatabaseFull)(status), "{status}");
    nothing_is_gone_without_evidence(&shop, Action::EraseRows, &before);
    assert_eq!((shop.events("batch.prepared").len(), shop.events("run.finished").len()), (2, 0));
    finish(&shop, Action::EraseRows);
    let [Event::BatchResolved { outcome, .. }] = &shop.events("batch.resolved")[..] else { panic!() };
    assert_eq!(*outcome, BatchOutcome::RolledBack);
    everything_adds_up(&shop, Action::EraseRows, &before);
}

#[test]
fn while_an_interrupted_batch_cannot_be_resolved_no_new_run_begins() {
    let shop = scene("DELETE");
    let before = Tally::of(&shop, Action::EraseRows);
    child(&shop, Action::EraseRows, "Committed", Evil::Killed).wait().unwrap();
    let application = shop.sql();
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let rule = shop.rule(VISITORS);
    let outcome = run(&rule, &mut shop.state(noon()), UNLIMITED, &clock(noon()), &Unwatched);
    assert!(matches!(outcome, Ok(Outcome::Unresolved(_))), "{outcome:?}");
    assert_eq!(shop.events("run.started").len(), 1);
    application.execute_batch("ROLLBACK").unwrap();
    finish(&shop, Action::EraseRows);
    everything_adds_up(&shop, Action::EraseRows, &before);
}

/// The rule may be gone from the configuration by then: its batch in flight says what it was.
#[test]
fn an_interrupted_run_of_a_rule_that_no_longer_exists_is_resolved() {
    let shop = scene("WAL");
    child(&shop, Action::EraseRows, "Committed", Evil::Killed).wait().unwrap();
    let gone = u64::from(EXPIRED + KEPT) - shop.count("visitors");
    assert!(gone > 500, "{gone}");
    let text = fs::read_to_string(shop.config_dir().join(shop::SITE)).unwrap();
    shop.write(shop::SITE, &text[..text.find("[store.chat]").unwrap()]);
    let unresolved = recover_all(&mut shop.state(noon()), noon()).unwrap();
    assert!(unresolved.is_empty(), "{unresolved:?}");
    assert_eq!(Evidence::read(&shop.state_dir()), Evidence { rows: gone, children: 2 * gone, ..Evidence::default() });
    runs_agree(&shop.state_dir(), Action::EraseRows.rule(), (gone, 2 * gone));
}

/// That a rule is held is told once: the once must not be lost with an entry that could not be written.
#[test]
fn a_hold_that_could_not_be_told_is_told_by_the_next_run() {
    let shop = scene("WAL");
    let rule = shop.rule(VISITORS);
    let mut state = shop.state(noon());
    let log = shop.audit_dir().join("log.jsonl");
    fs::rename(&log, log.with_extension("away")).unwrap();
    assert!(run(&rule, &mut state, shop::DEFAULT_SAFETY, &clock(noon()), &Unwatched).is_err());
    heal(&shop, Evil::EntryNotWritable);
    for _ in 0..2 {
        let outcome = run(&rule, &mut state, shop::DEFAULT_SAFETY, &clock(noon()), &Unwatched);
        assert!(matches!(outcome, Ok(Outcome::NotReady(_))), "{outcome:?}");
    }
    assert_eq!(shop.events("rule.held").len(), 1);
    fs::rename(&log, log.with_extension("away")).unwrap();
    assert!(run(&rule, &mut state, UNLIMITED, &clock(noon()), &Unwatched).is_err());
    heal(&shop, Evil::EntryNotWritable);
    assert!(matches!(run(&rule, &mut state, UNLIMITED, &clock(noon()), &Unwatched), Ok(Outcome::Ran(_))));
    assert_eq!(shop.events("rule.released").len(), 1);
}

/// An application goes on writing what a setting forbids: after the crash and before the next run some visitors come
/// back and their addresses with them.
#[test]
fn a_committed_column_that_the_application_has_filled_again_is_still_counted_as_committed() {
    let shop = scene("WAL");
    shop.edit(shop::SITE, "store-ip = true", "store-ip = false");
    let rule = shop.rule("shop.example/chat/visitors/ip@setting");
    let status = child_for(&shop, rule.name.as_str(), "Committed", Evil::Killed).wait().unwrap();
    assert_eq!(status.signal(), Some(9));
    let gone = shop.count("visitors WHERE ip = '192.0.2.0'");
    assert!(gone > 500, "{gone}");
    let refill = "UPDATE visitors SET ip = '192.0.2.99' WHERE id IN (501, 502, 503)";
    assert_eq!(shop.sql().execute(refill, []).unwrap(), 3);
    let outcome = run(&rule, &mut shop.state(noon()), UNLIMITED, &clock(noon()), &Unwatched).unwrap();
    let Outcome::Ran(next) = outcome else { panic!("{outcome:?}") };
    let evidence = Evidence::read(&shop.state_dir());
    assert_eq!(evidence.rows, gone + next.erased);
    assert_eq!(next.erased, u64::from(EXPIRED + KEPT) - gone + 3);
}

/// Moves what the second batch has to write beyond the limit: expired records behind a large table, and, held there by
/// a reader, a write-ahead log of that size.
fn pad(shop: &Shop) -> Connection {
    let reader = shop.sql();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM visitors", [], |_| Ok(())).unwrap();
    let connection = shop.sql();
    let wal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    if wal != "wal" {
        reader.execute_batch("ROLLBACK").unwrap();
    }
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let size = 2 * LIMIT_OF_THE_DATABASE;
    connection.execute_batch(&format!("CREATE TABLE pad AS SELECT zeroblob({size}) AS content")).unwrap();
    insert(&connection, EXPIRED, noon() - days(300));
    reader
}

/// The next run, in another process.
fn finish(shop: &Shop, action: Action) {
    let outcome = run(&shop.rule(action.rule()), &mut shop.state(noon()), UNLIMITED, &clock(noon()), &Unwatched);
    match outcome {
        Ok(Outcome::Ran(run)) => assert_eq!(run.outcome.as_deref(), Some("done"), "{run:?}"),
        other => panic!("{other:?}"),
    }
}

/// What the application's tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    expired: u64,
    kept: u64,
    pages_of_expired: u64,
    pages_of_kept: u64,
}

impl Tally {
    fn of(shop: &Shop, action: Action) -> Tally {
        let cutoff = (noon() - days(100)).as_second();
        let of = |what: &str| format!("visitors WHERE {} AND last_seen {what} {cutoff}", action.untouched());
        let pages =
            |what: &str| format!("pages JOIN visitors ON visitors.id = visitor_id AND last_seen {what} {cutoff}");
        Tally {
            expired: shop.count(&of("<")),
            kept: shop.count(&of(">=")),
            pages_of_expired: shop.count(&pages("<")),
            pages_of_kept: shop.count(&pages(">=")),
        }
    }
}

/// What is gone was announced before: by batches known to be committed, or by one more whose outcome is still open.
fn nothing_is_gone_without_evidence(shop: &Shop, action: Action, before: &Tally) {
    Evidence::read(&shop.state_dir()).accounts_for(before.expired - Tally::of(shop, action).expired);
}

fn everything_adds_up(shop: &Shop, action: Action, before: &Tally) {
    let after = Tally::of(shop, action);
    let children = if action == Action::EraseRows { before.pages_of_expired } else { 0 };
    assert_eq!((after.kept, after.pages_of_kept), (before.kept, before.pages_of_kept), "records inside retention");
    assert_eq!(after.expired, 0, "expired records are left");
    assert_eq!(before.pages_of_expired - after.pages_of_expired, children);
    assert_eq!(Evidence::read(&shop.state_dir()), Evidence { rows: before.expired, children, ..Evidence::default() });
    runs_agree(&shop.state_dir(), action.rule(), (before.expired, children));
    let size = shop.entries().len().try_into().unwrap();
    assert_eq!(audit::verify(&shop.audit_dir(), &[]).unwrap().verdict, Verdict::SelfConsistent { size });
    let in_flight = fs::read_dir(shop.state_dir().join("in-flight")).unwrap();
    assert_eq!(in_flight.map(|file| file.unwrap().file_name()).collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
}

/// Visitors that are expired when a night begins.
const BACKLOG: u32 = 20_000;

/// A night that ended before it could be killed counts for nothing; so many for each kill are a fault of the test.
const MOST_NIGHTS: u32 = 4;

#[test]
fn fifty_runs_killed_at_random_while_the_application_writes_lose_and_miscount_nothing() {
    kill_at_random(FEW_KILLS);
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_runs_killed_at_random_while_the_application_writes_lose_and_miscount_nothing() {
    kill_at_random(MANY_KILLS);
}

fn kill_at_random(wanted: u32) {
    let seed = seed();
    println!("seed {seed}: run again with FORGETD_TEST_SEED={seed}");
    let mut random = Random(seed);
    let (mut all, mut under_way) = (0, 0);
    for (action, journal_mode) in Action::ALL.into_iter().zip(["WAL", "DELETE", "WAL"]) {
        // Whoever is killed has written what he has written: a disk would only cost time.
        let shop = fill(Shop::in_memory(&site(COLUMNS), SCHEMA), journal_mode);
        let mut whole = Tally::of(&shop, action);
        let mut length = length_of_a_run(&shop, action, &mut whole);
        let (mut nights, mut kills) = (0, 0);
        while kills < wanted.div_ceil(3) {
            nights += 1;
            assert!(nights < MOST_NIGHTS * wanted, "{kills} runs could be killed");
            let after = random.below(length);
            if killed_at_random(&shop, action, &mut whole, after) {
                kills += 1;
                under_way += u32::from(fs::read_dir(shop.state_dir().join("in-flight")).unwrap().next().is_some());
            } else {
                length = after;
            }
            nothing_is_gone_without_evidence(&shop, action, &whole);
        }
        finish(&shop, action);
        everything_adds_up(&shop, action, &whole);
        all += kills;
    }
    println!("sqlite: killed {all} times, {under_way} of them between the beginning and the end of a run");
    assert!(under_way > all / 5);
}

/// A whole run of the backlog, for its length.
fn length_of_a_run(shop: &Shop, action: Action, whole: &mut Tally) -> Duration {
    top_up(shop, action, whole);
    let started = Instant::now();
    let status = child(shop, action, "Started", Evil::Nothing).wait().unwrap();
    assert_eq!(status.code(), Some(RAN));
    started.elapsed()
}

/// Fills the backlog up again, and the whole of what must go in the end with it.
fn top_up(shop: &Shop, action: Action, whole: &mut Tally) {
    let left = Tally::of(shop, action).expired;
    let missing = BACKLOG.saturating_sub(u32::try_from(left).unwrap());
    insert(&shop.sql(), missing, noon() - days(300));
    whole.expired += u64::from(missing);
    whole.pages_of_expired += 2 * u64::from(missing);
}

/// One run that is killed after a while, during which visitors come.
fn killed_at_random(shop: &Shop, action: Action, whole: &mut Tally, after: Duration) -> bool {
    top_up(shop, action, whole);
    let connection = shop.sql();
    let mut child = child(shop, action, "Started", Evil::Nothing);
    let end = Instant::now() + after;
    while Instant::now() < end {
        insert(&connection, 3, noon() - days(1));
        whole.kept += 3;
        whole.pages_of_kept += 6;
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(9) || status.code() == Some(RAN), "{status}");
    let kept = Tally::of(shop, action);
    assert_eq!((kept.kept, kept.pages_of_kept), (whole.kept, whole.pages_of_kept), "records inside retention");
    status.signal() == Some(9)
}
