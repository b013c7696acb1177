//! Judging a log, or a copy of one, with nothing but its public files and the checkpoints that the reader kept.
//!
//! One pass in flat memory: every line is checked to be an entry in its place and hashed, and at each size that a
//! checkpoint or an anchor speaks of, the root so far must be the signed one. The index is read alongside. It proves
//! nothing by itself; but if *its* root is the signed one, then the first line that differs from it is the one that
//! was changed.
//!
//! Nothing here depends on the wall clock. A seal that is missing is a failure and not a lesser success.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use jiff::Timestamp;

use super::Paths;
use super::entry::{Entry, Event};
use super::index::Records;
use super::keys::{Keys, RotationFault};
use super::line::{self, LineFault, Lines, Next};
use super::merkle::{Frontier, Hash};
use super::note::{Checkpoint, NoteError, VerifierKey};
use super::read::short_file;
use super::reviews::Reviews;
use super::verdict::{Compared, Fault, Verdict, Verification, VerifyError};

/// Some hundred entries per system call.
const BUFFER: usize = 256 * 1024;

/// What a reader kept, to hold a log against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trusted<'a> {
    /// Signed checkpoints.
    pub anchors: &'a [Vec<u8>],
    /// The verifier key, as it was when the reader first saw it.
    pub key: Option<&'a VerifierKey>,
}

/// Judges the log in `dir`, with the signed checkpoints that the reader kept. Reads only, and takes no lock: it works
/// on a copy, and beside a running daemon.
///
/// # Errors
/// [`VerifyError`] when a file cannot be read, or an anchor is not one of this log.
pub fn verify(dir: &Path, anchors: &[Vec<u8>]) -> Result<Verification, VerifyError> {
    verify_with(dir, Trusted { anchors, key: None })
}

/// The same, with the key that the reader kept too.
///
/// # Errors
/// As [`verify`], and when the key is none of this log.
pub fn verify_with(dir: &Path, kept: Trusted<'_>) -> Result<Verification, VerifyError> {
    let paths = Paths::new(dir);
    // Before the log: a checkpoint written meanwhile would speak of entries that come after the end of this reading.
    let (keys, checkpoint) = match seal(&paths)? {
        Ok(sealed) => sealed,
        Err((origin, fault)) => return Ok(Verification::unread(origin, fault)),
    };
    if kept.key.is_some_and(|key| !keys.contains(key)) {
        return Err(VerifyError::ForeignKey { origin: keys.name().to_owned() });
    }
    let mut signed = open_anchors(&keys, kept.anchors)?;
    let rotations = keys.rotations().iter().map(|rotation| rotation.checkpoint.clone());
    signed.extend(rotations.chain([checkpoint]).map(|checkpoint| Signed { source: Source::Log, checkpoint }));
    signed.sort_by_key(|signed| signed.checkpoint.size);
    let pass = Pass::over(&paths, &signed)?;
    Ok(Verification {
        verdict: pass.judge(&paths, &signed, &keys),
        origin: Some(keys.name().to_owned()),
        entries: pass.tree.size(),
        signed: signed.last().map_or(0, |last| last.checkpoint.size),
        anchored: pass.anchored(&signed),
        torn: pass.torn,
        first: pass.first,
        last: pass.last,
        review: pass.reviews.furthest(),
        unreviewed: pass.reviews.unreviewed(pass.tree.size()),
        drift: pass.drift,
    })
}

type Sealed = (Keys, Checkpoint);

/// The log's keys and its checkpoint, or its name and what is wrong with them.
fn seal(paths: &Paths) -> Result<Result<Sealed, (Option<String>, Fault)>, VerifyError> {
    let unknown = |fault| Ok(Err((None, fault)));
    let keys = match Keys::of_log(paths)? {
        Ok(keys) => keys,
        Err(fault) => return unknown(fault),
    };
    let sealed = read_checkpoint(paths, &keys)?;
    if !matches!(sealed, Err(Fault::CheckpointInvalid(NoteError::Unsigned { .. }))) {
        return Ok(sealed.map_err(|fault| (Some(keys.name().to_owned()), fault)).map(|checkpoint| (keys, checkpoint)));
    }
    // A key that was replaced between the two readings is among the keys now.
    match Keys::of_log(paths)? {
        Ok(keys) => {
            let sealed = read_checkpoint(paths, &keys)?;
            Ok(sealed.map_err(|fault| (Some(keys.name().to_owned()), fault)).map(|checkpoint| (keys, checkpoint)))
        }
        Err(fault) => unknown(fault),
    }
}

/// A statement to hold the log against.
struct Signed {
    source: Source,
    checkpoint: Checkpoint,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Kept beside the log: its checkpoint, and those under which its key was replaced.
    Log,
    Anchor(usize),
}

fn read_checkpoint(paths: &Paths, keys: &Keys) -> Result<Result<Checkpoint, Fault>, VerifyError> {
    let Some(note) = read(&paths.checkpoint)? else { return Ok(Err(Fault::CheckpointMissing)) };
    Ok(keys.open(&note).map_err(Fault::CheckpointInvalid))
}

fn open_anchors(keys: &Keys, anchors: &[Vec<u8>]) -> Result<Vec<Signed>, VerifyError> {
    let open = |(anchor, note): (usize, &Vec<u8>)| match keys.open(note) {
        Ok(checkpoint) => Ok(Signed { source: Source::Anchor(anchor), checkpoint }),
        Err(NoteError::Unsigned { .. }) => Err(VerifyError::ForeignAnchor { anchor, origin: keys.name().to_owned() }),
        Err(source) => Err(VerifyError::Anchor { anchor, source }),
    };
    anchors.iter().enumerate().map(open).collect()
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, VerifyError> {
    match short_file(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VerifyError::NotReadable { path: path.to_path_buf(), source }),
    }
}

/// One reading of the log, up to its end or to the first thing that cannot be.
#[derive(Default)]
struct Pass {
    tree: Frontier,
    torn: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// How many of the statements, by size, were reached and hold.
    held: usize,
    /// The first line that the index knows otherwise.
    differs: Option<u64>,
    reviews: Reviews,
    /// The last comparison with the stores.
    drift: Option<Compared>,
    /// Where the key was replaced.
    rotations: Vec<u64>,
    stopped: Option<Stop>,
}

#[derive(Clone, Copy)]
enum Stop {
    /// The next line is not an entry in its place.
    AtLine(LineFault),
    /// The next statement does not hold.
    AtRoot,
}

impl Pass {
    fn over(paths: &Paths, signed: &[Signed]) -> Result<Pass, VerifyError> {
        let not_readable = |source| VerifyError::NotReadable { path: paths.log.clone(), source };
        let mut pass = Pass::default();
        pass.compare(signed);
        let file = match File::open(&paths.log) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pass),
            Err(error) => return Err(not_readable(error)),
        };
        let mut lines = Lines::new(BufReader::with_capacity(BUFFER, file));
        let mut records = Records::open(&paths.index);
        while pass.stopped.is_none() {
            match lines.next().map_err(not_readable)? {
                Next::End => break,
                Next::Torn(bytes) => {
                    pass.torn = bytes;
                    break;
                }
                Next::TooLong => pass.stopped = Some(Stop::AtLine(LineFault::TooLong)),
                Next::Line(line) => pass.take(line, records.next().map(|record| record.leaf), signed),
            }
        }
        Ok(pass)
    }

    fn take(&mut self, line: &[u8], indexed: Option<Hash>, signed: &[Signed]) {
        let (index, leaf) = (self.tree.size(), Hash::leaf(line));
        if self.differs.is_none() && indexed.is_some_and(|known| known != leaf) {
            self.differs = Some(index);
        }
        match line::inspect(line, index) {
            Ok((time, kind)) => {
                self.reviews.take(kind, line, index, time);
                match kind {
                    Event::KEY_ROTATED => self.rotations.push(index),
                    Event::DRIFT_CHECKED => self.note_drift(line, time),
                    _ => {}
                }
                self.first = self.first.or(Some(time));
                self.last = Some(time);
                self.tree.push(leaf);
                self.compare(signed);
            }
            Err(fault) => self.stopped = Some(Stop::AtLine(fault)),
        }
    }

    fn note_drift(&mut self, line: &[u8], at: Timestamp) {
        if let Ok(Entry { event: Event::DriftChecked(found), .. }) = Entry::from_line(line) {
            self.drift = Some(Compared { at, found });
        }
    }

    /// The first entry that was signed for and replaces the key, without the proof that both keys signed.
    fn unproved_rotation(&self, signed: u64, keys: &Keys) -> Option<u64> {
        let proved = |index: &u64| keys.rotations().iter().any(|rotation| rotation.index == *index);
        self.rotations.iter().copied().find(|index| *index < signed && !proved(index))
    }

    /// Compares the root with the statements of this size.
    fn compare(&mut self, signed: &[Signed]) {
        while let Some(next) = signed.get(self.held)
            && next.checkpoint.size == self.tree.size()
        {
            if next.checkpoint.root != self.tree.root() {
                self.stopped = Some(Stop::AtRoot);
                return;
            }
            self.held += 1;
        }
    }

    fn anchored(&self, signed: &[Signed]) -> Option<u64> {
        let anchors = signed[..self.held].iter().filter(|signed| signed.source != Source::Log);
        // A statement about nothing anchors nothing.
        anchors.map(|signed| signed.checkpoint.size).max().filter(|size| *size > 0)
    }

    fn judge(&self, paths: &Paths, signed: &[Signed], keys: &Keys) -> Verdict {
        let size = self.tree.size();
        let largest = signed.last().map_or(0, |last| last.checkpoint.size);
        let failed = signed.get(self.held);
        if let Some(failed) = failed
            && let Some(entry) = self.changed_line(paths, &failed.checkpoint)
        {
            return Verdict::Tampered { entry: Some(entry), fault: Fault::Changed };
        }
        match (self.stopped, failed.map(|failed| failed.source)) {
            (Some(Stop::AtLine(fault)), _) => Verdict::Tampered { entry: Some(size), fault: Fault::Line(fault) },
            (Some(Stop::AtRoot), Some(Source::Anchor(anchor))) => {
                Verdict::Tampered { entry: None, fault: Fault::Rewritten(anchor) }
            }
            (Some(Stop::AtRoot), _) => Verdict::Tampered { entry: None, fault: Fault::Changed },
            (None, Some(_)) => Verdict::Truncated { size, signed: largest },
            (None, None) => self.judge_whole(signed, largest, keys),
        }
    }

    /// Every statement holds.
    fn judge_whole(&self, signed: &[Signed], largest: u64, keys: &Keys) -> Verdict {
        let size = self.tree.size();
        if let Some(entry) = self.unproved_rotation(largest, keys) {
            return Verdict::Tampered { entry: Some(entry), fault: Fault::Rotation(RotationFault::Missing) };
        }
        if size > largest || self.torn > 0 {
            return Verdict::UnsignedTail { signed: largest, size };
        }
        match self.anchored(signed) {
            Some(anchor) => Verdict::Anchored { anchor, size },
            None => Verdict::SelfConsistent { size },
        }
    }

    /// The first changed line, if the index knows what was signed.
    fn changed_line(&self, paths: &Paths, signed: &Checkpoint) -> Option<u64> {
        // Reading stopped at the statement at the latest: the line is one of those it speaks of.
        let line = self.differs?;
        let mut tree = Frontier::default();
        let size = usize::try_from(signed.size).ok()?;
        Records::open(&paths.index).take(size).for_each(|record| tree.push(record.leaf));
        (tree.size() == signed.size && tree.root() == signed.root).then_some(line)
    }
}
