//! Logs: the file that a server writes, and its rotated predecessors.
//!
//! Lines that are expired are dropped, addresses in the others are masked, and everything else stays byte for byte.
//! What is still being written is never touched: it waits for its rotation, and is told. The batch is one file,
//! because a file is what can be put in place in one step.

mod blocks;
mod codec;
mod engine;
mod field;
mod files;
mod json;
mod memory;
mod openers;
mod pipeline;
mod reader;
mod rewrite;
mod scan;
mod survey;
mod time;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{
    Committed, Inspection, Physical, Prepared, Remainder, Resolution, Selection, Store, StoreError, Survey, Walk,
};
use crate::config::site::Log;
use crate::plan::RuleRef;
use files::{Found, Identity, LogDirectory, LogFile};
use memory::{Facts, Memory};
use openers::{Openers, Standing};
use rewrite::{Emptied, OwnName, Placed, Replacement, Written};
use survey::{Listing, Scan};

pub use engine::{Engine, Judgement, Mode, Output, Tally};
pub use time::Moment;

/// How long a lock of somebody else is waited for before the run pauses.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// How often it is tried.
const GLANCE: Duration = Duration::from_millis(20);

/// The files of a log.
#[derive(Debug)]
pub struct LogFiles {
    place: String,
    /// What was last found, and for which moment: whoever inspects counts next.
    last: Option<((Timestamp, Option<Timestamp>), Scan)>,
    /// What is physically left of what the last walk erased.
    left: Physical,
}

/// A rule over a log at one moment, and the directory it is about.
struct Work {
    directory: LogDirectory,
    judgement: Judgement,
    memory: Memory,
    own: OwnName,
    now: Timestamp,
}

impl LogFiles {
    /// The files of `log`. Nothing is opened yet.
    pub fn new(log: &Log) -> LogFiles {
        LogFiles { place: log.location(), last: None, left: Physical::Gone }
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
        let judgement = Judgement::new(rule, now, cutoff).ok_or_else(|| failed("the cutoff is beyond any log"))?;
        if judgement.engine().is_none() {
            return Err(failed("the pattern of its lines is none"));
        }
        let directory = LogDirectory::open(&rule.log)?;
        Ok(Work { directory, judgement, memory: Memory::of(rule), own: OwnName::of(&rule.rule), now })
    }
}

impl Work {
    fn scan(&self) -> Result<Scan, StoreError> {
        survey::scan(&self.directory, &self.judgement, &self.memory, self.now)
    }
}

impl Store for LogFiles {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        let work = self.work(selection)?;
        let scan = work.scan()?;
        let inspection = Inspection::new(scan.findings(), Some(work.directory.shape()?));
        self.last = Some(((selection.now, selection.cutoff), scan));
        Ok(inspection)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        if let Some((moment, scan)) = &self.last
            && *moment == (selection.now, selection.cutoff)
        {
            return Ok(scan.survey());
        }
        let scan = self.work(selection)?.scan()?;
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
        work.own.clear(&work.directory)?;
        self.left = work.directory.what_is_left()?;
        let scan = self.last.take().filter(|(moment, _)| *moment == (selection.now, selection.cutoff));
        let Listing { names, .. } = Listing::of(&work.directory)?;
        let desk = Desk { work, names, scan: scan.map(|(_, scan)| scan).unwrap_or_default() };
        Ok(Box::new(LogWalk { desk, progress: Progress::default() }))
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        let Work { directory, own, .. } = self.work(selection)?;
        rewrite::resolve(&directory, &own, in_flight)
    }

    fn settle(&mut self) -> Result<Physical, StoreError> {
        Ok(self.left.clone())
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

/// A walk over the files of a log, the oldest first.
struct LogWalk {
    desk: Desk,
    progress: Progress,
}

/// What a walk goes by.
struct Desk {
    work: Work,
    names: Vec<(OsString, Identity)>,
    /// What was counted before, of files that are still as they were.
    scan: Scan,
}

/// Where a walk has got to.
#[derive(Debug, Default)]
struct Progress {
    done: usize,
    /// Files that had to be left alone.
    waiting: Vec<Identity>,
}

/// What a walk does with a file.
enum Next<'d> {
    Place(Box<Replacement<'d>>),
    NothingToDo,
    /// Somebody has it open.
    Waits,
}

impl Desk {
    fn next(&self, name: &OsString) -> Result<Next<'_>, StoreError> {
        let Work { directory, judgement, memory, now, .. } = &self.work;
        let Found::File(file) = directory.file_at(name.clone())? else { return Ok(Next::NothingToDo) };
        if survey::known(&file, judgement, memory).is_some() {
            return Ok(Next::NothingToDo);
        }
        let newest = self.names.last().map(|(_, identity)| *identity);
        let openers = Openers::look([file.identity]);
        if survey::standing(&openers, &file.identity, newest, *now) != Standing::Idle {
            return Ok(Next::Waits);
        }
        let seen = self.scan.seen.iter().find(|seen| seen.identity == file.identity);
        if let Some(seen) = seen.filter(|seen| seen.standing == Standing::Idle && seen.tally.matches == 0) {
            self.remember(&file, &seen.tally);
            return Ok(Next::NothingToDo);
        }
        lock(directory, &file)?;
        // Whoever held the lock may have put another file in its place.
        if directory.identity_at(name) != Ok(file.identity) {
            return Ok(Next::Waits);
        }
        self.write(file)
    }

    /// Writes a file anew, where anything in it changes.
    fn write(&self, file: LogFile) -> Result<Next<'_>, StoreError> {
        let Work { directory, judgement, memory, own, now, .. } = &self.work;
        let Some(now) = Moment::of(*now) else { return Ok(Next::NothingToDo) };
        let newest = self.names.last().is_some_and(|(_, newest)| newest.is_file(&file.identity));
        let emptied = if newest { Emptied::Kept } else { Emptied::Removed };
        match rewrite::write(directory, own, file, judgement, (memory, now), emptied) {
            Ok(Written::Ready(replacement)) => Ok(Next::Place(replacement)),
            Ok(Written::Nothing(file, tally)) => {
                self.remember(&file, &tally);
                Ok(Next::NothingToDo)
            }
            // It was told when it was counted.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(Next::NothingToDo),
            Err(error) => Err(directory.failed("a file cannot be written anew", error)),
        }
    }

    fn remember(&self, file: &LogFile, tally: &Tally) {
        let facts = Moment::of(self.work.now).and_then(|now| Facts::of(tally, now));
        if let Some(facts) = facts.filter(|_| file.identity_now() == Ok(file.identity)) {
            self.work.memory.keep(&file.file, &file.identity, &facts);
        }
    }
}

/// Locks a file against another rule over the same log, and against whoever else asks for such a lock.
fn lock(directory: &LogDirectory, file: &LogFile) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        match rustix::fs::flock(&file.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if waited < LONGEST_WAIT => {
                std::thread::sleep(GLANCE);
                waited += GLANCE;
            }
            Err(Errno::WOULDBLOCK) => {
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                return Err(StoreError::Busy { place: directory.place.clone(), waited_ms });
            }
            Err(error) => return Err(directory.failed("a file cannot be locked", error)),
        }
    }
}

impl Walk for LogWalk {
    fn prepare(&mut self, _limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        let LogWalk { desk, progress } = self;
        while let Some((name, identity)) = desk.names.get(progress.done) {
            match desk.next(name)? {
                Next::Place(replacement) => {
                    return Ok(Some(Box::new(Batch { replacement, progress, identity: *identity })));
                }
                Next::NothingToDo => {}
                Next::Waits => progress.waiting.push(*identity),
            }
            progress.done += 1;
        }
        Ok(None)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        let LogWalk { desk: Desk { work, names, .. }, progress } = self;
        let scan = work.scan()?;
        let mut remainder = Remainder { kept: scan.kept(), ..Remainder::default() };
        for seen in scan.seen.iter().filter(|seen| seen.standing == Standing::Idle) {
            let is_it = |other: &Identity| other.is_file(&seen.identity);
            let was_there = names.iter().any(|(_, identity)| is_it(identity));
            let share = if was_there && !progress.waiting.iter().any(is_it) {
                &mut remainder.left
            } else {
                &mut remainder.arrived
            };
            *share += seen.tally.matches;
        }
        Ok(remainder)
    }
}

/// A file written anew, which waits to take the place of the old one.
struct Batch<'w> {
    replacement: Box<Replacement<'w>>,
    progress: &'w mut Progress,
    identity: Identity,
}

impl Prepared for Batch<'_> {
    fn rows(&self) -> u64 {
        self.replacement.tally.matches
    }

    fn children(&self) -> u64 {
        0
    }

    fn in_flight(&self) -> &[u8] {
        self.replacement.in_flight()
    }

    fn commit(self: Box<Self>) -> Result<Committed, StoreError> {
        let Batch { replacement, progress, identity } = *self;
        let rows = replacement.tally.matches;
        let placed = replacement.place()?;
        progress.done += 1;
        match placed {
            Placed::InPlace => Ok(Committed { rows, children: 0 }),
            Placed::TurnedBack => {
                progress.waiting.push(identity);
                Ok(Committed::default())
            }
        }
    }
}
