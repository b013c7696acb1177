//! What can go wrong with the log, told apart by what the operator has to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::line::{LineFault, MAX_LINE};
use super::note::NoteError;

/// Why the log could not be opened, appended to, sealed or read. The cause, if any, is the error's source.
#[derive(Debug, Error)]
pub enum AuditError {
    /// Nothing was recorded: whatever the entry was to prove must not happen.
    #[error("cannot write {path}; free space or correct its owner and mode, nothing is erased before")]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Entries that were there are gone.
    #[error(
        "{path} has {found} entries and had {expected}: it was cut; keep it as it is, and restore the audit directory"
    )]
    ShorterThanCheckpoint {
        /// The log.
        path: PathBuf,
        /// Whole entries found.
        found: u64,
        /// Entries signed for, or seen before by this process.
        expected: u64,
    },
    /// The log is not the one that was signed.
    #[error("{path} is not what its checkpoint was signed for: it was changed; `forgetd audit verify` says more")]
    Tampered {
        /// The log.
        path: PathBuf,
    },
    /// A line that forgetd did not write.
    #[error("{path}:{}: the line {fault}; `forgetd audit verify` says more", index + 1)]
    BadLine {
        /// The log.
        path: PathBuf,
        /// The entry's index, from 0.
        index: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// An entry that this version cannot read.
    #[error("{path}:{}: an entry that this version does not understand", index + 1)]
    UnknownEntry {
        /// The log.
        path: PathBuf,
        /// The entry's index, from 0.
        index: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Another file stands under the log's name.
    #[error("{path} was moved, removed or replaced; put it back (it must never be rotated), then restart forgetd")]
    Replaced {
        /// The log.
        path: PathBuf,
    },
    /// An earlier write or sync failed in a way that leaves the file's state unknown.
    #[error("{path} is closed after a failed write; restart forgetd, which checks it first")]
    Broken {
        /// The log.
        path: PathBuf,
    },
    /// A log without its seal.
    #[error("{path} is missing although its log was begun; restore the audit directory")]
    CheckpointMissing {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A seal that does not hold.
    #[error("{path} is not a checkpoint signed by this log's key; restore the audit directory")]
    CheckpointInvalid {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// A log without its private key. A second key would make a second history.
    #[error("{path} is missing although an audit log was begun; restore it, a second key is never made")]
    KeyMissing {
        /// The private key.
        path: PathBuf,
    },
    /// A key that stands in a systemd credential which this process was not given.
    #[error(
        "the key of this audit log stands in the systemd credential `audit.key`, as {path} says: start forgetd with \
         `LoadCredential=audit.key:FILE`, a single command by `systemd-run --pipe -p LoadCredential=audit.key:FILE`"
    )]
    CredentialMissing {
        /// The file that refers to it.
        path: PathBuf,
    },
    /// The log says that its key was replaced, and there is neither the new key nor the proof of it.
    #[error(
        "the audit log's key was replaced by one that is neither in {path} nor beside it: restore the key directory"
    )]
    SuccessorMissing {
        /// The private key.
        path: PathBuf,
    },
    /// A private key that is not this log's.
    #[error("{path} is not the key that {verifier_key} names; restore the one it belongs to")]
    KeyMismatch {
        /// The private key.
        path: PathBuf,
        /// The public key.
        verifier_key: PathBuf,
    },
    /// A private key that others can read.
    #[error("{path} can be read or written by others (mode {mode:04o}); `chmod 600` it, if nobody may have copied it")]
    KeyPermissions {
        /// The private key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A private key file with something else in it.
    #[error("{path} does not hold a private key of an audit log; restore it")]
    KeyMalformed {
        /// The private key.
        path: PathBuf,
    },
    /// The system gave no randomness for a key.
    #[error("the system gave no random bytes for a key")]
    NoRandomness {
        /// What the system said.
        source: io::Error,
    },
    /// An entry that no line can hold; nothing was written.
    #[error("an entry {kind} of {length} bytes is longer than {MAX_LINE}")]
    EntryTooLong {
        /// The kind of event.
        kind: &'static str,
        /// The line's length in bytes.
        length: usize,
    },
    /// An entry that cannot be spelled; nothing was written.
    #[error("an entry {kind} cannot be written as JSON")]
    Encode {
        /// The kind of event.
        kind: &'static str,
        /// What the encoder said.
        source: serde_json::Error,
    },
}

/// `map_err(not_writable(path))`.
pub(super) fn not_writable(path: &Path) -> impl FnOnce(io::Error) -> AuditError {
    move |source| AuditError::NotWritable { path: path.to_path_buf(), source }
}

/// `map_err(not_readable(path))`.
pub(super) fn not_readable(path: &Path) -> impl FnOnce(io::Error) -> AuditError {
    move |source| AuditError::NotReadable { path: path.to_path_buf(), source }
}
