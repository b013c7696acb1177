//! File systems on which nothing can be erased, also when the mode of a file says otherwise: those that are mounted
//! read-only, for everybody or in the sandbox of the service alone.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags};
use rustix::io::Errno;

/// What to do about it.
pub(super) const HINT: &str = "mount it for writing; where only the service sees it so, its sandbox does that: name the \
                               directory in `ReadWritePaths=`, as the drop-in of `forgetd check --stores` does";

/// What it is called.
pub(super) const MOUNTED: &str = "is on a file system that is mounted read-only";

/// Whether it is so for an open directory.
pub(super) fn is_mounted_read_only(directory: impl AsFd) -> Result<bool, Errno> {
    rustix::fs::fstatvfs(directory).map(is_read_only)
}

/// Whether it is so for a path. What cannot be asked is tried.
pub(super) fn is_path_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(is_read_only)
}

fn is_read_only(mount: StatVfs) -> bool {
    mount.f_flag.contains(StatVfsMountFlags::RDONLY)
}
