//! Logs: the file that a server writes, and its rotated predecessors.
//!
//! Lines that are expired are dropped, addresses in the others are masked, and everything else stays byte for byte.
//! What is still being written is never touched: it waits for its rotation, and is told. The batch is one file,
//! because a file is what can be put in place in one step.

mod blocks;
mod carry;
mod codec;
mod dotted;
mod engine;
mod field;
mod files;
mod groups;
mod guess;
mod json;
mod memory;
mod names;
mod occurrences;
mod openers;
mod pipeline;
mod place;
mod reader;
mod rewrite;
mod rotation;
mod scan;
mod survey;
mod text;
mod time;
mod turn;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::{Inspection, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use crate::config::site::Log;
use crate::plan::{LogRule, RuleRef};
use files::{Identity, LogDirectory, LogFile};
use memory::{Facts, Memory};
use pipeline::Counted;
use rewrite::OwnName;
use survey::Scan;
use walk::LogWalk;

pub use engine::{Engine, Judgement, Mode, Output, Tally};
pub use guess::{Guess, guess};
pub use time::Moment;

/// The files of a log.
#[derive(Debug)]
pub struct LogFiles {
    place: String,
    /// Other rules over the same files.
    beside: Vec<LogRule>,
    /// What was last found, and for which moment.
    last: Option<((Timestamp, Option<Timestamp>), Scan)>,
    /// Whoever inspects counts next, and need not read everything twice.
    just_inspected: bool,
    /// What is physically left of what the last walk erased.
    left: Physical,
}

/// A rule over a log at one moment, and the directory it is about.
struct Work {
    directory: LogDirectory,
    asked: Question,
    /// What other rules ask of the same files.
    beside: Vec<Question>,
    own: OwnName,
    now: Timestamp,
}

/// What a rule asks of the files of a log at one moment, and what is remembered of them for it.
struct Question {
    judgement: Judgement,
    memory: Memory,
}

impl LogFiles {
    /// The files of `log`. Nothing is opened yet.
    pub fn new(log: &Log) -> LogFiles {
        let place = log.location();
        LogFiles { place, beside: Vec::new(), last: None, just_inspected: false, left: Physical::Gone }
    }

    /// The same for a run, after which those of the rules `beside` it come: what is read is counted for them too, and
    /// remembered.
    pub fn beside(log: &Log, beside: &[LogRule]) -> LogFiles {
        LogFiles { beside: beside.to_vec(), ..LogFiles::new(log) }
    }

    fn work(&self, selection: &Selection<'_>) -> Result<Work, StoreError> {
        let failed = |reason: &str| StoreError::Failed { place: self.place.clone(), reason: reason.to_owned() };
        let Selection { rule: RuleRef::Log(rule), now, cutoff, .. } = *selection else {
            return Err(failed("the rule is not about a log"));
        };
        // It says nothing of lines, and whoever placed it must not be ignored.
        if !selection.holds.is_empty() {
            return Err(failed("a hold names a column of lines"));
        }
        let asked = Question::of(rule, now, cutoff).ok_or_else(|| failed("the cutoff is beyond any log"))?;
        if asked.judgement.engine().is_none() {
            return Err(failed("the pattern of its lines is none"));
        }
        // Of another rule whose cutoff cannot be told nothing is counted: its own run says why.
        let at = |other: &LogRule| Question::of(other, now, other.cutoff(now).ok()?);
        let beside = self.beside.iter().filter(|other| other.log == rule.log).filter_map(at).collect();
        let directory = LogDirectory::open(&rule.log)?;
        Ok(Work { directory, asked, beside, own: OwnName::of(&rule.rule), now })
    }
}

impl Question {
    /// `None` where the moment lies beyond any log.
    fn of(rule: &LogRule, now: Timestamp, cutoff: Option<Timestamp>) -> Option<Question> {
        Some(Question { judgement: Judgement::new(rule, now, cutoff)?, memory: Memory::of(rule) })
    }

    /// What is remembered of a file, where that still counts.
    fn known(&self, file: &LogFile) -> Option<Tally> {
        let facts = self.memory.recall(&file.file, &file.identity)?;
        facts.tally(self.judgement.cutoff())
    }

    /// Remembers what was counted in a file at `now`.
    fn remember(&self, file: &LogFile, tally: &Tally, now: Timestamp) {
        let written = file.identity.written();
        let facts = Moment::of(now).and_then(|now| Facts::of(tally, self.judgement.cutoff(), written, now));
        if let Some(facts) = facts.filter(|_| file.identity_now() == Ok(file.identity)) {
            self.memory.keep(&file.file, &file.identity, &facts);
        }
    }
}

impl Work {
    /// `counted` is of the same rule and moment.
    fn scan(&self, written: &[Identity], counted: Option<&Scan>) -> Result<Scan, StoreError> {
        survey::scan(self, (written, counted))
    }

    /// Remembers what was counted in a file.
    fn remember(&self, file: &LogFile, counted: &Counted) {
        self.asked.remember(file, &counted.tally, self.now);
        self.remember_beside(file, counted);
    }

    /// Remembers what was counted for the other rules, as far as it was.
    fn remember_beside(&self, file: &LogFile, counted: &Counted) {
        let counts = self.beside.iter().zip(&counted.beside);
        counts.for_each(|(other, tally)| other.remember(file, tally, self.now));
    }
}

impl Store for LogFiles {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        let work = self.work(selection)?;
        // Before a walk it is looked whether everything is still as approved: nothing is read twice for that.
        let counted = self.last.take().filter(|(moment, _)| *moment == (selection.now, selection.cutoff));
        let scan = work.scan(&[], counted.as_ref().map(|(_, scan)| scan))?;
        let findings = work.directory.refusal()?.into_iter().chain(scan.findings()).collect();
        let inspection = Inspection::new(findings, Some(work.directory.shape()?));
        self.last = Some(((selection.now, selection.cutoff), scan));
        self.just_inspected = true;
        Ok(inspection)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        if std::mem::take(&mut self.just_inspected)
            && let Some((moment, scan)) = &self.last
            && *moment == (selection.now, selection.cutoff)
        {
            return Ok(scan.survey());
        }
        let scan = self.work(selection)?.scan(&[], None)?;
        let survey = scan.survey();
        self.last = Some(((selection.now, selection.cutoff), scan));
        Ok(survey)
    }

    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        _max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError> {
        let work = self.work(selection)?;
        self.left = work.directory.what_is_left()?;
        let counted = self.last.take().filter(|(moment, _)| *moment == (selection.now, selection.cutoff));
        Ok(Box::new(LogWalk::begin(work, counted.map(|(_, scan)| scan))?))
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        let Work { directory, own, .. } = self.work(selection)?;
        place::resolve(&directory, &own, in_flight)
    }

    fn settle(&mut self, _interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        Ok(self.left.clone())
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}
