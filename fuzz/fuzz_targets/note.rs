//! Whatever is signed is opened only where it is a checkpoint of the signer's log, in its one spelling, and whatever
//! is not signed is not opened.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use forgetd::audit::{Checkpoint, VerifierKey};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

const NAME: &str = "example.org/log";
const TYPE_ED25519: u8 = 1;

/// A key of the fuzzer's own, its id, and the form in which a reader keeps it.
fn key() -> (SigningKey, [u8; 4], VerifierKey) {
    let signing = SigningKey::from_bytes(&[7; 32]);
    let public = [&[TYPE_ED25519][..], signing.verifying_key().as_bytes()].concat();
    let digest = Sha256::digest([NAME.as_bytes(), b"\n", &public].concat());
    let id = [digest[0], digest[1], digest[2], digest[3]];
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{NAME}+{hex}+{}", STANDARD.encode(public));
    (signing, id, VerifierKey::parse(&text).expect("a key"))
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let signed = choice % 2 == 1;
    // A NUL stands between the text and further signatures: neither can hold one.
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let (body, signatures) = (&text[..end], text.get(end + 1..).unwrap_or_default());
    let Ok(body) = std::str::from_utf8(body) else { return };
    if let Ok(parsed) = VerifierKey::parse(body) {
        assert_eq!(parsed.to_string(), body);
    }
    let (signing, id, verifier) = key();
    let mut note = [body.as_bytes(), b"\n"].concat();
    if signed {
        let blob = [&id[..], &signing.sign(body.as_bytes()).to_bytes()].concat();
        note.extend_from_slice(format!("\u{2014} {NAME} {}\n", STANDARD.encode(blob)).as_bytes());
    }
    note.extend_from_slice(signatures);
    let opened = verifier.open(&note);
    if signed && signatures.is_empty() {
        let own = Checkpoint::parse(body).is_ok_and(|checkpoint| checkpoint.origin == NAME);
        assert_eq!(opened.is_ok(), own, "{opened:?}");
    }
    if let Ok(checkpoint) = opened {
        assert!(signed, "nobody signed this");
        assert!(String::from_utf8_lossy(&note).starts_with(&format!("{}\n", checkpoint.body())));
    }
});
