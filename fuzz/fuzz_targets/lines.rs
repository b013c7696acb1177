//! Lines that stay are byte for byte what they were and in their order; dropped and kept ones add up.

#![no_main]

mod rule;

use forgetd::plan::LineAction;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use rule::{judged, judgement, lines};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let cutoff = Timestamp::constant(1_780_000_000, 0);
    let (left, tally) = judged(&judgement(*choice, LineAction::Drop, Some(cutoff)), text);
    let (before, after) = (lines(text), lines(&left));
    let kept = u64::try_from(after.len()).expect("few");
    assert_eq!(tally.lines, u64::try_from(before.len()).expect("few"));
    assert_eq!(tally.lines, tally.matches + kept);
    let mut rest = before.into_iter();
    for line in after {
        assert!(rest.any(|other| other == line), "a line changed or moved");
    }
});
