//! IPv6 addresses as servers write them: eight groups, or some with zeros behind them as masking leaves them.
//!
//! The standard library reads every form, and takes as long for one as the rest of its line. These are the forms that logs
//! mostly have; whoever finds another here asks the library.

/// What each byte is worth as a hexadecimal digit, and far more where it is none.
const DIGITS: [u8; 256] = {
    let mut digits = [0xFF; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

/// An address, and where each of its groups begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) groups: [u16; 8],
    pub(super) begins: [u8; 8],
    /// How many of them are written; for the others stands `::`.
    pub(super) written: usize,
}

impl Groups {
    /// `None` also where it is an address, but written in another way than this: lower case, no leading zeros, and
    /// `::` at its end alone.
    pub(super) fn read(text: &[u8]) -> Option<Groups> {
        let shortened = text.strip_suffix(b"::");
        let text = shortened.unwrap_or(text);
        let mut read = Groups { groups: [0; 8], begins: [0; 8], written: 8 };
        let (mut index, mut begin) = (0, 0);
        loop {
            let (group, length) = group(text.get(begin..)?)?;
            *read.groups.get_mut(index)? = group;
            read.begins[index] = u8::try_from(begin).ok()?;
            index += 1;
            match text.get(begin + length) {
                None => break,
                Some(b':') => begin += length + 1,
                Some(_) => return None,
            }
        }
        read.written = index;
        let is_whole = if shortened.is_some() { index < 8 } else { index == 8 };
        is_whole.then_some(read)
    }
}

/// The group at the beginning of a text, and how long it is.
fn group(text: &[u8]) -> Option<(u16, usize)> {
    // Nearly all have four digits.
    if let Some(four) = text.first_chunk::<4>() {
        let [first, second, third, fourth] = four.map(|byte| u16::from(DIGITS[usize::from(byte)]));
        if first | second | third | fourth < 0x10 && first > 0 {
            return Some((first << 12 | second << 8 | third << 4 | fourth, 4));
        }
    }
    let digits = text.iter().map(|byte| u16::from(DIGITS[usize::from(*byte)])).take_while(|digit| *digit < 0x10);
    let (mut group, mut length) = (0, 0);
    for digit in digits.take(4) {
        // What begins with a zero is nothing else.
        if length == 1 && group == 0 {
            return None;
        }
        (group, length) = (group << 4 | digit, length + 1);
    }
    (length > 0).then_some((group, length))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn written(groups: &[u16]) -> String {
        groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":")
    }

    proptest! {
        #[test]
        fn eight_groups_are_read_as_the_standard_library_reads_them(bits: [u16; 8], shift in 0_u32..16) {
            let text = written(&bits.map(|group| group >> shift));
            let Groups { groups, begins, .. } = Groups::read(text.as_bytes()).unwrap();
            prop_assert_eq!(Ipv6Addr::from(groups), text.parse::<Ipv6Addr>().unwrap());
            let begun = begins.map(|begin| u16::from_str_radix(text[usize::from(begin)..].split(':').next().unwrap(), 16).unwrap());
            prop_assert_eq!(begun, groups);
        }

        #[test]
        fn groups_with_zeros_behind_them_are_read_as_the_standard_library_reads_them(bits: [u16; 8], count in 1_usize..8) {
            let text = format!("{}::", written(&bits[..count]));
            let read = Groups::read(text.as_bytes()).unwrap();
            prop_assert_eq!(Ipv6Addr::from(read.groups), text.parse::<Ipv6Addr>().unwrap());
            prop_assert_eq!(read.written, count);
        }

        #[test]
        fn what_is_read_is_an_address_and_written_in_this_one_way(text in "([0-9a-f]{0,5}:){1,8}[0-9a-fA-F.:%]{0,5}") {
            if let Some(Groups { groups, written: count, .. }) = Groups::read(text.as_bytes()) {
                prop_assert_eq!(text.parse::<Ipv6Addr>(), Ok(groups.into()));
                let behind = if count < 8 { "::" } else { "" };
                prop_assert_eq!(text, format!("{}{behind}", written(&groups[..count])));
            }
        }
    }
}
