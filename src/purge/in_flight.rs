//! The batch in flight: what is needed to find out, after a crash, whether its transaction was committed.
//!
//! One private file per rule, replaced before every COMMIT and removed after the run's outcome is durable. It holds
//! keys of records; that is why they stand here and not in the evidence. **The file of batch *n* existing proves that
//! every earlier batch of the same run whose entry has no outcome was committed**: a rollback is recorded durably
//! before the next batch begins.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{StateError, StatePaths};
use crate::durable;
use crate::plan::Definition;

/// Keys of records are for the daemon alone.
const FILE_MODE: u32 = 0o600;

/// What the file says before the keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    /// The run.
    pub(super) run: String,
    /// The rule as it was at the run's start, whatever the configuration says by now.
    pub(super) definition: Definition,
    /// The run's moment.
    pub(super) now: Timestamp,
    /// The run's cutoff.
    pub(super) cutoff: Option<Timestamp>,
    /// Where in the audit log to look for the run's entries: none is before it.
    pub(super) first_entry: u64,
    /// Number of the batch; 0 before the first.
    pub(super) batch: u64,
    /// What the batch before it did: its own entry may be lost, and its records with it.
    #[serde(default)]
    pub(super) before: Option<Before>,
}

/// What the batch before the one in flight did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Before {
    /// Records erased or changed.
    pub(super) rows: u64,
}

/// A rule's file.
#[derive(Debug)]
pub(super) struct InFlight {
    path: PathBuf,
}

impl InFlight {
    pub(super) fn of(paths: &StatePaths, name: &str) -> InFlight {
        InFlight { path: paths.in_flight().join(name) }
    }

    /// Names of all rules with a run that has no outcome yet.
    pub(super) fn names(paths: &StatePaths) -> Result<Vec<String>, StateError> {
        let dir = paths.in_flight();
        let entries = fs::read_dir(&dir).map_err(StateError::file(&dir))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(StateError::file(&dir))?.file_name();
            // A file still being written has a suffix.
            names.extend(name.into_string().ok().filter(|name| !name.contains('.')));
        }
        Ok(names)
    }

    /// Replaces the file, durably.
    pub(super) fn write(&self, header: &Header, keys: &[u8]) -> Result<(), StateError> {
        let write = || -> std::io::Result<()> {
            let mut content = serde_json::to_vec(header)?;
            content.push(b'\n');
            content.extend_from_slice(keys);
            durable::replace(&self.path, &content, FILE_MODE)
        };
        write().map_err(StateError::file(&self.path))
    }

    /// Header and keys; `None` where there is no file.
    pub(super) fn read(&self) -> Result<Option<(Header, Vec<u8>)>, StateError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::File { path: self.path.clone(), source: error }),
        };
        let damaged = || std::io::Error::new(std::io::ErrorKind::InvalidData, "not a batch in flight");
        let end =
            bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged).map_err(StateError::file(&self.path))?;
        let (line, keys) = bytes.split_at(end);
        let header =
            serde_json::from_slice(line).map_err(std::io::Error::from).map_err(StateError::file(&self.path))?;
        Ok(Some((header, keys.get(1..).unwrap_or_default().to_vec())))
    }

    /// Removes the file, durably.
    pub(super) fn remove(&self) -> Result<(), StateError> {
        let remove = || match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => durable::sync_parent(&self.path),
        };
        remove().map_err(StateError::file(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_batch_in_flight_that_cannot_be_read_or_removed_is_not_one_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(directory.path());
        fs::create_dir(paths.in_flight()).unwrap();
        let in_flight = InFlight::of(&paths, "absent");
        assert!(in_flight.read().unwrap().is_none());
        in_flight.remove().unwrap();
        let in_flight = InFlight::of(&paths, "blocked");
        fs::create_dir(paths.in_flight().join("blocked")).unwrap();
        let told = |error: StateError| error.to_string().starts_with(&*in_flight.path.to_string_lossy());
        assert!(in_flight.read().is_err_and(told));
        assert!(in_flight.remove().is_err_and(told));
    }

    #[test]
    fn a_file_still_being_written_is_no_batch_in_flight() {
        let directory = tempfile::tempdir().unwrap();
        let paths = StatePaths::new(directory.path());
        fs::create_dir(paths.in_flight()).unwrap();
        let put = |name: &str| fs::write(Path::new(&paths.in_flight()).join(name), "").unwrap();
        put("0123");
        put("4567.new");
        assert_eq!(InFlight::names(&paths).unwrap(), ["0123"]);
    }
}
