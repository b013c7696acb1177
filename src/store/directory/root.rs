//! The directory itself, and the one way to open what is below it.
//!
//! It is opened once for a run: whatever is mounted, moved or linked in its place afterwards is another directory.
//! Below it the kernel itself refuses to follow links, to leave the tree and to cross into another file system
//! (openat2(2)).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use crate::config::site::Directory;
use crate::store::{Physical, StoreError};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// On the way to the root mounts are usual, links are not: a link may lead elsewhere tomorrow.
const TO_THE_ROOT: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

const BELOW: ResolveFlags = TO_THE_ROOT.union(ResolveFlags::BENEATH).union(ResolveFlags::NO_XDEV);

/// The kernel gives up when somebody renames a directory just then; it asks to be asked again.
const ATTEMPTS: usize = 32;

/// Longest path that one call takes, with its NUL (PATH_MAX).
const LONGEST_PATH: usize = 4096;

/// File systems in memory (linux/magic.h): what is gone from them is gone.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58F6];

/// Identifies the boot of this machine.
pub(super) const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What makes an open directory the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The file system: derived from its UUID on most, so that it stays the same when devices are numbered anew.
    pub(super) file_system: u64,
    /// The directory's inode.
    pub(super) inode: u64,
}

/// The open directory.
pub(super) struct Root {
    fd: OwnedFd,
    /// As errors name it.
    pub(super) place: String,
    pub(super) identity: Identity,
    /// Major and minor number of the device.
    pub(super) device: (u32, u32),
    in_memory: bool,
    /// The boot of this machine, with which a file system in memory ends; empty for others.
    pub(super) boot: Vec<u8>,
}

impl Root {
    pub(super) fn open(directory: &Directory) -> Result<Root, StoreError> {
        let place = directory.location();
        let unavailable = |error: Errno| StoreError::Unavailable {
            place: place.clone(),
            reason: match error {
                Errno::NOENT => "there is no such directory".to_owned(),
                Errno::NOTDIR => "it is not a directory".to_owned(),
                Errno::LOOP => "a part of the path is a symbolic link: write where it leads to".to_owned(),
                Errno::NOSYS => {
                    "openat2(2) is not to be had: the kernel is older than Linux 5.6, or a sandbox takes it away, as \
                    `RestrictSUIDSGID=yes` of a systemd unit does"
                        .to_owned()
                }
                error => error.to_string(),
            },
        };
        let fd = rustix::fs::openat2(CWD, &directory.path, DIRECTORY, Mode::empty(), TO_THE_ROOT);
        let fd = fd.map_err(unavailable)?;
        let stat = stat(fd.as_fd(), c"", AtFlags::EMPTY_PATH).map_err(unavailable)?;
        let file_system = rustix::fs::fstatvfs(&fd).map_err(unavailable)?.f_fsid;
        let magic = rustix::fs::fstatfs(&fd).map_err(unavailable)?.f_type;
        let in_memory = u64::try_from(magic).is_ok_and(|magic| IN_MEMORY.contains(&magic));
        Ok(Root {
            fd,
            place,
            identity: Identity { file_system, inode: stat.stx_ino },
            device: device(&stat),
            in_memory,
            // Where it cannot be told, such a file system is treated like one on a disk.
            boot: if in_memory { std::fs::read(BOOT).unwrap_or_default() } else { Vec::new() },
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether what the kernel says of a file on `device` may be about one of these. File systems that number their
    /// parts (btrfs) or their layers (overlayfs) tell another device for a file than for its directory, and a third for
    /// its lock. All such devices have no major number, and there any counts.
    pub(super) fn may_have(&self, device: (u32, u32)) -> bool {
        let is_exact = self.device.0 != 0 || self.in_memory;
        device == self.device || (!is_exact && device.0 == 0)
    }

    /// The inode of an open directory; `None` where it is on another device than the root. A part of the file system
    /// that has one of its own (a subvolume or a snapshot of btrfs) is no mount, and its inodes are numbered anew.
    pub(super) fn inode(&self, directory: BorrowedFd<'_>) -> Result<Option<u64>, Errno> {
        let stat = stat(directory, c"", AtFlags::EMPTY_PATH)?;
        Ok((device(&stat) == self.device).then_some(stat.stx_ino))
    }

    /// The directory itself once more, with a position of its own.
    pub(super) fn reopen(&self) -> Result<OwnedFd, StoreError> {
        rustix::fs::openat(&self.fd, c".", DIRECTORY, Mode::empty()).map_err(|error| self.unavailable(error))
    }

    /// The directory at `path` below the root. `None` where there is none, or none that may be entered.
    pub(super) fn reach(&self, path: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        let mut reached: Option<OwnedFd> = None;
        let mut rest = path;
        loop {
            let (piece, after) = split_path(rest);
            let from = reached.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let piece = CString::new(if piece.is_empty() { b"." } else { piece }).map_err(|_| Errno::INVAL)?;
            let Some(next) = enter(from, &piece)? else { return Ok(None) };
            if after.is_empty() {
                return Ok(Some(next));
            }
            (reached, rest) = (Some(next), after);
        }
    }

    /// The store cannot be used as it is. The reason says nothing of the name it happened at.
    pub(super) fn unavailable(&self, error: Errno) -> StoreError {
        let reason = match error {
            Errno::ACCESS | Errno::PERM => "a directory below it, or a file in one, may not be looked at".to_owned(),
            error => error.to_string(),
        };
        StoreError::Unavailable { place: self.place.clone(), reason }
    }

    pub(super) fn failed(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Failed { place: self.place.clone(), reason: reason.into() }
    }

    /// What is physically left of removed files.
    pub(super) fn what_is_left(&self) -> Physical {
        if self.in_memory {
            return Physical::Gone;
        }
        Physical::Pending(
            "bytes in the free space of the file system until they are overwritten or discarded, and its snapshots and \
             backups until they expire"
                .to_owned(),
        )
    }
}

/// A directory by its name in another. `None` where it is gone, is none, is a link or another file system.
pub(super) fn enter(from: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(from, name, DIRECTORY, Mode::empty(), BELOW) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    // It may well be there: to take it for gone would be a wrong count.
    Err(Errno::AGAIN)
}

/// Makes the removals from a directory durable, as far as its file system can (that of SMB cannot).
pub(super) fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        synced => synced,
    }
}

/// What there is to know of a file, without following a link.
pub(super) fn stat(from: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<Statx, Errno> {
    const WANTED: StatxFlags = StatxFlags::TYPE
        .union(StatxFlags::NLINK)
        .union(StatxFlags::INO)
        .union(StatxFlags::MTIME)
        .union(StatxFlags::CTIME)
        .union(StatxFlags::BTIME);
    let flags = flags | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(from, name, flags, WANTED)
}

/// Major and minor number of the device.
pub(super) fn device(stat: &Statx) -> (u32, u32) {
    (stat.stx_dev_major, stat.stx_dev_minor)
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// The beginning of a path that one call takes, whole names of it, and the rest.
fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() < LONGEST_PATH {
        return (path, &[]);
    }
    let head = path.get(..LONGEST_PATH).unwrap_or(path);
    let at = head.iter().rposition(|byte| *byte == b'/').unwrap_or(head.len());
    (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_taken_in_pieces_of_whole_names_that_the_kernel_accepts() {
        let name = "n".repeat(255);
        let path = vec![name.as_str(); 1_000].join("/");
        let (mut rest, mut pieces) = (path.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let (piece, after) = split_path(rest);
            assert!(piece.len() < LONGEST_PATH && !piece.is_empty());
            pieces.push(std::str::from_utf8(piece).unwrap());
            rest = after;
        }
        assert_eq!(pieces.join("/"), path);
    }
}
