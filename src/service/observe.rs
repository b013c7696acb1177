//! The daily look at every store: whether what is declared is what is enforced, and whether the stores agree.
//!
//! It is in nobody's way. One thing is looked at at a time, in a thread of its own with the state that purges work with,
//! so that this daemon purges nothing meanwhile; what another process purges is left until it is done; and after each
//! look as long is rested as it took. A change of the configuration begins it anew.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Daemon, ServiceError, read_clock};
use crate::audit::{Event, Sync, read};
use crate::drift::{self, Declared, Drift, Enforced, Errand, Moment, Observed, Seen, Stores, Task};
use crate::plan::Rule;
use crate::purge::State;
use crate::register::{Register, RegisterError};
use crate::safety::Circumstances;

/// How often.
const EVERY: SignedDuration = SignedDuration::from_hours(24);

/// After a start what was missed is made up first, and an operator who restarts is not met by a hundred counts.
const AFTER_START: SignedDuration = SignedDuration::from_secs(10);

/// Entries among which the last look is searched at a start: a day of a large installation, and some.
const SEARCHED: usize = 20_000;

/// The rest after each look: as long as it took, within these. A thousand sites are four thousand looks: with a second
/// after each, small stores would be looked at for more than an hour.
const REST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// When to look again at what another process purges, and how often until it is looked at nevertheless.
const BUSY_RETRY: Duration = Duration::from_secs(30);
const MOST_RETRIES: u32 = 120;

/// The daily look, and when it comes next.
#[derive(Debug)]
pub(super) struct Watchman {
    due: Timestamp,
    round: Option<Round>,
    looking: Option<Looking>,
}

/// A look at everything, under way.
#[derive(Debug)]
struct Round {
    errands: VecDeque<Errand>,
    observed: Observed,
    rest_until: Instant,
    retries: u32,
}

/// One look under way.
#[derive(Debug)]
struct Looking {
    since: Instant,
    result: oneshot::Receiver<(State, Seen)>,
}

/// What a look came to; nothing where its thread ended by a panic.
pub(super) type Looked = Option<(State, Seen)>;

impl Watchman {
    /// Due a day after the last look that the log knows of.
    pub(super) fn new(log: &std::path::Path, now: Timestamp) -> Watchman {
        let entries = read::last(log, SEARCHED).unwrap_or_default();
        let last = entries.iter().rev().find(|entry| matches!(entry.event, Event::DriftChecked(_)));
        let first = after(now, AFTER_START);
        let due = last.map_or(first, |entry| after(entry.time.min(now), EVERY).max(first));
        Watchman { due, round: None, looking: None }
    }

    /// The configuration changed: what was seen so far was compared with another one.
    pub(super) fn begin_anew(&mut self) {
        self.round = None;
    }

    /// A day by a clock that was ahead would be longer than one.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        self.due = self.due.min(after(now, EVERY));
    }

    /// When it wants to look next.
    pub(super) fn wake_at(&self, now: Timestamp) -> Option<Instant> {
        match (&self.looking, &self.round) {
            (Some(_), _) => None,
            (None, Some(round)) => Some(round.rest_until),
            (None, None) => {
                let wait = Duration::try_from(self.due.duration_since(now)).unwrap_or(Duration::ZERO);
                Some(Instant::now() + wait)
            }
        }
    }
}

/// Waits for the look under way; for ever where there is none.
pub(super) async fn finished(watchman: &mut Watchman) -> Looked {
    match &mut watchman.looking {
        Some(looking) => (&mut looking.result).await.ok(),
        None => std::future::pending().await,
    }
}

fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.saturating_add(wait).unwrap_or(at)
}

impl Daemon {
    /// Looks at the next thing, where it is time for it and nothing is being purged.
    pub(super) fn look_around(&mut self) -> Result<(), ServiceError> {
        if self.worker.is_none() || self.watchman.looking.is_some() {
            return Ok(());
        }
        if self.watchman.round.is_none() {
            if read_clock()?.wall < self.watchman.due {
                return Ok(());
            }
            let former = drift::formerly(&self.control.register, &self.declared())?;
            let errands = Errand::all(&self.declared(), &former).into();
            let rest_until = Instant::now();
            self.watchman.round = Some(Round { errands, observed: Observed::default(), rest_until, retries: 0 });
        }
        self.look_at_next()
    }

    fn look_at_next(&mut self) -> Result<(), ServiceError> {
        let Some(round) = self.watchman.round.as_mut().filter(|round| round.rest_until <= Instant::now()) else {
            return Ok(());
        };
        let Some(errand) = round.errands.pop_front() else { return self.conclude() };
        let declared = Declared { config: &self.in_force.config, rules: &self.rules, site: None };
        let Some(task) = errand.task(&declared) else { return Ok(()) };
        if round.retries < MOST_RETRIES && is_being_purged(&task.location(), &self.rules, &self.control.register)? {
            round.errands.push_back(errand);
            round.retries += 1;
            round.rest_until = Instant::now() + BUSY_RETRY;
            return Ok(());
        }
        let Some(state) = self.worker.take() else { return Ok(()) };
        self.begin_look(task, state)
    }

    /// In a thread that nobody waits for at the end: a count may take long, and reads only.
    fn begin_look(&mut self, task: Task, state: State) -> Result<(), ServiceError> {
        let (clock, suspended) = (read_clock()?, self.in_force.suspended.clone());
        let safety = self.in_force.config.daemon.safety;
        let (tell, result) = oneshot::channel();
        self.watchman.looking = Some(Looking { since: Instant::now(), result });
        std::thread::Builder::new().name("drift".to_owned()).spawn(move || {
            let circumstances = Circumstances {
                safety,
                register: Some(&state.register),
                clock: &clock,
                last_entry: state.log.last_time(),
                stop: state.paths.stop(),
            };
            let moment = Moment { circumstances, suspended: &suspended };
            let seen = drift::look(&task, &mut Stores::default(), &moment);
            // The daemon may have ended meanwhile.
            let _ = tell.send((state, seen));
        })?;
        Ok(())
    }

    pub(super) fn looked(&mut self, looked: Looked) -> Result<(), ServiceError> {
        let took = self.watchman.looking.take().map_or(Duration::ZERO, |looking| looking.since.elapsed());
        let (state, seen) = looked.unzip();
        self.worker = Some(match state {
            Some(state) => state,
            None => State::open(self.control.paths.dir(), read_clock()?.wall)?,
        });
        // Without a round the configuration changed under the look.
        let Some(round) = &mut self.watchman.round else { return Ok(()) };
        if let Some(seen) = seen {
            round.observed.take(seen);
        }
        round.rest_until = Instant::now() + took.clamp(REST.0, REST.1);
        Ok(())
    }

    /// Everything was looked at.
    fn conclude(&mut self) -> Result<(), ServiceError> {
        let now = read_clock()?.wall;
        self.watchman.due = after(now, EVERY);
        let Some(round) = self.watchman.round.take() else { return Ok(()) };
        let enforced = Enforced::read(Some(&self.control.register), &self.declared())?;
        let drift = drift::judge(&self.declared(), &enforced, &round.observed, now);
        tell(&drift);
        self.control.log.append(now, &drift::entry(&drift), Sync::Later)?;
        self.control.log.checkpoint()?;
        Ok(())
    }

    fn declared(&self) -> Declared<'_> {
        Declared { config: &self.in_force.config, rules: &self.rules, site: None }
    }
}

/// Whether a run of a rule over the same store is under way, of another process: this one purges nothing while it looks.
fn is_being_purged(location: &str, rules: &[Rule], register: &Register) -> Result<bool, RegisterError> {
    for rule in rules.iter().filter(|rule| rule.definition.location() == location) {
        if register.last_run(rule.name.as_str())?.is_some_and(|run| run.finished_at.is_none()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Counts alone: names of somebody's schema are for the one who asks.
fn tell(drift: &Drift) {
    let (rules, stores) = (drift.rules.len(), drift.stores.len());
    if drift.ok {
        return info!(rules, stores, "no drift: the stores are as declared");
    }
    let counts: Vec<String> = drift.counts.iter().map(|(kind, many)| format!("{many} {}", kind.key())).collect();
    warn!(rules, stores, found = counts.join(", "), "drift: `forgetd drift` says where");
}
