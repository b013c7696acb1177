//! Whether somebody still writes to a file, or reads it.
//!
//! A server keeps writing to its log after the file was renamed, until it is told to open another: only the kernel
//! knows when it has let go. And a program that compresses a file removes it afterwards by its name: what it reads
//! must not be replaced meanwhile. `F_SETLEASE` would tell of writers, but there is no safe binding of it; `/proc`
//! tells of both, to whoever may look into every process. Who may not is told so, and touches only files that nobody
//! has written to for long. Init writes no logs: that it cannot be looked into, as in some containers, says nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::files::Identity;

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
    pub(super) fn look_patiently(file: Identity) -> Openers {
        let mut openers = Openers::look([file]);
        for _ in 1..GLANCES {
            if openers.standing(&file) < Standing::Read {
                break;
            }
            std::thread::sleep(GLANCE);
            openers = Openers::look([file]);
        }
        openers
    }

    /// Looks which of `files` any process has open, this one aside as far as it only reads.
    pub(super) fn look(files: impl IntoIterator<Item = Identity>) -> Openers {
        let wanted = files.into_iter().map(|file| ((file.device, file.inode), Standing::Idle)).collect();
        let mut openers = Openers { open: wanted, view: View::Whole };
        if openers.open.is_empty() {
            return openers;
        }
        let Ok(processes) = fs::read_dir("/proc") else { return Openers { view: View::Blind, ..openers } };
        let own = std::process::id().to_string();
        let mut saw_init = false;
        for process in processes.flatten() {
            let name = process.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            saw_init |= name == INIT;
            let reading = if name == OsStr::new(&own) { Standing::Idle } else { Standing::Read };
            if openers.look_into(&process.path(), reading).is_err_and(|error| is_refusal(&error)) && name != INIT {
                openers.view = View::Blind;
            }
        }
        // Where others' processes are hidden (`hidepid`, `ProtectProc`), init is.
        if !saw_init || openers.open.keys().any(|(device, _)| may_be_written_from_outside(*device)) {
            openers.view = View::Blind;
        }
        openers
    }

    /// Whoever only reads counts as `reading`.
    fn look_into(&mut self, process: &Path, reading: Standing) -> io::Result<()> {
        for descriptor in fs::read_dir(process.join("fd"))? {
            let descriptor = descriptor?;
            let target = match fs::metadata(descriptor.path()) {
                Ok(target) => (target.dev(), target.ino()),
                Err(error) if is_refusal(&error) => return Err(error),
                // Closed in this very moment.
                Err(_) => continue,
            };
            if let Some(standing) = self.open.get_mut(&target) {
                let place = process.join("fdinfo").join(descriptor.file_name());
                let used = match fs::read_to_string(place) {
                    Ok(info) if may_write(&info) => Standing::Written,
                    Ok(_) => reading,
                    // What cannot be read may be writing; what is closed by now is not.
                    Err(error) if is_refusal(&error) => Standing::Written,
                    Err(_) => continue,
                };
                *standing = used.max(*standing);
            }
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

/// Whether processes that cannot be seen from here may write to files on this device: in a container to what is mounted
/// into it, since that may be mounted into another one too.
fn may_be_written_from_outside(device: u64) -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    let is_outermost = namespace.is_some_and(|namespace| namespace == Path::new(OUTERMOST));
    !is_outermost && !fs::metadata("/").is_ok_and(|root| root.dev() == device)
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
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
        let path = directory.path().join("log");
        let writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let reader = fs::File::open(&path).unwrap();
        let identity = Identity::of(&fstat(&reader).unwrap());
        assert_eq!(Openers::look([identity]).standing(&identity), Standing::Written);
        drop(writer);
        let hidden = |openers: &Openers| if openers.view() == View::Whole { Standing::Idle } else { Standing::Unknown };
        let openers = Openers::look([identity]);
        assert_eq!(openers.standing(&identity), hidden(&openers), "this process may read it");
        let mut reading = std::process::Command::new("sleep").arg("60").stdin(reader).spawn().unwrap();
        assert_eq!(Openers::look([identity]).standing(&identity), Standing::Read);
        reading.kill().unwrap();
        reading.wait().unwrap();
        let openers = Openers::look([identity]);
        assert_eq!(openers.standing(&identity), hidden(&openers));
    }

    #[test]
    fn the_access_mode_of_a_descriptor_is_read_from_its_flags() {
        assert!(!may_write("pos:\t0\nflags:\t0100000\nmnt_id:\t29\n"));
        assert!(may_write("pos:\t0\nflags:\t02102001\n"));
        assert!(may_write("pos:\t0\nflags:\t0100002\n"));
        assert!(may_write("unreadable"));
    }
}
