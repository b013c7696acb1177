//! Masking of IP addresses: the network stays, the host goes. Every kind of store that truncates calls this.
//!
//! Masking is idempotent and tells when there was nothing to take away, so that a query can see what is already
//! masked. A value keeps its form: text stays text, a list of forwarded addresses stays a list, bytes and integers
//! stay what they were. Ports and zone ids go, since behind a shared address a port is the visitor.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::site::{Mask, Unparsed};

/// What masking makes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Masked<T> {
    /// Nothing to take away: already masked, no address at all, or kept because the operator said so.
    Unchanged,
    /// This must be written instead.
    To(T),
    /// It is no address in a form that is known, and may be one in a form that is not: it must be erased.
    Unparsed,
}

/// Masks text: an address, one with a port or a zone id, or a comma-separated list as in X-Forwarded-For. One element
/// of a list that does not parse makes the whole value [`Masked::Unparsed`], unless such elements are kept.
pub fn mask_text(text: &str, mask: &Mask) -> Masked<String> {
    let mut changed = false;
    let mut elements = Vec::new();
    for element in text.split(',') {
        let address = element.trim();
        match mask_element(address, mask) {
            Masked::Unchanged => elements.push(element.to_owned()),
            Masked::To(network) => {
                changed = true;
                elements.push(element.replacen(address, &network, 1));
            }
            Masked::Unparsed => return Masked::Unparsed,
        }
    }
    if changed { Masked::To(elements.join(",")) } else { Masked::Unchanged }
}

/// Masks an address in network byte order: 4 or 16 bytes.
pub fn mask_bytes(bytes: &[u8], mask: &Mask) -> Masked<Vec<u8>> {
    let (address, network) = if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        let address = IpAddr::from(octets);
        (address, network(address, mask))
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        let address = IpAddr::from(octets);
        (address, network(address, mask))
    } else if bytes.is_empty() {
        return Masked::Unchanged;
    } else {
        return unparsed(mask);
    };
    match network {
        same if same == address => Masked::Unchanged,
        IpAddr::V4(network) => Masked::To(network.octets().to_vec()),
        IpAddr::V6(network) => Masked::To(network.octets().to_vec()),
    }
}

/// Masks an IPv4 address stored as an unsigned 32-bit number.
pub fn mask_integer(number: i64, mask: &Mask) -> Masked<i64> {
    let Ok(bits) = u32::try_from(number) else { return unparsed(mask) };
    let network = bits & leading_ones_v4(mask.v4);
    if network == bits { Masked::Unchanged } else { Masked::To(i64::from(network)) }
}

fn mask_element(text: &str, mask: &Mask) -> Masked<String> {
    if holds_no_address(text) {
        return Masked::Unchanged;
    }
    match Written::read(text).map(|written| written.mask(mask)) {
        Some(Masked::To(network)) => Masked::To(network.to_string()),
        Some(_) => Masked::Unchanged,
        None => unparsed(mask),
    }
}

/// Masks text in a log that is one address, without allocating. [`Masked::Unparsed`] where it is none in a form that is
/// known.
pub(crate) fn mask_in_log(text: &str, mask: &Mask) -> Masked<IpAddr> {
    Written::read_in_log(text).map_or(Masked::Unparsed, |written| written.mask(mask))
}

/// Whether text in a log is one address in a form that is known.
pub(crate) fn is_address_in_log(text: &str) -> bool {
    Written::read_in_log(text).is_some()
}

/// What logs and proxies write where there is no address (RFC 7239, section 6, for `unknown`).
pub(crate) fn holds_no_address(text: &str) -> bool {
    text.is_empty() || text == "-" || text.eq_ignore_ascii_case("unknown")
}

/// What becomes of a value that is no address in a form that is known.
pub fn unparsed<T>(mask: &Mask) -> Masked<T> {
    match mask.unparsed {
        Unparsed::Erase => Masked::Unparsed,
        Unparsed::Keep => Masked::Unchanged,
    }
}

/// An address, and whether the text is nothing but that.
struct Written {
    address: IpAddr,
    is_bare: bool,
}

impl Written {
    fn read(text: &str) -> Option<Written> {
        if let Ok(address) = text.parse() {
            return Some(Written { address, is_bare: true });
        }
        let address = bracketed(text).or_else(|| zoned(text).map(IpAddr::V6)).or_else(|| with_port(text))?;
        Some(Written { address, is_bare: false })
    }

    /// In logs also `2001:db8::1:54321`, as Apache writes a client with its port: read so only where the whole is no
    /// address. No database does that, and what masks in one cannot tell it apart.
    fn read_in_log(text: &str) -> Option<Written> {
        let with_port = || {
            let (address, port) = text.rsplit_once(':')?;
            let address = address.parse().ok().filter(|_| is_port(port))?;
            Some(Written { address, is_bare: false })
        };
        Written::read(text).or_else(with_port)
    }

    fn mask(&self, mask: &Mask) -> Masked<IpAddr> {
        let network = network(self.address, mask);
        if self.is_bare && network == self.address { Masked::Unchanged } else { Masked::To(network) }
    }
}

/// `[2001:db8::1]`, with or without `:443` behind it.
fn bracketed(text: &str) -> Option<IpAddr> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    let ends_well = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    let address = address.parse().ok().or_else(|| zoned(address))?;
    ends_well.then_some(IpAddr::V6(address))
}

/// `fe80::1%eth0` (RFC 4007, section 11).
fn zoned(text: &str) -> Option<Ipv6Addr> {
    text.split_once('%')?.0.parse().ok()
}

/// `192.0.2.1:8080`.
fn with_port(text: &str) -> Option<IpAddr> {
    let (address, port) = text.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn network(address: IpAddr, mask: &Mask) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(network_v4(address, mask)),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V6(network_v4(mapped, mask).to_ipv6_mapped()),
            None => IpAddr::V6(network_v6(address, mask)),
        },
    }
}

/// Of an address that is no IPv4 address in another form.
pub(crate) fn network_v6(address: Ipv6Addr, mask: &Mask) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & leading_ones_v6(prefix_v6(address, mask)))
}

fn network_v4(address: Ipv4Addr, mask: &Mask) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & leading_ones_v4(mask.v4))
}

/// Bits of an IPv6 address that stay. 6to4 (RFC 3056, section 2) carries a whole IPv4 address right behind its first
/// 16 bits, so that a prefix of 48 would keep it all: there the IPv4 prefix counts.
fn prefix_v6(address: Ipv6Addr, mask: &Mask) -> u8 {
    const SIX_TO_FOUR: u16 = 0x2002;
    match address.segments() {
        [SIX_TO_FOUR, ..] => mask.v6.min(mask.v4.saturating_add(16)),
        _ => mask.v6,
    }
}

/// The bits of an IPv4 address that stay.
pub(crate) fn leading_ones_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix)).map_or(u32::MAX, |host| !host)
}

fn leading_ones_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(prefix)).map_or(u128::MAX, |host| !host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_port_stands_bare_behind_an_address_in_logs_alone() {
        let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
        for text in ["2001:db8:1:2::6:54321", "2001:db8:1:2:3:4:5:6:80"] {
            assert_eq!(mask_in_log(text, &mask), Masked::To("2001:db8:1::".parse().unwrap()), "{text}");
            assert_eq!(mask_element(text, &mask), Masked::Unparsed, "{text}");
        }
    }

    const DEFAULT: Mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    const KEEPING: Mask = Mask { unparsed: Unparsed::Keep, ..DEFAULT };

    #[rstest]
    #[case::v4("192.0.2.77", "192.0.2.0")]
    #[case::v4_with_port("192.0.2.77:52100", "192.0.2.0")]
    #[case::v6("2001:db8:1:2:3:4:5:6", "2001:db8:1::")]
    #[case::v6_in_brackets("[2001:db8:1:2::6]", "2001:db8:1::")]
    #[case::v6_with_port("[2001:db8:1:2::6]:443", "2001:db8:1::")]
    #[case::v6_with_zone("fe80::1%eth0", "fe80::")]
    #[case::v4_in_v6("::ffff:192.0.2.77", "::ffff:192.0.2.0")]
    #[case::v4_in_6to4("2002:c000:024d::1", "2002:c000:200::")]
    #[case::port_of_a_network("192.0.2.0:80", "192.0.2.0")]
    #[case::spaces(" 192.0.2.77 ", " 192.0.2.0 ")]
    #[case::list("192.0.2.77, 2001:db8:1:2::6,198.51.100.9", "192.0.2.0, 2001:db8:1::,198.51.100.0")]
    #[case::list_with_unknown("unknown, 192.0.2.77", "unknown, 192.0.2.0")]
    fn text_keeps_its_form_and_loses_its_host(#[case] text: &str, #[case] network: &str) {
        assert_eq!(mask_text(text, &DEFAULT), Masked::To(network.to_owned()));
        assert_eq!(mask_text(network, &DEFAULT), Masked::Unchanged);
    }

    #[rstest]
    #[case("")]
    #[case("-")]
    #[case("unknown")]
    #[case("Unknown")]
    #[case("2001:DB8::")]
    #[case("192.0.2.0, unknown")]
    fn what_holds_no_host_stays(#[case] text: &str) {
        assert_eq!(mask_text(text, &DEFAULT), Masked::Unchanged);
    }

    #[rstest]
    #[case("localhost")]
    #[case("192.0.2")]
    #[case("192.000.002.001")]
    #[case("192.0.2.77:99999")]
    #[case("192.0.2.77:+80")]
    #[case("[2001:db8::1]x")]
    #[case("192.0.2.0, visitor")]
    fn what_does_not_parse_is_erased_unless_the_operator_keeps_it(#[case] text: &str) {
        assert_eq!(mask_text(text, &DEFAULT), Masked::Unparsed);
        assert_eq!(mask_text(text, &KEEPING), Masked::Unchanged);
    }

    #[test]
    fn a_kept_element_does_not_shield_its_neighbours() {
        assert_eq!(mask_text("visitor, 192.0.2.77", &KEEPING), Masked::To("visitor, 192.0.2.0".to_owned()));
    }

    #[rstest]
    #[case::v4(&[192, 0, 2, 77], Masked::To(vec![192, 0, 2, 0]))]
    #[case::masked(&[192, 0, 2, 0], Masked::Unchanged)]
    #[case::mapped(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 77], Masked::To(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 0]))]
    #[case::odd_length(&[1, 2, 3], Masked::Unparsed)]
    #[case::empty(&[], Masked::Unchanged)]
    fn bytes_stay_bytes(#[case] bytes: &[u8], #[case] expected: Masked<Vec<u8>>) {
        assert_eq!(mask_bytes(bytes, &DEFAULT), expected);
    }

    #[rstest]
    #[case::v4(0xC000_024D, Masked::To(0xC000_0200))]
    #[case::masked(0xC000_0200, Masked::Unchanged)]
    #[case::negative(-1, Masked::Unparsed)]
    #[case::too_large(1 << 32, Masked::Unparsed)]
    fn numbers_stay_numbers(#[case] number: i64, #[case] expected: Masked<i64>) {
        assert_eq!(mask_integer(number, &DEFAULT), expected);
    }

    fn masks() -> impl Strategy<Value = Mask> {
        (0..=32_u8, 0..=128_u8).prop_map(|(v4, v6)| Mask { v4, v6, unparsed: Unparsed::Erase })
    }

    /// The value after masking.
    fn settled(text: &str, mask: &Mask) -> String {
        match mask_text(text, mask) {
            Masked::To(network) => network,
            Masked::Unchanged => text.to_owned(),
            Masked::Unparsed => String::new(),
        }
    }

    /// Bit by bit, unlike the code under test.
    fn shares_prefix_and_ends_in_zeros(address: &[u8], network: &[u8], prefix: usize) -> bool {
        let bit = |bytes: &[u8], index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
        (0..address.len() * 8).all(|index| match index < prefix {
            true => bit(network, index) == bit(address, index),
            false => bit(network, index) == 0,
        })
    }

    proptest! {
        #[test]
        fn no_host_bit_of_an_ipv4_address_stays(bits: u32, mask in masks()) {
            let address = Ipv4Addr::from_bits(bits);
            let network: Ipv4Addr = settled(&address.to_string(), &mask).parse().unwrap();
            prop_assert!(shares_prefix_and_ends_in_zeros(&address.octets(), &network.octets(), mask.v4.into()));
        }

        #[test]
        fn no_host_bit_of_an_ipv6_address_stays(bits: u128, mask in masks()) {
            let address = Ipv6Addr::from_bits(bits);
            prop_assume!(address.to_ipv4_mapped().is_none() && address.segments()[0] != 0x2002);
            let network: Ipv6Addr = settled(&address.to_string(), &mask).parse().unwrap();
            prop_assert!(shares_prefix_and_ends_in_zeros(&address.octets(), &network.octets(), mask.v6.into()));
        }

        #[test]
        fn masking_twice_is_masking_once(text in "\\PC{0,12}|([0-9]{1,3}\\.){3}[0-9]{1,3}(:[0-9]{1,5})?|\\[?[0-9a-f:]{2,20}\\]?(%[a-z]{1,3})?(, ?10\\.1\\.2\\.3)?", mask in masks()) {
            let once = settled(&text, &mask);
            prop_assert_eq!(mask_text(&once, &mask), Masked::Unchanged);
        }

        #[test]
        fn a_shorter_prefix_after_a_longer_one_never_brings_bits_back(bits: u32, first in masks(), second in masks()) {
            let twice = settled(&settled(&Ipv4Addr::from_bits(bits).to_string(), &first), &second);
            let address: Ipv4Addr = twice.parse().unwrap();
            let shorter = usize::from(first.v4.min(second.v4));
            prop_assert!(shares_prefix_and_ends_in_zeros(&Ipv4Addr::from_bits(bits).octets(), &address.octets(), shorter));
        }

        #[test]
        fn what_the_standard_library_parses_is_an_address(text in "[0-9a-f:.]{2,20}") {
            let parses = text.parse::<IpAddr>().is_ok();
            prop_assert!(!parses || mask_text(&text, &DEFAULT) != Masked::Unparsed);
        }
    }
}
