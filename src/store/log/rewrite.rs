//! One file, written anew beside itself and put in its own place.
//!
//! Here the new file is made; how it takes its place is the business of [`super::place`].

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::engine::{Judgement, Tally};
use super::files::{Identity, LogDirectory, LogFile, OWN_PREFIX};
use super::memory::{self, Facts, Memory};
use super::pipeline::{self, Task};
use super::place::{Emptied, InFlight, Placed, take_place};
use crate::plan::RuleName;
use crate::store::StoreError;

/// Until it is complete the new file is for forgetd alone.
const UNFINISHED: Mode = Mode::from_raw_mode(0o600);

/// The longest list of attributes, and the longest value, that Linux allows.
const ATTRIBUTES: usize = 65_536;

/// Names of forgetd's own files in the directory of a log, for each rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnName {
    /// Of the new file, and after an exchange of the old one.
    pub(super) new: String,
    /// Of an old file that is being removed.
    pub(super) taken: String,
}

impl OwnName {
    pub(super) fn of(rule: &RuleName) -> OwnName {
        let mut hex = crate::config::hex(Sha256::digest(rule.as_str()));
        hex.truncate(16);
        OwnName { new: format!("{OWN_PREFIX}{hex}"), taken: format!("{OWN_PREFIX}{hex}-taken") }
    }

    /// Removes a new file that an earlier run left there.
    pub(super) fn clear(&self, directory: &LogDirectory) -> Result<(), StoreError> {
        directory.remove_own(&self.new)
    }
}

/// What writing a file anew led to.
pub(super) enum Written<'d> {
    /// Nothing would change.
    Nothing(Box<LogFile>, Tally),
    /// The new file is complete and durable.
    Ready(Box<Replacement<'d>>),
}

/// A complete new file that waits to take its place. Dropped, it is removed.
pub(super) struct Replacement<'d> {
    directory: &'d LogDirectory,
    own: OwnName,
    old: Box<LogFile>,
    pub(super) tally: Tally,
    in_flight: InFlight,
    encoded: Vec<u8>,
    /// Whether somebody may ask later how it ended.
    told: Cell<bool>,
    ended: bool,
}

/// Writes `old` anew, as far as anything changes in it. Of a file that cannot be read the error is an [`super::files::Obstacle::of_reading`].
pub(super) fn write<'d>(
    directory: &'d LogDirectory,
    own: &OwnName,
    old: Box<LogFile>,
    judgement: &Judgement,
    (memory, now): (&Memory, super::time::Moment),
    emptied: Emptied,
) -> io::Result<Written<'d>> {
    own.clear(directory).map_err(io::Error::other)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = File::from(rustix::fs::openat(&directory.file, own.new.as_str(), flags, UNFINISHED)?);
    let mut unfinished = Unfinished { directory, own, is_kept: false };
    let writer = old.codec.writer(&new)?;
    let judgement = &judgement.of_file(old.identity.written());
    let task = Task { judgement, beside: &[], codec: old.codec, writer: Some(writer) };
    let tally = pipeline::run(old.codec.reader(&old.file)?, task)?.tally;
    if tally.matches == 0 {
        return Ok(Written::Nothing(old, tally));
    }
    copy_attributes(&old, &new)?;
    let identity = Identity::of(&rustix::fs::fstat(&new)?);
    let stays = Tally { lines: tally.lines - gone(judgement, &tally), matches: 0, ..tally };
    if let Some(facts) = Facts::of(&stays, judgement.cutoff(), identity.written(), now) {
        memory.keep(&new, &identity, &facts);
    }
    new.sync_all()?;
    directory.file.sync_all()?;
    let emptied = if stays.lines == 0 { emptied } else { Emptied::Kept };
    let name = old.name.as_bytes().to_vec();
    let in_flight = InFlight { name, old: old.identity, new: identity, emptied };
    let encoded = serde_json::to_vec(&in_flight)?;
    unfinished.is_kept = true;
    let own = own.clone();
    let told = Cell::new(false);
    Ok(Written::Ready(Box::new(Replacement { directory, own, old, tally, in_flight, encoded, told, ended: false })))
}

fn gone(judgement: &Judgement, tally: &Tally) -> u64 {
    if judgement.drops() { tally.matches } else { 0 }
}

/// Removes a file that will not be completed.
struct Unfinished<'u> {
    directory: &'u LogDirectory,
    own: &'u OwnName,
    is_kept: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            // The next walk removes what could not be removed now.
            let _ = self.own.clear(self.directory);
        }
    }
}

/// Owner, mode, extended attributes and times, in the order in which none undoes another.
fn copy_attributes(old: &LogFile, new: &File) -> io::Result<()> {
    let (is, was) = (rustix::fs::fstat(new)?, &old.stat);
    if (is.st_uid, is.st_gid) != (was.st_uid, was.st_gid) {
        rustix::fs::fchown(new, Some(Uid::from_raw(was.st_uid)), Some(Gid::from_raw(was.st_gid)))?;
    }
    remove_given(&old.file, new)?;
    rustix::fs::fchmod(new, Mode::from_raw_mode(was.st_mode))?;
    copy_extended(&old.file, new)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: was.st_atime, tv_nsec: nanos(was.st_atime_nsec) },
        last_modification: Timespec { tv_sec: was.st_mtime, tv_nsec: nanos(was.st_mtime_nsec) },
    };
    Ok(rustix::fs::futimens(new, &times)?)
}

/// There are fewer than a billion of them.
fn nanos(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(0)
}

/// Names of extended attributes. None where the file system has no such thing.
fn extended(file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; ATTRIBUTES];
    let length = match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    Ok(names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Takes away what the directory gives to every new file, such as further rights, and the old one did not have. Labels of
/// the system are its own business.
fn remove_given(old: &File, new: &File) -> io::Result<()> {
    let kept = extended(old)?;
    for name in extended(new)?.iter().filter(|name| !kept.contains(name) && !name.starts_with(b"security.")) {
        rustix::fs::fremovexattr(new, &name[..])?;
    }
    Ok(())
}

fn copy_extended(old: &File, new: &File) -> io::Result<()> {
    let mut value = vec![0; ATTRIBUTES];
    for name in extended(old)?.iter().filter(|name| !name.starts_with(memory::PREFIX.as_bytes())) {
        let length = rustix::fs::fgetxattr(old, &name[..], &mut value[..])?;
        match rustix::fs::fsetxattr(new, &name[..], &value[..length], XattrFlags::empty()) {
            // The system gives labels of its own to a new file, and not everybody may change them.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if name.starts_with(b"security.") => {}
            done => done?,
        }
    }
    Ok(())
}

impl Replacement<'_> {
    /// Which file the new one is.
    pub(super) fn identity(&self) -> Identity {
        self.in_flight.new
    }

    pub(super) fn in_flight(&self) -> &[u8] {
        self.told.set(true);
        &self.encoded
    }

    /// Takes the place of the old file.
    pub(super) fn place(mut self) -> Result<Placed, StoreError> {
        if self.old.identity_now() != Ok(self.old.identity) {
            return Ok(Placed::TurnedBack);
        }
        let placed = take_place(self.directory, &self.own, &self.in_flight);
        self.ended = matches!(placed, Ok(Placed::InPlace) | Err(StoreError::CommitUnknown { .. }));
        placed
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.told.get() {
            // Whoever asks how it ended must find it here; what it holds is not needed. One that stands anywhere else is not
            // ours to empty.
            let _ = self.directory.empty_own(&self.own.new, &self.in_flight.new);
        } else {
            let _ = self.own.clear(self.directory);
        }
    }
}
