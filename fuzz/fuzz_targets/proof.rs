//! A proof has one spelling, and none that the fuzzer could write holds for an entry.

#![no_main]

use forgetd::audit::{Keys, Proof, VerifierKey};
use libfuzzer_sys::fuzz_target;

/// The vector of the C2SP signed-note specification.
const KEY: &str = "example.org/test-log+ff96ad61+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

fuzz_target!(|data: &[u8]| {
    let Ok(proof) = Proof::parse(data) else { return };
    assert_eq!(proof.to_string().as_bytes(), data);
    let key = VerifierKey::parse(KEY).expect("the vector's key");
    let keys = Keys::following(key, &[]).expect("one key");
    assert!(proof.check(b"no entry of that log", &keys).is_err());
});
