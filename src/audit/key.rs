//! The log's private key: who signs its checkpoints.
//!
//! The file holds one line in the form that Go's `note` package and its ports use for signer keys,
//! `PRIVATE+KEY+<name>+<id>+<base64(type ‖ seed)>`. The name, drawn at random with the key, is the log's origin: two
//! logs never share one by accident. Nobody but the owner may read the file.
//!
//! The key itself may stand in a systemd credential instead. The file then says so, in one line: without that, a log
//! whose credential was not given would look like a log whose key was lost, or like one that never began.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
/// systemd guards the directory of credentials itself: a file there may show a group, which is the service's own.
const OTHERS_OF_CREDENTIAL: u32 = 0o007;
/// Where systemd puts a service's credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The credential that holds the key.
const CREDENTIAL: &str = "audit.key";
/// What the file says when the key stands in the credential.
const IN_CREDENTIAL: &str = "credential audit.key";
/// Random bytes in an origin: enough that no two installations meet.
const ORIGIN_BYTES: usize = 8;

/// Where a key is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Credential,
}

/// A private key and its public half.
pub(super) struct Key {
    signing: SigningKey,
    verifier: VerifierKey,
    place: Place,
}

impl Key {
    /// The first key of a log: from the credential where there is one, else a new one under a new name.
    pub(super) fn first() -> Result<Key, AuditError> {
        match credential_path().map(|path| load_text(&path, OTHERS_OF_CREDENTIAL).map(|text| (path, text))) {
            Some(Ok((path, Some(text)))) => {
                Key::parse(&text, Place::Credential).ok_or(AuditError::KeyMalformed { path })
            }
            Some(Err(error)) => Err(error),
            Some(Ok((_, None))) | None => Key::generate(&format!("forgetd/{}", hex(&random::<ORIGIN_BYTES>()?))),
        }
    }

    /// A new key for the same log.
    pub(super) fn successor(&self) -> Result<Key, AuditError> {
        Key::generate(self.verifier.name())
    }

    fn generate(origin: &str) -> Result<Key, AuditError> {
        let signing = SigningKey::from_bytes(&random()?);
        let verifier = VerifierKey::new(origin, signing.verifying_key());
        let verifier = verifier.ok_or(AuditError::NoRandomness { source: io::ErrorKind::Other.into() })?;
        Ok(Key { signing, verifier, place: Place::File })
    }

    /// The key in a file, or in the credential that the file refers to; `None` when there is no such file.
    pub(super) fn load(path: &Path) -> Result<Option<Key>, AuditError> {
        let Some(text) = load_text(path, OTHERS)? else { return Ok(None) };
        if text != IN_CREDENTIAL {
            let malformed = || AuditError::KeyMalformed { path: path.to_path_buf() };
            return Key::parse(&text, Place::File).ok_or_else(malformed).map(Some);
        }
        let missing = || AuditError::CredentialMissing { path: path.to_path_buf() };
        let credential = credential_path().ok_or_else(missing)?;
        let text = load_text(&credential, OTHERS_OF_CREDENTIAL)?.ok_or_else(missing)?;
        Key::parse(&text, Place::Credential).ok_or(AuditError::KeyMalformed { path: credential }).map(Some)
    }

    /// Writes the key, or where it stands, to a file that only its owner can read.
    pub(super) fn store(&self, path: &Path) -> Result<(), AuditError> {
        let line = match self.place {
            Place::File => self.encode(),
            Place::Credential => IN_CREDENTIAL.to_owned(),
        };
        durable::replace(path, format!("{line}\n").as_bytes(), 0o600).map_err(not_writable(path))
    }

    /// The public half.
    pub(super) fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signed note of a checkpoint of this key's log.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> String {
        checkpoint.sign(&[&self.signing])
    }

    /// The note of a checkpoint under which this key hands over to `next`.
    pub(super) fn sign_with(&self, next: &Key, checkpoint: &Checkpoint) -> String {
        checkpoint.sign(&[&self.signing, &next.signing])
    }

    fn encode(&self) -> String {
        let mut blob = vec![TYPE_ED25519];
        blob.extend_from_slice(self.signing.as_bytes());
        format!("{PREFIX}{}+{}+{}", self.verifier.name(), self.verifier.id_hex(), STANDARD.encode(blob))
    }

    fn parse(text: &str, place: Place) -> Option<Key> {
        let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '+');
        let (name, _, blob) = (parts.next()?, parts.next()?, parts.next()?);
        let blob = STANDARD.decode(blob).ok()?;
        let (&TYPE_ED25519, seed) = blob.split_first()? else { return None };
        let signing = SigningKey::from_bytes(seed.try_into().ok()?);
        let verifier = VerifierKey::new(name, signing.verifying_key())?;
        let key = Key { signing, verifier, place };
        (key.encode() == text).then_some(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.verifier.name()).finish_non_exhaustive()
    }
}

fn credential_path() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_DIRECTORY).map(|directory| Path::new(&directory).join(CREDENTIAL))
}

/// The line in a file that only those may read who are not among `others`; `None` when there is no such file. What
/// is no line is empty, which no key is.
fn load_text(path: &Path, others: u32) -> Result<Option<String>, AuditError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(not_readable(path)(error)),
    };
    let mode = file.metadata().map_err(not_readable(path))?.permissions().mode() & 0o7777;
    if mode & others != 0 {
        return Err(AuditError::KeyPermissions { path: path.to_path_buf(), mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(not_readable(path))?;
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    Ok(Some(text.unwrap_or_default().to_owned()))
}

fn random<const N: usize>() -> Result<[u8; N], AuditError> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes[..], GetRandomFlags::empty()) {
        Ok(filled) if filled == N => Ok(bytes),
        Ok(_) => Err(AuditError::NoRandomness { source: io::ErrorKind::UnexpectedEof.into() }),
        Err(error) => Err(AuditError::NoRandomness { source: error.into() }),
    }
}
