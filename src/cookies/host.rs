//! Whose an item is: the site's own, or that of somebody else.
//!
//! Without a list of public suffixes nobody can tell whether `shop.example` and `blog.example` belong together. So a
//! host is the site's own where one of the two names is a part of the other, and else a third party: doubt shows.

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

/// Whether an item of `host` is one of the site `own`.
pub(super) fn is_of(host: &str, own: &str) -> bool {
    // A cookie of `shop.example` is sent by `www.shop.example`, and the other way round.
    let is_within = |inner: &str, outer: &str| {
        outer.contains('.') && inner.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'))
    };
    host == own || is_within(host, own) || is_within(own, host)
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

    #[test]
    fn parts_of_a_name_belong_together_and_names_that_end_alike_do_not() {
        assert!(is_of("shop.example", "shop.example"));
        assert!(is_of("www.shop.example", "shop.example"));
        assert!(is_of("shop.example", "www.shop.example"));
        assert!(!is_of("workshop.example", "shop.example"));
        assert!(!is_of("example", "shop.example"));
        assert!(!is_of("blog.example", "shop.example"));
    }
}
