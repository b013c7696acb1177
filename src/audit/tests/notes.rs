//! The limits of a note, and of the names in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::key::Key;
use super::*;

/// A key, and a note that it signed.
fn signed() -> (VerifierKey, String) {
    let place = Place::with(1);
    let key = Key::load(&place.key()).unwrap().unwrap();
    (key.verifier().clone(), fs::read_to_string(place.paths().checkpoint).unwrap())
}

/// A line as another signer of the note would add it.
fn cosignature(name: &str) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([7; 4 + 64]))
}

#[test]
fn a_note_may_have_64_kibibytes_and_not_one_more() {
    let (key, note) = signed();
    let note = note + &cosignature("w");
    let rest = 64 * 1024 - note.len();
    let full = note.clone() + &cosignature(&"w".repeat(rest - cosignature("").len()));
    assert_eq!(full.len(), 65_536);
    assert!(key.open(full.as_bytes()).is_ok());
    let longer = note + &cosignature(&"w".repeat(rest + 1 - cosignature("").len()));
    assert_eq!(longer.len(), 65_537);
    assert_eq!(key.open(longer.as_bytes()), Err(NoteError::TooLong));
}

#[test]
fn a_note_may_have_a_hundred_signatures_and_not_one_more() {
    let (key, note) = signed();
    let note = note + &cosignature("w").repeat(99);
    assert!(key.open(note.as_bytes()).is_ok());
    let longer = note + &cosignature("w");
    assert_eq!(key.open(longer.as_bytes()), Err(NoteError::TooLong));
}

#[test]
fn a_signature_line_has_a_name_that_a_key_may_have_and_something_that_was_signed() {
    let (key, note) = signed();
    let line = |name: &str, blob: &[u8]| format!("{note}\u{2014} {name} {}\n", STANDARD.encode(blob));
    assert!(key.open(line("w", &[7; 5]).as_bytes()).is_ok());
    for bad in [line("w", &[7; 4]), line("w", &[7; 3]), line("w+", &[7; 5]), line("", &[7; 5])] {
        assert_eq!(key.open(bad.as_bytes()), Err(NoteError::SignatureLine), "{bad}");
    }
}

#[test]
fn a_name_holds_no_space_no_plus_and_nothing_that_controls() {
    let place = Place::with(1);
    let key = Key::load(&place.key()).unwrap().unwrap();
    let body = |origin: &str| Checkpoint { origin: origin.to_owned(), size: 1, root: merkle::Hash::empty() }.body();
    assert!(Checkpoint::parse(&body(key.verifier().name())).is_ok());
    for name in ["a b", "a\u{2003}b", "a+b", "a\u{7}b", "a\u{7f}", ""] {
        assert_eq!(Checkpoint::parse(&body(name)), Err(NoteError::Origin), "{name:?}");
    }
}

#[test]
fn a_proof_of_a_long_entry_is_read_as_it_was_written() {
    let (_, checkpoint) = signed();
    let proof =
        Proof { entry: Some(vec![b'x'; MAX_LINE]), index: 3, hashes: vec![merkle::Hash::empty(); 64], checkpoint };
    assert_eq!(Proof::parse(proof.to_string().as_bytes()).unwrap(), proof);
    let longer = Proof { entry: Some(vec![b'x'; 256 * 1024]), ..proof };
    assert_eq!(Proof::parse(longer.to_string().as_bytes()), Err(ProofFault::Malformed));
}

#[test]
fn a_hash_shows_as_in_a_checkpoint() {
    // SHA-256 of nothing.
    assert_eq!(format!("{:?}", merkle::Hash::empty()), "Hash(47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=)");
}
