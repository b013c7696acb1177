//! An entry that is understood is written in one form, which says the same and holds nothing that a terminal obeys.

#![no_main]

use forgetd::audit::{Entry, MAX_LINE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(entry) = Entry::from_line(data) else { return };
    let Ok(line) = entry.to_line() else { return };
    assert!(line.len() <= MAX_LINE);
    let text = std::str::from_utf8(&line).expect("JSON is UTF-8");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let again = Entry::from_line(&line).expect("what is written can be read");
    // Instants are written to the microsecond.
    let canonical = again.to_line().expect("it was written before");
    assert_eq!(canonical, line);
});
