//! Captures in files, told apart by what is in them.
//!
//! A capture comes from anywhere, so nothing in it is trusted: it is read once from front to back, what is not needed
//! is skipped without being kept, and its size, its lists and its names are limited. What is wrong with it is told by
//! line and column alone: the parser's own messages would quote values.

mod har;
mod json;
mod list;
mod netscape;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Capture, Life, Moment, Seen};
use crate::config::ItemKind;

pub(super) use json::Row;

/// A larger file is not read. HAR files of long visits have some ten MiB, and most of that is what the server sent.
const LARGEST: u64 = 128 << 20;

/// More items than this are not a visit to a website.
const MOST_ITEMS: usize = 10_000;

/// As much of a name as is kept.
const LONGEST_NAME: usize = 256;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large.
    #[error(
        "{path}: larger than {} MiB, which is as much as is read: leave out of it what the server sent (a HAR file without content)",
        LARGEST >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not what it looks like.
    #[error("{path}:{line}:{column}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Where in the line.
        column: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// It is nothing of what is known.
    #[error(
        "{path}: this is none of the captures that are known: a HAR file, `inspection.json` of the Website Evidence Collector, a cookies.txt, a storage state, a list of cookies in JSON"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the capture in a file, taken at `moment`.
///
/// Where the file does not say when it was taken, it was when it was last written: so much of the lifetimes had passed.
///
/// # Errors
/// The file cannot be read, is too large, or is not a capture.
pub fn read(path: &Path, moment: Moment) -> Result<Capture, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let written = file.metadata().and_then(|of_file| of_file.modified()).map_err(io)?;
    let written = Timestamp::try_from(written).unwrap_or(Timestamp::MAX);
    let mut reader = BufReader::with_capacity(1 << 16, file.take(LARGEST + 1));
    skip_byte_order_mark(&mut reader).map_err(io)?;
    let first = first_byte(&mut reader).map_err(io)?;
    let read = match first {
        Some(b'{') => json::document(&mut reader, written),
        Some(b'[') => json::list(&mut reader, written),
        Some(_) => netscape::read(&mut reader, written),
        None => Err(Refused::Unknown),
    };
    let is_over = reader.get_ref().limit() == 0;
    match read {
        _ if is_over => Err(ReadError::TooLarge { path: path.to_owned() }),
        Ok((source, items)) => Ok(Capture { source, moment, items: items.into_items() }),
        Err(Refused::Io(source)) => Err(io(source)),
        Err(Refused::Unknown) => Err(ReadError::Unknown { path: path.to_owned() }),
        Err(Refused::Malformed { line, column, problem }) => {
            Err(ReadError::Malformed { path: path.to_owned(), line, column, problem })
        }
    }
}

/// Why the contents of a file are refused.
#[derive(Debug)]
enum Refused {
    Io(std::io::Error),
    Unknown,
    Malformed { line: usize, column: usize, problem: &'static str },
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Refused {
        Refused::Io(error)
    }
}

/// The message of the parser stays here: it quotes the value that it did not expect.
impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Refused {
        let (line, column) = (error.line(), error.column());
        let problem = match error.classify() {
            serde_json::error::Category::Io => return Refused::Io(error.into()),
            serde_json::error::Category::Syntax => "this is not JSON",
            serde_json::error::Category::Eof => "the file ends in the middle",
            serde_json::error::Category::Data => "a value is not what such a capture has there, or there are too many",
        };
        Refused::Malformed { line, column, problem }
    }
}

fn skip_byte_order_mark(reader: &mut impl BufRead) -> std::io::Result<()> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let has_mark = reader.fill_buf()?.starts_with(MARK);
    if has_mark {
        reader.consume(MARK.len());
    }
    Ok(())
}

/// The first byte that is not white space, which is left in place.
fn first_byte(reader: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let Some(first) = buffer.first().copied() else { return Ok(None) };
        if !first.is_ascii_whitespace() {
            return Ok(Some(first));
        }
        reader.consume(1);
    }
}

/// What was read so far: each item once, with the longest life that was seen.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: BTreeMap<(String, ItemKind, Option<String>), Life>,
}

/// There are more items than a visit can have.
#[derive(Debug)]
pub(super) struct TooMany;

impl Items {
    pub(super) fn add(&mut self, name: &str, kind: ItemKind, host: Option<String>, life: Life) -> Result<(), TooMany> {
        let known = self.items.entry((shortened(name), kind, host)).or_insert(life);
        *known = life.max(*known);
        if self.items.len() > MOST_ITEMS { Err(TooMany) } else { Ok(()) }
    }

    pub(super) fn into_items(self) -> Vec<Seen> {
        let seen = |((name, kind, host), life)| Seen { name, kind, host, life };
        self.items.into_iter().map(seen).collect()
    }
}

/// A name of bearable length.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// How long a cookie lives that ends at an instant; none where it has ended already, by which cookies are deleted.
/// Before 1970 no browser was closed: some tools write such a date for a cookie of the session.
pub(super) fn life_until(end: Timestamp, from: Timestamp) -> Option<Life> {
    if end < Timestamp::UNIX_EPOCH {
        return Some(Life::Session);
    }
    u64::try_from(end.duration_since(from).as_secs()).ok().filter(|left| *left > 0).map(Life::Seconds)
}

/// An instant in seconds since 1970; far beyond the calendar it is the last one.
pub(super) fn instant(seconds: f64) -> Timestamp {
    let since = jiff::SignedDuration::try_from_secs_f64(seconds);
    since.ok().and_then(|since| Timestamp::from_duration(since).ok()).unwrap_or(Timestamp::MAX)
}
