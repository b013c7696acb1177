//! One run under way: from `run.started`, through its batches, to `run.finished`.

use std::mem::{self, Discriminant};
use std::sync::atomic::Ordering;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::in_flight::{Before, Header, InFlight};
use super::pace::{self, Pacer};
use super::recover;
use super::state::{State, StateError};
use super::{Order, PurgeError, Step};
use crate::audit::{self, BatchOutcome, Event, RunFinished, RunOutcome, Sync};
use crate::plan::Rule;
use crate::register::{FinishedRun, LastCount, RunStart};
use crate::safety::hold::{self, HoldEffect};
use crate::safety::{self, Assessment, Stop, schema};
use crate::store::{
    Committed, HeldValue, Kept, Physical, Prepared, Remainder, Selection, Shape, Store, StoreError, Unknown, Walk,
};

/// Records may come to match while a walk is under way (a consent is withdrawn): the walk is repeated for them, but
/// not for ever.
const MOST_WALKS: u32 = 3;

/// Time within a run, unmoved by whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch {
    wall: Timestamp,
    started: Instant,
}

impl Stopwatch {
    pub(super) fn start(wall: Timestamp) -> Stopwatch {
        Stopwatch { wall, started: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.wall.checked_add(elapsed).unwrap_or(self.wall)
    }
}

/// How the erasing ended, before anything of it is recorded.
#[derive(Debug)]
pub(super) struct End {
    outcome: RunOutcome,
    remainder: Remainder,
    reason: Option<String>,
}

/// How the erasing ended.
#[derive(Debug)]
pub(super) enum Erasure {
    /// With everything known.
    Ended(End),
    /// It cannot be found out now whether the last batch was committed; its keys are in flight.
    Undecided(StoreError),
}

impl End {
    /// At the end of the last walk.
    fn of(remainder: Remainder) -> End {
        match remainder.left {
            0 => End { outcome: RunOutcome::Done, remainder, reason: None },
            left => End { outcome: RunOutcome::Failed, remainder, reason: Some(format!("{left} records still match")) },
        }
    }

    /// By what could not be waited for any longer, or by what no waiting helps against.
    fn failed(error: &StoreError) -> End {
        match advice(error) {
            None => End::early(RunOutcome::Failed, error),
            Some(advice) => {
                let reason = format!("{error}; {advice}; the next run goes on where this one ended");
                End::early(RunOutcome::Failed, reason)
            }
        }
    }

    fn early(outcome: RunOutcome, reason: impl ToString) -> End {
        End { outcome, remainder: Remainder::default(), reason: Some(reason.to_string()) }
    }
}

/// What to do about what was waited for in vain; `None` where nothing was.
fn advice(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::Busy { .. } => "nobody gave way for a minute: look for transactions that stay open",
        StoreError::Slow { .. } => "it was tried for a minute: is the server overloaded, or an index missing?",
        StoreError::Lost { .. } | StoreError::CommitUnknown { because: Unknown::ConnectionLost, .. } => {
            "the server did not come back in time"
        }
        StoreError::Lagging { .. } => "a replica that is late on purpose needs a longer `max-lag` under `[pace]`",
        StoreError::Unavailable { .. } | StoreError::Failed { .. } | StoreError::CommitUnknown { .. } => return None,
    })
}

/// Where one walk over the records got to.
enum Walked {
    ToTheEnd(Remainder),
    /// Holds were placed or lifted: the walk begins anew with these.
    HoldsChanged(Vec<HeldValue>),
    /// Somebody is in the way, or the connection was lost: the walk begins anew after a pause.
    Hindered(StoreError),
    /// It is not known whether the last batch was committed.
    Undecided(Undecided),
    Ended(End),
}

impl From<End> for Walked {
    fn from(end: End) -> Walked {
        Walked::Ended(end)
    }
}

/// A batch of which it is not known whether it was committed.
struct Undecided {
    error: StoreError,
    prepared: Committed,
    keys: Vec<u8>,
}

/// Whether there is another attempt.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
enum Patience {
    Left,
    Exhausted,
}

/// A run under way.
pub(super) struct Run<'a> {
    id: String,
    rule: &'a Rule,
    state: &'a mut State,
    order: &'a Order<'a>,
    watch: Stopwatch,
    started_at: Timestamp,
    header: Header,
    in_flight: InFlight,
    pacer: Pacer,
    /// Since when something is waited for, and the kind of what was told last.
    waits: Option<(Instant, Discriminant<StoreError>)>,
    shape: Option<Shape>,
    counted: u64,
    ceiling: u64,
    erased: u64,
    children: u64,
}

impl<'a> Run<'a> {
    /// `run.started`, with the batch in flight before it, so that a crash from here on is noticed.
    pub(super) fn begin(
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
            before: None,
        };
        let in_flight = InFlight::of(&state.paths, name);
        in_flight.write(&header, &[])?;
        let event = Event::RunStarted {
            run: id.clone(),
            rule: rule.name.to_string(),
            digest: digest.clone(),
            shape: assessment.shape.as_ref().map(Shape::digest),
            action: rule.definition.action().to_owned(),
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
            waits: None,
            shape: assessment.shape.clone(),
            counted,
            ceiling,
            erased: 0,
            children: 0,
        })
    }

    /// Walks until nothing that matched is left.
    pub(super) fn erase(&mut self, store: &mut dyn Store, assessment: &Assessment) -> Result<Erasure, PurgeError> {
        let mut holds = assessment.holds.clone();
        let mut walks = 0;
        loop {
            let rule = self.rule;
            let selection = Selection { holds: holds.clone(), ..safety::selection(rule, assessment) };
            let before = self.erased;
            match self.walk(store, &selection)? {
                Walked::HoldsChanged(changed) => holds = changed,
                Walked::Ended(end) => return Ok(Erasure::Ended(end)),
                Walked::Hindered(error) => {
                    if self.pause_after(&error) == Patience::Exhausted {
                        return Ok(Erasure::Ended(End::failed(&error)));
                    }
                    if matches!(error, StoreError::Lost { .. }) {
                        store.reconnect();
                    }
                }
                Walked::Undecided(batch) => {
                    if let Some(erasure) = self.decide(store, &selection, batch)? {
                        return Ok(erasure);
                    }
                }
                Walked::ToTheEnd(remainder) => {
                    self.tell_end_of_wait();
                    walks += 1;
                    // The first may have erased nothing because everything was in use; after that, no progress is a fault.
                    let progress = walks == 1 || self.erased > before;
                    let again = remainder.left > 0 && progress && walks < MOST_WALKS;
                    if !again {
                        return Ok(Erasure::Ended(End::of(remainder)));
                    }
                }
            }
        }
    }

    /// One walk, with the count of what is left where it came to its end.
    fn walk(&mut self, store: &mut dyn Store, selection: &Selection<'_>) -> Result<Walked, PurgeError> {
        // Also while a server is waited for.
        if let Some(walked) = self.may_not_go_on(&selection.holds) {
            return Ok(walked);
        }
        let walk = match schema::look_again(store, selection, self.shape.as_ref()) {
            Ok(Some(objection)) => return Ok(End::early(RunOutcome::Held, objection).into()),
            Ok(None) => store.walk(selection, self.order.pace.max_lag),
            Err(error) => Err(error),
        };
        let mut walk = match walk {
            Ok(walk) => walk,
            Err(error) => return Ok(Walked::Hindered(error)),
        };
        if let Some(walked) = self.batches(&mut *walk, &selection.holds)? {
            return Ok(walked);
        }
        match walk.remainder() {
            Ok(remainder) => Ok(Walked::ToTheEnd(remainder)),
            Err(error) => Ok(Walked::Hindered(error)),
        }
    }

    /// Batch by batch to the end (`None`), with everything that may end the walk asked for before each.
    fn batches(&mut self, walk: &mut dyn Walk, holds: &[HeldValue]) -> Result<Option<Walked>, PurgeError> {
        loop {
            if let Some(walked) = self.may_not_go_on(holds) {
                return Ok(Some(walked));
            }
            let started = Instant::now();
            let prepared = match walk.prepare(self.pacer.limit()) {
                Ok(None) => return Ok(None),
                // Somebody else was faster: nothing to prove.
                Ok(Some(prepared)) if prepared.rows() == 0 => continue,
                Ok(Some(prepared)) => prepared,
                Err(error @ StoreError::Lost { .. }) => return Ok(Some(Walked::Hindered(error))),
                Err(error) => match self.pause_after(&error) {
                    Patience::Exhausted => return Ok(Some(End::failed(&error).into())),
                    Patience::Left => continue,
                },
            };
            let rows = prepared.rows();
            if let Some(end) = self.beyond_the_ceiling(rows) {
                return Ok(Some(end.into()));
            }
            if let Some(walked) = self.commit(prepared)? {
                return Ok(Some(walked));
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

    /// Waits for a lock, a replica or a server, for a while; nothing else comes by waiting.
    fn pause_after(&mut self, error: &StoreError) -> Patience {
        let now = Instant::now();
        let pause = match error {
            StoreError::Busy { .. } | StoreError::Slow { .. } => self.pacer.locked(now),
            StoreError::CommitUnknown { because: Unknown::DiskFailed, .. } => None,
            StoreError::Lost { .. } | StoreError::CommitUnknown { .. } => self.pacer.away(now),
            StoreError::Lagging { .. } => self.pacer.lagging(),
            StoreError::Unavailable { .. } | StoreError::Failed { .. } => None,
        };
        let Some(pause) = pause else { return Patience::Exhausted };
        self.tell_wait(error, now);
        pace::sleep(pause, self.order.interrupt);
        Patience::Left
    }

    /// Says once for each wait, and each kind of reason, that the run waits and for what. Locks are left out: they come and
    /// go.
    fn tell_wait(&mut self, error: &StoreError, now: Instant) {
        let kind = mem::discriminant(error);
        let is_long = matches!(error, StoreError::Lagging { .. } | StoreError::Lost { .. });
        if !is_long || self.waits.is_some_and(|(_, told)| told == kind) {
            return;
        }
        self.waits = Some((self.waits.map_or(now, |(since, _)| since), kind));
        tracing::warn!(rule = self.rule.name.as_str(), reason = %error, "waiting");
        self.note_waiting(Some(&error.to_string()));
    }

    /// Says that it goes on, where it waited.
    fn tell_end_of_wait(&mut self) {
        let Some((since, _)) = self.waits.take() else { return };
        tracing::info!(rule = self.rule.name.as_str(), seconds = since.elapsed().as_secs(), "waiting is over");
        self.note_waiting(None);
    }

    /// Nothing depends on it but what `status` says.
    fn note_waiting(&mut self, reason: Option<&str>) {
        if let Err(error) = self.state.register.note_waiting(&self.id, reason) {
            tracing::warn!(%error, "the register does not take up what is waited for");
        }
    }

    /// Finds out what became of a batch, records it, and goes on (`None`). Only the store can say: it is asked as after
    /// a crash, and the COMMIT is never repeated. One that keeps failing without an effect is given up at some time.
    fn decide(
        &mut self,
        store: &mut dyn Store,
        selection: &Selection<'_>,
        batch: Undecided,
    ) -> Result<Option<Erasure>, PurgeError> {
        // Holds would hide rows that are still there.
        let selection = Selection { holds: Vec::new(), ..selection.clone() };
        store.reconnect();
        let resolution = loop {
            match store.resolve(&selection, &batch.keys) {
                Ok(resolution) => break resolution,
                Err(error) => {
                    let interrupted = self.order.interrupt.load(Ordering::Relaxed);
                    if interrupted || self.pause_after(&error) == Patience::Exhausted {
                        return Ok(Some(Erasure::Undecided(error)));
                    }
                    store.reconnect();
                }
            }
        };
        self.tell_end_of_wait();
        let (outcome, Committed { rows, children }) = recover::outcome_of(resolution, batch.prepared);
        let event = Event::BatchResolved { run: self.id.clone(), batch: self.header.batch, outcome, rows, children };
        self.state.log.append(self.watch.now(), &event, Sync::Now)?;
        self.erased += rows;
        self.children += children;
        let given_up = outcome == BatchOutcome::RolledBack && self.pause_after(&batch.error) == Patience::Exhausted;
        Ok(given_up.then(|| Erasure::Ended(End::failed(&batch.error))))
    }

    fn beyond_the_ceiling(&self, rows: u64) -> Option<End> {
        let would = self.erased.saturating_add(rows);
        (would > self.ceiling).then(|| {
            let reason = format!("the next batch would make {would} records, more than the {} released", self.ceiling);
            End::early(RunOutcome::Held, reason)
        })
    }

    /// Evidence, COMMIT, outcome. An error here leaves either a transaction that rolls back, or a batch in flight.
    fn commit(&mut self, prepared: Box<dyn Prepared + '_>) -> Result<Option<Walked>, PurgeError> {
        let (rows, children, keys) = (prepared.rows(), prepared.children(), prepared.in_flight().to_vec());
        self.order.watcher.reached(Step::Erased);
        self.header.batch += 1;
        let (run, batch) = (self.id.clone(), self.header.batch);
        self.in_flight.write(&self.header, &keys)?;
        self.order.watcher.reached(Step::InFlight);
        let transaction = prepared.transaction().map(str::to_owned);
        let event = Event::BatchPrepared { run: run.clone(), batch, rows, children, transaction };
        self.state.log.append(self.watch.now(), &event, Sync::Now)?;
        self.order.watcher.reached(Step::Prepared);
        let committed = match prepared.commit() {
            Ok(committed) => committed,
            Err(error @ StoreError::CommitUnknown { .. }) => {
                return Ok(Some(Walked::Undecided(Undecided { error, prepared: Committed { rows, children }, keys })));
            }
            Err(error) => {
                let event = Event::BatchRolledBack { run, batch, reason: error.to_string() };
                self.state.log.append(self.watch.now(), &event, Sync::Now)?;
                let exhausted = self.pause_after(&error) == Patience::Exhausted;
                self.header.before = None;
                return Ok(exhausted.then(|| End::failed(&error).into()));
            }
        };
        self.order.watcher.reached(Step::Committed);
        // The next batch's entry makes this one durable; until then the batch in flight stands for it.
        let Committed { rows, children } = committed;
        self.tell_end_of_wait();
        self.state.log.append(self.watch.now(), &Event::BatchCommitted { run, batch, rows }, Sync::Later)?;
        self.header.before = Some(Before { rows });
        self.erased += rows;
        self.children += children;
        self.order.watcher.reached(Step::Recorded { erased: self.erased });
        Ok(None)
    }

    /// What is physically left, `run.finished`, the checkpoint, the register.
    pub(super) fn finish(
        self,
        store: &mut dyn Store,
        end: End,
        assessment: &Assessment,
    ) -> Result<FinishedRun, PurgeError> {
        self.order.watcher.reached(Step::Walked);
        let pending = match store.settle(self.order.interrupt) {
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
            kept: end.remainder.kept.iter().map(entry_of).collect(),
        };
        let now = self.watch.now();
        self.state.log.append(now, &Event::RunFinished(finished.clone()), Sync::Now)?;
        self.order.watcher.reached(Step::Finished);
        self.state.log.checkpoint()?;
        self.order.watcher.reached(Step::Sealed);
        let row = recover::outcome_row(&finished, self.started_at, self.counted);
        self.state.register.finish_run(&row, now)?;
        let left = LastCount {
            counted_at: now,
            expired: finished.left,
            oldest: oldest_left(finished.left, assessment, &end.remainder),
            since: assessment.overdue_since.filter(|_| finished.left > 0),
        };
        self.state.register.keep_count(self.rule.name.as_str(), &left)?;
        self.order.watcher.reached(Step::Registered);
        self.in_flight.remove()?;
        Ok(FinishedRun { finished_at: Some(now), ..row })
    }
}

/// The time of the oldest expired record that is still there, as far as it is known without counting again.
fn oldest_left(left: u64, assessment: &Assessment, remainder: &Remainder) -> Option<Timestamp> {
    let matching = assessment.survey.as_ref().and_then(|survey| survey.oldest).filter(|_| left > 0);
    remainder.kept.iter().filter_map(|kept| kept.oldest).chain(matching).min()
}

fn entry_of(kept: &Kept) -> audit::Kept {
    let Kept { records, because, oldest } = *kept;
    audit::Kept { records, because: because.to_owned(), oldest }
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

#[cfg(test)]
mod tests;
