//! File by file: what becomes of each, the oldest first.

use std::ffi::OsString;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::codec::Codec;
use super::files::{Found, Identity, LogDirectory, LogFile, Obstacle};
use super::openers::{Openers, Standing};
use super::pipeline::Counted;
use super::place::{Emptied, Placed};
use super::rewrite::{self, Replacement, Written};
use super::rotation;
use super::survey::{self, Listing, Scan, Seen};
use super::time::Moment;
use super::{Question, Work};
use crate::store::{Committed, Prepared, Remainder, StoreError, Walk};

/// How long a lock of somebody else is waited for before the run pauses.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// How often it is tried.
const GLANCE: Duration = Duration::from_millis(20);

/// A walk over the files of a log, the oldest first.
pub(super) struct LogWalk {
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
    /// New files.
    written: Vec<Identity>,
    /// Why a file could not be written anew: the others come first.
    failed: Option<StoreError>,
}

/// What a walk does with a file.
enum Next<'d> {
    Place(Box<Replacement<'d>>),
    NothingToDo,
    /// Somebody has it open.
    Waits,
}

impl LogWalk {
    /// Over the files that are there now. `counted` is what was counted before, where it was at the same moment.
    pub(super) fn begin(work: Work, counted: Option<Scan>) -> Result<LogWalk, StoreError> {
        work.own.clear(&work.directory)?;
        let Listing { names, .. } = Listing::of(&work.directory)?;
        Ok(LogWalk { desk: Desk { work, names, scan: counted.unwrap_or_default() }, progress: Progress::default() })
    }
}

impl Desk {
    /// What becomes of a file that was there when the walk began.
    fn next(&self, name: &OsString, listed: &Identity) -> Result<Next<'_>, StoreError> {
        let Work { directory, asked, now, .. } = &self.work;
        let name = self.name_now(name, listed)?;
        let Found::File(file) = directory.file_at(name.clone())? else { return Ok(Next::NothingToDo) };
        if asked.known(&file).is_some_and(|tally| tally.matches == 0) {
            return Ok(Next::NothingToDo);
        }
        let seen = self.scan.seen.iter().find(|seen| seen.identity == file.identity);
        if let Some(seen) = seen.filter(|seen| seen.standing == Standing::Idle && seen.matches() == 0) {
            self.work.remember(&file, &seen.counted);
            return Ok(Next::NothingToDo);
        }
        let newest = self.names.last().map(|(_, identity)| *identity);
        let openers = Openers::look_patiently(&directory.file, file.identity);
        if survey::standing(&openers, &file, newest, *now) != Standing::Idle {
            return Ok(Next::Waits);
        }
        // Where every line goes the new file is empty.
        let all_match = |seen: &Seen| seen.matches() == seen.counted.tally.lines;
        let goes_whole = asked.judgement.drops() && seen.is_some_and(all_match);
        if !goes_whole {
            directory.look_for_room(file.codec.room(file.identity.size))?;
        }
        lock(directory, &file)?;
        // Whoever held the lock may have put another file in its place.
        if directory.identity_at(&name) != Ok(file.identity) {
            return Ok(Next::Waits);
        }
        self.write(file)
    }

    /// The name of a file, which rotation may have given another one. Where it is gone, what stands there instead is
    /// looked at: another rule may have written it anew.
    fn name_now(&self, name: &OsString, listed: &Identity) -> Result<OsString, StoreError> {
        let directory = &self.work.directory;
        if directory.identity_at(name).is_ok_and(|here| here.is_file(listed)) {
            return Ok(name.clone());
        }
        let moved = directory.name_of(|file| file.is_file(listed))?.filter(|name| directory.matches(name));
        Ok(moved.unwrap_or_else(|| name.clone()))
    }

    /// Writes a file anew, where anything in it changes.
    fn write(&self, file: Box<LogFile>) -> Result<Next<'_>, StoreError> {
        let Work { directory, asked: Question { judgement, memory }, own, now, .. } = &self.work;
        let Some(now) = Moment::of(*now) else { return Ok(Next::NothingToDo) };
        let newest = self.names.last().is_some_and(|(_, newest)| newest.is_file(&file.identity));
        let is_rotated = file.codec != Codec::Plain || rotation::stands_beside_its_log(directory, &file.name);
        let emptied = if is_rotated && !newest { Emptied::Removed } else { Emptied::Kept };
        match rewrite::write(directory, own, file, judgement, (memory, now), emptied) {
            Ok(Written::Ready(replacement)) => Ok(Next::Place(replacement)),
            Ok(Written::Nothing(file, tally)) => {
                self.work.remember(&file, &Counted { tally, beside: Vec::new() });
                Ok(Next::NothingToDo)
            }
            // It was told when it was counted.
            Err(error) if Obstacle::of_reading(&error).is_some() => Ok(Next::NothingToDo),
            Err(error) => Err(directory.failed("a file cannot be written anew", error)),
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
            match desk.next(name, identity) {
                Ok(Next::Place(replacement)) => {
                    return Ok(Some(Box::new(Batch { replacement, progress, identity: *identity })));
                }
                Ok(Next::NothingToDo) => {}
                Ok(Next::Waits) => progress.waiting.push(*identity),
                Err(error @ StoreError::Failed { .. }) => progress.failed = Some(error),
                Err(error) => return Err(error),
            }
            progress.done += 1;
        }
        progress.failed.take().map_or(Ok(None), Err)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        let LogWalk { desk: Desk { work, names, .. }, progress } = self;
        let scan = work.scan(&progress.written, None)?;
        let mut remainder = Remainder { kept: scan.kept(), ..Remainder::default() };
        for seen in scan.seen.iter().filter(|seen| seen.standing == Standing::Idle) {
            // The number of a file that is gone is soon given to another: its state tells them apart.
            let mut there = names.iter().map(|(_, identity)| identity).chain(&progress.written);
            let was_there = there.any(|identity| *identity == seen.identity);
            let waits = progress.waiting.iter().any(|identity| identity.is_file(&seen.identity));
            let share = if was_there && !waits { &mut remainder.left } else { &mut remainder.arrived };
            *share += seen.matches();
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
        let (rows, written) = (replacement.tally.matches, replacement.identity());
        let placed = replacement.place()?;
        progress.done += 1;
        match placed {
            Placed::InPlace => {
                progress.written.push(written);
                Ok(Committed { rows, children: 0 })
            }
            Placed::TurnedBack => {
                progress.waiting.push(identity);
                Ok(Committed::default())
            }
        }
    }
}
