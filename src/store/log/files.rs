//! The files of a log: where they lie, which they are, and what keeps forgetd from touching one.
//!
//! Everything is reached from one descriptor of the directory, by single names and without following a link: what
//! somebody puts in the way while a run is under way leads nowhere.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use globset::GlobMatcher;
use jiff::Timestamp;
use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::codec::Codec;
use super::time::Moment;
use crate::config::site::Log;
use crate::store::{Finding, Physical, Severity, Shape, StoreError, read_only};

/// File systems in memory (linux/magic.h): what is gone from them is gone.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58F6];

/// Files of forgetd's own begin so; a log is never called so.
pub(super) const OWN_PREFIX: &str = ".forgetd-";

/// Which file it is, and in what state: as long as this is equal, so is what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds of the last change of what it holds.
    pub(super) modified: (i64, u64),
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Identity {
        Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            // No file has less than nothing.
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    /// When it was last written to. `None` where that lies beyond any log.
    pub(super) fn written(&self) -> Option<Moment> {
        let (seconds, nanos) = self.modified;
        Moment::of(Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()?)
    }

    /// Whether it is the same file, in whatever state.
    pub(super) fn is_file(&self, other: &Identity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Why a file that the pattern names is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// It is a symbolic link.
    Link,
    /// It has several names.
    HardLink,
    /// It lies on another file system.
    OtherMount,
    /// It may only be appended to, or not be changed at all.
    Protected,
    /// It may not be read.
    Forbidden,
    /// It is compressed in a way that is not known.
    UnknownCompression,
    /// It is compressed so that reading it takes too much memory.
    FarReaching,
    /// It is compressed, and the end or the middle is damaged.
    Damaged,
}

impl Obstacle {
    /// Why a file could not be read, where that is the file's own fault.
    pub(super) fn of_reading(error: &std::io::Error) -> Option<Obstacle> {
        match error.kind() {
            std::io::ErrorKind::InvalidData => Some(Obstacle::Damaged),
            std::io::ErrorKind::Unsupported => Some(Obstacle::FarReaching),
            _ => None,
        }
    }

    /// What it means for `count` files.
    pub(super) fn message(self, count: u64) -> String {
        let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let why = match self {
            Obstacle::Link => "is a symbolic link",
            Obstacle::HardLink => "has several names (hard links)",
            Obstacle::OtherMount => "lies on another file system than its directory",
            Obstacle::Protected => "may only be appended to or not be changed (chattr +a, +i)",
            Obstacle::Forbidden => "may not be read",
            Obstacle::UnknownCompression => "is compressed in a way that is not supported",
            Obstacle::FarReaching => "is compressed so that reading it needs more than 32 MiB of memory",
            Obstacle::Damaged => "is compressed and damaged",
        };
        format!("{files} matched by the pattern: each {why}, and nothing in it is erased")
    }

    pub(super) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Obstacle::Link => "name the directory that the file itself lies in",
            Obstacle::HardLink => "remove the other name",
            Obstacle::OtherMount => "declare a store of its own for it",
            Obstacle::Protected => "chattr -a, -i, once it is rotated",
            Obstacle::Forbidden => "run forgetd as root or as its owner",
            Obstacle::UnknownCompression => "let rotation compress with gzip or zstd",
            Obstacle::FarReaching => "let rotation compress without --long and --ultra",
            Obstacle::Damaged => "repair or remove it",
        })
    }
}

/// A file of a log, opened for reading.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) name: OsString,
    pub(super) file: File,
    pub(super) identity: Identity,
    pub(super) stat: Stat,
    pub(super) codec: Codec,
}

impl LogFile {
    /// Its identity as it is now.
    pub(super) fn identity_now(&self) -> Result<Identity, Errno> {
        rustix::fs::fstat(&self.file).map(|stat| Identity::of(&stat))
    }
}

/// What stands under a name.
pub(super) enum Found {
    File(Box<LogFile>),
    Obstacle(Obstacle),
    /// Nothing, or nothing that could be a log: a directory, a socket.
    Nothing,
}

/// The directory of a log.
#[derive(Debug)]
pub(super) struct LogDirectory {
    pub(super) file: File,
    pub(super) place: String,
    matcher: GlobMatcher,
    dotted: bool,
}

impl LogDirectory {
    pub(super) fn open(log: &Log) -> Result<LogDirectory, StoreError> {
        let place = log.location();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(CWD, &log.directory, flags, Mode::empty(), resolve).map_err(|error| {
            let reason = match error {
                Errno::NOENT => "the directory does not exist".to_owned(),
                Errno::LOOP => "the path goes through a symbolic link: write the real one".to_owned(),
                error => format!("the directory cannot be opened: {error}"),
            };
            StoreError::Unavailable { place: place.clone(), reason }
        })?;
        let pattern = log.pattern.as_str();
        let glob = globset::Glob::new(pattern)
            .map_err(|_| StoreError::Unavailable { place: place.clone(), reason: "the pattern is none".to_owned() })?;
        let dotted = pattern.starts_with('.');
        Ok(LogDirectory { file: file.into(), place, matcher: glob.compile_matcher(), dotted })
    }

    /// An error of the directory as a whole.
    pub(super) fn failed(&self, what: &str, error: impl std::fmt::Display) -> StoreError {
        StoreError::Failed { place: self.place.clone(), reason: format!("{what}: {error}") }
    }

    /// The names that the pattern matches, in no order.
    pub(super) fn names(&self) -> Result<Vec<OsString>, StoreError> {
        let mut names = Vec::new();
        self.each_name(|name| {
            if self.matches(std::ffi::OsStr::from_bytes(name)) {
                names.push(OsString::from_vec(name.to_vec()));
            }
        })?;
        Ok(names)
    }

    fn each_name(&self, mut visit: impl FnMut(&[u8])) -> Result<(), StoreError> {
        let failed = |error| self.failed("the directory cannot be read", error);
        for entry in Dir::read_from(&self.file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            // The directory above may be on a device where another file has the number of one of these.
            if !matches!(name, b"." | b"..") {
                visit(name);
            }
        }
        Ok(())
    }

    /// A name, other than forgetd's own, of a file that is `wanted`.
    pub(super) fn name_of(&self, wanted: impl Fn(&Identity) -> bool) -> Result<Option<OsString>, StoreError> {
        let mut found = None;
        self.each_name(|name| {
            let here = std::ffi::OsStr::from_bytes(name);
            let is_own = name.starts_with(OWN_PREFIX.as_bytes());
            if found.is_none() && !is_own && self.identity_at(here).is_ok_and(|identity| wanted(&identity)) {
                found = Some(here.to_owned());
            }
        })?;
        Ok(found)
    }

    /// The device by whose number a file is known now: some file systems get another one whenever they are mounted, and
    /// keep the numbers of their files. `None` where no file has its number.
    pub(super) fn device_of(&self, file: &Identity) -> Result<Option<u64>, StoreError> {
        let mut devices = BTreeSet::new();
        self.each_name(|name| {
            let here = self.identity_at(name).ok().filter(|here| here.inode == file.inode);
            devices.extend(here.map(|here| here.device));
        })?;
        match (devices.contains(&file.device), devices.len()) {
            (true, _) => Ok(Some(file.device)),
            (false, 0 | 1) => Ok(devices.first().copied()),
            _ => Err(self.failed("an interrupted batch cannot be resolved", "two files have the number of one")),
        }
    }

    /// Whether a name is one that the pattern means.
    pub(super) fn matches(&self, name: &std::ffi::OsStr) -> bool {
        let bytes = name.as_bytes();
        let hidden = bytes.starts_with(b".") && !self.dotted || bytes.starts_with(OWN_PREFIX.as_bytes());
        !hidden && self.matcher.is_match(Path::new(name))
    }

    /// What stands under `name` now.
    pub(super) fn identity_at(&self, name: impl rustix::path::Arg) -> Result<Identity, Errno> {
        rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Identity::of(&stat))
    }

    /// Opens what stands under `name`.
    pub(super) fn file_at(&self, name: OsString) -> Result<Found, StoreError> {
        // Neither a pipe nor a device is waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let file = match rustix::fs::openat2(&self.file, &name, flags, Mode::empty(), resolve) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Ok(Found::Obstacle(Obstacle::Link)),
            Err(Errno::XDEV) => return Ok(Found::Obstacle(Obstacle::OtherMount)),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Found::Obstacle(Obstacle::Forbidden)),
            Err(Errno::NOENT | Errno::NXIO) => return Ok(Found::Nothing),
            Err(error) => return Err(self.failed("a file cannot be opened", error)),
        };
        let failed = |error| self.failed("a file cannot be looked at", error);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Found::Nothing);
        }
        if stat.st_nlink != 1 {
            // No name at all: it was removed in this very moment.
            return Ok(if stat.st_nlink == 0 { Found::Nothing } else { Found::Obstacle(Obstacle::HardLink) });
        }
        let more = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(failed)?;
        if more.stx_attributes.intersects(StatxAttributes::APPEND | StatxAttributes::IMMUTABLE) {
            return Ok(Found::Obstacle(Obstacle::Protected));
        }
        let mut head = [0; 16];
        let length = std::os::unix::fs::FileExt::read_at(&file, &mut head, 0)
            .map_err(|error| self.failed("a file cannot be read", error))?;
        let codec = Codec::of_file(&name, &head[..length]);
        if codec == Codec::Unknown {
            return Ok(Found::Obstacle(Obstacle::UnknownCompression));
        }
        Ok(Found::File(Box::new(LogFile { name, file, identity: Identity::of(&stat), stat, codec })))
    }

    /// Which directory it is: what is underneath an unmounted one is another log.
    pub(super) fn shape(&self) -> Result<Shape, StoreError> {
        let failed = |error| self.failed("the directory cannot be looked at", error);
        let file_system = rustix::fs::fstatvfs(&self.file).map_err(failed)?.f_fsid;
        Ok(Shape::of_directory(file_system, rustix::fs::fstat(&self.file).map_err(failed)?.st_ino))
    }

    /// What keeps every file in it as it is: nothing can be written, or not by this process.
    pub(super) fn refusal(&self) -> Result<Option<Finding>, StoreError> {
        let failed = |error| self.failed("the directory cannot be looked at", error);
        let refuse = |message: String, hint: &str| {
            Some(Finding { severity: Severity::Refusal, message, hint: Some(hint.to_owned()) })
        };
        let is_read_only = read_only::is_mounted_read_only(&self.file).map_err(failed)?;
        let access = rustix::fs::accessat(&self.file, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        match access {
            _ if is_read_only => Ok(refuse(format!("{} {}", self.place, read_only::MOUNTED), read_only::HINT)),
            Ok(()) => Ok(None),
            Err(Errno::ACCESS | Errno::PERM) => Ok(refuse(
                format!("files of {} may not be written anew by the daemon's user", self.place),
                "give its user the right to write to the directory, as the drop-in of `forgetd check --stores` does",
            )),
            Err(error) => Err(failed(error)),
        }
    }

    /// What is physically left of files that were replaced.
    pub(super) fn what_is_left(&self) -> Result<Physical, StoreError> {
        let failed = |error| self.failed("the file system cannot be looked at", error);
        let magic = rustix::fs::fstatfs(&self.file).map_err(failed)?.f_type;
        if u64::try_from(magic).is_ok_and(|magic| IN_MEMORY.contains(&magic)) {
            return Ok(Physical::Gone);
        }
        Ok(Physical::Pending(
            "bytes of former files in the free space of the file system until they are overwritten or discarded, and \
             its snapshots and backups until they expire"
                .to_owned(),
        ))
    }

    /// Makes what was done to names last.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|error| self.failed("the directory cannot be synced", error))
    }
}
