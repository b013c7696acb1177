//! The first start of a log, and the key of every later one.
//!
//! The private key takes its final name last: before that the first start can be repeated from any point, after it
//! the log, its checkpoint and its public key must all be there. So an audit directory that was emptied is not taken
//! for a new one, and a key that was lost is never replaced by a second.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Paths;
use super::error::{AuditError, not_readable, not_writable};
use super::key::Key;
use super::keys::parse_file;
use super::merkle::Hash;
use super::note::{Checkpoint, NoteError};
use super::read::short_file;
use super::rotate;
use crate::durable::{self, NoLink};

const DIR_MODE: u32 = 0o750;
const KEY_DIR_MODE: u32 = 0o700;
/// For the public files: readable by the directory's group, for whoever verifies.
pub(super) const FILE_MODE: u32 = 0o640;

/// Opens the log's file; creates it, and the directories, unless a key says that it was begun.
pub(super) fn log_file(paths: &Paths, key: &Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).no_link();
    if key.exists() {
        return match options.open(&paths.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(AuditError::Replaced { path: paths.log.clone() })
            }
            opened => opened.map_err(not_writable(&paths.log)),
        };
    }
    durable::make_dir(&paths.dir, DIR_MODE).map_err(not_writable(&paths.dir))?;
    let file = options.create(true).mode(FILE_MODE).open(&paths.log).map_err(not_writable(&paths.log))?;
    durable::give_to_owner(&file, &paths.log).map_err(not_writable(&paths.log))?;
    durable::sync_parent(&paths.log).map_err(not_writable(&paths.dir))?;
    Ok(file)
}

/// The log's key, made at the first start. The caller holds the lock on `log`.
pub(super) fn key(paths: &Paths, path: &Path, log: &File) -> Result<Key, AuditError> {
    let Some(key) = Key::load(path)? else { return first(paths, path, log) };
    match read_text(&paths.verifier_key)? {
        // It follows from the key, and the checkpoint still has to verify under it.
        None => write_verifier_key(paths, &key)?,
        // After an interrupted rotation its last step is still to be done.
        Some(text) if fits(&text, &key, path)? => {}
        Some(_) => {
            let (path, verifier_key) = (path.to_path_buf(), paths.verifier_key.clone());
            return Err(AuditError::KeyMismatch { path, verifier_key });
        }
    }
    Ok(key)
}

fn first(paths: &Paths, path: &Path, log: &File) -> Result<Key, AuditError> {
    let aside = durable::aside(path);
    let unfinished = Key::load(&aside)?;
    let begun = log.metadata().map_err(not_readable(&paths.log))?.len() > 0;
    let sealed = paths.checkpoint.exists() || paths.verifier_key.exists();
    if begun || (sealed && unfinished.is_none()) {
        return Err(AuditError::KeyMissing { path: path.to_path_buf() });
    }
    let key = match unfinished {
        Some(key) => key,
        None => {
            if let Some(dir) = path.parent() {
                durable::make_dir(dir, KEY_DIR_MODE).map_err(not_writable(dir))?;
            }
            let key = Key::first()?;
            key.store(&aside)?;
            key
        }
    };
    let nothing = Checkpoint { origin: key.verifier().name().to_owned(), size: 0, root: Hash::empty() };
    durable::replace(&paths.checkpoint, key.sign(&nothing).as_bytes(), FILE_MODE)
        .map_err(not_writable(&paths.checkpoint))?;
    write_verifier_key(paths, &key)?;
    durable::rename(&aside, path).map_err(not_writable(path))?;
    Ok(key)
}

/// Whether the private key at `path` is there, closed to others, and the one that the log in `dir` is signed by: its
/// name, which is the log's. `None` where no log was begun. Reads only.
///
/// # Errors
/// [`AuditError`]: what is wrong with it.
pub fn check_key(dir: &Path, path: &Path) -> Result<Option<String>, AuditError> {
    let paths = Paths::new(dir);
    let begun = [&paths.log, &paths.checkpoint, &paths.verifier_key].into_iter().any(|file| file.exists());
    let Some(key) = Key::load(path)? else {
        return if begun { Err(AuditError::KeyMissing { path: path.to_path_buf() }) } else { Ok(None) };
    };
    match read_text(&paths.verifier_key)? {
        Some(text) if fits(&text, &key, path)? => Ok(Some(key.verifier().name().to_owned())),
        _ => Err(AuditError::KeyMismatch { path: path.to_path_buf(), verifier_key: paths.verifier_key }),
    }
}

/// Whether the public key is this one's, or that of the key which an interrupted rotation was about to put in its
/// place.
fn fits(verifier_key: &[u8], key: &Key, path: &Path) -> Result<bool, AuditError> {
    Ok(names(verifier_key, key) || rotate::successor(path)?.is_some_and(|next| names(verifier_key, &next)))
}

/// The latest checkpoint, once its signature is found good.
pub(super) fn checkpoint(paths: &Paths, key: &Key) -> Result<Checkpoint, AuditError> {
    sealed(paths, key).map(|(_, checkpoint)| checkpoint)
}

/// The same, with its note.
pub(super) fn sealed(paths: &Paths, key: &Key) -> Result<(String, Checkpoint), AuditError> {
    let path = || paths.checkpoint.clone();
    let Some(note) = read_text(&paths.checkpoint)? else {
        return Err(AuditError::CheckpointMissing { path: path() });
    };
    let checkpoint = key.verifier().open(&note);
    let checkpoint = checkpoint.map_err(|source| AuditError::CheckpointInvalid { path: path(), source })?;
    let note = String::from_utf8(note);
    let note = note.map_err(|_| AuditError::CheckpointInvalid { path: path(), source: NoteError::NotText })?;
    Ok((note, checkpoint))
}

fn names(text: &[u8], key: &Key) -> bool {
    parse_file(text).is_ok_and(|verifier| verifier == *key.verifier())
}

pub(super) fn write_verifier_key(paths: &Paths, key: &Key) -> Result<(), AuditError> {
    let line = format!("{}\n", key.verifier());
    durable::replace(&paths.verifier_key, line.as_bytes(), FILE_MODE).map_err(not_writable(&paths.verifier_key))
}

fn read_text(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    match short_file(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_readable(path)(error)),
    }
}
