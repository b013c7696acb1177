//! The evidence: what was decided and erased, in a form that a reader can check without trusting the server.
//!
//! `log.jsonl` grows by one JSON object per line and never changes otherwise. Each line, without its newline, is a
//! leaf of an RFC 6962 Merkle tree, so that 32 bytes stand for the whole history. A *checkpoint* is the tree's size
//! and root in a C2SP signed note; whoever keeps a copy of one can later tell whether the history before it was
//! rewritten. Root on the host can always sign again, so a claim is only as strong as the checkpoint that somebody
//! else kept: [`verify()`] says *anchored* only when it was given one.
//!
//! These stand in the log's directory ([`Paths`]); the private key stands elsewhere:
//!
//! * `log.jsonl`, the entries ([`Entry`], [`Event`]);
//! * `checkpoint`, the latest signed statement ([`Checkpoint`]);
//! * `forgetd.vkey`, the public key in C2SP form ([`VerifierKey`]);
//! * `rotations`, how each key handed over to the next ([`Keys`]);
//! * `index`, leaf hashes and offsets: a cache, compared with the signed root before it is believed.
//!
//! No entry carries personal data: rules, counts, instants, reasons and user ids of operators, never a key, an
//! address, a file name or a hash of one.
//!
//! [`Log`] appends, [`read`] reads, [`verify()`] judges, [`prove`] proves one entry to whoever does not have the log;
//! [`merkle`], [`note`] and [`Proof`] are the public formats.

mod entry;
mod error;
mod index;
mod key;
mod keys;
mod line;
mod log;
pub mod merkle;
pub mod note;
mod proof;
mod publish;
pub mod read;
mod reviews;
mod rotate;
mod start;
mod verdict;
mod verify;

use std::path::{Path, PathBuf};

pub use entry::{BatchOutcome, DriftChecked, DriftFinding, Entry, Event, Kept, RestoredPart, RunFinished, RunOutcome};
pub use error::AuditError;
pub use keys::{Keys, RotationFault, parse_file as parse_verifier_key};
pub use line::{LineFault, MAX_LINE};
pub use log::{Log, Sync};
pub use note::{Checkpoint, NoteError, VerifierKey};
pub use proof::{Proof, ProofFault, ProveError, anchor, prove};
pub use reviews::Follower;
pub use start::check_key;
pub use verdict::{Compared, Fault, Review, Verdict, Verification, VerifyError};
pub use verify::{Trusted, verify, verify_with};

/// Where the parts of an audit log stand in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The directory itself.
    pub dir: PathBuf,
    /// The entries, JSON Lines.
    pub log: PathBuf,
    /// The latest checkpoint, a signed note.
    pub checkpoint: PathBuf,
    /// The public key, a C2SP verifier key.
    pub verifier_key: PathBuf,
    /// The proofs of the entries by which the key was replaced, for good.
    pub rotations: PathBuf,
    /// The cache of leaf hashes and line ends.
    pub index: PathBuf,
}

impl Paths {
    /// The files of the audit log that stands in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Paths {
        Paths {
            dir: dir.to_path_buf(),
            log: dir.join("log.jsonl"),
            checkpoint: dir.join("checkpoint"),
            verifier_key: dir.join("forgetd.vkey"),
            rotations: dir.join("rotations"),
            index: dir.join("index"),
        }
    }
}

#[cfg(test)]
mod tests;
