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
    pub(super) begins: [u8; 4],
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
        if others != dots | behind_the_end {
            return None;
        }
        let (first, rest) = next(gathered(dots))?;
        let (second, rest) = next(rest)?;
        let (third, rest) = next(rest)?;
        if rest != 0 {
            return None;
        }
        let begins = [0, first + 1, second + 1, third + 1];
        let digits = Digits::of(digits);
        let (mut bits, mut are_numbers) = (0, true);
        for (begin, end) in begins.into_iter().zip([first, second, third, length]) {
            let (number, is_one) = digits.number(begin, end);
            bits = bits << 8 | number;
            are_numbers &= is_one;
        }
        let [_, second, third, fourth] = begins.map(u8::try_from);
        are_numbers.then_some(Dotted { bits, begins: [0, second.ok()?, third.ok()?, fourth.ok()?] })
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

/// A bit for each of sixteen bytes of which the highest may be set.
fn gathered(bytes: u128) -> u64 {
    // Multiplied so, the lowest bits of eight bytes come together in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let half = |bytes: u128| u64::try_from(bytes & u128::from(u64::MAX)).unwrap_or(0);
    let gather = |bytes: u128| half(bytes >> 7).wrapping_mul(GATHER) >> 56;
    gather(bytes) | gather(bytes >> 64) << 8
}

/// The place of the first of some marks, and the others. `None` where there is none.
fn next(marks: u64) -> Option<(usize, u64)> {
    let place = usize::try_from(marks.trailing_zeros()).ok()?;
    (marks != 0).then_some((place, marks & marks.wrapping_sub(1)))
}

/// What the bytes of a text are worth as digits, with room before the first.
struct Digits([u8; 32]);

/// As much as the longest number needs before its end.
const ROOM: usize = 3;

impl Digits {
    fn of(digits: u128) -> Digits {
        let mut bytes = [0; 32];
        bytes[ROOM..ROOM + 16].copy_from_slice(&digits.to_le_bytes());
        Digits(bytes)
    }

    fn at(&self, place: usize) -> u32 {
        // Never beyond the end: said so that the compiler knows.
        u32::from(self.0[place % 32])
    }

    /// The number whose digits stand there, and whether it is one of an address.
    fn number(&self, begin: usize, end: usize) -> (u32, bool) {
        let length = end - begin;
        let last = end + ROOM - 1;
        let (tens, hundreds) = (u32::from(length > 1), u32::from(length > 2));
        let number = self.at(last) + tens * 10 * self.at(last - 1) + hundreds * 100 * self.at(last - 2);
        let has_leading_zero = length > 1 && self.at(begin + ROOM) == 0;
        (number, (1..=3).contains(&length) & (number <= 255) & !has_leading_zero)
    }
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
            let number = |begin| text[usize::from(begin)..].split('.').next().unwrap().parse::<u8>().unwrap();
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
