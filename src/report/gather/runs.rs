//! Runs as they are read: begun, their batches, their end or the lack of one.

use std::io;

use jiff::Timestamp;

use super::{Line, Seen};
use crate::audit::{BatchOutcome, Entry, Event, RunFinished, RunOutcome};
use crate::report::model::{Run, Totals};
use crate::report::timeline::Bar;
use crate::report::{tell, words};

/// A run without an end so far, and its batches without an outcome: number and children.
pub(super) struct Open {
    pub(super) run: Run,
    pub(super) batches: Vec<(u64, u64)>,
}

impl Open {
    /// Of files fewer may be gone than were prepared: the outcome tells how many.
    fn settle(&mut self, batch: u64, outcome: BatchOutcome, rows: u64) {
        let Some(at) = self.batches.iter().position(|(number, ..)| *number == batch) else { return };
        let (_, children) = self.batches.remove(at);
        if outcome == BatchOutcome::Committed {
            self.run.erased += rows;
            self.run.children += children;
        }
    }
}

/// What is physically left of an interrupted run.
const NOT_ASKED: &str = "not known: the last run was interrupted, and the store may not have been asked";

impl Seen<'_> {
    pub(super) fn begin(&mut self, id: &str, entry: &Entry) {
        let Event::RunStarted { rule, action, because, cutoff, counted, total, undatable, on_hold, .. } = &entry.event
        else {
            return;
        };
        let run = Run {
            action: action.clone(),
            because: because.clone(),
            cutoff: *cutoff,
            counted: *counted,
            total: *total,
            undatable: *undatable,
            on_hold: *on_hold,
            ..empty_run(id, rule, entry.time)
        };
        self.known.entry(rule.clone()).or_default().held = None;
        self.open.insert(id.to_owned(), Open { run, batches: Vec::new() });
    }

    pub(super) fn settle(&mut self, run: &str, batch: u64, outcome: BatchOutcome, rows: u64) {
        if let Some(open) = self.open.get_mut(run) {
            open.settle(batch, outcome, rows);
        }
    }

    pub(super) fn finish(
        &mut self,
        time: Timestamp,
        finished: &RunFinished,
        each: &mut dyn FnMut(Line<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begun = self.open.remove(&finished.run).map(|open| open.run);
        let run = Run {
            finished: Some(time),
            outcome: Some(finished.outcome),
            erased: finished.erased,
            children: finished.children,
            left: Some(finished.left),
            arrived: finished.arrived,
            batches: finished.batches,
            millis: finished.millis,
            pending: finished.pending.clone(),
            reason: finished.reason.clone(),
            kept: finished.kept.clone(),
            ..begun.unwrap_or_else(|| empty_run(&finished.run, &finished.rule, time))
        };
        if self.question.period.has(time) && self.question.is_about(&run.rule) {
            self.add(time, &run);
            each(Line::Run(&run))?;
        }
        let known = self.known.entry(run.rule.clone()).or_default();
        // Nobody was left to ask the store after a crash: that it says nothing does not mean that nothing is left.
        let not_asked = run.outcome == Some(RunOutcome::Interrupted);
        let pending = run.pending.clone().or_else(|| not_asked.then(|| NOT_ASKED.to_owned()));
        known.pending = pending.map(|text| (text, time));
        if run.outcome == Some(RunOutcome::Done) {
            known.last_done = Some(run.clone());
        }
        known.last = Some(run);
        Ok(())
    }

    /// A run that ended in the period.
    fn add(&mut self, time: Timestamp, run: &Run) {
        let Totals { runs, done, interrupted, stopped, held, failed, erased, children, .. } = &mut self.totals;
        *runs += 1;
        *erased += run.erased;
        *children += run.children;
        let not_done = u64::from(run.outcome != Some(RunOutcome::Done));
        match run.outcome {
            Some(RunOutcome::Done) => *done += 1,
            Some(RunOutcome::Interrupted) => *interrupted += 1,
            Some(RunOutcome::Stopped) => *stopped += 1,
            Some(RunOutcome::Held) => *held += 1,
            Some(RunOutcome::Failed) | None => *failed += 1,
        }
        let bar = Bar { runs: 1, not_done, erased: run.erased, children: run.children };
        self.timeline.add(&self.question.period, time, bar);
        let of_rule = self.rules.entry(run.rule.clone()).or_default();
        of_rule.rule.clone_from(&run.rule);
        of_rule.runs += 1;
        of_rule.not_done += not_done;
        of_rule.erased += run.erased;
        of_rule.children += run.children;
        if not_done > 0 {
            self.incidents.push(tell::not_done(time, run));
        }
        if run.is_quiet() {
            self.quiet_runs += 1;
        } else {
            self.runs.push(run.clone());
        }
    }

    /// What is still open at the end of the reading.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let now = self.question.as_of();
        if now >= self.question.period.start {
            self.note_silence(now);
        }
        for open in std::mem::take(&mut self.open).into_values() {
            let run = open.run;
            if self.question.is_about(&run.rule) {
                self.totals.without_end += 1;
                self.incidents.push(tell::without_end(&run));
                each(Line::Run(&run))?;
                self.runs.push(run.clone());
            }
            let known = self.known.entry(run.rule.clone()).or_default();
            if known.last.as_ref().is_none_or(|last| last.started <= run.started) {
                known.last = Some(run);
            }
        }
        Ok(())
    }
}

fn empty_run(id: &str, rule: &str, started: Timestamp) -> Run {
    Run {
        run: id.to_owned(),
        site: words::site_of(rule).to_owned(),
        rule: rule.to_owned(),
        action: String::new(),
        because: String::new(),
        started,
        finished: None,
        outcome: None,
        cutoff: None,
        counted: 0,
        total: 0,
        undatable: 0,
        on_hold: 0,
        erased: 0,
        children: 0,
        left: None,
        arrived: 0,
        batches: 0,
        millis: 0,
        pending: None,
        reason: None,
        kept: Vec::new(),
    }
}
