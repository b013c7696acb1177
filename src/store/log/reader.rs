//! A line, taken apart by the format of its log: its time, and where its addresses stand.
//!
//! What a visitor sends stands in the line too, and may look like a time or an address. In the formats of the Common
//! Log Format the time is therefore the one right before the request's opening quote: a user's name may hold a time,
//! but no quote that is not escaped.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::field::{FieldKind, Fields};
use super::json::Json;
use super::occurrences::occurrences;
use super::scan::{self, Marker, Parameters};
use super::time::{CLF_LENGTH, Clock, Moment};
use crate::config::line_pattern::{LinePattern, Part};
use crate::config::site::{Log, LogFormat, UnparsedLine};

/// Takes the lines of one log apart. It remembers what it learned from the last line: one for each thread.
#[derive(Debug)]
pub(super) struct LineReader {
    format: Format,
    clock: Clock,
    parameters: Parameters,
    unparsed: UnparsedLine,
}

/// Whether the addresses of a line are wanted, besides its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Time,
    Addresses,
}

#[derive(Debug)]
enum Format {
    /// The Common Log Format and its offspring.
    Clf(Clf),
    NginxError {
        peers: Vec<Marker>,
    },
    ApacheError {
        peers: Vec<Marker>,
    },
    Json(Json),
    Custom(LinePattern),
}

/// What differs between formats of that family.
#[derive(Debug, Clone, Copy)]
struct Clf {
    /// Fields before the client.
    before: usize,
    /// Quotes of the fields that the format has: more of them are further fields.
    quotes: usize,
}

impl LineReader {
    /// A reader of the lines of `log`. `None` where its pattern is none: that was checked when it was declared.
    pub(super) fn new(log: &Log) -> Option<LineReader> {
        let clf = |before, quotes| Format::Clf(Clf { before, quotes });
        let format = match &log.format {
            LogFormat::Common => clf(0, 2),
            LogFormat::Combined => clf(0, 6),
            LogFormat::VhostCombined => clf(1, 6),
            LogFormat::NginxError => Format::NginxError { peers: vec![Marker::new("client")] },
            LogFormat::ApacheError => Format::ApacheError { peers: vec![Marker::new("client"), Marker::new("remote")] },
            LogFormat::Json { time, addresses } => Format::Json(Json::new(time, addresses)),
            LogFormat::Custom(pattern) => Format::Custom(LinePattern::new(pattern).ok()?),
        };
        let zone = log.zone.as_ref().map_or(TimeZone::UTC, |zone| zone.zone.clone());
        let parameters = Parameters::new(&log.parameters);
        Some(LineReader { format, clock: Clock::new(zone), parameters, unparsed: log.unparsed })
    }

    /// The time of a line in the format; `None` where it is not. Pushes its addresses, where they are wanted: of a
    /// line that is not in the format those that are found anywhere in it, unless the operator keeps them.
    pub(super) fn read(&mut self, line: &[u8], want: Want, fields: &mut Fields) -> Option<Moment> {
        fields.clear();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let time = self.in_format(line, want, fields);
        if want == Want::Addresses {
            if time.is_some() {
                self.parameters.push(line, fields);
            } else {
                self.scan(line, fields);
            }
        }
        time
    }

    /// Pushes the addresses of a line, or of a piece of one, that is not in the format.
    pub(super) fn scan(&self, line: &[u8], fields: &mut Fields) {
        fields.clear();
        if self.unparsed == UnparsedLine::Scan {
            self.parameters.push(line, fields);
            scan::anywhere(line, fields);
        }
    }

    fn in_format(&mut self, line: &[u8], want: Want, fields: &mut Fields) -> Option<Moment> {
        let LineReader { format, clock, .. } = self;
        match format {
            Format::Clf(clf) => {
                let Head { client, names, time, request } = clf.head(line)?;
                let time = clock.clf(time)?;
                if want == Want::Addresses {
                    let behind = client.end;
                    fields.push(client, FieldKind::Certain);
                    if let Some(names) = names {
                        push_words(names, behind, fields);
                    }
                    clf.push_further_fields(line, request, fields);
                }
                Some(time)
            }
            Format::NginxError { peers } => {
                let time = clock.nginx_error(line.first_chunk()?)?;
                if want == Want::Addresses {
                    peers.iter().for_each(|peer| peer.push_peers(line, fields));
                }
                Some(time)
            }
            Format::ApacheError { peers } => {
                let end = memchr::memchr(b']', line)?;
                let time = clock.apache_error(line.get(..end)?.strip_prefix(b"[")?)?;
                if want == Want::Addresses {
                    peers.iter().for_each(|peer| peer.push_peers(line, fields));
                }
                Some(time)
            }
            Format::Json(json) => {
                let time = json.read(line, want, fields)?;
                clock.json(&line[time])
            }
            Format::Custom(pattern) => custom(pattern, line, want, fields, clock),
        }
    }
}

/// The beginning of a line in a format of that family.
struct Head<'l> {
    client: Range<usize>,
    /// The user's identity and name as far as they are known, which stand right behind the client.
    names: Option<&'l [u8]>,
    time: &'l [u8; CLF_LENGTH],
    /// Where the opening quote of the request is.
    request: usize,
}

/// Mostly neither of the names is known.
const NO_NAMES: &[u8; 6] = b" - - [";

/// What stands between the time and the request.
const BEFORE_THE_REQUEST: &[u8; 3] = b"] \"";

impl Clf {
    fn head(self, line: &[u8]) -> Option<Head<'_>> {
        let mut start = 0;
        for _ in 0..self.before {
            start += memchr::memchr(b' ', line.get(start..)?)? + 1;
        }
        let mut end = start + memchr::memchr(b' ', line.get(start..)?)?;
        // Where `X-Forwarded-For` takes the place of the client, a comma is followed by the next proxy.
        while end > start && line[end - 1] == b',' {
            end += 1 + memchr::memchr(b' ', line.get(end + 1..)?)?;
        }
        if end == start {
            return None;
        }
        if let Some((names, rest)) = line.get(end..)?.split_first_chunk()
            && let Some((time, rest)) = rest.split_first_chunk()
            && (names, rest.first_chunk()) == (NO_NAMES, Some(BEFORE_THE_REQUEST))
        {
            let request = end + NO_NAMES.len() + CLF_LENGTH + BEFORE_THE_REQUEST.len() - 1;
            return Some(Head { client: start..end, names: None, time, request });
        }
        let mut from = end;
        loop {
            let quote = from + memchr::memchr(b'"', line.get(from..)?)?;
            if line.get(quote.checked_sub(1)?) != Some(&b'\\') {
                let bracket = quote.checked_sub(CLF_LENGTH + 3).filter(|at| line.get(*at) == Some(&b'['));
                // Where no client stands before it, what begins the line is the time itself.
                let opens = bracket.is_some_and(|bracket| end < bracket);
                let before = line[..quote].strip_suffix(b"] ").filter(|_| opens)?;
                let (before, time) = before.split_last_chunk()?;
                // What is not apart from the time, such as a parameter in a user's name, would take it along.
                let names = before.strip_suffix(b" [")?.get(end..)?;
                return Some(Head { client: start..end, names: Some(names), time, request: quote });
            }
            from = quote + 1;
        }
    }

    /// Pushes quoted fields beyond those of the format: `X-Forwarded-For`, where a proxy is before the server.
    fn push_further_fields(self, line: &[u8], request: usize, fields: &mut Fields) {
        let behind = line.get(request + 1..).unwrap_or_default();
        if occurrences(b'"', behind) < self.quotes {
            return;
        }
        let mut quotes = Unescaped { line, at: request };
        let mut number = 0;
        while let (Some(open), Some(close)) = (quotes.next(), quotes.next()) {
            number += 2;
            if number > self.quotes {
                fields.push(open + 1..close, FieldKind::Possible);
            }
        }
    }
}

/// Pushes what stands between spaces: more of a list that has them before its commas or no commas at all.
fn push_words(words: &[u8], mut start: usize, fields: &mut Fields) {
    for word in words.split(|byte| *byte == b' ') {
        fields.push(start..start + word.len(), FieldKind::Possible);
        start += word.len() + 1;
    }
}

/// The places of quotes that are not escaped.
struct Unescaped<'l> {
    line: &'l [u8],
    at: usize,
}

impl Iterator for Unescaped<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let quote = self.at + memchr::memchr(b'"', self.line.get(self.at..)?)?;
            self.at = quote + 1;
            let escapes = self.line[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
            if escapes % 2 == 0 {
                return Some(quote);
            }
        }
    }
}

fn custom(pattern: &LinePattern, line: &[u8], want: Want, fields: &mut Fields, clock: &mut Clock) -> Option<Moment> {
    let (mut at, mut time) = (0, None);
    for (part, follows) in pattern.parts() {
        let end = match follows {
            _ if matches!(part, Part::Text(_)) => at,
            Some(text) => at + memchr::memmem::find(&line[at..], text.as_bytes())?,
            None => line.len(),
        };
        match part {
            Part::Text(text) => {
                at += line[at..].starts_with(text.as_bytes()).then_some(text.len())?;
                continue;
            }
            Part::Time(format) => time = Some(clock.custom(format, &line[at..end])?),
            Part::Address if want == Want::Addresses => fields.push(at..end, FieldKind::Certain),
            Part::Address | Part::Anything => {}
        }
        at = end;
    }
    time.filter(|_| at == line.len())
}
