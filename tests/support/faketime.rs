//! A clock that a test sets: libfaketime stands between the C library and the program, and says the time that a file
//! says. What counts since the boot is read past it and stays true, as when a real clock is set; so do the clocks of
//! database servers.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const YEAR: i64 = 365 * DAY;

/// A clock, right at first.
pub(crate) struct Clock {
    directory: TempDir,
    library: String,
}

impl Clock {
    pub(crate) fn right() -> Clock {
        let clock = Clock { directory: tempfile::tempdir().unwrap(), library: library().display().to_string() };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// From now on it is so many seconds ahead of the true one, or behind.
    pub(crate) fn set(&self, seconds: i64) {
        let aside = self.directory.path().join("new");
        fs::write(&aside, format!("{seconds:+}\n")).unwrap();
        fs::rename(aside, self.file()).unwrap();
    }

    /// The same, and the next full minute begins in about two seconds: a schedule that runs every minute need not be
    /// waited for. Returns how far the clock is off.
    pub(crate) fn set_before_a_minute(&self, seconds: i64) -> i64 {
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let offset = seconds + 58 - (now + seconds).rem_euclid(MINUTE);
        self.set(offset);
        offset
    }

    /// What a program needs to see it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let file = self.file().display().to_string();
        [
            ("LD_PRELOAD", self.library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_RESET", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// Debian keeps it in a directory that is named by the machine.
fn library() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = places.map(|place| place.join("faketime/libfaketimeMT.so.1")).filter(|library| library.exists());
    found.next().expect("libfaketime is missing: apt-get install faketime")
}
