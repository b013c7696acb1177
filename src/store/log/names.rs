//! What is done to names in the directory of a log, and to files of forgetd's own in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::files::{Identity, LogDirectory};
use crate::store::StoreError;

/// What stays free for the server while a file is written anew.
const LEFT_FREE: u64 = 16 << 20;

impl LogDirectory {
    /// Two names change places in one step.
    pub(super) fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.file, one, &self.file, other, RenameFlags::EXCHANGE)
    }

    /// Renames a file unless the new name is taken.
    pub(super) fn move_to_nothing(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.file, from, &self.file, to, RenameFlags::NOREPLACE)
    }

    /// Removes a file of forgetd's own.
    pub(super) fn remove_own(&self, name: &str) -> Result<(), StoreError> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("an unfinished file cannot be removed", error)),
        }
    }

    /// Opens a file of forgetd's own for reading.
    pub(super) fn open_own(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.file, name, flags, Mode::empty())?.into())
    }

    /// Empties a file of forgetd's own, if it is still the one that is meant.
    pub(super) fn empty_own(&self, name: &str, meant: &Identity) -> io::Result<()> {
        self.open_to_append(OsStr::new(name), meant)?.set_len(0)
    }

    /// Opens a file to write behind its end, if it is still the one that is meant.
    pub(super) fn open_to_append(&self, name: &OsStr, meant: &Identity) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.file, name, flags, Mode::empty())?);
        let is_it = Identity::of(&rustix::fs::fstat(&file)?).is_file(meant);
        if is_it { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Fails where there is no room to write a file anew that will take up to `size` bytes.
    pub(super) fn look_for_room(&self, size: u64) -> Result<(), StoreError> {
        let system = rustix::fs::fstatvfs(&self.file)
            .map_err(|error| self.failed("the file system cannot be looked at", error))?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let needed = size.saturating_add(LEFT_FREE);
        if free >= needed {
            return Ok(());
        }
        let (needed, free) = (needed.div_ceil(1 << 20), free >> 20);
        let why = format!("{needed} MiB must be free, and {free} MiB are");
        Err(self.failed("there is no room to write a file anew beside itself", why))
    }
}
