//! Replacing the key that signs checkpoints, so that a power cut at any moment leaves a log that goes on with one of
//! the two keys, and readers who can follow.
//!
//! The steps, each durable before the next: the new key beside the old one; the entry `key.rotated`; the proof of this
//! entry under a checkpoint that both keys signed, kept for good; this checkpoint in place of the last; the new public
//! key; the new private key in place of the old one, which is gone with that. Up to the entry the old key goes on, and
//! a new one that no entry names is discarded. From the entry on the rest is done by whoever takes the log's lock
//! next, before it does anything else: the old key signs nothing after the entry.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::entry::{Entry, Event};
use super::error::{AuditError, not_readable, not_writable};
use super::key::Key;
use super::keys::file_of;
use super::log::{Log, Sync};
use super::merkle::{self, Hash};
use super::note::{Checkpoint, VerifierKey};
use super::proof::Proof;
use super::{read, start};
use crate::durable;

const DIR_MODE: u32 = 0o750;

impl Log {
    /// Replaces the log's key by a new one and returns that one's public half.
    ///
    /// # Errors
    /// [`AuditError`]; the log then goes on with the old key, or finishes the rotation when it is next used.
    pub fn rotate_key(&mut self, now: Timestamp, uid: u32) -> Result<VerifierKey, AuditError> {
        self.locked(|log, torn| {
            let next = log.key.successor()?;
            next.store(&beside(&log.key_path))?;
            let (from, to) = (log.key.verifier().to_string(), next.verifier().to_string());
            let event = Event::KeyRotated { from, to: to.clone(), uid };
            let index = log.append_locked(now, &event, Sync::Now, torn)?;
            log.rotation = Some((index, to));
            settle(log)?;
            Ok(log.key.verifier().clone())
        })
    }
}

/// The key that a rotation under way leads to, if one is.
pub(super) fn successor(key: &Path) -> Result<Option<Key>, AuditError> {
    Key::load(&beside(key))
}

/// Where an entry stands that replaces the key, and the new key in the form of the entry.
pub(super) fn announced(line: &[u8]) -> Option<(u64, String)> {
    match Entry::from_line(line) {
        Ok(Entry { seq, event: Event::KeyRotated { to, .. }, .. }) => Some((seq, to)),
        _ => None,
    }
}

/// A new key that no entry names was never used. The caller holds the lock, and has read the log.
pub(super) fn discard_unused(log: &Log) -> Result<(), AuditError> {
    let path = beside(&log.key_path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_writable(&path)(error)),
        _ => Ok(()),
    }
}

/// Takes over the key that the log's latest rotation leads to, and finishes that rotation if nobody has. The caller
/// holds the lock, and has read the log.
pub(super) fn settle(log: &mut Log) -> Result<(), AuditError> {
    let Some((index, to)) = log.rotation.clone() else { return Ok(()) };
    let names = |key: &Key| key.verifier().to_string() == to;
    let missing = || AuditError::SuccessorMissing { path: log.key_path.clone() };
    let current = Key::load(&log.key_path)?.ok_or_else(missing)?;
    if names(&current) {
        log.key = current;
    } else {
        let next = successor(&log.key_path)?.filter(names).ok_or_else(missing)?;
        finish(log, index, next)?;
    }
    log.rotation = None;
    Ok(())
}

/// The steps after the entry; doing one of them again does no harm.
fn finish(log: &mut Log, index: u64, next: Key) -> Result<(), AuditError> {
    log.sync().map_err(not_writable(&log.paths.log))?;
    let (proof, checkpoint) = prove(log, index, &next)?;
    let file = file_of(&log.paths, index);
    durable::make_dir(&log.paths.rotations, DIR_MODE).map_err(not_writable(&log.paths.rotations))?;
    durable::replace(&file, proof.to_string().as_bytes(), start::FILE_MODE).map_err(not_writable(&file))?;
    log.publish(&checkpoint, &proof.checkpoint)?;
    start::write_verifier_key(&log.paths, &next)?;
    durable::rename(&beside(&log.key_path), &log.key_path).map_err(not_writable(&log.key_path))?;
    log.key = next;
    Ok(())
}

/// The proof of the entry, the last one under a checkpoint that both keys sign.
fn prove(log: &Log, index: u64, next: &Key) -> Result<(Proof, Checkpoint), AuditError> {
    let tampered = || AuditError::Tampered { path: log.paths.log.clone() };
    let (mut leaves, mut entry) = (Vec::new(), None);
    for line in read::lines(&log.paths.dir, 0)? {
        let (at, line) = line?;
        leaves.push(Hash::leaf(&line));
        if at == index {
            entry = Some(line);
            break;
        }
    }
    let at = usize::try_from(index).map_err(|_| not_readable(&log.paths.log)(io::ErrorKind::FileTooLarge.into()))?;
    let hashes = merkle::prove_inclusion(&leaves, at).ok_or_else(tampered)?;
    let checkpoint = Checkpoint { origin: log.origin().to_owned(), size: index + 1, root: merkle::root(&leaves) };
    let note = log.key.sign_with(next, &checkpoint);
    Ok((Proof { entry, index, hashes, checkpoint: note }, checkpoint))
}

fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}
