//! The state directory: register, audit log, keys, locks, batches in flight, and the stop switch.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use crate::audit::{AuditError, Event, Log, Sync};
use crate::config::{Config, hex};
use crate::durable::{self, NoLink};
use crate::plan::{Rule, RuleName};
use crate::register::{FILE_NAME, Recorded, Register, RegisterError};
use crate::safety::{Stop, approval};

/// Nobody but the daemon's user and its group looks into the state: holds name values of records.
const DIRECTORY_MODE: u32 = 0o750;

/// Keys of records in flight and locks are the daemon's alone.
const PRIVATE_MODE: u32 = 0o700;

/// Where the parts of the state stand.
#[derive(Debug, Clone)]
pub struct StatePaths {
    dir: PathBuf,
}

impl StatePaths {
    /// The state in `dir`.
    pub fn new(dir: &Path) -> StatePaths {
        StatePaths { dir: dir.to_owned() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The register.
    pub fn register(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// The audit log's directory.
    pub fn audit(&self) -> PathBuf {
        self.dir.join("audit")
    }

    /// The private key that signs checkpoints.
    pub fn key(&self) -> PathBuf {
        self.dir.join("keys").join("audit.key")
    }

    /// The stop switch: purges stop while the file exists.
    pub fn stop_switch(&self) -> PathBuf {
        self.dir.join("stop")
    }

    /// Touched by commands that the daemon should look at once.
    pub fn wake(&self) -> PathBuf {
        self.dir.join("wake").join("now")
    }

    /// Batches in flight.
    pub(super) fn in_flight(&self) -> PathBuf {
        self.dir.join("in-flight")
    }

    fn locks(&self) -> PathBuf {
        self.dir.join("locks")
    }

    /// The register for reading; `None` before the first start.
    ///
    /// # Errors
    /// It cannot be read, or it is gone: the audit log's key is made only once there is a register.
    pub fn existing_register(&self) -> Result<Option<Register>, StateError> {
        let begun = self.key().exists();
        match Register::open_existing(&self.register())? {
            None if begun => Err(StateError::RegisterLost { path: self.register() }),
            register => Ok(register),
        }
    }

    /// Whether purges are stopped. A switch that cannot be looked at counts as set.
    pub fn stop(&self) -> Stop {
        match self.stop_switch().try_exists() {
            Ok(false) => Stop::Lifted,
            Ok(true) | Err(_) => Stop::Set,
        }
    }
}

/// The open state, for those who change it.
#[derive(Debug)]
pub struct State {
    /// Where it stands.
    pub paths: StatePaths,
    /// The register.
    pub register: Register,
    /// The audit log.
    pub log: Log,
}

/// The state cannot be opened or written: nothing may be erased.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A directory or file of the state.
    #[error("{path}: {source}: nothing is erased until it can be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A register that was there is not. An empty one in its place would know of no hold.
    #[error(
        "{path} is missing although an audit log was begun, and holds may have stood in it: restore it from a backup; \
         nothing is erased before"
    )]
    RegisterLost {
        /// The register.
        path: PathBuf,
    },
    /// The register.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl StateError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.to_owned();
        move |source| StateError::File { path, source }
    }
}

impl State {
    /// Opens the state in `dir`, creating it at the first start.
    ///
    /// # Errors
    /// Something in it cannot be opened, created or trusted.
    pub fn open(dir: &Path, now: Timestamp) -> Result<State, StateError> {
        let paths = StatePaths::new(dir);
        create_directory(dir, DIRECTORY_MODE)?;
        for private in [paths.in_flight(), paths.locks()] {
            create_directory(&private, PRIVATE_MODE)?;
        }
        create_directory(&dir.join("wake"), DIRECTORY_MODE)?;
        paths.existing_register()?;
        // SQLite gives its side files the mode of the database: created closed, they all are.
        open_private(&paths.register())?;
        let register = Register::open(&paths.register())?;
        let log = Log::open(&paths.audit(), &paths.key(), now)?;
        Ok(State { paths, register, log })
    }
}

impl State {
    /// Records `config` as in force, with an entry in the audit log before, and carries approvals over to its rules.
    /// The same configuration again changes nothing.
    ///
    /// # Errors
    /// The register or the audit log cannot be written: the version before stays in force.
    pub fn apply(&mut self, config: &Config, rules: &[Rule], now: Timestamp) -> Result<Recorded, StateError> {
        let State { register, log, .. } = self;
        let recorded = register.record(config, now, |recorded| -> Result<(), StateError> {
            let event = Event::ConfigApplied {
                version: recorded.version,
                digest: config.digest(),
                files: u64::try_from(config.sources.len()).unwrap_or(u64::MAX),
                changes: in_bounds(&recorded.changes),
            };
            log.append(now, &event, Sync::Now)?;
            Ok(())
        })?;
        // Always: the process that recorded this version may have died before it came to the approvals.
        approval::carry_over(register, rules, now)?;
        if recorded.new_version {
            log.checkpoint()?;
        }
        Ok(recorded)
    }
}

/// Most changes that one entry names, and the length of each: an entry is bounded, a first configuration is not.
const MOST_CHANGES: usize = 100;
const LONGEST_CHANGE: usize = 200;

fn in_bounds(changes: &[String]) -> Vec<String> {
    let shorten = |change: &String| change.chars().take(LONGEST_CHANGE).collect();
    let mut named: Vec<String> = changes.iter().take(MOST_CHANGES).map(shorten).collect();
    if let Some(more) = changes.len().checked_sub(MOST_CHANGES).filter(|more| *more > 0) {
        named.push(format!("and {more} more: `forgetd register history`"));
    }
    named
}

fn create_directory(path: &Path, mode: u32) -> Result<(), StateError> {
    durable::make_dir(path, mode).map_err(StateError::file(path))
}

/// Opens, creating it where needed, a file that only the state's owner may read.
pub(crate) fn open_private(path: &Path) -> Result<fs::File, StateError> {
    let open = || {
        let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).no_link().open(path)?;
        durable::give_to_owner(&file, path)?;
        Ok(file)
    };
    open().map_err(StateError::file(path))
}

/// The name under which a rule's lock and batch in flight are filed: rule names may hold any character.
pub(super) fn file_name(rule: &RuleName) -> String {
    hex(Sha256::digest(rule.as_str().as_bytes())).chars().take(32).collect()
}

/// Exclusive right to run one rule, between processes too. Ends with the value, or with the process.
#[derive(Debug)]
pub(super) struct RuleLock {
    _file: fs::File,
}

impl RuleLock {
    /// `None` where another process, or another thread, runs the rule.
    pub(super) fn try_acquire(paths: &StatePaths, name: &str) -> Result<Option<RuleLock>, StateError> {
        let path = paths.locks().join(name);
        let file = open_private(&path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(RuleLock { _file: file })),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(StateError::File { path, source: error.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_files_of_its_own_whose_name_does_not_tell_it() {
        let rule = |name: &str| serde_json::from_value::<RuleName>(name.into()).unwrap();
        let names = ["shop.example/chat/visitors", "shop.example/chat/visitor"].map(|name| file_name(&rule(name)));
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }

    #[test]
    fn a_hundred_changes_are_named_and_more_are_counted() {
        let changes: Vec<String> = (1..=102).map(|number| format!("change {number}")).collect();
        assert_eq!(in_bounds(&changes[..100]), changes[..100]);
        let more = |count: &str| [&changes[..100], &[format!("and {count} more: `forgetd register history`")]].concat();
        assert_eq!(in_bounds(&changes[..101]), more("1"));
        assert_eq!(in_bounds(&changes), more("2"));
        assert_eq!(in_bounds(&["ž".repeat(300)]), ["ž".repeat(200)]);
    }
}
