//! Reading the configuration directory: which files count, and whom they may belong to.
//!
//! Whoever can write here decides what is erased. So a file that anybody but root and the daemon's own user could
//! have written is refused, and nothing that only looks like a file (a FIFO, a device) is waited for.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::{Config, Problem, Problems};

/// Largest file that is read. A configuration of a thousand tables is a tenth of it.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Directories below the configuration directory whose files are read.
const SUBDIRECTORIES: [&str; 2] = ["processors", "sites"];

/// Files of the configuration directory itself.
pub(super) const DAEMON_FILE: &str = "forgetd.toml";
pub(super) const CATEGORIES_FILE: &str = "categories.toml";

/// One file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path below the configuration directory, separated by `/`: `sites/shop.example.toml`.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal: names the version.
    pub sha256: String,
}

impl Source {
    /// A file of this text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let sha256 = hex(Sha256::digest(&text));
        Source { path: path.into(), text, sha256 }
    }
}

impl Config {
    /// Reads and checks a directory.
    ///
    /// # Errors
    ///
    /// Every mistake there is, in one go.
    pub fn load(directory: &Path) -> Result<Config, Problems> {
        read_directory(directory).and_then(Config::parse)
    }

    /// SHA-256 over the paths and texts of all files, in hexadecimal: names this version of the whole.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for source in self.sources.values() {
            for part in [&source.path, &source.sha256] {
                hash.update(part);
                hash.update(b"\n");
            }
        }
        hex(hash.finalize())
    }
}

/// Lower-case hexadecimal.
pub fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads the files of a configuration directory, by their path below it.
///
/// Only `forgetd.toml`, `categories.toml`, `processors/*.toml` and `sites/*.toml` count; hidden files, editors'
/// backups and everything else are ignored. A symbolic link is followed, and its target is what is checked.
///
/// # Errors
///
/// Every file that cannot be read or that others could have written.
pub fn read_directory(directory: &Path) -> Result<BTreeMap<String, Source>, Problems> {
    let mut reading = Reading { directory, sources: BTreeMap::new(), problems: Vec::new() };
    if reading.check_directory("") {
        for name in [DAEMON_FILE, CATEGORIES_FILE].into_iter().filter(|name| directory.join(name).exists()) {
            reading.read_file(name.to_owned());
        }
        for name in SUBDIRECTORIES.into_iter().filter(|name| directory.join(name).exists()) {
            reading.read_subdirectory(name);
        }
    }
    if reading.problems.is_empty() { Ok(reading.sources) } else { Err(Problems::sorted(reading.problems)) }
}

/// Whether a value may come from a file that others could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It may not: what follows from it can erase.
    Required,
    /// It may: what follows from it can only keep, or read.
    NotNeeded,
}

/// The state directory that `forgetd.toml` names, found even while the rest of the configuration is invalid: a hold and
/// the stop switch must work then too. `None` where the file does not say it: guessing could place a hold where
/// nobody looks.
pub fn state_directory(directory: &Path, trust: Trust) -> Option<PathBuf> {
    let mut reading = Reading { directory, sources: BTreeMap::new(), problems: Vec::new() };
    reading.check_directory("");
    reading.read_file(DAEMON_FILE.to_owned());
    let text = match trust {
        Trust::Required if !reading.problems.is_empty() => return None,
        Trust::Required => reading.sources.remove(DAEMON_FILE)?.text,
        Trust::NotNeeded => std::fs::read_to_string(directory.join(DAEMON_FILE)).ok()?,
    };
    let (table, _) = DeTable::parse_recoverable(&text);
    let named = table.get_ref().get("state-dir")?.get_ref().as_str().map(PathBuf::from);
    named.filter(|path| path.is_absolute())
}

struct Reading<'a> {
    directory: &'a Path,
    sources: BTreeMap<String, Source>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn path(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.directory.to_owned() } else { self.directory.join(below) }
    }

    fn report(&mut self, file: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::of_file(file, message, hint));
    }

    /// Whether this is a directory that can be trusted and entered.
    fn check_directory(&mut self, below: &str) -> bool {
        let path = self.path(below);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                self.check_owner(below, &metadata);
                true
            }
            Ok(_) => {
                self.report(below, "this is not a directory", "the configuration is a directory of TOML files");
                false
            }
            Err(error) => {
                self.report(below, format!("cannot be read: {error}"), "name the directory with `--config DIR`");
                false
            }
        }
    }

    fn read_subdirectory(&mut self, name: &str) {
        if !self.check_directory(name) {
            return;
        }
        let entries = match std::fs::read_dir(self.path(name)).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.report(name, format!("cannot be read: {error}"), "check its permissions"),
        };
        for file_name in entries.iter().map(std::fs::DirEntry::file_name).filter(|name| counts(name)) {
            match file_name.to_str() {
                Some(file_name) => self.read_file(format!("{name}/{file_name}")),
                None => self.report(name, "a file name is not UTF-8", "rename it"),
            }
        }
    }

    fn read_file(&mut self, below: String) {
        let path = self.path(&below);
        // Without NONBLOCK, opening a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(error) => return self.report(&below, format!("cannot be read: {error}"), "check its permissions"),
        };
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => {
                if self.check_owner(&below, &metadata) {
                    self.read_text(below, file);
                }
            }
            Ok(_) => self.report(&below, "this is not a regular file", "remove or rename it"),
            Err(error) => self.report(&below, format!("cannot be read: {error}"), "check its permissions"),
        }
    }

    fn read_text(&mut self, below: String, file: File) {
        let mut bytes = Vec::new();
        // The size is bounded while reading: what the file system says of it may have changed since.
        if let Err(error) = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes) {
            return self.report(&below, format!("cannot be read: {error}"), "check its permissions");
        }
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST_FILE) {
            match String::from_utf8(bytes) {
                Ok(text) => drop(self.sources.insert(below.clone(), Source::new(below, text))),
                Err(_) => self.report(&below, "the text is not UTF-8", "save it as UTF-8"),
            }
        } else {
            self.report(&below, "the file is larger than 1 MiB", "split it: one file a site");
        }
    }

    /// Whether nobody but root and the daemon's own user can write there.
    fn check_owner(&mut self, below: &str, metadata: &std::fs::Metadata) -> bool {
        let path = self.path(below);
        let trusted_owner = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
        let closed = metadata.mode() & WRITABLE_BY_OTHERS == 0;
        if !trusted_owner {
            let message = "owned by neither root nor the user forgetd runs as, who could order an erasure here";
            self.report(below, message, format!("run `chown root {}`", path.display()));
        }
        if !closed {
            let message = "writable by group or others, who could order an erasure here";
            self.report(below, message, format!("run `chmod go-w {}`", path.display()));
        }
        trusted_owner && closed
    }
}

/// Whether a file of this name is meant to be read.
fn counts(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".")
}

#[cfg(test)]
mod tests;
