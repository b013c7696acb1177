//! One file, written anew beside itself and put in its own place.
//!
//! The new file takes the name of the old one in a single exchange, so that at every moment one of them stands there
//! whole. The old one is let go only after that, once it is certain that nobody wrote to it meanwhile; otherwise the two
//! are exchanged back and the file waits for another run. **No line is lost on any path.** After a crash the name that
//! only forgetd uses tells what happened: it holds the new file (nothing was done), the old one (all but letting go was
//! done), or nothing (all was done).

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::engine::{Judgement, Tally};
use super::files::{Identity, LogDirectory, LogFile, OWN_PREFIX};
use super::memory::{self, Facts, Memory};
use super::openers::{Openers, Standing};
use super::pipeline::{self, Task};
use crate::plan::RuleName;
use crate::store::{Resolution, StoreError};

/// Until it is complete the new file is for forgetd alone.
const UNFINISHED: Mode = Mode::from_raw_mode(0o600);

/// The longest list of attributes, and the longest value, that Linux allows.
const ATTRIBUTES: usize = 65_536;

/// The name of forgetd's own file in the directory of a log, one for each rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnName(String);

impl OwnName {
    pub(super) fn of(rule: &RuleName) -> OwnName {
        let mut hex = crate::config::hex(Sha256::digest(rule.as_str()));
        hex.truncate(16);
        OwnName(format!("{OWN_PREFIX}{hex}"))
    }

    /// Removes what an earlier run left there.
    pub(super) fn clear(&self, directory: &LogDirectory) -> Result<(), StoreError> {
        match rustix::fs::unlinkat(&directory.file, self.0.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(directory.failed("an unfinished file cannot be removed", error)),
        }
    }
}

/// What becomes of a file in which no line stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Emptied {
    /// It is removed.
    Removed,
    /// It stays, empty: it is the one that the server opens next.
    Kept,
}

/// What is needed to find out how it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InFlight {
    name: Vec<u8>,
    old: Identity,
    new: Identity,
    emptied: Emptied,
}

/// What writing a file anew led to.
pub(super) enum Written<'d> {
    /// Nothing would change.
    Nothing(LogFile, Tally),
    /// The new file is complete and durable.
    Ready(Box<Replacement<'d>>),
}

/// A complete new file that waits to take its place. Dropped, it is removed.
pub(super) struct Replacement<'d> {
    directory: &'d LogDirectory,
    own: OwnName,
    old: LogFile,
    new: File,
    pub(super) tally: Tally,
    in_flight: InFlight,
    encoded: Vec<u8>,
    /// Whether somebody may ask later how it ended.
    told: Cell<bool>,
    ended: bool,
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    InPlace,
    /// Somebody wrote to the old file or moved it: everything is as it was.
    TurnedBack,
}

/// Writes `old` anew, as far as anything changes in it. Of a damaged file the error is [`io::ErrorKind::InvalidData`].
pub(super) fn write<'d>(
    directory: &'d LogDirectory,
    own: &OwnName,
    old: LogFile,
    judgement: &Judgement,
    (memory, now): (&Memory, super::time::Moment),
    emptied: Emptied,
) -> io::Result<Written<'d>> {
    own.clear(directory).map_err(io::Error::other)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = File::from(rustix::fs::openat(&directory.file, own.0.as_str(), flags, UNFINISHED)?);
    let mut unfinished = Unfinished { directory, own, is_kept: false };
    let writer = old.codec.writer(&new)?;
    let task = Task { judgement, codec: old.codec, writer: Some(writer) };
    let tally = pipeline::run(old.codec.reader(&old.file)?, task)?;
    if tally.matches == 0 {
        return Ok(Written::Nothing(old, tally));
    }
    copy_attributes(&old, &new)?;
    let identity = Identity::of(&rustix::fs::fstat(&new)?);
    let stays = Tally { lines: tally.lines - gone(judgement, &tally), matches: 0, ..tally };
    if let Some(facts) = Facts::of(&stays, now) {
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
    Ok(Written::Ready(Box::new(Replacement {
        directory,
        own,
        old,
        new,
        tally,
        in_flight,
        encoded,
        told,
        ended: false,
    })))
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

fn copy_extended(old: &File, new: &File) -> io::Result<()> {
    let mut names = vec![0; ATTRIBUTES];
    let length = match rustix::fs::flistxattr(old, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; ATTRIBUTES];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(memory::PREFIX.as_bytes()) {
            continue;
        }
        let length = rustix::fs::fgetxattr(old, name, &mut value[..])?;
        match rustix::fs::fsetxattr(new, name, &value[..length], XattrFlags::empty()) {
            // The system gives labels of its own to a new file, and not everybody may change them.
            Err(Errno::PERM | Errno::NOTSUP) if name.starts_with(b"security.") => {}
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
        let InFlight { name, old, .. } = &self.in_flight;
        let name = OsString::from_vec(name.clone());
        let here = self.directory.identity_at(&name);
        if here != Ok(*old) || self.old.identity_now() != Ok(*old) {
            return Ok(Placed::TurnedBack);
        }
        match exchange(self.directory, &self.own, &name) {
            Ok(()) => {}
            // Somebody moved it away.
            Err(Errno::NOENT) => return Ok(Placed::TurnedBack),
            Err(Errno::INVAL | Errno::NOSYS) => {
                return Err(self.directory.failed("its file system cannot exchange two names", "renameat2(2)"));
            }
            Err(error) => return Err(self.directory.failed("a file cannot be exchanged for its successor", error)),
        }
        // From here on the new file is the only one under the name, and not ours to remove.
        self.ended = true;
        let placed = confirm(self.directory, &self.own, &self.in_flight)?;
        self.ended = placed == Placed::InPlace;
        Ok(placed)
    }
}

fn exchange(directory: &LogDirectory, own: &OwnName, name: &OsString) -> Result<(), Errno> {
    let file = &directory.file;
    rustix::fs::renameat_with(file, own.0.as_str(), file, name, RenameFlags::EXCHANGE)
}

/// Lets the old file go, which stands under forgetd's own name by now, or takes the exchange back: another file
/// stood there in that moment, or somebody has the old one open or wrote to it.
fn confirm(directory: &LogDirectory, own: &OwnName, said: &InFlight) -> Result<Placed, StoreError> {
    let name = OsString::from_vec(said.name.clone());
    let taken = directory.identity_at(own.0.as_str());
    let is_idle = || matches!(Openers::look([said.old]).standing(&said.old), Standing::Idle | Standing::Unknown);
    // Whoever had it open and let go again may have written in between: its state is looked at last.
    if taken == Ok(said.old) && is_idle() && directory.identity_at(own.0.as_str()) == Ok(said.old) {
        own.clear(directory).map_err(|error| unknown(directory, error))?;
        let is_there = directory.identity_at(&name).is_ok_and(|here| here.is_file(&said.new));
        if said.emptied == Emptied::Removed && is_there {
            match rustix::fs::unlinkat(&directory.file, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(unknown(directory, error)),
            }
        }
        directory.sync().map_err(|error| unknown(directory, error))?;
        return Ok(Placed::InPlace);
    }
    exchange(directory, own, &name).map_err(|error| unknown(directory, error))?;
    directory.sync().map_err(|error| unknown(directory, error))?;
    Ok(Placed::TurnedBack)
}

fn unknown(directory: &LogDirectory, error: impl std::fmt::Display) -> StoreError {
    StoreError::CommitUnknown { place: directory.place.clone(), reason: error.to_string() }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.told.get() {
            // Whoever asks how it ended must find it here; what it holds is not needed.
            let _ = self.new.set_len(0);
        } else {
            let _ = self.own.clear(self.directory);
        }
    }
}

/// How a replacement ended whose process died.
pub(super) fn resolve(directory: &LogDirectory, own: &OwnName, in_flight: &[u8]) -> Result<Resolution, StoreError> {
    let said: InFlight = serde_json::from_slice(in_flight)
        .map_err(|_| directory.failed("an interrupted batch cannot be resolved", "it is none of a log"))?;
    match directory.identity_at(own.0.as_str()) {
        Ok(here) if here.is_file(&said.new) => {
            own.clear(directory)?;
            Ok(Resolution::RolledBack)
        }
        Ok(here) if here.is_file(&said.old) => match confirm(directory, own, &said)? {
            Placed::InPlace => Ok(Resolution::Committed),
            Placed::TurnedBack => {
                own.clear(directory)?;
                Ok(Resolution::RolledBack)
            }
        },
        Err(Errno::NOENT) if !directory.holds(&said.new)? && directory.holds(&said.old)? => Ok(Resolution::RolledBack),
        Err(Errno::NOENT) => Ok(Resolution::Committed),
        Ok(_) => Err(directory.failed("an interrupted batch cannot be resolved", "another file has taken its place")),
        Err(error) => Err(directory.failed("an interrupted batch cannot be resolved", error)),
    }
}
