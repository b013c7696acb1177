//! Whose an item is: the site's own, or that of somebody else.
//!
//! What the site's own hosts are says [`is_own`].

use crate::config::site::{is_own, is_within};
use crate::papers::items::DeclaredItem;

/// The host of an address such as `https://www.shop.example:8080/path`, in lower case.
pub(super) fn of_address(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host_and_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host_and_port.split(':').next()?,
    };
    named(host)
}

/// A host as a cookie names its domain, without the leading dot of old browsers.
pub(super) fn named(host: &str) -> Option<String> {
    let host = host.trim_start_matches('.').trim_end_matches('.');
    (!host.is_empty()).then(|| super::capture::shortened(&host.to_ascii_lowercase()))
}

/// In whose name an item stands in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party<'a> {
    First,
    /// That of another host.
    Third(&'a str),
}

impl<'a> Party<'a> {
    /// Whose an item of `host` is on a site that has the names `own`. A capture that names no host is one of the page.
    pub(super) fn of(host: Option<&'a str>, own: &[&str]) -> Party<'a> {
        match host {
            Some(host) if !own.iter().any(|own| is_own(host, own)) => Party::Third(host),
            _ => Party::First,
        }
    }

    /// Whether an item of that party may be the declared one. One that is declared for another host is nowhere else; one
    /// that is declared for none is found elsewhere too, where it is a finding.
    pub(super) fn may_be(self, declared: &DeclaredItem<'_>) -> bool {
        match (declared.third_party, self) {
            (None, _) => true,
            (Some(host), Party::Third(seen)) => is_within(seen, host),
            (Some(_), Party::First) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_host_without_user_port_and_path() {
        for (address, host) in [
            ("https://Shop.example/a?b=https://other.example", Some("shop.example")),
            ("http://user:secret@shop.example:8080", Some("shop.example")),
            ("http://[::1]:80/", Some("::1")),
            ("data:text/html,x", None),
            ("https://", None),
        ] {
            assert_eq!(of_address(address).as_deref(), host, "{address}");
        }
    }
}
