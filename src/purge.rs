//! A purge: one rule, executed batch by batch, evidence first.
//!
//! [`run`] reads as the protocol does. Before anything is erased the guards are asked and `run.started` says what was
//! counted. Every batch is erased in an open transaction; its keys go to the batch in flight, its counts to the audit
//! log, durably; only then does it commit. If the entry cannot be written the transaction rolls back and every job
//! stops: **no deletion without evidence**. A process that dies at any point leaves enough for the next one to find
//! out exactly what happened (`recover`). `run.finished` carries the negative proof: a fresh count of what should be
//! gone.

mod in_flight;
mod pace;
mod recover;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use recover::Cause;
pub use recover::{RecoverError, recover_all};
pub(crate) use state::open_private;
pub use state::{State, StateError, StatePaths};

use crate::audit::{AuditError, Event, RunFinished, RunOutcome, Sync};
use crate::config::{Pace, Safety};
use crate::plan::Rule;
use crate::register::{ClockSample, FinishedRun, RegisterError, RunStart};
use crate::safety::hold::{self, HoldEffect};
use crate::safety::{self, Assessment, Circumstances, Stop};
use crate::store::{HeldValue, Physical, Prepared, Remainder, Selection, Store, StoreError, Walk};
use in_flight::{Header, InFlight};
use pace::Pacer;
use state::RuleLock;

/// Records may come to match while a walk is under way (a consent is withdrawn): the walk is repeated for them, but
/// not for ever.
const MOST_WALKS: u32 = 3;

/// Characters of a reason that go into evidence: an entry is bounded, what can be wrong with a table is not.
const LONGEST_REASON: usize = 4_000;

/// What a purge is told.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Limits in force.
    pub safety: Safety,
    /// Pace in force.
    pub pace: Pace,
    /// The clock as it is.
    pub clock: &'a ClockSample,
    /// Why the rule's configuration is in doubt, where it is.
    pub suspended: Option<&'a str>,
    /// Set when the process ends, or the rule is no longer what it was: the run ends after the batch under way.
    pub interrupt: &'a AtomicBool,
    /// Is told every step.
    pub watcher: &'a dyn Watcher,
}

/// Is told every step of a run: progress for people, crash points for tests.
pub trait Watcher {
    /// A step was reached.
    fn reached(&self, step: Step);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn reached(&self, _step: Step) {}
}

/// The steps of the batch protocol, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `run.started` is durable: so many records match.
    Started {
        /// Records that match.
        counted: u64,
    },
    /// A batch is erased in an open transaction.
    Erased,
    /// Its keys are in the batch in flight.
    InFlight,
    /// `batch.prepared` is durable.
    Prepared,
    /// The store has committed.
    Committed,
    /// `batch.committed` is written: so many records are gone in this run.
    Recorded {
        /// Records erased so far.
        erased: u64,
    },
    /// The walk is at its end and what is left was counted.
    Walked,
    /// `run.finished` is durable.
    Finished,
    /// The checkpoint is signed.
    Sealed,
    /// The register knows the outcome.
    Registered,
}

/// How a call of [`run`] ended.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The run began, and ended so.
    Ran(Box<FinishedRun>),
    /// The guards did not let it begin.
    NotReady(Box<Assessment>),
    /// Another process is at work on the rule.
    Busy,
    /// An earlier run's last batch cannot be resolved now, so a new one must not begin.
    Unresolved(StoreError),
}

/// Evidence or state cannot be written: every job must stop.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<AuditError> for PurgeError {
    fn from(error: AuditError) -> PurgeError {
        PurgeError::State(error.into())
    }
}

impl From<RegisterError> for PurgeError {
    fn from(error: RegisterError) -> PurgeError {
        PurgeError::State(error.into())
    }
}

/// Runs `rule` once.
///
/// # Errors
/// Evidence or state cannot be written. Whatever was not proven before was rolled back.
pub fn run(rule: &Rule, state: &mut State, order: &Order<'_>) -> Result<Outcome, PurgeError> {
    let name = state::file_name(&rule.name);
    let Some(_lock) = RuleLock::try_acquire(&state.paths, &name)? else { return Ok(Outcome::Busy) };
    let watch = Stopwatch::start(order.clock.wall);
    match recover::recover(state, &name, &Cause::ProcessEnded, watch.now()) {
        Ok(()) => {}
        Err(RecoverError::Store(error)) => return Ok(Outcome::Unresolved(error)),
        Err(RecoverError::State(error)) => return Err(error.into()),
    }
    let mut store = safety::open_store(rule);
    let assessment = safety::assess(rule, &mut *store, &circumstances(state, order), order.suspended);
    if !assessment.reasons.is_empty() {
        note_held(rule, state, &assessment, watch.now())?;
        return Ok(Outcome::NotReady(Box::new(assessment)));
    }
    state.register.keep_clock_sample(order.clock)?;
    note_released(rule, state, watch.now())?;
    let mut run = Run::begin(rule, state, order, &assessment, &name, watch)?;
    match run.erase(&mut *store, &assessment)? {
        Erasure::Ended(end) => Ok(Outcome::Ran(Box::new(run.finish(&mut *store, end)?))),
        Erasure::CommitUnknown(error) => {
            drop(store);
            resolve_unknown_commit(rule, state, &name, error, watch.now())
        }
    }
}

/// Only the store can say what became of the batch: it is asked the same way as after a crash, and never repeated.
fn resolve_unknown_commit(
    rule: &Rule,
    state: &mut State,
    name: &str,
    error: StoreError,
    now: Timestamp,
) -> Result<Outcome, PurgeError> {
    match recover::recover(state, name, &Cause::CommitUnknown(&error), now) {
        Ok(()) => {}
        Err(RecoverError::Store(error)) => return Ok(Outcome::Unresolved(error)),
        Err(RecoverError::State(error)) => return Err(error.into()),
    }
    match state.register.last_run(rule.name.as_str())? {
        Some(run) => Ok(Outcome::Ran(Box::new(run))),
        None => Ok(Outcome::Unresolved(error)),
    }
}

/// The moment as the guards want it.
pub fn circumstances<'a>(state: &'a State, order: &Order<'a>) -> Circumstances<'a> {
    Circumstances {
        safety: order.safety,
        register: Some(&state.register),
        clock: order.clock,
        last_entry: state.log.last_time(),
        stop: state.paths.stop(),
    }
}

/// Records that a rule is held, when that is news. The entry comes first: told twice is better than never.
fn note_held(rule: &Rule, state: &mut State, assessment: &Assessment, now: Timestamp) -> Result<(), PurgeError> {
    let (name, codes) = (rule.name.as_str(), assessment.reason_codes());
    if state.register.held_reason(name)?.as_ref() != Some(&codes) {
        let event = Event::RuleHeld {
            rule: name.to_owned(),
            reason: assessment.reason().chars().take(LONGEST_REASON).collect(),
            matches: assessment.matches(),
            overdue_since: assessment.overdue_since,
        };
        state.log.append(now, &event, Sync::Later)?;
        state.log.checkpoint()?;
        state.register.note_held(name, &codes, now)?;
    }
    Ok(())
}

/// Records that a rule is no longer held, where it was.
fn note_released(rule: &Rule, state: &mut State, now: Timestamp) -> Result<(), PurgeError> {
    let name = rule.name.as_str();
    if state.register.held_reason(name)?.is_some() {
        state.log.append(now, &Event::RuleReleased { rule: name.to_owned() }, Sync::Later)?;
        state.register.note_released(name)?;
    }
    Ok(())
}

/// Time within a run, unmoved by whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
struct Stopwatch {
    wall: Timestamp,
    started: Instant,
}

impl Stopwatch {
    fn start(wall: Timestamp) -> Stopwatch {
        Stopwatch { wall, started: Instant::now() }
    }

    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.wall.checked_add(elapsed).unwrap_or(self.wall)
    }
}

/// How the erasing ended, before anything of it is recorded.
#[derive(Debug)]
struct End {
    outcome: RunOutcome,
    remainder: Remainder,
    reason: Option<String>,
}

/// How the erasing ended.
#[derive(Debug)]
enum Erasure {
    /// With everything known.
    Ended(End),
    /// It is not known whether the last batch was committed; its keys are in flight.
    CommitUnknown(StoreError),
}

impl From<End> for Erasure {
    fn from(end: End) -> Erasure {
        Erasure::Ended(end)
    }
}

impl End {
    /// At the end of the last walk.
    fn of(remainder: Remainder) -> End {
        match remainder.left {
            0 => End { outcome: RunOutcome::Done, remainder, reason: None },
            left => End { outcome: RunOutcome::Failed, remainder, reason: Some(format!("{left} records still match")) },
        }
    }

    fn early(outcome: RunOutcome, reason: impl ToString) -> End {
        End { outcome, remainder: Remainder::default(), reason: Some(reason.to_string()) }
    }
}

/// Where one walk over the records got to.
enum Walked {
    ToTheEnd,
    /// Holds were placed or lifted: the walk begins anew with these.
    HoldsChanged(Vec<HeldValue>),
    Ended(Erasure),
}

impl From<End> for Walked {
    fn from(end: End) -> Walked {
        Walked::Ended(end.into())
    }
}

/// A run under way.
struct Run<'a> {
    id: String,
    rule: &'a Rule,
    state: &'a mut State,
    order: &'a Order<'a>,
    watch: Stopwatch,
    started_at: Timestamp,
    header: Header,
    in_flight: InFlight,
    pacer: Pacer,
    counted: u64,
    ceiling: u64,
    erased: u64,
    children: u64,
}

impl<'a> Run<'a> {
    /// `run.started`, with the batch in flight before it, so that a crash from here on is noticed.
    fn begin(
        rule: &'a Rule,
        state: &'a mut State,
        order: &'a Order<'a>,
        assessment: &Assessment,
        name: &str,
        watch: Stopwatch,
    ) -> Result<Run<'a>, PurgeError> {
        let id = run_id()?;
        let survey = assessment.survey.clone().unwrap_or_default();
        let (started_at, digest) = (watch.now(), rule.digest());
        let header = Header {
            run: id.clone(),
            definition: rule.definition.clone(),
            now: assessment.now,
            cutoff: assessment.cutoff,
            first_entry: state.log.size(),
            batch: 0,
        };
        let in_flight = InFlight::of(&state.paths, name);
        in_flight.write(&header, &[])?;
        let event = Event::RunStarted {
            run: id.clone(),
            rule: rule.name.to_string(),
            digest: digest.clone(),
            action: rule.definition.action.key().to_owned(),
            because: rule.because.clone(),
            cutoff: assessment.cutoff,
            counted: survey.matches,
            total: survey.total,
            undatable: survey.undatable,
            on_hold: survey.on_hold,
        };
        state.log.append(started_at, &event, Sync::Now)?;
        let (rule_name, counted) = (rule.name.as_str(), survey.matches);
        let row = RunStart { run: &id, rule: rule_name, digest: &digest, cutoff: assessment.cutoff, counted };
        state.register.start_run(&row, started_at)?;
        order.watcher.reached(Step::Started { counted });
        let pacer = Pacer::new(order.pace);
        let ceiling = assessment.ceiling;
        Ok(Run {
            id,
            rule,
            state,
            order,
            watch,
            started_at,
            header,
            in_flight,
            pacer,
            counted,
            ceiling,
            erased: 0,
            children: 0,
        })
    }

    /// Walks until nothing that matched is left.
    fn erase(&mut self, store: &mut dyn Store, assessment: &Assessment) -> Result<Erasure, PurgeError> {
        let mut holds = assessment.holds.clone();
        let mut walks = 0;
        loop {
            let rule = self.rule;
            let selection = Selection { holds: holds.clone(), ..safety::selection(rule, assessment) };
            let before = self.erased;
            let mut walk = match store.walk(&selection) {
                Ok(walk) => walk,
                Err(error) => return Ok(End::early(RunOutcome::Failed, error).into()),
            };
            match self.batches(&mut *walk, &holds)? {
                Walked::HoldsChanged(changed) => holds = changed,
                Walked::Ended(erasure) => return Ok(erasure),
                Walked::ToTheEnd => {
                    walks += 1;
                    let erased_something = self.erased > before;
                    match walk.remainder() {
                        Ok(remainder) if remainder.left > 0 && erased_something && walks < MOST_WALKS => {}
                        Ok(remainder) => return Ok(End::of(remainder).into()),
                        Err(error) => return Ok(End::early(RunOutcome::Failed, error).into()),
                    }
                }
            }
        }
    }

    /// One walk, batch by batch, with everything that may end it asked for before each.
    fn batches(&mut self, walk: &mut dyn Walk, holds: &[HeldValue]) -> Result<Walked, PurgeError> {
        loop {
            if let Some(walked) = self.may_not_go_on(holds) {
                return Ok(walked);
            }
            let started = Instant::now();
            let prepared = match walk.prepare(self.pacer.limit()) {
                Ok(None) => return Ok(Walked::ToTheEnd),
                // Somebody else was faster: nothing to prove.
                Ok(Some(prepared)) if prepared.rows() == 0 => continue,
                Ok(Some(prepared)) => prepared,
                Err(error) => match self.pause_for(error) {
                    Some(end) => return Ok(end.into()),
                    None => continue,
                },
            };
            let rows = prepared.rows();
            if let Some(end) = self.beyond_the_ceiling(rows) {
                return Ok(end.into());
            }
            if let Some(erasure) = self.commit(prepared)? {
                return Ok(Walked::Ended(erasure));
            }
            let rest = self.pacer.after(rows, started.elapsed());
            pace::sleep(rest, self.order.interrupt);
        }
    }

    /// Asked before every batch: was the process told to end, are purges stopped, has somebody placed a hold?
    fn may_not_go_on(&self, holds: &[HeldValue]) -> Option<Walked> {
        if self.order.interrupt.load(Ordering::Relaxed) {
            return Some(End::early(RunOutcome::Interrupted, "it was told to end after the batch under way").into());
        }
        if self.state.paths.stop() == Stop::Set {
            return Some(End::early(RunOutcome::Stopped, "purges were stopped").into());
        }
        match hold::effect(Some(&self.state.register), self.rule, self.watch.now()) {
            Ok(HoldEffect::Rows(rows)) if rows == holds => None,
            Ok(HoldEffect::Rows(rows)) => Some(Walked::HoldsChanged(rows)),
            Ok(HoldEffect::Whole(hold)) => Some(End::early(RunOutcome::Held, format!("hold {hold} was placed")).into()),
            Err(error) => Some(End::early(RunOutcome::Held, error).into()),
        }
    }

    /// Waits for a lock, for a while; any other error ends the run.
    fn pause_for(&mut self, error: StoreError) -> Option<End> {
        let pause = match &error {
            StoreError::Busy { .. } => self.pacer.refused(),
            _ => None,
        };
        let Some(pause) = pause else { return Some(End::early(RunOutcome::Failed, error)) };
        pace::sleep(pause, self.order.interrupt);
        None
    }

    fn beyond_the_ceiling(&self, rows: u64) -> Option<End> {
        let would = self.erased.saturating_add(rows);
        (would > self.ceiling).then(|| {
            let reason = format!("the next batch would make {would} records, more than the {} released", self.ceiling);
            End::early(RunOutcome::Held, reason)
        })
    }

    /// Evidence, COMMIT, outcome. An error here leaves either a transaction that rolls back, or a batch in flight.
    fn commit(&mut self, prepared: Box<dyn Prepared + '_>) -> Result<Option<Erasure>, PurgeError> {
        let (rows, children) = (prepared.rows(), prepared.children());
        self.order.watcher.reached(Step::Erased);
        self.header.batch += 1;
        let (run, batch) = (self.id.clone(), self.header.batch);
        self.in_flight.write(&self.header, prepared.in_flight())?;
        self.order.watcher.reached(Step::InFlight);
        let event = Event::BatchPrepared { run: run.clone(), batch, rows, children };
        self.state.log.append(self.watch.now(), &event, Sync::Now)?;
        self.order.watcher.reached(Step::Prepared);
        match prepared.commit() {
            Ok(()) => {}
            Err(error @ StoreError::CommitUnknown { .. }) => return Ok(Some(Erasure::CommitUnknown(error))),
            Err(error) => {
                let event = Event::BatchRolledBack { run, batch, reason: error.to_string() };
                self.state.log.append(self.watch.now(), &event, Sync::Now)?;
                return Ok(self.pause_for(error).map(Erasure::Ended));
            }
        }
        self.order.watcher.reached(Step::Committed);
        // The next batch's entry makes this one durable; until then the batch in flight stands for it.
        self.state.log.append(self.watch.now(), &Event::BatchCommitted { run, batch }, Sync::Later)?;
        self.erased += rows;
        self.children += children;
        self.order.watcher.reached(Step::Recorded { erased: self.erased });
        Ok(None)
    }

    /// What is physically left, `run.finished`, the checkpoint, the register.
    fn finish(self, store: &mut dyn Store, end: End) -> Result<FinishedRun, PurgeError> {
        self.order.watcher.reached(Step::Walked);
        let pending = match store.settle() {
            Ok(Physical::Gone) => None,
            Ok(Physical::Pending(what)) => Some(what),
            Err(error) => Some(format!("not known: {error}")),
        };
        let left = match end.outcome {
            RunOutcome::Done => 0,
            _ if end.remainder.left > 0 => end.remainder.left,
            _ => self.counted.saturating_sub(self.erased),
        };
        let finished = RunFinished {
            run: self.id,
            rule: self.rule.name.to_string(),
            outcome: end.outcome,
            erased: self.erased,
            children: self.children,
            left,
            arrived: end.remainder.arrived,
            batches: self.header.batch,
            millis: u64::try_from(self.watch.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            pending,
            reason: end.reason,
        };
        let now = self.watch.now();
        self.state.log.append(now, &Event::RunFinished(finished.clone()), Sync::Now)?;
        self.order.watcher.reached(Step::Finished);
        self.state.log.checkpoint()?;
        self.order.watcher.reached(Step::Sealed);
        let row = recover::outcome_row(&finished, self.started_at, self.counted);
        self.state.register.finish_run(&row, now)?;
        self.order.watcher.reached(Step::Registered);
        self.in_flight.remove()?;
        Ok(FinishedRun { finished_at: Some(now), ..row })
    }
}

/// Names a run in evidence: unique, and saying nothing.
fn run_id() -> Result<String, StateError> {
    let mut bytes = [0_u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(length) if length == bytes.len() => Ok(crate::config::hex(bytes)),
        Ok(_) => Err(StateError::File {
            path: "/dev/urandom".into(),
            source: std::io::Error::from(std::io::ErrorKind::UnexpectedEof),
        }),
        Err(error) => Err(StateError::File { path: "/dev/urandom".into(), source: error.into() }),
    }
}
