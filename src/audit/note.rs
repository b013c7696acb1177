//! The signed statements, in the public formats of C2SP: `tlog-checkpoint` for the text, `signed-note` for the
//! signature around it and for the verifier key.
//!
//! Parsing accepts exactly what writing produces, save that a note may carry the signatures of others, which are
//! left unjudged: a statement that can be spelled in two ways is a statement that two programs read differently.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::merkle::Hash;

/// The signature type of plain Ed25519 (C2SP signed-note).
pub(super) const TYPE_ED25519: u8 = 0x01;
/// More than a checkpoint with a hundred co-signatures needs; less than would hurt to read.
const MAX_NOTE: usize = 64 * 1024;
/// As many as the reference implementation in Go accepts.
const MAX_SIGNATURES: usize = 100;
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// What is wrong with a note, a checkpoint or a verifier key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// The note is longer than any checkpoint.
    #[error("the note is longer than {MAX_NOTE} bytes")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("the note is not plain text")]
    NotText,
    /// No text, blank line and signatures, or not one checkpoint's three lines.
    #[error("the note is not a checkpoint of three lines, a blank line and signatures")]
    Shape,
    /// A signature line that the format does not allow.
    #[error("a signature line of the note is malformed")]
    SignatureLine,
    /// Nobody known has signed.
    #[error("the note bears no signature of {key}")]
    Unsigned {
        /// Name and id of the key that was asked for.
        key: String,
    },
    /// Signed by a key for more entries than there were when it was replaced.
    #[error("it was signed by a key that had been replaced before: whoever has the old key may have written it")]
    Retired,
    /// The signature does not fit the text.
    #[error("the signature does not fit the text")]
    BadSignature,
    /// The checkpoint speaks of another log than its key.
    #[error("the checkpoint is of another log than its key")]
    Origin,
    /// The size is not a decimal number in its shortest form.
    #[error("the checkpoint's size is not a number")]
    Size,
    /// The root is not 32 bytes in canonical base64.
    #[error("the checkpoint's root is not a SHA-256 hash")]
    Root,
    /// Not `<name>+<8 hex>+<base64>`, or the id is not that of the key.
    #[error("not a verifier key of the form name+id+key")]
    VerifierKey,
    /// A key of another type than Ed25519.
    #[error("the verifier key is not of the Ed25519 type")]
    KeyType,
}

/// The statement that a log had this size and this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is also the name of its key.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of their Merkle tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The statement in `body`.
    ///
    /// # Errors
    /// [`NoteError`] for anything but the three lines that [`Checkpoint::body`] writes.
    pub fn parse(body: &str) -> Result<Checkpoint, NoteError> {
        let mut lines = body.strip_suffix('\n').ok_or(NoteError::Shape)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Shape);
        };
        if !is_key_name(origin) {
            return Err(NoteError::Origin);
        }
        let number: u64 = size.parse().map_err(|_| NoteError::Size)?;
        if number.to_string() != size {
            return Err(NoteError::Size);
        }
        let root = Hash::parse(root).ok_or(NoteError::Root)?;
        Ok(Checkpoint { origin: origin.to_owned(), size: number, root })
    }

    /// The statement as a note, signed by keys of its origin.
    pub(super) fn sign(&self, keys: &[&SigningKey]) -> String {
        let body = self.body();
        let signatures = keys.iter().map(|key| self.signature_line(&body, key)).collect::<String>();
        format!("{body}\n{signatures}")
    }

    fn signature_line(&self, body: &str, key: &SigningKey) -> String {
        let mut blob = key_id(&self.origin, &key.verifying_key()).to_vec();
        blob.extend_from_slice(&key.sign(body.as_bytes()).to_bytes());
        format!("{SIGNATURE_PREFIX}{} {}\n", self.origin, STANDARD.encode(blob))
    }
}

/// A public key with its name: who signs for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key under this name; `None` when the format does not allow the name.
    pub(super) fn new(name: &str, key: VerifyingKey) -> Option<VerifierKey> {
        is_key_name(name).then(|| VerifierKey { name: name.to_owned(), id: key_id(name, &key), key })
    }

    /// Reads the C2SP form, `<name>+<8 hex>+<base64>`, without a newline.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`] or [`NoteError::KeyType`].
    pub fn parse(text: &str) -> Result<VerifierKey, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let blob = STANDARD.decode(blob).map_err(|_| NoteError::VerifierKey)?;
        let Some((&TYPE_ED25519, bytes)) = blob.split_first() else { return Err(NoteError::KeyType) };
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| NoteError::VerifierKey)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NoteError::VerifierKey)?;
        let verifier = VerifierKey::new(name, key).ok_or(NoteError::VerifierKey)?;
        if key.is_weak() || verifier.id_hex() != id {
            return Err(NoteError::VerifierKey);
        }
        Ok(verifier)
    }

    /// The key's name, which is the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checkpoint in a signed note, once its signature by this key is found good.
    ///
    /// # Errors
    /// [`NoteError`] when the note is malformed, unsigned by this key, wrongly signed, or of another origin.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, NoteError> {
        let note = parse_note(note)?;
        let own: Vec<&NoteSignature<'_>> =
            note.signatures.iter().filter(|line| line.name == self.name && line.id == self.id).collect();
        if own.is_empty() {
            return Err(NoteError::Unsigned { key: format!("{}+{}", self.name, self.id_hex()) });
        }
        for line in own {
            let bytes: [u8; SIGNATURE_LENGTH] =
                line.bytes.as_slice().try_into().map_err(|_| NoteError::BadSignature)?;
            self.key
                .verify_strict(note.text.as_bytes(), &Signature::from_bytes(&bytes))
                .map_err(|_| NoteError::BadSignature)?;
        }
        let checkpoint = Checkpoint::parse(note.text)?;
        if checkpoint.origin == self.name { Ok(checkpoint) } else { Err(NoteError::Origin) }
    }

    /// The key's id, as the verifier key spells it.
    pub(super) fn id_hex(&self) -> String {
        hex(&self.id)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = vec![TYPE_ED25519];
        blob.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id_hex(), STANDARD.encode(blob))
    }
}

struct Note<'a> {
    text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

fn parse_note(note: &[u8]) -> Result<Note<'_>, NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::TooLong);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::NotText)?;
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::NotText);
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::Shape)?;
    let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
    let lines: Vec<&str> = signatures.strip_suffix('\n').ok_or(NoteError::Shape)?.split('\n').collect();
    if lines.len() > MAX_SIGNATURES {
        return Err(NoteError::TooLong);
    }
    let signatures = lines.into_iter().map(parse_signature).collect::<Result<_, _>>()?;
    Ok(Note { text, signatures })
}

fn parse_signature(line: &str) -> Result<NoteSignature<'_>, NoteError> {
    let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or(NoteError::SignatureLine)?;
    let (name, blob) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
    let blob = STANDARD.decode(blob).map_err(|_| NoteError::SignatureLine)?;
    let Some((id, bytes)) = blob.split_first_chunk::<4>() else { return Err(NoteError::SignatureLine) };
    if !is_key_name(name) || bytes.is_empty() {
        return Err(NoteError::SignatureLine);
    }
    Ok(NoteSignature { name, id: *id, bytes: bytes.to_vec() })
}

/// C2SP signed-note: not empty, no Unicode space, no plus; a control character would break the line.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// C2SP signed-note: the first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key).
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name.as_bytes())
        .chain_update([b'\n', TYPE_ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (SigningKey, VerifierKey) {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let verifier = VerifierKey::new("forgetd/test", signing.verifying_key()).unwrap();
        (signing, verifier)
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "forgetd/test".to_owned(), size: 10, root: Hash::empty() }
    }

    #[test]
    fn any_byte_of_a_note_changed_makes_it_invalid() {
        let (signing, verifier) = key();
        let note = checkpoint().sign(&[&signing]).into_bytes();
        assert_eq!(verifier.open(&note), Ok(checkpoint()));
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bent = note.clone();
                bent[at] ^= 1 << bit;
                assert!(verifier.open(&bent).is_err(), "byte {at}, bit {bit}");
            }
            assert!(verifier.open(&note[..at]).is_err(), "cut at {at}");
        }
        assert!(verifier.open(&[note, b"\n".to_vec()].concat()).is_err());
    }

    #[test]
    fn a_body_has_one_spelling() {
        let root = Hash::empty();
        for body in [
            format!("o\n010\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n1\n{root}"),
            format!("o\n1\n{root}\n\n"),
            format!("\n1\n{root}\n"),
            format!("o\n1\n{root}=\n"),
            "o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n".to_owned(),
            "o\n1\nAAAA\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&body).is_err(), "{body:?}");
        }
        assert!(Checkpoint::parse(&format!("o\n1\n{root}\n")).is_ok());
    }

    #[test]
    fn a_verifier_key_has_one_spelling() {
        let (_, verifier) = key();
        let text = verifier.to_string();
        assert_eq!(VerifierKey::parse(&text), Ok(verifier.clone()));
        let upper = text.replace(&verifier.id_hex(), &verifier.id_hex().to_uppercase());
        assert_ne!(upper, text, "the id of this key has a letter");
        for bent in [upper, format!("{text}\n"), format!("x{text}"), text.replace('+', "-"), String::new()] {
            assert!(VerifierKey::parse(&bent).is_err(), "{bent}");
        }
        let algorithm_2 = "forgetd/test+00000000+AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(VerifierKey::parse(algorithm_2), Err(NoteError::KeyType));
    }

    #[test]
    fn a_note_that_others_signed_too_is_good_and_one_of_another_origin_is_not() {
        let (signing, verifier) = key();
        let witness = SigningKey::from_bytes(&[9; 32]);
        let other = Checkpoint { origin: "witness.example".to_owned(), ..checkpoint() };
        let cosignature = other.sign(&[&witness]).lines().last().unwrap().to_owned();
        let note = format!("{}{cosignature}\n", checkpoint().sign(&[&signing]));
        assert_eq!(verifier.open(note.as_bytes()), Ok(checkpoint()));
        assert!(matches!(verifier.open(other.sign(&[&witness]).as_bytes()), Err(NoteError::Unsigned { .. })));

        let foreign = other.body();
        let blob = [verifier.id.as_slice(), &signing.sign(foreign.as_bytes()).to_bytes()].concat();
        let note = format!("{foreign}\n{SIGNATURE_PREFIX}forgetd/test {}\n", STANDARD.encode(blob));
        assert_eq!(verifier.open(note.as_bytes()), Err(NoteError::Origin));
    }
}
