//! Whether somebody still writes to a file, or reads it.
//!
//! A server keeps writing to its log after the file was renamed, until it is told to open another: only the kernel
//! knows when it has let go. And a program that compresses a file removes it afterwards by its name: what it reads
//! must not be replaced meanwhile. `F_SETLEASE` would tell of writers, but there is no safe binding of it; `/proc`
//! tells of both, to whoever may look into every process. Who may not is told so, and touches only files that nobody
//! has written to for long. Init writes no logs: that it cannot be looked into, as in some containers, says nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;

use super::files::Identity;
use crate::store::outside::look_from_outside;

/// The process that cannot be looked into in some containers, and keeps no log open.
const INIT: &str = "1";

/// The namespace of processes that holds all others (linux/proc_ns.h, `PROC_PID_INIT_INO`).
const OUTERMOST: &str = "pid:[4026531836]";

/// How often an open file is looked at before it counts as in use, and how long is waited in between.
const GLANCES: u32 = 10;
const GLANCE: Duration = Duration::from_millis(20);

/// Files that were open when it was looked.
#[derive(Debug, Default)]
pub(super) struct Openers {
    open: BTreeMap<(u64, u64), Standing>,
    view: View,
}

/// Whether every process could be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum View {
    #[default]
    Whole,
    Blind,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nobody has it open.
    Idle,
    /// It cannot be told.
    Unknown,
    /// Somebody reads it.
    Read,
    /// Somebody may write to it.
    Written,
}

impl Openers {
    /// Looks at one file, for a moment longer where it is open: most have it so for an instant only, and a process that is
    /// just being started holds whatever its parent has.
    pub(super) fn look_patiently(directory: &File, file: Identity) -> Openers {
        let mut openers = Openers::look(directory, [file]);
        for _ in 1..GLANCES {
            if openers.standing(&file) < Standing::Read {
                break;
            }
            std::thread::sleep(GLANCE);
            openers = Openers::look(directory, [file]);
        }
        openers
    }

    /// Looks which of `files` in a directory any process has open, this one aside as far as it only reads.
    pub(super) fn look(directory: &File, files: impl IntoIterator<Item = Identity>) -> Openers {
        let wanted = files.into_iter().map(|file| ((file.device, file.inode), Standing::Idle)).collect();
        let mut openers = Openers { open: wanted, view: View::Whole };
        if openers.open.is_empty() {
            return openers;
        }
        let looked = look_from_outside(move || {
            if openers.look_everywhere().is_err() {
                openers.view = View::Blind;
            }
            openers
        });
        // Nothing is known of any file then.
        let mut openers = looked.unwrap_or_else(|| Openers { view: View::Blind, ..Openers::default() });
        if may_be_written_from_outside(directory) {
            openers.view = View::Blind;
        }
        openers
    }

    /// Looks into every process. The error is of one that could not be looked into: the others were.
    fn look_everywhere(&mut self) -> io::Result<()> {
        let own = std::process::id().to_string();
        let (mut saw_init, mut looked) = (false, Ok(()));
        for process in fs::read_dir("/proc")? {
            let process = process?;
            let name = process.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            saw_init |= name == INIT;
            let reading = if name == OsStr::new(&own) { Standing::Idle } else { Standing::Read };
            let into = self.look_into(&process.path(), reading);
            if name != INIT {
                looked = looked.and(into);
            }
        }
        // Where others' processes are hidden (`hidepid`, `ProtectProc`), init is.
        if saw_init { looked } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// Whoever only reads counts as `reading`. The error is of one descriptor that could not be looked at: the others
    /// were.
    fn look_into(&mut self, process: &Path, reading: Standing) -> io::Result<()> {
        let descriptors = match fs::read_dir(process.join("fd")) {
            Err(error) if is_gone(&error) => return Ok(()),
            descriptors => descriptors?,
        };
        let mut looked = Ok(());
        for descriptor in descriptors {
            match descriptor.and_then(|descriptor| self.look_at(process, &descriptor, reading)) {
                Err(error) if !is_gone(&error) => looked = Err(error),
                // Closed in this very moment.
                Ok(()) | Err(_) => {}
            }
        }
        looked
    }

    fn look_at(&mut self, process: &Path, descriptor: &fs::DirEntry, reading: Standing) -> io::Result<()> {
        let path = descriptor.path();
        if !is_a_path(&fs::read_link(&path)?) {
            return Ok(());
        }
        if let Some(standing) = self.open.get_mut(&number_of(&path)?) {
            let used = match fs::read_to_string(process.join("fdinfo").join(descriptor.file_name())) {
                Ok(info) if may_write(&info) => Standing::Written,
                Ok(_) => reading,
                // What is closed by now is not written to; what cannot be read may be.
                Err(error) if is_gone(&error) => return Ok(()),
                Err(_) => Standing::Written,
            };
            *standing = used.max(*standing);
        }
        Ok(())
    }

    /// What is known of a file that was asked for.
    pub(super) fn standing(&self, file: &Identity) -> Standing {
        let seen = self.open.get(&(file.device, file.inode)).copied().unwrap_or(Standing::Unknown);
        match self.view {
            View::Whole => seen,
            View::Blind => seen.max(Standing::Unknown),
        }
    }

    /// Whether every process could be looked into.
    pub(super) fn view(&self) -> View {
        self.view
    }
}

/// Whether processes that cannot be seen from here may write to files of this directory: in a container to what is
/// mounted into it, since that may be mounted into another one too. The number of its device does not tell: it may be a
/// part of the very file system that the container's own files are on.
fn may_be_written_from_outside(directory: &File) -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    let is_outermost = namespace.is_some_and(|namespace| namespace == Path::new(OUTERMOST));
    let root = fs::File::open("/").ok();
    let is_own = root.and_then(|root| mount_of(&root)).is_some_and(|root| mount_of(directory) == Some(root));
    !is_outermost && !is_own
}

/// The number of the mount that a directory is in. Linux before 5.8 does not tell it.
fn mount_of(directory: &File) -> Option<u64> {
    let told = rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::MNT_ID).then_some(told.stx_mnt_id)
}

/// Whether what a descriptor is of has a path, and not only a number as pipes and sockets have (`pipe:[4711]`). Which path
/// says nothing: in another container it is another.
fn is_a_path(target: &Path) -> bool {
    target.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// The device and the number of an open file, as far as it is known without asking a server or a program that may not
/// answer.
fn number_of(descriptor: &Path) -> io::Result<(u64, u64)> {
    let told = rustix::fs::statx(CWD, descriptor, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
    Ok((rustix::fs::makedev(told.stx_dev_major, told.stx_dev_minor), told.stx_ino))
}

/// Whether a process has ended, or has closed what it had open, since it was seen. Anything else (no right to look, no
/// descriptor or memory to look with) leaves open what it has.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Whether a descriptor can write, by the flags it was opened with, in octal (proc(5)).
fn may_write(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    // Reading alone is the access mode 0; what cannot be read may write.
    flags.is_none_or(|flags| flags & 0o3 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use rustix::fs::fstat;

    use super::*;

    #[test]
    fn who_writes_to_a_file_is_told_from_who_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let opened = fs::File::open(directory.path()).unwrap();
        let path = directory.path().join("log");
        let writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let reader = fs::File::open(&path).unwrap();
        let identity = Identity::of(&fstat(&reader).unwrap());
        assert_eq!(Openers::look(&opened, [identity]).standing(&identity), Standing::Written);
        drop(writer);
        let hidden = |openers: &Openers| if openers.view() == View::Whole { Standing::Idle } else { Standing::Unknown };
        let openers = Openers::look(&opened, [identity]);
        assert_eq!(openers.standing(&identity), hidden(&openers), "this process may read it");
        let mut reading = std::process::Command::new("sleep").arg("60").stdin(reader).spawn().unwrap();
        assert_eq!(Openers::look(&opened, [identity]).standing(&identity), Standing::Read);
        reading.kill().unwrap();
        reading.wait().unwrap();
        let openers = Openers::look(&opened, [identity]);
        assert_eq!(openers.standing(&identity), hidden(&openers));
    }

    #[test]
    fn only_what_has_a_path_can_be_a_log() {
        for (target, has_one) in [
            ("/var/log/nginx/access.log", true),
            ("/logs/access.log (deleted)", true),
            ("(unreachable)/access[1]", true),
            ("/a[b]", true),
            ("socket:[4711]", false),
            ("pipe:[4711]", false),
            ("anon_inode:[eventfd]", false),
            ("anon_inode:inotify", false),
        ] {
            assert_eq!(is_a_path(Path::new(target)), has_one, "{target}");
        }
    }

    #[test]
    fn only_an_end_keeps_a_process_from_hiding_what_it_has_open() {
        let of = |error: Errno| io::Error::from_raw_os_error(error.raw_os_error());
        assert!(is_gone(&of(Errno::NOENT)) && is_gone(&of(Errno::SRCH)));
        for error in [Errno::ACCESS, Errno::PERM, Errno::MFILE, Errno::NOMEM, Errno::IO, Errno::STALE] {
            assert!(!is_gone(&of(error)), "{error}");
        }
    }

    #[test]
    fn the_access_mode_of_a_descriptor_is_read_from_its_flags() {
        assert!(!may_write("pos:\t0\nflags:\t0100000\nmnt_id:\t29\n"));
        assert!(may_write("pos:\t0\nflags:\t02102001\n"));
        assert!(may_write("pos:\t0\nflags:\t0100002\n"));
        assert!(may_write("unreadable"));
    }
}
