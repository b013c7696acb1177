//! Appending. The daemon and one-off commands may hold the log at the same time: each takes an exclusive lock on the
//! file for one append or checkpoint, and first takes in what others have written since.
//!
//! An entry is a promise: when [`Log::append`] returns with [`Sync::Now`], it is on the disk. When it fails, the
//! entry is not in the log, and what it was to prove must not happen. A failed sync is never repeated on the same
//! descriptor, since the kernel may have dropped the pages it could not write and would then report success; the
//! [`Log`] refuses from there on, and opening it anew reads and checks what is really there.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Paths;
use super::entry::{Entry, Event};
use super::error::{AuditError, not_readable, not_writable};
use super::index::{self, Index, Record, Records};
use super::key::Key;
use super::line::{self, LineFault, Lines, MAX_LINE, Next};
use super::merkle::{Frontier, Hash};
use super::note::Checkpoint;
use super::{rotate, start};

/// When an entry has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the append returns.
    Now,
    /// With the next entry that is synced, or with the next checkpoint.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Sound,
    Broken,
}

/// The audit log, open for appending.
#[derive(Debug)]
pub struct Log {
    pub(super) paths: Paths,
    pub(super) key: Key,
    pub(super) key_path: PathBuf,
    file: File,
    index: Index,
    pub(super) tree: Frontier,
    /// Offset after the last entry in `tree`.
    end: u64,
    last_time: Option<Timestamp>,
    /// The checkpoint found at the start.
    sealed: Checkpoint,
    /// The largest that was told to the journal.
    pub(super) told: u64,
    /// An entry that replaces the key, and the new key, until that one is in use here.
    pub(super) rotation: Option<(u64, String)>,
    condition: Condition,
}

impl Log {
    /// Opens the log in `dir`, signed by the private key in the file `key`; the first time, creates both, with an
    /// entry `log.created` and a checkpoint.
    ///
    /// # Errors
    /// [`AuditError`]: when files cannot be read or written, when the log is shorter than its checkpoint or not what
    /// was signed, or when the key is gone, another one, or readable by others.
    pub fn open(dir: &Path, key: &Path, now: Timestamp) -> Result<Log, AuditError> {
        let paths = Paths::new(dir);
        let key_path = key.to_path_buf();
        let file = start::log_file(&paths, key)?;
        lock(&file).map_err(not_writable(&paths.log))?;
        let key = start::key(&paths, key, &file)?;
        let sealed = start::checkpoint(&paths, &key)?;
        let mut log = Log {
            index: Index::open(&paths.index),
            tree: Frontier::default(),
            end: 0,
            last_time: None,
            told: sealed.size,
            rotation: None,
            condition: Condition::Sound,
            paths,
            key,
            key_path,
            file,
            sealed,
        };
        // What an interrupted rotation left is found by reading: the index knows of no kinds.
        if rotate::successor(&log.key_path)?.is_none() {
            log.trust_index();
        }
        log.take_in()?;
        rotate::discard_unused(&log)?;
        if log.tree.size() == 0 {
            log.begin(now)?;
        }
        log.unlock();
        Ok(log)
    }

    /// Appends an entry and returns its index, from 0.
    ///
    /// Its time is never before the last entry's: the log is what tells that a clock was set back, and would be
    /// believed no more once such a clock had written its own entry. Only an operator's approval of the clock goes back.
    ///
    /// # Errors
    /// [`AuditError`]; the entry is then not in the log.
    pub fn append(&mut self, now: Timestamp, event: &Event, sync: Sync) -> Result<u64, AuditError> {
        self.locked(|log, torn| log.append_locked(now, event, sync, torn))
    }

    pub(super) fn append_locked(
        &mut self,
        now: Timestamp,
        event: &Event,
        sync: Sync,
        torn: u64,
    ) -> Result<u64, AuditError> {
        let not_before = self.last_time.filter(|_| !matches!(event, Event::ClockApproved { .. }));
        let time = not_before.map_or(now, |last| last.max(now));
        if torn > 0 {
            self.cut().map_err(not_writable(&self.paths.log))?;
            self.write(time, &Event::LogRepaired { bytes: torn }, Sync::Later)?;
        }
        self.write(time, event, sync)
    }

    /// Makes all entries durable, signs their number and root, and puts the statement in place of the last.
    ///
    /// # Errors
    /// [`AuditError`]; the last checkpoint then still stands.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, AuditError> {
        self.locked(|log, _| log.seal())
    }

    /// The number of entries, as far as this process knows.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The time of the last entry, as far as this process knows.
    #[must_use]
    pub fn last_time(&self) -> Option<Timestamp> {
        self.last_time
    }

    /// The log's name, under which its checkpoints are signed.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.key.verifier().name()
    }

    /// Does `work` with the log locked and up to date; it is told how many bytes of an unfinished line follow.
    pub(super) fn locked<T>(
        &mut self,
        work: impl FnOnce(&mut Log, u64) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        if self.condition == Condition::Broken {
            return Err(AuditError::Broken { path: self.paths.log.clone() });
        }
        lock(&self.file).map_err(not_writable(&self.paths.log))?;
        let result = self.in_place().and_then(|()| self.take_in()).and_then(|torn| work(self, torn));
        self.unlock();
        result
    }

    fn unlock(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::error!(%error, "the audit log could not be unlocked");
        }
    }

    /// The open file is still the one under the log's name: an entry in a file that was moved away proves nothing.
    fn in_place(&self) -> Result<(), AuditError> {
        let own = self.file.metadata().map_err(not_readable(&self.paths.log))?;
        match std::fs::metadata(&self.paths.log) {
            Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_readable(&self.paths.log)(error)),
            _ => Err(AuditError::Replaced { path: self.paths.log.clone() }),
        }
    }

    /// Takes the signed part of the tree from the index, if the index has the signed root and its last record fits
    /// the log; leaves everything at zero otherwise, and [`Log::take_in`] then reads the whole log.
    fn trust_index(&mut self) {
        let (mut tree, mut last, mut start) = (Frontier::default(), None, 0);
        let signed = usize::try_from(self.sealed.size).unwrap_or(usize::MAX);
        for record in Records::open(&self.paths.index).take(signed) {
            start = last.map_or(0, |before: Record| before.end);
            tree.push(record.leaf);
            last = Some(record);
        }
        let Some(last) = last else { return };
        if tree.size() != self.sealed.size || tree.root() != self.sealed.root {
            return;
        }
        if let Some(time) = self.time_of(start, &last, tree.size() - 1) {
            (self.tree, self.end, self.last_time) = (tree, last.end, Some(time));
        }
    }

    /// The time of the entry that stands between `start` and the record's end, if it is the entry it should be.
    fn time_of(&self, start: u64, record: &Record, index: u64) -> Option<Timestamp> {
        let length = usize::try_from(record.end.checked_sub(start)?).ok()?;
        if length > MAX_LINE + 1 {
            return None;
        }
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, start).ok()?;
        let line = line.strip_suffix(b"\n")?;
        if Hash::leaf(line) != record.leaf {
            return None;
        }
        line::check(line, index).ok()
    }

    /// Takes in what stands in the file after the last known entry. Returns the bytes of an unfinished line.
    fn take_in(&mut self) -> Result<u64, AuditError> {
        let length = self.file.metadata().map_err(not_readable(&self.paths.log))?.len();
        let torn = if length > self.end { self.read_on()? } else { 0 };
        let expected = self.sealed.size.max(self.tree.size());
        if length < self.end || self.tree.size() < expected {
            let found =
                if length < self.end { index::count_within(&self.paths.index, length) } else { self.tree.size() };
            return Err(AuditError::ShorterThanCheckpoint { path: self.paths.log.clone(), found, expected });
        }
        rotate::settle(self)?;
        Ok(torn)
    }

    fn read_on(&mut self) -> Result<u64, AuditError> {
        let path = self.paths.log.clone();
        let mut reader = self.file.try_clone().map_err(not_readable(&path))?;
        reader.seek(SeekFrom::Start(self.end)).map_err(not_readable(&path))?;
        let mut lines = Lines::new(BufReader::new(reader));
        let torn = loop {
            let index = self.tree.size();
            let fault = match lines.next().map_err(not_readable(&path))? {
                Next::End => break 0,
                Next::Torn(bytes) => break bytes,
                Next::TooLong => LineFault::TooLong,
                Next::Line(line) => match line::inspect(line, index) {
                    Ok((time, kind)) => {
                        if kind == Event::KEY_ROTATED {
                            self.rotation = rotate::announced(line);
                        }
                        self.count(line, time);
                        self.compare_with_seal()?;
                        continue;
                    }
                    Err(fault) => fault,
                },
            };
            return Err(AuditError::BadLine { path, index, fault });
        };
        self.index.flush();
        Ok(torn)
    }

    fn compare_with_seal(&self) -> Result<(), AuditError> {
        if self.tree.size() == self.sealed.size && self.tree.root() != self.sealed.root {
            return Err(AuditError::Tampered { path: self.paths.log.clone() });
        }
        Ok(())
    }

    /// Counts a line that stands in the file, with its newline, at `end`.
    fn count(&mut self, line: &[u8], time: Timestamp) {
        let leaf = Hash::leaf(line);
        self.end += u64::try_from(line.len()).unwrap_or(u64::MAX) + 1;
        self.index.put(self.tree.size(), Record { leaf, end: self.end });
        self.tree.push(leaf);
        self.last_time = Some(time);
    }

    /// Writes the first entry and its checkpoint; what an interrupted first start left of it goes.
    fn begin(&mut self, now: Timestamp) -> Result<(), AuditError> {
        self.cut().map_err(not_writable(&self.paths.log))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.write(now, &Event::LogCreated { origin: self.origin().to_owned(), version }, Sync::Now)?;
        self.seal().map(drop)
    }

    fn write(&mut self, now: Timestamp, event: &Event, sync: Sync) -> Result<u64, AuditError> {
        let index = self.tree.size();
        let mut line = Entry { seq: index, time: now, event: event.clone() }.to_line()?;
        line.push(b'\n');
        self.put(&line, sync).map_err(not_writable(&self.paths.log))?;
        line.pop();
        self.count(&line, now);
        self.index.flush();
        Ok(index)
    }

    /// Puts bytes at the end of the file, or leaves it as it was.
    fn put(&mut self, line: &[u8], sync: Sync) -> io::Result<()> {
        if let Err(error) = self.file.write_all(line) {
            return self.cut().and(Err(error));
        }
        match sync {
            Sync::Later => Ok(()),
            Sync::Now => self.sync().or_else(|error| self.cut().and(Err(error))),
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|_| self.condition = Condition::Broken)
    }

    /// Cuts the file after the last entry.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.end).inspect_err(|_| self.condition = Condition::Broken)
    }

    fn seal(&mut self) -> Result<Checkpoint, AuditError> {
        self.sync().map_err(not_writable(&self.paths.log))?;
        let checkpoint =
            Checkpoint { origin: self.origin().to_owned(), size: self.tree.size(), root: self.tree.root() };
        let note = self.key.sign(&checkpoint);
        self.publish(&checkpoint, &note)?;
        Ok(checkpoint)
    }
}

/// Waits for the exclusive lock; a signal does not end the wait.
fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn after_a_sync_that_failed_nothing_is_appended() {
        let state = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let mut log = Log::open(&state.path().join("audit"), &state.path().join("keys/audit.key"), now).unwrap();
        // A pipe cannot be synced.
        let (_reader, writer) = io::pipe().unwrap();
        let file = std::mem::replace(&mut log.file, File::from(OwnedFd::from(writer)));
        assert!(log.sync().is_err());
        log.file = file;
        let refused = log.append(now, &Event::Heartbeat {}, Sync::Now);
        assert!(matches!(refused, Err(AuditError::Broken { .. })), "{refused:?}");
    }
}
