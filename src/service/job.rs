//! One purge in a blocking thread, with everything it needs by value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::{Pace, Safety};
use crate::plan::Rule;
use crate::purge::{self, Order, Outcome, PurgeError, State, Unwatched};
use crate::register::ClockSample;

/// A purge under way.
#[derive(Debug)]
pub(super) struct Job {
    rule: Rule,
    interrupt: Arc<AtomicBool>,
    /// How many decisions of operators were known when it began.
    decided: u64,
    thread: JoinHandle<(State, Result<Outcome, PurgeError>)>,
}

/// What a purge came to.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) rule: Rule,
    /// How many decisions of operators were known when it began.
    pub(super) decided: u64,
    /// The state it worked with; lost when its thread ended by a panic.
    pub(super) state: Option<State>,
    pub(super) outcome: Result<Outcome, PurgeError>,
}

impl Job {
    pub(super) fn begin(
        rule: Rule,
        mut state: State,
        (safety, pace): (Safety, Pace),
        clock: ClockSample,
        suspended: Option<String>,
        decided: u64,
    ) -> Job {
        let interrupt = Arc::new(AtomicBool::new(false));
        let (its_rule, its_interrupt) = (rule.clone(), Arc::clone(&interrupt));
        let thread = tokio::task::spawn_blocking(move || {
            let paths = state.paths.clone();
            let outcome = purge::confined(&its_rule, &paths, || {
                let order = Order {
                    safety,
                    pace,
                    clock: &clock,
                    suspended: suspended.as_deref(),
                    interrupt: &its_interrupt,
                    watcher: &Unwatched,
                };
                purge::run(&its_rule, &mut state, &order)
            });
            (state, outcome)
        });
        Job { rule, interrupt, decided, thread }
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// It ends after the batch under way.
    pub(super) fn interrupt(&self) {
        self.interrupt.store(true, Ordering::Relaxed);
    }
}

/// A daemon that cannot go on drops its purge: it ends after its batch, and nothing further is erased.
impl Drop for Job {
    fn drop(&mut self) {
        self.interrupt();
    }
}

/// Waits for the purge under way; for ever where there is none.
pub(super) async fn finished(job: &mut Option<Job>) -> Report {
    let Some(job) = job else { return std::future::pending().await };
    let (rule, decided) = (job.rule.clone(), job.decided);
    match (&mut job.thread).await {
        Ok((state, outcome)) => Report { rule, decided, state: Some(state), outcome },
        Err(error) => {
            let source = std::io::Error::other(error);
            let outcome = Err(PurgeError::State(purge::StateError::File { path: "a purge".into(), source }));
            Report { rule, decided, state: None, outcome }
        }
    }
}

/// The one line that an operator wants of a run.
pub(super) fn tell(rule: &Rule, outcome: &Outcome, next: Option<Timestamp>) {
    let next = next.map_or_else(|| "not planned".to_owned(), |next| format!("{next:.0}"));
    let rule = rule.name.as_str();
    match outcome {
        Outcome::Ran(run) => {
            let took = run.finished_at.map(|end| end.duration_since(run.started_at).as_millis());
            // A number to whoever reads fields, too: wider ones are written as text.
            let millis = took.and_then(|took| i64::try_from(took).ok()).unwrap_or(0);
            let (how, erased, left) = (run.outcome.as_deref().unwrap_or_default(), run.erased, run.left.unwrap_or(0));
            match &run.reason {
                None => info!(rule, outcome = how, erased, left, millis, next, "run"),
                Some(reason) => warn!(rule, outcome = how, erased, left, millis, next, reason, "run"),
            }
        }
        Outcome::NotReady(assessment) => {
            let (state, matches) = (assessment.state().key(), assessment.matches());
            warn!(rule, state, matches, next, reason = assessment.reason(), "not run");
        }
        Outcome::Busy => info!(rule, next, "another process is at work on it"),
        Outcome::Unresolved(error) => warn!(rule, next, %error, "an interrupted run is not resolved yet"),
    }
}
