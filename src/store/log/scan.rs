//! Addresses anywhere in a line: where the line is not in its format, or where a name says that one follows.

use std::ops::Range;

use super::dotted::Dotted;
use super::field::{FieldKind, Fields};

/// Pushes every address in a line that is not in its format.
pub(super) fn anywhere(line: &[u8], fields: &mut Fields) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'.', b':', &line[at..]) {
        let run = run_around(line, at + found);
        at = run.end;
        let apart = Apart { before: !is_word(before(line, run.start)), behind: !is_word(line.get(run.end)) };
        push_all(line, run, apart, fields);
    }
}

/// Whether what is around a run is no part of a word: an address can begin there, and end.
#[derive(Debug, Clone, Copy)]
struct Apart {
    before: bool,
    behind: bool,
}

/// Pushes every address of a run: the whole of it, or those within it. What is left between them is looked at as it will
/// stand once they are gone, so that one time is enough.
fn push_all(line: &[u8], run: Range<usize>, apart: Apart, fields: &mut Fields) {
    if push_v6(line, run.clone(), apart, fields) {
        return;
    }
    let found = v4s(line, run.clone(), apart);
    let mut from = run.start;
    for address in &found {
        let before = apart.before || from > run.start;
        push_rest(line, from..address.start, Apart { before, behind: true }, fields);
        fields.push(address.clone(), FieldKind::Possible);
        from = address.end;
    }
    if from > run.start {
        push_rest(line, from..run.end, Apart { before: true, behind: apart.behind }, fields);
    }
}

fn push_rest(line: &[u8], rest: Range<usize>, apart: Apart, fields: &mut Fields) {
    if !rest.is_empty() {
        push_all(line, rest, apart, fields);
    }
}

/// The bytes around `at` that an address can be made of.
fn run_around(line: &[u8], at: usize) -> Range<usize> {
    let belongs = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let start = line[..at].iter().rposition(|byte| !belongs(byte)).map_or(0, |before| before + 1);
    let end = line[at..].iter().position(|byte| !belongs(byte)).map_or(line.len(), |length| at + length);
    start..end
}

/// Whether a byte is part of a word, so that an address cannot begin behind it or end before it.
fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn before(line: &[u8], at: usize) -> Option<&u8> {
    at.checked_sub(1).and_then(|before| line.get(before))
}

/// Whether the run was one IPv6 address, perhaps with a port behind it, a word and a colon before it (`source:2001:db8::1`,
/// whose last letters could be of an address), or between a colon or a full stop of the sentence around it.
fn push_v6(line: &[u8], run: Range<usize>, apart: Apart, fields: &mut Fields) -> bool {
    let Some(colon) = line[run.clone()].iter().position(|byte| *byte == b':').map(|at| run.start + at) else {
        return false;
    };
    let Range { start, end } = run.clone();
    if !line[colon + 1..end].contains(&b':') {
        return false;
    }
    let is_before = |at: usize| if at == run.start { apart.before } else { !is_word(before(line, at)) };
    let is_behind = |at: usize| if at == run.end { apart.behind } else { !is_word(line.get(at)) };
    let begins_in_a_word = !apart.before || colon == start;
    let starts = [start, if begins_in_a_word { colon + 1 } else { start }];
    let ends = [end, end - usize::from(matches!(line[end - 1], b':' | b'.'))];
    for start in starts {
        for end in ends {
            // A call in a program (`cafe::add(`) looks like one.
            let apart = is_before(start) && is_behind(end) && line.get(end) != Some(&b'(');
            if apart && start < end && is_v6_with_port(&line[start..end]) {
                fields.push(with_brackets(line, start..end), FieldKind::Possible);
                return true;
            }
        }
    }
    false
}

/// `2001:db8::1:54321` is read as one with a port only where the whole is no address.
fn is_v6_with_port(text: &[u8]) -> bool {
    let without_port = || {
        let colon = text.iter().rposition(|byte| *byte == b':')?;
        (port_at(&text[colon..]) == text.len() - colon).then(|| is_v6(&text[..colon]))
    };
    is_v6(text) || without_port() == Some(true)
}

/// With its brackets and its port, where there is one, and where what is left does not run into what is around it.
fn with_brackets(line: &[u8], address: Range<usize>) -> Range<usize> {
    let Range { start, end } = address;
    let port = line.get(end + 1..).map_or(0, port_at);
    let is_in_brackets = before(line, start) == Some(&b'[') && line.get(end) == Some(&b']');
    if !is_in_brackets || port == 0 {
        return start..end;
    }
    let whole = start - 1..end + 1 + port;
    let runs_on = |byte: Option<&u8>| is_word(byte) || matches!(byte, Some(b'.' | b':'));
    let stops = line.get(whole.end) == Some(&b'.') && !runs_on(line.get(whole.end + 1));
    let apart = !runs_on(before(line, whole.start)) && (stops || !runs_on(line.get(whole.end)));
    // Within further brackets it would look the same again without these.
    let nested = before(line, whole.start) == Some(&b'[') && line.get(whole.end) == Some(&b']');
    if apart && !nested { whole } else { start..end }
}

fn is_v6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Every IPv4 address within a run, with its port.
fn v4s(line: &[u8], run: Range<usize>, apart: Apart) -> Vec<Range<usize>> {
    let is_before = |at: usize| if at == run.start { apart.before } else { !is_word(before(line, at)) };
    let is_behind = |at: usize| if at == run.end { apart.behind } else { !is_word(line.get(at)) };
    let mut found = Vec::new();
    let mut at = run.start;
    while at < run.end {
        let belongs = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let Some(begin) = line[at..run.end].iter().position(belongs) else { break };
        let begin = at + begin;
        let end = line[begin..run.end].iter().position(|byte| !belongs(byte)).map_or(run.end, |length| begin + length);
        at = end;
        let (mut from, mut to) = (begin, end);
        while from < to && line[from] == b'.' {
            from += 1;
        }
        while to > from && line[to - 1] == b'.' {
            to -= 1;
        }
        // Behind a dot a word may follow: the name of a host that carries its address.
        if is_before(from) && is_behind(to) && Dotted::read(&line[from..to]).is_some() {
            let with_port = to + port_at(&line[to..run.end]);
            found.push(from..with_port);
            at = at.max(with_port);
        }
    }
    found
}

/// Bytes of `:54321` at the beginning of `text`; behind a shared address a port is the visitor. What `:36` follows is the
/// time of day or the like: were it removed, the `:36` would be taken for a port the next time.
fn port_at(text: &[u8]) -> usize {
    let [b':', rest @ ..] = text else { return 0 };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = match &rest[digits..] {
        [b':', next, ..] => !next.is_ascii_digit(),
        behind => !is_word(behind.first()),
    };
    if (1..=5).contains(&digits) && ends { 1 + digits } else { 0 }
}

/// Finds what follows a fixed text.
#[derive(Debug)]
pub(super) struct Marker {
    finder: memchr::memmem::Finder<'static>,
}

impl Marker {
    pub(super) fn new(text: &str) -> Marker {
        Marker { finder: memchr::memmem::Finder::new(text).into_owned() }
    }

    /// The places right behind the text.
    fn behind<'l>(&'l self, line: &'l [u8]) -> impl Iterator<Item = usize> + 'l {
        self.finder.find_iter(line).map(|at| at + self.finder.needle().len())
    }

    /// Pushes what stands behind `client ` and `client: ` in an error log.
    pub(super) fn push_peers(&self, line: &[u8], fields: &mut Fields) {
        for at in self.behind(line) {
            let at = at + usize::from(line.get(at) == Some(&b':'));
            if line.get(at) != Some(&b' ') {
                continue;
            }
            let rest = &line[at + 1..];
            // An IPv6 address with a port stands in brackets, inside those of the field.
            let inner = usize::from(rest.first() == Some(&b'['));
            let ends = |byte: &u8| matches!(byte, b' ' | b',' | b';' | b']' | b'"' | b')');
            let mut length = rest[inner..].iter().position(ends).map_or(rest.len(), |length| inner + length);
            if inner == 1 && rest.get(length) == Some(&b']') {
                length += 1;
                length += rest[length..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b':').count();
            }
            fields.push(at + 1..at + 1 + length, FieldKind::Possible);
        }
    }
}

/// Parameters of queries and cookies whose values are addresses.
#[derive(Debug)]
pub(super) struct Parameters {
    markers: Vec<(Marker, usize)>,
}

impl Parameters {
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n String>) -> Parameters {
        let marker = |name: &String| (Marker::new(&format!("{name}=")), name.len() + 1);
        Parameters { markers: names.into_iter().map(marker).collect() }
    }

    /// Pushes the values of those that are in the line.
    pub(super) fn push(&self, line: &[u8], fields: &mut Fields) {
        for (marker, length) in &self.markers {
            for value in marker.behind(line).filter(|value| begins_a_name(&line[..value - length])) {
                let ends = |byte: &u8| matches!(byte, b'&' | b';' | b'"' | b'#' | b'\\' | b'\'' | b' ');
                let end = line[value..].iter().position(ends).map_or(line.len(), |length| value + length);
                fields.push(value..end, FieldKind::Parameter);
            }
        }
    }
}

/// Whether a name can begin behind `before`. Some write `&` in JSON by its number.
fn begins_a_name(before: &[u8]) -> bool {
    match before {
        [.., last] => matches!(last, b'?' | b'&' | b';' | b' ' | b'"' | b'\'') || before.ends_with(br"\u0026"),
        [] => true,
    }
}
