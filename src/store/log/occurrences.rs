//! How often a byte stands in a text, for texts as short as a line: looking for one after the other takes longer.

/// Bytes of which the number fits into one: so a processor adds many of them at once.
const PIECE: usize = 255;

/// How often `wanted` stands in `text`.
pub(super) fn occurrences(wanted: u8, text: &[u8]) -> usize {
    let in_piece = |piece: &[u8]| piece.iter().fold(0_u8, |found, byte| found + u8::from(*byte == wanted));
    text.chunks(PIECE).map(|piece| usize::from(in_piece(piece))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_one_is_counted_once(text in proptest::collection::vec(0_u8..3, 0..200), times in 1_usize..60) {
            let text = text.repeat(times);
            prop_assert_eq!(occurrences(1, &text), text.iter().filter(|byte| **byte == 1).count());
        }
    }
}
