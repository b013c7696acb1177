//! The public keys of one log, and how each handed over to the next.
//!
//! When a key is replaced, the entry `key.rotated` names both, and the checkpoint that ends with this entry is signed
//! by both. That entry's proof is kept for good in a file of its own: whoever has the old key learns the new one from
//! it, and needs to trust nothing else. A replaced key signs for nothing later: what it says of a larger log may be
//! said by whoever found the old key.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Paths;
use super::entry::{Entry, Event};
use super::note::{Checkpoint, NoteError, VerifierKey};
use super::proof::{Proof, ProofFault};
use super::verdict::{Fault, VerifyError};
use super::verify::read;

const EXTENSION: &str = "tlog-proof";

/// What is wrong with the proof of a rotation, or with the chain of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RotationFault {
    /// The proof does not hold under both keys.
    #[error("the proof of a rotation does not hold: {0}")]
    Proof(#[from] ProofFault),
    /// A proof of something else.
    #[error("the proof of a rotation is of another entry")]
    NotARotation,
    /// A key that none of the rotations leads to, or a gap between two.
    #[error("the keys of the rotations do not follow one another")]
    Broken,
    /// The log says that the key was replaced, and the proof of it is gone.
    #[error("the proof of a rotation is missing")]
    Missing,
}

/// One key handing over to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Place of its entry, the last one under the checkpoint.
    pub(super) index: u64,
    from: VerifierKey,
    to: VerifierKey,
    pub(super) checkpoint: Checkpoint,
}

impl Rotation {
    fn parse(bytes: &[u8]) -> Result<Rotation, RotationFault> {
        let proof = Proof::parse(bytes)?;
        let line = proof.entry.as_deref().ok_or(RotationFault::NotARotation)?;
        let Ok(Entry { seq, event: Event::KeyRotated { from, to, .. }, .. }) = Entry::from_line(line) else {
            return Err(RotationFault::NotARotation);
        };
        let key = |text: &str| VerifierKey::parse(text).map_err(|_| RotationFault::NotARotation);
        let (from, to) = (key(&from)?, key(&to)?);
        let checkpoint = proof.check(line, &Keys::only(from.clone()))?;
        proof.check(line, &Keys::only(to.clone()))?;
        if seq != proof.index || checkpoint.size != seq + 1 {
            return Err(RotationFault::NotARotation);
        }
        Ok(Rotation { index: seq, from, to, checkpoint })
    }
}

/// The keys of one log, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    first: VerifierKey,
    rotations: Vec<Rotation>,
}

impl Keys {
    /// One key, of a log whose key was never replaced as far as the reader knows.
    #[must_use]
    pub fn only(key: VerifierKey) -> Keys {
        Keys { first: key, rotations: Vec::new() }
    }

    /// The key that a reader kept, and those that followed it by these proofs of rotations, in any order.
    ///
    /// # Errors
    /// [`RotationFault`].
    pub fn following(kept: VerifierKey, proofs: &[Vec<u8>]) -> Result<Keys, RotationFault> {
        let rotations = proofs.iter().map(|proof| Rotation::parse(proof)).collect::<Result<Vec<_>, _>>()?;
        let mut keys = Keys::chain(rotations)?.unwrap_or_else(|| Keys::only(kept.clone()));
        let before = keys.all().position(|(key, _)| *key == kept).ok_or(RotationFault::Broken)?;
        keys.rotations.drain(..before);
        keys.first = kept;
        Ok(keys)
    }

    /// The keys of the log, by its verifier key and the rotations kept beside it.
    ///
    /// # Errors
    /// [`VerifyError::NotReadable`]; what is wrong with what was read is a [`Fault`].
    pub fn of_log(paths: &Paths) -> Result<Result<Keys, Fault>, VerifyError> {
        let Some(text) = read(&paths.verifier_key)? else { return Ok(Err(Fault::VerifierKeyMissing)) };
        let current = match parse_file(&text) {
            Ok(key) => key,
            Err(error) => return Ok(Err(Fault::VerifierKeyInvalid(error))),
        };
        let mut rotations = Vec::new();
        for path in proofs_in(&paths.rotations)? {
            match read(&path)?.as_deref().map(Rotation::parse) {
                Some(Ok(rotation)) => rotations.push(rotation),
                Some(Err(fault)) => return Ok(Err(Fault::Rotation(fault))),
                None => {}
            }
        }
        Ok(Keys::chain(rotations).and_then(|keys| Keys::ending_with(keys, current)).map_err(Fault::Rotation))
    }

    fn chain(mut rotations: Vec<Rotation>) -> Result<Option<Keys>, RotationFault> {
        rotations.sort_by_key(|rotation| rotation.index);
        if rotations.windows(2).any(|pair| pair[0].to != pair[1].from) {
            return Err(RotationFault::Broken);
        }
        Ok(rotations.first().map(|first| first.from.clone()).map(|first| Keys { first, rotations }))
    }

    /// A power cut during a rotation leaves the last key but one in place: the next start goes on from there.
    fn ending_with(keys: Option<Keys>, current: VerifierKey) -> Result<Keys, RotationFault> {
        let Some(keys) = keys else { return Ok(Keys::only(current)) };
        match keys.rotations.last() {
            Some(last) if last.to == current || last.from == current => Ok(keys),
            _ => Err(RotationFault::Broken),
        }
    }

    /// Each key, and the size at which it was replaced.
    fn all(&self) -> impl Iterator<Item = (&VerifierKey, Option<u64>)> {
        let later = self.rotations.iter().map(|rotation| &rotation.to);
        let ends = self.rotations.iter().map(|rotation| Some(rotation.checkpoint.size)).chain([None]);
        std::iter::once(&self.first).chain(later).zip(ends)
    }

    pub(super) fn contains(&self, key: &VerifierKey) -> bool {
        self.all().any(|(known, _)| known == key)
    }

    pub(super) fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// The name that all of them sign under.
    #[must_use]
    pub fn name(&self) -> &str {
        self.first.name()
    }

    /// The checkpoint in a note that one of the keys has signed while it was the log's.
    ///
    /// # Errors
    /// [`NoteError`]; [`NoteError::Unsigned`] when none of them has.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, NoteError> {
        let (mut found, mut fault) = (None, None);
        for (key, replaced_at) in self.all() {
            match key.open(note) {
                Ok(checkpoint) if replaced_at.is_some_and(|end| checkpoint.size > end) => {
                    fault = Some(NoteError::Retired);
                }
                Ok(checkpoint) => found = Some(checkpoint),
                Err(error @ NoteError::Unsigned { .. }) => fault = fault.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        found.ok_or_else(|| fault.unwrap_or(NoteError::Shape))
    }
}

/// The key in a file that holds one and a newline.
///
/// # Errors
/// [`NoteError`].
pub fn parse_file(bytes: &[u8]) -> Result<VerifierKey, NoteError> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n'));
    VerifierKey::parse(text.unwrap_or_default())
}

/// Where the proof of the rotation at `index` is kept.
pub(super) fn file_of(paths: &Paths, index: u64) -> PathBuf {
    paths.rotations.join(format!("{index}.{EXTENSION}"))
}

fn proofs_in(dir: &Path) -> Result<Vec<PathBuf>, VerifyError> {
    let not_readable = |source| VerifyError::NotReadable { path: dir.to_path_buf(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(not_readable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(not_readable)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            found.push(path);
        }
    }
    Ok(found)
}
