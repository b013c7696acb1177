//! What is written instead of an address. Only who writes needs the text: counting does without.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest text of an address is 45 bytes; seven of its colons may each be written in three.
const LONGEST: usize = 64;

/// What stands in the place of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// As logs write where there is none.
    Nothing,
    /// The same as a value of JSON.
    Null,
    /// The network of an IPv4 address.
    V4(u32),
    /// Its last numbers.
    Zeros(usize),
    /// The last groups of an IPv6 address, behind a colon.
    Colon,
    /// Its network.
    Network(IpAddr),
    /// The same, percent-encoded.
    Encoded(IpAddr),
}

impl Instead {
    /// Writes it behind what is in `out`.
    pub(super) fn write_to(self, out: &mut Vec<u8>) {
        match self {
            Instead::Nothing => out.extend_from_slice(b"-"),
            Instead::Colon => out.extend_from_slice(b":"),
            Instead::Null => out.extend_from_slice(b"null"),
            Instead::Zeros(1) => out.extend_from_slice(b"0"),
            Instead::Zeros(2) => out.extend_from_slice(b"0.0"),
            Instead::Zeros(3) => out.extend_from_slice(b"0.0.0"),
            Instead::Zeros(_) => out.extend_from_slice(b"0.0.0.0"),
            Instead::V4(bits) => out.extend_from_slice(Text::of_v4(bits).as_bytes()),
            Instead::Network(network) => out.extend_from_slice(Text::of_address(network).as_bytes()),
            Instead::Encoded(network) => {
                out.extend_from_slice(Text::of_address(network).percent_encoded().as_bytes());
            }
        }
    }
}

/// A short text, kept without asking for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    pub(super) fn new() -> Text {
        Text { bytes: [0; LONGEST], length: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == LONGEST
    }

    /// Beyond the longest address nothing is ever written.
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn of_v4(bits: u32) -> Text {
        let mut text = Text::new();
        for (place, octet) in bits.to_be_bytes().into_iter().enumerate() {
            if place > 0 {
                text.push(b'.');
            }
            if octet >= 100 {
                text.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                text.push(b'0' + octet / 10 % 10);
            }
            text.push(b'0' + octet % 10);
        }
        text
    }

    fn of_address(address: IpAddr) -> Text {
        match address {
            IpAddr::V4(address) => Text::of_v4(Ipv4Addr::to_bits(address)),
            IpAddr::V6(address) => Text::of_usual_v6(address).unwrap_or_else(|| Text::of_any(address)),
        }
    }

    /// Three groups, none of them zero, and nothing behind them: what masking mostly leaves, and one case of the rules
    /// for writing addresses (RFC 5952, section 4).
    fn of_usual_v6(address: Ipv6Addr) -> Option<Text> {
        let [first, second, third, 0, 0, 0, 0, 0] = address.segments() else { return None };
        if [first, second, third].contains(&0) {
            return None;
        }
        let mut text = Text::new();
        for group in [first, second, third] {
            text.push_hex(group);
            text.push(b':');
        }
        text.push(b':');
        Some(text)
    }

    fn push_hex(&mut self, group: u16) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut begun = false;
        for shift in [12, 8, 4, 0] {
            let digit = usize::from(group >> shift & 0xF);
            begun |= digit > 0;
            if begun {
                self.push(DIGITS[digit]);
            }
        }
    }

    fn of_any(address: Ipv6Addr) -> Text {
        let mut text = Text::new();
        let mut rest = &mut text.bytes[..];
        // The longest address is shorter than the place for it.
        let left = write!(rest, "{address}").map_or(LONGEST, |()| rest.len());
        text.length = LONGEST - left;
        text
    }

    fn percent_encoded(&self) -> Text {
        let mut text = Text::new();
        for byte in self.as_bytes() {
            match byte {
                b':' => b"%3A".iter().for_each(|byte| text.push(*byte)),
                byte => text.push(*byte),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(instead: Instead) -> String {
        let mut out = Vec::new();
        instead.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn an_address_is_written_as_the_standard_library_writes_it(bits: u128, zeros in 0_u32..=128, v4: u32) {
            let address = IpAddr::V6((bits & u128::MAX.checked_shl(zeros).unwrap_or(0)).into());
            prop_assert_eq!(written(Instead::Network(address)), address.to_string());
            let address = IpAddr::V4(v4.into());
            prop_assert_eq!(written(Instead::Network(address)), address.to_string());
            prop_assert_eq!(written(Instead::V4(v4)), address.to_string());
        }

        #[test]
        fn groups_of_a_network_are_written_without_zeros_at_their_beginning(groups: [u16; 3]) {
            let [first, second, third] = groups.map(|group| group >> (group % 16));
            let address = IpAddr::V6([first, second, third, 0, 0, 0, 0, 0].into());
            prop_assert_eq!(written(Instead::Network(address)), address.to_string());
        }
    }
}
