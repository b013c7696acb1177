//! HTTP Archives: a log of requests and answers.
//!
//! They tell of cookies twice: in the headers as they were, and in lists that the tool made of them. Both are read.
//! Entries are taken apart one by one, as they come, so that a long log needs no more memory than a short one.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::End;
use super::list::{Bounded, TOO_LONG};
use super::{Items, TooMany};
use crate::config::ItemKind;
use crate::cookies::{Life, host};

/// What the entries of a log tell.
#[derive(Debug)]
pub(super) struct Har(pub(super) Items);

impl<'de> Deserialize<'de> for Har {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Log {
            entries: Entries,
        }
        Log::deserialize(deserializer).map(|log| Har(log.entries.0))
    }
}

struct Entries(Items);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne;
        impl<'de> Visitor<'de> for OneByOne {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Entries, A::Error> {
                let mut items = Items::default();
                while let Some(entry) = sequence.next_element::<Entry>()? {
                    entry.add_to(&mut items).map_err(|TooMany| A::Error::custom(TOO_LONG))?;
                }
                Ok(Entries(items))
            }
        }
        deserializer.deserialize_seq(OneByOne)
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "startedDateTime")]
    started: Option<String>,
    request: Option<Request>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Request {
    url: Option<String>,
    cookies: Option<Bounded<Cookie>>,
}

#[derive(Deserialize)]
struct Response {
    cookies: Option<Bounded<Cookie>>,
    headers: Option<Bounded<Header>>,
}

#[derive(Deserialize)]
struct Cookie {
    name: String,
    domain: Option<String>,
    expires: Option<End>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: Option<String>,
}

impl Entry {
    fn add_to(self, items: &mut Items) -> Result<(), TooMany> {
        let Entry { started, request, response } = self;
        let started = started.and_then(|started| started.parse::<Timestamp>().ok());
        let host = request.as_ref().and_then(|request| request.url.as_deref()).and_then(host::of_address);
        for cookie in request.into_iter().filter_map(|request| request.cookies).flat_map(|cookies| cookies.0) {
            // What is sent back has a name, and neither its domain nor its end.
            items.add(&cookie.name, ItemKind::Cookie, host.clone(), Life::NotSaid)?;
        }
        let Some(Response { cookies, headers }) = response else { return Ok(()) };
        for cookie in cookies.into_iter().flat_map(|cookies| cookies.0) {
            let life = End::life(cookie.expires.as_ref(), started);
            add(items, &cookie.name, cookie.domain.as_deref(), life, host.as_deref())?;
        }
        let headers = headers.into_iter().flat_map(|headers| headers.0);
        for header in headers.filter(|header| header.name.eq_ignore_ascii_case("set-cookie")) {
            // Several headers of one name are joined by line ends.
            for line in header.value.as_deref().unwrap_or_default().lines() {
                let set = SetCookie::of(line, started);
                add(items, set.name, set.domain, set.life, host.as_deref())?;
            }
        }
        Ok(())
    }
}

fn add(
    items: &mut Items,
    name: &str,
    domain: Option<&str>,
    life: Option<Life>,
    host: Option<&str>,
) -> Result<(), TooMany> {
    let host = domain.and_then(host::named).or_else(|| host.map(str::to_owned));
    match life {
        Some(life) => items.add(name, ItemKind::Cookie, host, life),
        None => Ok(()),
    }
}

/// A date as JSON or as headers have it: `Sun, 06 Nov 1994 08:49:37 GMT`, or with hyphens as servers used to.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    // The day of the week says nothing that the date does not, and is sometimes wrong.
    let date = text.split_once(',').map_or(text, |(_, date)| date).trim().replace('-', " ");
    jiff::fmt::rfc2822::parse(&date).ok().map(|zoned| zoned.timestamp())
}

/// What a Set-Cookie header says (RFC 6265 §5.2), but for the value.
struct SetCookie<'a> {
    name: &'a str,
    domain: Option<&'a str>,
    life: Option<Life>,
}

impl SetCookie<'_> {
    fn of(line: &str, started: Option<Timestamp>) -> SetCookie<'_> {
        let mut parts = line.split(';');
        let pair = parts.next().unwrap_or_default();
        let name = pair.split_once('=').map_or("", |(name, _)| name).trim();
        let (mut domain, mut end, mut age) = (None, None, None);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("domain") {
                domain = Some(value);
            } else if key.eq_ignore_ascii_case("expires") {
                end = Some(End::Date(value.to_owned()));
            } else if key.eq_ignore_ascii_case("max-age") {
                age = value.parse::<i64>().ok();
            }
        }
        // The age counts before the date (RFC 6265 §5.3).
        let life = match (age, end) {
            (Some(age), _) => u64::try_from(age).ok().filter(|age| *age > 0).map(Life::Seconds),
            (None, end) => End::life(end.as_ref(), started),
        };
        SetCookie { name, domain, life }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_in_a_header_counts_before_the_date_and_an_end_in_the_past_deletes() {
        let started = "2026-03-01T12:00:00Z".parse().ok();
        let life = |line: &str| SetCookie::of(line, started).life;
        assert_eq!(life("a=b; Path=/"), Some(Life::Session));
        assert_eq!(life("a=b; Expires=Sun, 01 Mar 2026 13:00:00 GMT"), Some(Life::Seconds(3600)));
        assert_eq!(life("a=b; expires=Mon, 01-Mar-2026 13:00:00 GMT"), Some(Life::Seconds(3600)));
        assert_eq!(life("a=b; Expires=Sun, 01 Mar 2026 13:00:00 GMT; max-age=60"), Some(Life::Seconds(60)));
        assert_eq!(life("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), None);
        assert_eq!(life("a=; Max-Age=0"), None);
        assert_eq!(life("a=b; Expires=some day"), Some(Life::NotSaid));
        assert_eq!(life("a=b; Expires=Wed, 31 Dec 1969 23:59:59 GMT"), Some(Life::Session));
    }
}
