//! A run over a store that does what a script says: what is counted, what is tried again, and what ends it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::config::{ApprovalMode, Pace, Safety, Share};
use crate::plan::Definition;
use crate::purge::Unwatched;
use crate::register::{ClockSample, NewHold};
use crate::store::{Inspection, Resolution, Survey};

const RULE: &str = "shop.example/chat/visitors";

const DEFINITION: &str = r#"{"table":{"rule":"shop.example/chat/visitors","store":{"sqlite":{"path":"/srv/chat.db"}},
    "target":{"table":"visitors","key":"id","time":{"column":"at","format":"unix-seconds","zone":null,
    "meaning":"recorded"},"filter":{},"accepts":[]},"when":"expired","action":{"action":"erase-rows","children":[]},
    "zone":"Europe/Prague"}}"#;

fn noon() -> Timestamp {
    "2027-03-01T12:00:00Z".parse().unwrap()
}

fn place() -> String {
    "the shop".to_owned()
}

fn lost() -> StoreError {
    StoreError::Lost { place: place(), reason: "gone".to_owned() }
}

fn busy() -> StoreError {
    StoreError::Busy { place: place(), waited_ms: 1 }
}

fn failed() -> StoreError {
    StoreError::Failed { place: place(), reason: "no".to_owned() }
}

fn unknown(because: Unknown) -> StoreError {
    StoreError::CommitUnknown { place: place(), reason: "cut".to_owned(), because }
}

/// What a call of `prepare` comes to.
enum Does {
    Batch { rows: u64, children: u64, commit: Result<Committed, StoreError> },
    Fails(StoreError),
    End,
}

/// A batch that is committed as it was prepared.
fn batch(rows: u64, children: u64) -> Does {
    Does::Batch { rows, children, commit: Ok(Committed { rows, children }) }
}

fn undecided(because: Unknown) -> Does {
    Does::Batch { rows: 7, children: 3, commit: Err(unknown(because)) }
}

/// A store that does one thing after another, and counts what it is asked.
#[derive(Default)]
struct Scripted {
    script: VecDeque<Does>,
    left: VecDeque<u64>,
    resolutions: VecDeque<Result<Resolution, StoreError>>,
    physical: Option<String>,
    walks: u32,
    reconnects: u32,
    holds_of_walks: Vec<usize>,
    holds_of_questions: Vec<usize>,
}

impl Store for Scripted {
    fn inspect(&mut self, _: &Selection<'_>) -> Result<Inspection, StoreError> {
        Ok(Inspection { findings: Vec::new(), shape: None })
    }

    fn survey(&mut self, _: &Selection<'_>) -> Result<Survey, StoreError> {
        Ok(Survey::default())
    }

    fn walk<'s>(&'s mut self, selection: &'s Selection<'s>, _: Duration) -> Result<Box<dyn Walk + 's>, StoreError> {
        self.walks += 1;
        self.holds_of_walks.push(selection.holds.len());
        Ok(Box::new(Walking(self)))
    }

    fn reconnect(&mut self) {
        self.reconnects += 1;
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        assert_eq!(in_flight, b"keys");
        self.holds_of_questions.push(selection.holds.len());
        self.resolutions.pop_front().unwrap()
    }

    fn settle(&mut self, _interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        Ok(self.physical.take().map_or(Physical::Gone, Physical::Pending))
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

struct Walking<'s>(&'s mut Scripted);

impl Walk for Walking<'_> {
    fn prepare(&mut self, _: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        match self.0.script.pop_front() {
            Some(Does::Batch { rows, children, commit }) => Ok(Some(Box::new(Batch { rows, children, commit }))),
            Some(Does::Fails(error)) => Err(error),
            Some(Does::End) | None => Ok(None),
        }
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        Ok(Remainder { left: self.0.left.pop_front().unwrap_or(0), ..Remainder::default() })
    }
}

struct Batch {
    rows: u64,
    children: u64,
    commit: Result<Committed, StoreError>,
}

impl Prepared for Batch {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn children(&self) -> u64 {
        self.children
    }

    fn in_flight(&self) -> &[u8] {
        b"keys"
    }

    fn commit(self: Box<Self>) -> Result<Committed, StoreError> {
        self.commit
    }
}

/// A rule, the state of a daemon, and what the guards said.
struct Place {
    state: State,
    rule: Rule,
    assessment: Assessment,
    interrupt: AtomicBool,
    _directory: TempDir,
}

impl Place {
    /// Where 1,000 records were counted and `ceiling` released.
    fn new(ceiling: u64) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path(), noon()).unwrap();
        let definition: Definition = serde_json::from_str(DEFINITION).unwrap();
        let (name, site) = (definition.rule().clone(), "shop.example".to_owned());
        let rule = Rule {
            name,
            site,
            definition,
            because: "it is over".to_owned(),
            goes_along: Vec::new(),
            beside: Vec::new(),
        };
        let survey = Survey { total: 2_000, matches: 1_000, oldest: Some(oldest()), ..Survey::default() };
        let assessment = Assessment {
            reasons: Vec::new(),
            warnings: Vec::new(),
            now: noon(),
            cutoff: Some(noon()),
            holds: Vec::new(),
            shape: None,
            survey: Some(survey),
            ceiling,
            token: None,
            overdue_since: Some(noon()),
        };
        Place { state, rule, assessment, interrupt: AtomicBool::new(false), _directory: directory }
    }

    /// The end of a run over `store`, or why its last batch stayed undecided.
    fn run(&mut self, store: &mut Scripted) -> Result<FinishedRun, StoreError> {
        let clock = ClockSample { boot: "one boot".to_owned(), boottime_us: 0, wall: noon() };
        let (batch_time, max_lag) = (Duration::from_millis(200), Duration::from_secs(10));
        let order = Order {
            safety: Safety { approval: ApprovalMode::Automatic, max_share: Share::WHOLE, max_rows: u64::MAX },
            pace: Pace { batch_time, duty: Share::WHOLE, max_lag },
            clock: &clock,
            suspended: None,
            interrupt: &self.interrupt,
            watcher: &Unwatched,
        };
        let watch = Stopwatch::start(noon());
        let mut run = Run::begin(&self.rule, &mut self.state, &order, &self.assessment, "rule", watch).unwrap();
        match run.erase(store, &self.assessment).unwrap() {
            Erasure::Ended(end) => Ok(run.finish(store, end, &self.assessment).unwrap()),
            Erasure::Undecided(error) => Err(error),
        }
    }

    fn events(&self, kind: &str) -> Vec<Event> {
        let entries = audit::read::entries(&self.state.paths.audit(), 0).unwrap();
        entries.map(|entry| entry.unwrap().event).filter(|event| event.kind() == kind).collect()
    }

    fn finished(&self) -> RunFinished {
        match self.events("run.finished").pop() {
            Some(Event::RunFinished(finished)) => finished,
            other => panic!("{other:?}"),
        }
    }
}

fn oldest() -> Timestamp {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

/// The end of a run that does so, where as much is left after each of its walks.
fn end_of(ceiling: u64, script: impl Into<VecDeque<Does>>, left: impl Into<VecDeque<u64>>) -> (FinishedRun, Scripted) {
    let mut store = Scripted { script: script.into(), left: left.into(), ..Scripted::default() };
    let end = Place::new(ceiling).run(&mut store).unwrap();
    (end, store)
}

fn outcome(end: &FinishedRun) -> (&str, u64, u64, Option<u64>) {
    (end.outcome.as_deref().unwrap(), end.erased, end.children, end.left)
}

#[test]
fn what_was_committed_is_counted_and_a_batch_of_nothing_is_none() {
    let mut place = Place::new(2_000);
    let fewer = Does::Batch { rows: 300, children: 9, commit: Ok(Committed { rows: 299, children: 3 }) };
    let script = [batch(500, 7), batch(0, 0), fewer, Does::End];
    let mut store = Scripted { script: script.into(), ..Scripted::default() };
    store.physical = Some("in a backup".to_owned());
    let end = place.run(&mut store).unwrap();
    assert_eq!(outcome(&end), ("done", 799, 10, Some(0)));
    assert_eq!((end.counted, end.pending.as_deref(), end.reason.as_deref()), (1_000, Some("in a backup"), None));
    assert!(end.finished_at.is_some_and(|finished| finished >= noon()) && end.started_at >= noon());
    assert_eq!((place.finished().batches, place.finished().erased), (2, 799));
    assert_eq!((place.events("batch.prepared").len(), place.events("batch.committed").len()), (2, 2));
    let row = place.state.register.last_run(RULE).unwrap().unwrap();
    assert_eq!((&row.run, outcome(&row), row.finished_at.is_some()), (&end.run, outcome(&end), true));
    let count = &place.state.register.last_counts().unwrap()[RULE];
    assert_eq!((count.expired, count.oldest, count.since), (0, None, None));
}

#[test]
fn each_run_has_a_name_of_its_own_that_says_nothing() {
    let names = [run_id().unwrap(), run_id().unwrap()];
    assert_ne!(names[0], names[1]);
    assert!(names.iter().all(|name| name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())), "{names:?}");
}

#[test]
fn what_still_matches_is_walked_for_again_while_that_helps_and_three_times_at_most() {
    let (end, store) = end_of(2_000, [batch(10, 0), Does::End, batch(3, 0), Does::End], [5, 0]);
    assert_eq!((outcome(&end), store.walks), (("done", 13, 0, Some(0)), 2));
    let (end, store) = end_of(
        2_000,
        [batch(10, 0), Does::End, batch(3, 0), Does::End, batch(1, 0), Does::End, batch(1, 0)],
        [5, 2, 1, 0],
    );
    assert_eq!((outcome(&end), store.walks), (("failed", 14, 0, Some(1)), 3));
    assert_eq!(end.reason.as_deref(), Some("1 records still match"));
    // All was in use at first.
    let (end, store) = end_of(2_000, [Does::End, batch(5, 0), Does::End], [5, 0]);
    assert_eq!((outcome(&end), store.walks), (("done", 5, 0, Some(0)), 2));
    let (end, store) = end_of(2_000, [batch(1, 0), Does::End, Does::End, batch(5, 0)], [5, 5, 0]);
    assert_eq!((outcome(&end), store.walks), (("failed", 1, 0, Some(5)), 2));
}

#[test]
fn a_run_touches_as_many_as_were_released_and_not_one_more() {
    let (end, _) = end_of(10, [batch(10, 0), Does::End], []);
    assert_eq!(outcome(&end), ("done", 10, 0, Some(0)));
    let (end, _) = end_of(10, [batch(10, 0), batch(1, 0), Does::End], []);
    assert_eq!(outcome(&end), ("held", 10, 0, Some(990)));
    assert!(end.reason.unwrap().contains("would make 11 records, more than the 10 released"));
    let (end, _) = end_of(10, [batch(11, 0), Does::End], []);
    assert_eq!(outcome(&end), ("held", 0, 0, Some(1_000)));
}

#[test]
fn what_a_run_left_is_kept_with_the_oldest_of_it_and_since_when() {
    let mut place = Place::new(10);
    let end = place.run(&mut Scripted { script: [batch(11, 0)].into(), ..Scripted::default() }).unwrap();
    assert_eq!(end.left, Some(1_000));
    let count = &place.state.register.last_counts().unwrap()[RULE];
    assert_eq!((count.expired, count.oldest, count.since), (1_000, Some(oldest()), Some(noon())));
    // As it is known without counting again: of what is kept for now too.
    let older = oldest() - SignedDuration::from_hours(24);
    let kept = vec![Kept { records: 1, because: "somebody has them open", oldest: Some(older) }];
    let remainder = Remainder { kept, ..Remainder::default() };
    assert_eq!(oldest_left(1, &place.assessment, &remainder), Some(older));
    assert_eq!(oldest_left(0, &place.assessment, &Remainder::default()), None);
}

#[test]
fn who_is_in_the_way_is_waited_for_in_the_same_walk_and_a_lost_connection_in_a_new_one() {
    let rolled_back = Does::Batch { rows: 9, children: 9, commit: Err(busy()) };
    let (end, store) = end_of(2_000, [Does::Fails(busy()), rolled_back, batch(5, 1), Does::End], []);
    assert_eq!((outcome(&end), store.walks, store.reconnects), (("done", 5, 1, Some(0)), 1, 0));
    let (end, store) = end_of(2_000, [batch(5, 1), Does::Fails(lost()), batch(2, 1), Does::End], []);
    assert_eq!((outcome(&end), store.walks, store.reconnects), (("done", 7, 2, Some(0)), 2, 1));
}

#[test]
fn what_no_waiting_helps_against_ends_the_run() {
    let rolled_back = Does::Batch { rows: 9, children: 9, commit: Err(failed()) };
    for last in [Does::Fails(failed()), rolled_back] {
        let (end, store) = end_of(2_000, [batch(5, 1), last, batch(5, 1)], []);
        assert_eq!((outcome(&end), store.walks), (("failed", 5, 1, Some(995)), 1));
        assert_eq!(end.reason.as_deref(), Some("the shop: no"));
    }
}

/// The run in which one batch stayed undecided, and what the store said of it when asked.
fn resolved(
    place: &mut Place,
    because: Unknown,
    said: impl Into<VecDeque<Result<Resolution, StoreError>>>,
) -> (Result<FinishedRun, StoreError>, Scripted) {
    let script = [batch(2, 1), undecided(because), Does::End];
    let mut store = Scripted { script: script.into(), resolutions: said.into(), ..Scripted::default() };
    (place.run(&mut store), store)
}

#[test]
fn an_unknown_commit_is_asked_about_and_counted_as_the_store_says() {
    for (said, erased, children) in
        [(Resolution::Committed, 9, 4), (Resolution::Part(4), 6, 1), (Resolution::RolledBack, 2, 1)]
    {
        let mut place = Place::new(2_000);
        let (end, store) = resolved(&mut place, Unknown::ConnectionLost, [Ok(said)]);
        assert_eq!(outcome(&end.unwrap()), ("done", erased, children, Some(0)));
        assert_eq!((store.walks, store.reconnects), (2, 1));
        let events = place.events("batch.resolved");
        let [Event::BatchResolved { batch, rows, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((*batch, *rows), (2, erased - 2));
    }
}

#[test]
fn a_store_that_keeps_failing_without_an_effect_is_given_up_and_one_that_committed_is_not() {
    let (end, _) = resolved(&mut Place::new(2_000), Unknown::DiskFailed, [Ok(Resolution::RolledBack)]);
    assert_eq!(outcome(&end.unwrap()), ("failed", 2, 1, Some(998)));
    let (end, _) = resolved(&mut Place::new(2_000), Unknown::DiskFailed, [Ok(Resolution::Committed)]);
    assert_eq!(outcome(&end.unwrap()), ("done", 9, 4, Some(0)));
}

#[test]
fn a_store_that_cannot_be_asked_is_asked_again_unless_that_is_in_vain_or_the_process_is_to_end() {
    let mut place = Place::new(2_000);
    let (end, store) = resolved(&mut place, Unknown::ConnectionLost, [Err(lost()), Ok(Resolution::Committed)]);
    assert_eq!((outcome(&end.unwrap()), store.reconnects), (("done", 9, 4, Some(0)), 2));
    let (end, _) = resolved(&mut Place::new(2_000), Unknown::ConnectionLost, [Err(failed())]);
    assert!(matches!(end, Err(StoreError::Failed { .. })), "{end:?}");
}

#[test]
fn holds_hide_rows_from_a_walk_and_never_from_the_question_what_became_of_a_batch() {
    let mut place = Place::new(2_000);
    let until = "2099-12-31".parse().unwrap();
    let hold = NewHold { prefix: "shop.example", rows: Some(("id", "7")), until, reason_code: "court", uid: 0 };
    place.state.register.add_hold(&hold, noon()).unwrap();
    let (end, store) = resolved(&mut place, Unknown::ConnectionLost, [Ok(Resolution::Committed)]);
    assert_eq!(outcome(&end.unwrap()), ("done", 9, 4, Some(0)));
    // The guards had not seen the hold yet: the first walk does not begin before it is in it.
    assert_eq!((store.holds_of_walks, store.holds_of_questions), (vec![1, 1], vec![0]));
}

#[test]
fn whoever_is_told_to_end_or_to_stop_erases_no_further_batch() {
    let mut place = Place::new(2_000);
    place.interrupt = AtomicBool::new(true);
    let mut store = Scripted { script: [batch(5, 1)].into(), ..Scripted::default() };
    assert_eq!(outcome(&place.run(&mut store).unwrap()), ("interrupted", 0, 0, Some(1_000)));
    let mut place = Place::new(2_000);
    std::fs::write(place.state.paths.stop_switch(), "").unwrap();
    assert_eq!(outcome(&place.run(&mut store).unwrap()), ("stopped", 0, 0, Some(1_000)));
    assert_eq!(store.walks, 0);
}

#[test]
fn what_was_waited_for_in_vain_is_told_with_what_to_do() {
    let place = || "the shop".to_owned();
    let reason = |error: StoreError| End::failed(&error).reason.unwrap();
    for (error, advice) in [
        (StoreError::Busy { place: place(), waited_ms: 5_000 }, "look for transactions that stay open"),
        (StoreError::Lagging { place: place(), lag_s: None }, "`max-lag` under `[pace]`"),
        (StoreError::Lost { place: place(), reason: "gone".to_owned() }, "did not come back in time"),
    ] {
        let told = reason(error);
        assert!(told.contains(advice) && told.ends_with("the next run goes on where this one ended"), "{told}");
    }
    assert_eq!(reason(StoreError::Failed { place: place(), reason: "no".to_owned() }), "the shop: no");
}
