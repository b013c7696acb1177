//! Cookie files in Netscape's format: seven fields between tabs on a line.

use std::io::{BufRead, Read};

use jiff::Timestamp;

use super::{Items, Refused, instant, life_until};
use crate::config::ItemKind;
use crate::cookies::{Life, Source, host};

/// What curl writes before a cookie that scripts cannot see: the line is no comment.
const HTTP_ONLY: &[u8] = b"#HttpOnly_";

/// The most bytes of a line. A cookie has 4,096 at most (RFC 6265 §6.1).
const LONGEST_LINE: u64 = 64 << 10;

pub(super) fn read(reader: &mut impl BufRead, written: Timestamp) -> Result<(Source, Items), Refused> {
    let mut items = Items::default();
    let (mut number, mut begins_as_one) = (0, false);
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        let text = line.trim_ascii_end();
        let cookie = text.strip_prefix(HTTP_ONLY).unwrap_or(text);
        if cookie.is_empty() || cookie.starts_with(b"#") {
            begins_as_one |= number == 1 && is_heading(cookie);
            continue;
        }
        let malformed =
            Refused::Malformed { line: number, column: 1, problem: "a cookie has seven fields between tabs" };
        match fields(&line, cookie) {
            Some(Fields { name, domain, end }) => {
                begins_as_one = true;
                let life = if end > 0.0 { life_until(instant(end), written) } else { Some(Life::Session) };
                if let Some(life) = life {
                    items.add(&name, ItemKind::Cookie, host::named(&domain), life)?;
                }
            }
            None if begins_as_one => return Err(malformed),
            None => return Err(Refused::Unknown),
        }
    }
    if begins_as_one { Ok((Source::CookiesTxt, items)) } else { Err(Refused::Unknown) }
}

fn is_heading(comment: &[u8]) -> bool {
    [&b"# Netscape HTTP Cookie File"[..], b"# HTTP Cookie File"].contains(&comment)
}

struct Fields {
    name: String,
    domain: String,
    end: f64,
}

/// The fields of a line; none where it is not one. A value that is empty may be missing with its tab: `line` ends where
/// `cookie` had white space cut off.
fn fields(line: &[u8], cookie: &[u8]) -> Option<Fields> {
    if !line.ends_with(b"\n") && line.len() >= usize::try_from(LONGEST_LINE).unwrap_or(usize::MAX) {
        return None;
    }
    let fields: Vec<&[u8]> = cookie.split(|byte| *byte == b'\t').collect();
    let [domain, subdomains, path, secure, end, name] = fields.get(..6)?.try_into().ok()?;
    let is_switch = |field: &[u8]| field.eq_ignore_ascii_case(b"TRUE") || field.eq_ignore_ascii_case(b"FALSE");
    if fields.len() > 7 || !is_switch(subdomains) || !is_switch(secure) || !path.starts_with(b"/") {
        return None;
    }
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let end = text(end).parse::<f64>().ok().filter(|end| end.is_finite())?;
    Some(Fields { name: text(name), domain: text(domain), end })
}
