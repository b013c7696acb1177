//! Reading entries, forward from any of them, without a lock and without a key.
//!
//! An unfinished last line is not an entry yet, and ends the reading. The index says where to begin; if the line
//! found there is not the one that was asked for, the log is read from its start.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Paths;
use super::entry::Entry;
use super::error::{AuditError, not_readable};
use super::index;
use super::line::{self, LineFault, Lines, Next};
use super::proof::MAX_PROOF;

/// A few hundred entries per system call.
const BUFFER: usize = 64 * 1024;

/// What a file holds that may be a note, a key, an entry or a proof: all of it, or one byte more than the longest of
/// them, which none of the formats takes. Whoever hands the file over could hand over one without an end.
///
/// # Errors
/// The file cannot be read.
pub fn short_file(path: &Path) -> io::Result<Vec<u8>> {
    let longest = u64::try_from(MAX_PROOF).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Lines of the log as they stand, without their newlines, each with its index.
pub struct RawLines {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    next: u64,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Going,
    Ended,
}

/// The lines of the log in `dir`, from entry `from` on.
///
/// # Errors
/// [`AuditError::NotReadable`], also when there is no log.
pub fn lines(dir: &Path, from: u64) -> Result<RawLines, AuditError> {
    let paths = Paths::new(dir);
    let mut known = from.min(index::count(&paths.index));
    let mut start = index::start_of(&paths.index, known).unwrap_or(0);
    if start == 0 || !stands_at(&paths.log, start, known)? {
        (known, start) = (0, 0);
    }
    let mut raw = RawLines {
        lines: Lines::new(open_at(&paths.log, start)?),
        path: paths.log,
        next: known,
        state: Reading::Going,
    };
    while raw.next < from && raw.state == Reading::Going {
        raw.advance().transpose()?;
    }
    Ok(raw)
}

/// The entries of the log in `dir`, from entry `from` on. An entry that this version does not understand is an
/// error in its place; reading can go on after it.
///
/// # Errors
/// [`AuditError::NotReadable`], also when there is no log.
pub fn entries(dir: &Path, from: u64) -> Result<Entries, AuditError> {
    lines(dir, from).map(Entries)
}

/// Line `index`, exactly as it stands, without its newline; `None` when the log is shorter.
///
/// # Errors
/// [`AuditError::NotReadable`].
pub fn line(dir: &Path, index: u64) -> Result<Option<Vec<u8>>, AuditError> {
    Ok(lines(dir, index)?.next().transpose()?.map(|(_, line)| line))
}

/// Entry `index`; `None` when the log is shorter.
///
/// # Errors
/// [`AuditError::NotReadable`], [`AuditError::UnknownEntry`].
pub fn entry(dir: &Path, index: u64) -> Result<Option<Entry>, AuditError> {
    entries(dir, index)?.next().transpose()
}

/// The last `count` entries, the oldest first.
///
/// # Errors
/// [`AuditError::NotReadable`], [`AuditError::UnknownEntry`].
pub fn last(dir: &Path, count: usize) -> Result<Vec<Entry>, AuditError> {
    let known = index::count(&Paths::new(dir).index);
    let mut kept = VecDeque::new();
    for entry in entries(dir, known.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX)))? {
        kept.push_back(entry?);
        if kept.len() > count {
            kept.pop_front();
        }
    }
    Ok(kept.into())
}

impl RawLines {
    fn advance(&mut self) -> Option<Result<(u64, &[u8]), AuditError>> {
        if self.state == Reading::Ended {
            return None;
        }
        let index = self.next;
        match self.lines.next() {
            Ok(Next::Line(line)) => {
                self.next += 1;
                Some(Ok((index, line)))
            }
            Ok(Next::End | Next::Torn(_)) => {
                self.state = Reading::Ended;
                None
            }
            Ok(Next::TooLong) => {
                self.state = Reading::Ended;
                Some(Err(AuditError::BadLine { path: self.path.clone(), index, fault: LineFault::TooLong }))
            }
            Err(source) => {
                self.state = Reading::Ended;
                Some(Err(not_readable(&self.path)(source)))
            }
        }
    }
}

impl Iterator for RawLines {
    type Item = Result<(u64, Vec<u8>), AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map(|line| line.map(|(index, line)| (index, line.to_vec())))
    }
}

/// Entries of the log, in order.
pub struct Entries(RawLines);

impl Iterator for Entries {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.0.path.clone();
        let line = self.0.advance()?;
        Some(line.and_then(|(index, line)| {
            Entry::from_line(line).map_err(|source| AuditError::UnknownEntry { path, index, source })
        }))
    }
}

fn stands_at(log: &Path, start: u64, index: u64) -> Result<bool, AuditError> {
    let mut lines = Lines::new(open_at(log, start)?);
    let next = lines.next().map_err(not_readable(log))?;
    Ok(matches!(next, Next::Line(line) if line::check(line, index).is_ok()))
}

fn open_at(log: &Path, start: u64) -> Result<BufReader<File>, AuditError> {
    let mut file = File::open(log).map_err(not_readable(log))?;
    file.seek(SeekFrom::Start(start)).map_err(not_readable(log))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}
