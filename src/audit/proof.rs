//! The proof that one entry stands in a log, for somebody who does not have the log: the entry, the hashes that lead
//! from it to a root, and the checkpoint that was signed for that root, in the C2SP `tlog-proof` format.
//!
//! The format leaves room for data that it says nothing about; there the proof carries the entry itself, so that one
//! file is enough. Nothing is believed from it: it is the line whose hash leads to the root, or the proof does not
//! hold.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::Paths;
use super::error::AuditError;
use super::keys::Keys;
use super::merkle::{self, Hash};
use super::note::{Checkpoint, NoteError};
use super::read;
use super::verdict::{Fault, VerifyError};

const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// The longest entry in base64, 64 hashes, the longest checkpoint.
pub(super) const MAX_PROOF: usize = 256 * 1024;
/// The height of a tree of 2^64 leaves.
const MAX_HASHES: usize = 64;

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofFault {
    /// Not the format.
    #[error("it is not a proof in the format {MAGIC}")]
    Malformed,
    /// Its checkpoint is not one that the log's key signed.
    #[error("its checkpoint does not hold: {0}")]
    Checkpoint(NoteError),
    /// The hashes do not lead from the entry to the root.
    #[error("the entry is not number {index} of the log that the checkpoint was signed for")]
    NotIncluded {
        /// The place that the proof names.
        index: u64,
    },
}

/// Why no proof could be made.
#[derive(Debug, Error)]
pub enum ProveError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// A file beside it cannot be read.
    #[error(transparent)]
    Files(#[from] VerifyError),
    /// A file that the proof would rest on is not what it should be.
    #[error("{0}")]
    Fault(Fault),
    /// Not an entry that was signed for.
    #[error("entry {index} is not among the {signed} entries that the checkpoint was signed for")]
    NotSigned {
        /// The entry asked for.
        index: u64,
        /// Entries signed for.
        signed: u64,
    },
    /// The log is not the one that was signed.
    #[error("{path} is not what its checkpoint was signed for: `forgetd audit verify` says more")]
    NotWhatWasSigned {
        /// The log.
        path: PathBuf,
    },
}

/// A proof as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The line that is proved, without its newline, if the file carries it.
    pub entry: Option<Vec<u8>>,
    /// Its place in the log, from 0.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed note, as it was written.
    pub checkpoint: String,
}

impl Proof {
    /// Reads the format, in the one spelling that [`Proof`] is displayed in.
    ///
    /// # Errors
    /// [`ProofFault::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Proof, ProofFault> {
        Proof::read(bytes).ok_or(ProofFault::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Proof> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_PROOF)?;
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        if lines.next()? != MAGIC {
            return None;
        }
        let entry = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(STANDARD.decode(line.strip_prefix("extra ")?).ok()?),
            None => None,
        };
        let number = lines.next()?.strip_prefix("index ")?;
        let index: u64 = number.parse().ok().filter(|index: &u64| index.to_string() == number)?;
        let hashes = lines.map(Hash::parse).collect::<Option<Vec<Hash>>>()?;
        let short = hashes.len() <= MAX_HASHES;
        short.then(|| Proof { entry, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// The checkpoint, once it is found to be signed by one of `keys` and `line` to be the entry at the proof's place.
    ///
    /// # Errors
    /// [`ProofFault`].
    pub fn check(&self, line: &[u8], keys: &Keys) -> Result<Checkpoint, ProofFault> {
        let checkpoint = keys.open(self.checkpoint.as_bytes()).map_err(ProofFault::Checkpoint)?;
        let Checkpoint { size, root, .. } = &checkpoint;
        if merkle::includes(root, *size, self.index, Hash::leaf(line), &self.hashes) {
            Ok(checkpoint)
        } else {
            Err(ProofFault::NotIncluded { index: self.index })
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}")?;
        if let Some(entry) = &self.entry {
            writeln!(f, "extra {}", STANDARD.encode(entry))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The proof for entry `index` of the log in `dir`: under the log's own checkpoint, or under `anchor`, one that a
/// reader kept.
///
/// # Errors
/// [`ProveError`].
pub fn prove(dir: &Path, index: u64, anchor: Option<&[u8]>) -> Result<Proof, ProveError> {
    let paths = Paths::new(dir);
    let keys = Keys::of_log(&paths)?.map_err(ProveError::Fault)?;
    let (note, checkpoint) = match anchor {
        Some(anchor) => match keys.open(anchor) {
            Ok(checkpoint) => (anchor.to_vec(), checkpoint),
            Err(source) => return Err(VerifyError::Anchor { anchor: 0, source }.into()),
        },
        None => latest(&paths, &keys)?,
    };
    let signed = checkpoint.size;
    if index >= signed {
        return Err(ProveError::NotSigned { index, signed });
    }
    let not_what_was_signed = || ProveError::NotWhatWasSigned { path: paths.log.clone() };
    let (mut leaves, mut entry) = (Vec::new(), None);
    for line in read::lines(dir, 0)?.take(usize::try_from(signed).unwrap_or(usize::MAX)) {
        let (at, line) = line?;
        leaves.push(Hash::leaf(&line));
        if at == index {
            entry = Some(line);
        }
    }
    if u64::try_from(leaves.len()).ok() != Some(signed) || merkle::root(&leaves) != checkpoint.root {
        return Err(not_what_was_signed());
    }
    let hashes = usize::try_from(index).ok().and_then(|index| merkle::prove_inclusion(&leaves, index));
    let checkpoint = String::from_utf8(note).map_err(|_| not_what_was_signed())?;
    Ok(Proof { entry, index, hashes: hashes.ok_or_else(not_what_was_signed)?, checkpoint })
}

/// The log's own checkpoint, for whoever keeps one: as it was signed, once its signature is found good.
///
/// # Errors
/// [`ProveError`].
pub fn anchor(dir: &Path) -> Result<(String, Checkpoint), ProveError> {
    let paths = Paths::new(dir);
    let keys = Keys::of_log(&paths)?.map_err(ProveError::Fault)?;
    let (note, checkpoint) = latest(&paths, &keys)?;
    let note = String::from_utf8(note).map_err(|_| ProveError::Fault(Fault::CheckpointInvalid(NoteError::NotText)))?;
    Ok((note, checkpoint))
}

fn latest(paths: &Paths, keys: &Keys) -> Result<(Vec<u8>, Checkpoint), ProveError> {
    let Some(note) = super::verify::read(&paths.checkpoint)? else {
        return Err(ProveError::Fault(Fault::CheckpointMissing));
    };
    match keys.open(&note) {
        Ok(checkpoint) => Ok((note, checkpoint)),
        Err(fault) => Err(ProveError::Fault(Fault::CheckpointInvalid(fault))),
    }
}
