//! What verification can say, and why it sometimes cannot.
//!
//! None of the verdicts is "verified": without a checkpoint that somebody else kept, a log is at most consistent with
//! itself.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use thiserror::Error;

use super::entry::DriftChecked;
use super::keys::RotationFault;
use super::line::LineFault;
use super::note::NoteError;

/// What can be said of a log.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Signed, and consistent with a checkpoint of `anchor` entries that the reader kept.
    Anchored {
        /// Entries covered by the largest anchor.
        anchor: u64,
        /// Entries in all.
        size: u64,
    },
    /// Signed throughout; but no outside anchor says that it was not rewritten and signed again.
    SelfConsistent {
        /// Entries in all.
        size: u64,
    },
    /// What is signed holds; entries, or part of one, follow that are not signed yet.
    UnsignedTail {
        /// Entries that are signed for.
        signed: u64,
        /// Whole entries in all.
        size: u64,
    },
    /// Entries that were signed for are gone from the end.
    Truncated {
        /// Whole entries found.
        size: u64,
        /// Entries that were signed for.
        signed: u64,
    },
    /// The log, or a file that it cannot be checked without, is not what was signed.
    Tampered {
        /// The entry's index, from 0, if it can be told.
        entry: Option<u64>,
        /// What is wrong.
        fault: Fault,
    },
}

impl Verdict {
    /// The number, from 1, of the line in the file that was tampered with, if it can be told.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match self {
            Verdict::Tampered { entry, .. } => entry.map(|index| index + 1),
            _ => None,
        }
    }
}

/// What shows that a log was tampered with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A line that is not an entry in its place.
    #[error("the line {0}")]
    Line(LineFault),
    /// The content is not what the checkpoint was signed for.
    #[error("the content is not what was signed")]
    Changed,
    /// The history before an anchor is not the one that the anchor was signed for.
    #[error("the log was rewritten since the anchor was taken")]
    Rewritten(usize),
    /// No checkpoint, though every log has one from its first moment.
    #[error("the checkpoint is missing")]
    CheckpointMissing,
    /// A checkpoint that the key did not sign.
    #[error("the checkpoint does not hold: {0}")]
    CheckpointInvalid(NoteError),
    /// No public key.
    #[error("the verifier key is missing")]
    VerifierKeyMissing,
    /// Something else in its place.
    #[error("the verifier key is not one: {0}")]
    VerifierKeyInvalid(NoteError),
    /// A key that did not get there by the rotations that are kept.
    #[error("{0}")]
    Rotation(RotationFault),
}

/// The verdict and what it rests on.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The verdict.
    pub verdict: Verdict,
    /// The log's name, as its verifier key has it.
    pub origin: Option<String>,
    /// Whole entries read: all of them, unless the verdict is [`Verdict::Tampered`].
    pub entries: u64,
    /// Entries that the checkpoint, or a larger anchor, signs for.
    pub signed: u64,
    /// Entries of the largest anchor that holds.
    pub anchored: Option<u64>,
    /// Bytes of an unfinished last line.
    pub torn: u64,
    /// Time of the first entry read.
    pub first: Option<Timestamp>,
    /// Time of the last entry read.
    pub last: Option<Timestamp>,
    /// The review that reached furthest.
    pub review: Option<Review>,
    /// Entries after it that are not reviews themselves.
    pub unreviewed: u64,
    /// The last comparison of declaration, runs and stores.
    pub drift: Option<Compared>,
}

/// A comparison of declaration, runs and stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// When it was recorded.
    pub at: Timestamp,
    /// What it found.
    pub found: DriftChecked,
}

/// Somebody has read the log up to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Review {
    /// The last entry reviewed.
    pub through: u64,
    /// When that was recorded.
    pub at: Timestamp,
}

impl Verification {
    /// The verdict on a log that lacks what it would be read against.
    pub(super) fn unread(origin: Option<String>, fault: Fault) -> Verification {
        let verdict = Verdict::Tampered { entry: None, fault };
        Verification {
            verdict,
            origin,
            entries: 0,
            signed: 0,
            anchored: None,
            torn: 0,
            first: None,
            last: None,
            review: None,
            unreviewed: 0,
            drift: None,
        }
    }
}

/// Why no verdict could be reached. Anchors are counted from 0.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A file of the log could not be read.
    #[error("cannot read {path}")]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An anchor that is not a checkpoint, or whose signature is wrong.
    #[error("the anchor is not a checkpoint that holds")]
    Anchor {
        /// Which of the anchors.
        anchor: usize,
        /// What is wrong with it.
        source: NoteError,
    },
    /// An anchor signed by another key: it is of another log, or the whole log was replaced by one under a new key.
    #[error("the anchor was signed by another key than {origin}: it is of another log, or this log was replaced")]
    ForeignAnchor {
        /// Which of the anchors.
        anchor: usize,
        /// The name of this log.
        origin: String,
    },
    /// Another key than the reader kept, and no rotation leads from one to the other.
    #[error("the key that you kept is none of {origin}: this is another log, or it was replaced by one")]
    ForeignKey {
        /// The name of this log.
        origin: String,
    },
}
