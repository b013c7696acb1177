//! The pattern of a log's lines: `{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}`.
//!
//! Named parts stand between fixed text, and each reaches to the first place where the text behind it stands. A brace
//! that is meant is written twice.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePattern {
    parts: Vec<Part>,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// `{address}`: an address, or several between commas.
    Address,
    /// `{time:…}`: when the line was written, as a format of strftime(3).
    Time(String),
    /// `{_}`: anything.
    Anything,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A brace without its other half.
    #[error("a brace is not closed; one that is meant is written twice: `{{{{`")]
    Unbalanced,
    /// A part that does not exist.
    #[error("there is no part `{{{0}}}`, only `{{address}}`, `{{time:…}}` and `{{_}}`")]
    Unknown(String),
    /// Nothing says where the first of two parts ends.
    #[error("between two parts there must be some text: it says where the first one ends")]
    Adjacent,
    /// A line must have one time.
    #[error("it must have one `{{time:…}}`, such as `{{time:%d/%b/%Y:%H:%M:%S %z}}`")]
    Time,
    /// What such a format writes it cannot read, or it says no instant.
    #[error("`{0}` does not say a date with a time of day")]
    Format(String),
}

/// Whether the times of a pattern say their offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// They do.
    Stated,
    /// The zone of the server must be known.
    Unstated,
}

impl LinePattern {
    /// The pattern that `text` writes.
    ///
    /// # Errors
    /// It is none.
    pub fn new(text: &str) -> Result<LinePattern, PatternError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let is_named = rest.starts_with('{') && !rest.starts_with("{{");
            let (part, tail) = if is_named { named(rest)? } else { fixed(rest)? };
            parts.push(part);
            rest = tail;
        }
        let pattern = LinePattern { parts };
        if pattern.parts.windows(2).any(|pair| pair.iter().all(|part| !matches!(part, Part::Text(_)))) {
            return Err(PatternError::Adjacent);
        }
        let mut times = pattern.parts.iter().filter_map(Part::time);
        match (times.next(), times.next()) {
            (Some(format), None) => offset(format).map(|_| pattern.clone()),
            _ => Err(PatternError::Time),
        }
    }

    /// Its parts, each with the text behind it.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, Option<&str>)> {
        self.parts.iter().enumerate().map(|(at, part)| {
            let follows = match self.parts.get(at + 1) {
                Some(Part::Text(text)) => Some(text.as_str()),
                _ => None,
            };
            (part, follows)
        })
    }

    /// Whether lines have addresses that the pattern names.
    pub fn has_addresses(&self) -> bool {
        self.parts.contains(&Part::Address)
    }

    /// Whether its times say their offset.
    pub fn offset(&self) -> Offset {
        self.parts.iter().find_map(Part::time).and_then(|format| offset(format).ok()).unwrap_or(Offset::Unstated)
    }
}

impl Part {
    fn time(&self) -> Option<&str> {
        match self {
            Part::Time(format) => Some(format),
            Part::Text(_) | Part::Address | Part::Anything => None,
        }
    }
}

/// A part in braces, and what is behind it.
fn named(text: &str) -> Result<(Part, &str), PatternError> {
    let (name, rest) = text.get(1..).and_then(|text| text.split_once('}')).ok_or(PatternError::Unbalanced)?;
    if name.contains('{') {
        return Err(PatternError::Unbalanced);
    }
    let part = match name {
        "address" => Part::Address,
        "_" => Part::Anything,
        _ => match name.strip_prefix("time:") {
            Some(format) => Part::Time(format.to_owned()),
            None => return Err(PatternError::Unknown(name.to_owned())),
        },
    };
    Ok((part, rest))
}

/// Text up to the next part, and what is behind it.
fn fixed(text: &str) -> Result<(Part, &str), PatternError> {
    let (mut meant, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        meant.push_str(before);
        let doubled = brace.starts_with("{{") || brace.starts_with("}}");
        match (doubled, brace.starts_with('{')) {
            (true, opens) => meant.push(if opens { '{' } else { '}' }),
            (false, true) => return Ok((Part::Text(meant), brace)),
            (false, false) => return Err(PatternError::Unbalanced),
        }
        rest = brace.get(2..).unwrap_or_default();
    }
    meant.push_str(rest);
    Ok((Part::Text(meant), ""))
}

/// Whether what `format` writes says an instant, alone or together with a zone.
fn offset(format: &str) -> Result<Offset, PatternError> {
    let wrong = || PatternError::Format(format.to_owned());
    // Any moment will do: of no field is it the least or the greatest.
    let moment = Timestamp::constant(1_790_000_000, 0).to_zoned_datetime(TimeZone::fixed(jiff::tz::offset(2)));
    let written = written(format, &moment).ok_or_else(wrong)?;
    let parsed = strtime::parse(format, &written).map_err(|_| wrong())?;
    if parsed.to_timestamp().is_ok_and(|instant| instant == moment.timestamp()) {
        return Ok(Offset::Stated);
    }
    match parsed.to_datetime() {
        Ok(civil) if civil == moment.datetime() => Ok(Offset::Unstated),
        _ => Err(wrong()),
    }
}

fn written(format: &str, moment: &ZonedDateTime) -> Option<String> {
    strtime::format(format, moment).ok()
}
