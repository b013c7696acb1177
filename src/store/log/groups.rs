//! IPv6 addresses as servers write them: eight groups, or some with zeros behind them as masking leaves them.
//!
//! The standard library reads every form, and takes as long for one as the rest of its line. These are the forms that logs
//! mostly have; whoever finds another here asks the library.

/// Of a byte that is no digit.
const NONE: u8 = 0xFF;

/// What each byte is worth as a hexadecimal digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
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
    pub(super) begins: [usize; 8],
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
        let mut group = 0_u16;
        for (at, byte) in text.iter().enumerate() {
            if *byte == b':' {
                if at == begin || index == 7 {
                    return None;
                }
                read.groups[index] = group;
                (index, begin, group) = (index + 1, at + 1, 0);
                read.begins[index] = begin;
                continue;
            }
            let digit = DIGITS[usize::from(*byte)];
            let is_leading_zero = at > begin && group == 0;
            if digit == NONE || group >= 0x1000 || is_leading_zero {
                return None;
            }
            group = group << 4 | u16::from(digit);
        }
        read.groups[index] = group;
        read.written = index + 1;
        let is_whole = if shortened.is_some() { index < 7 } else { index == 7 };
        (is_whole && begin < text.len()).then_some(read)
    }
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
            let begun = begins.map(|begin| u16::from_str_radix(text[begin..].split(':').next().unwrap(), 16).unwrap());
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
