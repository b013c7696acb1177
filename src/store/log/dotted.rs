//! IPv4 addresses in dotted decimal: nearly every line begins with one.
//!
//! The lengths of its numbers are all that differs from one line to the next, and a processor that guesses at them guesses
//! wrong. So all bytes are looked at together, and no branch depends on where the dots are.

/// Each byte of a text of sixteen.
const fn each(byte: u8) -> u128 {
    u128::from_le_bytes([byte; 16])
}

/// The highest bit of each byte.
const HIGH: u128 = each(0x80);

/// An address, and where each of its numbers begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dotted {
    pub(super) bits: u32,
    pub(super) begins: [usize; 4],
}

impl Dotted {
    /// As strict as the standard library: four numbers, no leading zeros.
    pub(super) fn read(text: &[u8]) -> Option<Dotted> {
        let length = text.len();
        let bytes = load(text)?;
        // Of a byte below 0x80 the sum reaches the highest bit unless all of the others are zero.
        let differs = bytes ^ each(b'.');
        let dots = !(((differs & !HIGH) + !HIGH) | differs) & HIGH;
        // The same for what is above nine.
        let digits = bytes ^ each(b'0');
        let others = (((digits & !HIGH) + each(0x7F - 9)) | digits) & HIGH;
        let behind_the_end = HIGH << (8 * length);
        if dots.count_ones() != 3 || others != dots | behind_the_end {
            return None;
        }
        let (first, rest) = next(dots)?;
        let (second, rest) = next(rest)?;
        let (third, _) = next(rest)?;
        let begins = [0, first + 1, second + 1, third + 1];
        let mut bits = 0;
        for (begin, end) in begins.into_iter().zip([first, second, third, length]) {
            bits = bits << 8 | number(digits, begin, end)?;
        }
        Some(Dotted { bits, begins })
    }
}

/// A text of seven to fifteen bytes, with zeros behind it.
fn load(text: &[u8]) -> Option<u128> {
    let length = text.len();
    if !(7..=15).contains(&length) {
        return None;
    }
    // Two halves, which overlap in bytes that are the same in both.
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        return Some(u128::from(head) | u128::from(tail) << (8 * (length - 8)));
    }
    let (head, tail) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
    Some(u128::from(head) | u128::from(tail) << (8 * (length - 4)))
}

/// The place of the first of some bytes, and the others.
fn next(marked: u128) -> Option<(usize, u128)> {
    let place = usize::try_from(marked.trailing_zeros() / 8).ok()?;
    Some((place, marked & marked.wrapping_sub(1)))
}

/// The number whose digits stand there.
fn number(digits: u128, begin: usize, end: usize) -> Option<u32> {
    let length = end - begin;
    if !(1..=3).contains(&length) {
        return None;
    }
    let [first, ..] = (digits >> (8 * begin)).to_le_bytes();
    // To the end of three bytes, behind zeros.
    let three = digits >> (8 * begin) << (8 * (3 - length));
    let [hundreds, tens, ones, ..] = three.to_le_bytes();
    let number = u32::from(hundreds) * 100 + u32::from(tens) * 10 + u32::from(ones);
    let has_leading_zero = length > 1 && first == 0;
    (number <= 255 && !has_leading_zero).then_some(number)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    /// What the standard library reads in it.
    fn expected(text: &[u8]) -> Option<u32> {
        std::str::from_utf8(text).ok()?.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits)
    }

    proptest! {
        #[test]
        fn an_address_is_read_as_the_standard_library_reads_it(bits: u32) {
            let text = Ipv4Addr::from_bits(bits).to_string();
            let Dotted { bits: read, begins } = Dotted::read(text.as_bytes()).unwrap();
            prop_assert_eq!(read, bits);
            let number = |begin| text[begin..].split('.').next().unwrap().parse::<u8>().unwrap();
            prop_assert_eq!(begins.map(number), bits.to_be_bytes());
        }

        #[test]
        fn what_is_nearly_an_address_is_judged_as_the_standard_library_judges_it(text in "[0-9.]{6,16}|([0-9]{1,3}\\.){3}[0-9]{1,3}|([0-9]{1,4}\\.){2,4}[0-9:/a]{0,4}") {
            prop_assert_eq!(Dotted::read(text.as_bytes()).map(|dotted| dotted.bits), expected(text.as_bytes()));
        }

        #[test]
        fn any_byte_in_an_address_is_judged_as_the_standard_library_judges_it(bits: u32, at in 0_usize..15, byte: u8) {
            let mut text = Ipv4Addr::from_bits(bits).to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            prop_assert_eq!(Dotted::read(&text).map(|dotted| dotted.bits), expected(&text));
        }
    }
}
