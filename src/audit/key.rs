//! The log's private key: who signs its checkpoints.
//!
//! The file holds one line in the form that Go's `note` package and its ports use for signer keys,
//! `PRIVATE+KEY+<name>+<id>+<base64(type ‖ seed)>`. The name, drawn at random with the key, is the log's origin: two
//! logs never share one by accident. Nobody but the owner may read the file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::{AuditError, not_readable, not_writable};
use super::note::{Checkpoint, TYPE_ED25519, VerifierKey, hex};
use crate::durable;

const PREFIX: &str = "PRIVATE+KEY+";
/// Longer than any key line.
const MAX_FILE: u64 = 1024;
const OTHERS: u32 = 0o077;
/// Random bytes in an origin: enough that no two installations meet.
const ORIGIN_BYTES: usize = 8;

/// A private key and its public half.
pub(super) struct Key {
    signing: SigningKey,
    verifier: VerifierKey,
}

impl Key {
    /// A new key under a new name.
    pub(super) fn generate() -> Result<Key, AuditError> {
        let origin = format!("forgetd/{}", hex(&random::<ORIGIN_BYTES>()?));
        let signing = SigningKey::from_bytes(&random()?);
        let verifier = VerifierKey::new(&origin, signing.verifying_key());
        Ok(Key { signing, verifier: verifier.ok_or(AuditError::NoRandomness { source: io::ErrorKind::Other.into() })? })
    }

    /// The key in a file; `None` when there is no such file.
    pub(super) fn load(path: &Path) -> Result<Option<Key>, AuditError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(not_readable(path)(error)),
        };
        let mode = file.metadata().map_err(not_readable(path))?.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(AuditError::KeyPermissions { path: path.to_path_buf(), mode });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(not_readable(path))?;
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let key = text.and_then(Key::parse).ok_or_else(|| AuditError::KeyMalformed { path: path.to_path_buf() })?;
        Ok(Some(key))
    }

    /// Writes the key to a file that only its owner can read.
    pub(super) fn store(&self, path: &Path) -> Result<(), AuditError> {
        durable::replace(path, format!("{}\n", self.encode()).as_bytes(), 0o600).map_err(not_writable(path))
    }

    /// The public half.
    pub(super) fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signed note of a checkpoint of this key's log.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> String {
        checkpoint.sign(&self.signing)
    }

    fn encode(&self) -> String {
        let mut blob = vec![TYPE_ED25519];
        blob.extend_from_slice(self.signing.as_bytes());
        format!("{PREFIX}{}+{}+{}", self.verifier.name(), self.verifier.id_hex(), STANDARD.encode(blob))
    }

    fn parse(text: &str) -> Option<Key> {
        let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '+');
        let (name, _, blob) = (parts.next()?, parts.next()?, parts.next()?);
        let blob = STANDARD.decode(blob).ok()?;
        let (&TYPE_ED25519, seed) = blob.split_first()? else { return None };
        let signing = SigningKey::from_bytes(seed.try_into().ok()?);
        let verifier = VerifierKey::new(name, signing.verifying_key())?;
        let key = Key { signing, verifier };
        (key.encode() == text).then_some(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.verifier.name()).finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], AuditError> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes[..], GetRandomFlags::empty()) {
        Ok(filled) if filled == N => Ok(bytes),
        Ok(_) => Err(AuditError::NoRandomness { source: io::ErrorKind::UnexpectedEof.into() }),
        Err(error) => Err(AuditError::NoRandomness { source: error.into() }),
    }
}
