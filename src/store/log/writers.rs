//! Whether somebody still writes to a file.
//!
//! A server keeps writing to its log after the file was renamed, until it is told to open another: only the kernel
//! knows when it has let go. `F_SETLEASE` would tell, but there is no safe binding of it; `/proc` tells as well, to
//! whoever may look into every process. Who may not is told so, and touches only files that nobody has written to for
//! long. Init writes no logs: that it cannot be looked into, as in some containers, says nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::files::Identity;

/// Files that were open for writing when it was looked.
#[derive(Debug, Default)]
pub(super) struct Writers {
    open: BTreeSet<(u64, u64)>,
    view: View,
}

/// The process that cannot be looked into in some containers, and keeps no log open.
const INIT: &str = "1";

/// Whether every process could be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum View {
    #[default]
    Whole,
    Blind,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody writes to it.
    Idle,
    /// Somebody does.
    Written,
    /// It cannot be told.
    Unknown,
}

impl Writers {
    /// Looks which of `files` are open for writing, by the files of every process.
    pub(super) fn look(files: impl IntoIterator<Item = Identity>) -> Writers {
        let wanted: BTreeSet<(u64, u64)> = files.into_iter().map(|file| (file.device, file.inode)).collect();
        let mut writers = Writers::default();
        if wanted.is_empty() {
            return writers;
        }
        let Ok(processes) = fs::read_dir("/proc") else { return Writers { view: View::Blind, ..writers } };
        for process in processes.flatten() {
            let name = process.file_name();
            let is_process = name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
            if is_process
                && writers.look_into(&process.path(), &wanted).is_err_and(|error| is_refusal(&error))
                && name != INIT
            {
                writers.view = View::Blind;
            }
        }
        writers
    }

    fn look_into(&mut self, process: &Path, wanted: &BTreeSet<(u64, u64)>) -> io::Result<()> {
        for descriptor in fs::read_dir(process.join("fd"))? {
            let descriptor = descriptor?;
            let target = match fs::metadata(descriptor.path()) {
                Ok(target) => (target.dev(), target.ino()),
                Err(error) if is_refusal(&error) => return Err(error),
                // Closed in this very moment.
                Err(_) => continue,
            };
            if wanted.contains(&target) {
                let place = process.join("fdinfo").join(descriptor.file_name());
                // What is closed by now is not written to; what cannot be read may be.
                let may_write = fs::read_to_string(place).map_or_else(|error| is_refusal(&error), |info| may_write(&info));
                if may_write {
                    self.open.insert(target);
                }
            }
        }
        Ok(())
    }

    /// What is known of a file that was asked for.
    pub(super) fn standing(&self, file: &Identity) -> Standing {
        match self.view {
            _ if self.open.contains(&(file.device, file.inode)) => Standing::Written,
            View::Whole => Standing::Idle,
            View::Blind => Standing::Unknown,
        }
    }

    /// Whether every process could be looked into.
    pub(super) fn view(&self) -> View {
        self.view
    }
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
    fn a_file_open_for_writing_is_told_from_one_that_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let reader = fs::File::open(&path).unwrap();
        let identity = Identity::of(&fstat(&reader).unwrap());
        assert_eq!(Writers::look([identity]).standing(&identity), Standing::Written);
        drop(writer);
        let writers = Writers::look([identity]);
        let expected = if writers.view() == View::Whole { Standing::Idle } else { Standing::Unknown };
        assert_eq!(writers.standing(&identity), expected);
    }

    #[test]
    fn the_access_mode_of_a_descriptor_is_read_from_its_flags() {
        assert!(!may_write("pos:\t0\nflags:\t0100000\nmnt_id:\t29\n"));
        assert!(may_write("pos:\t0\nflags:\t02102001\n"));
        assert!(may_write("pos:\t0\nflags:\t0100002\n"));
        assert!(may_write("unreadable"));
    }
}
