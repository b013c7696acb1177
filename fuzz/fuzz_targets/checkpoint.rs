//! A checkpoint has one spelling.

#![no_main]

use forgetd::audit::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &str| {
    if let Ok(checkpoint) = Checkpoint::parse(body) {
        assert_eq!(checkpoint.body(), body);
    }
});
