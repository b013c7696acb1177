//! Masking changes the lines that it counts and no others, loses none, and is done after one time.

#![no_main]

mod rule;

use forgetd::config::site::{ColumnAction, Mask, Unparsed};
use forgetd::plan::LineAction;
use libfuzzer_sys::fuzz_target;
use rule::{judged, judgement, lines};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    for action in [ColumnAction::Truncate(mask), ColumnAction::Erase] {
        let judgement = judgement(*choice, LineAction::Addresses(action), None);
        let (once, tally) = judged(&judgement, text);
        let (before, after) = (lines(text), lines(&once));
        assert_eq!(before.len(), after.len());
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(u64::try_from(changed).expect("few"), tally.matches);
        let (twice, again) = judged(&judgement, &once);
        assert_eq!((twice, again.matches), (once, 0));
    }
});
