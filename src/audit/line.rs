//! Lines of the log as bytes: cutting a stream into them, and the cheap check that one is an entry in its place.
//!
//! The check borrows everything from the line; verification of millions of entries and the start of the daemon rest
//! on it, so it does not build an [`Event`](super::Event).

use std::io::{self, BufRead, Read};

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

/// The longest line, in bytes without the newline: what a C2SP `tlog-tiles` entry can hold.
pub const MAX_LINE: usize = 65_535;
/// A whole line with its newline; `Read::take` counts in u64.
const MAX_READ: u64 = 65_536;

/// What a stream of lines gives next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line without its newline.
    Line(&'a [u8]),
    /// The stream ends within a line, after so many bytes of it.
    Torn(u64),
    /// A line longer than [`MAX_LINE`].
    TooLong,
    /// The stream ends after a line.
    End,
}

/// Cuts a stream into lines, with memory for one line.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines { reader, line: Vec::new() }
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let read = (&mut self.reader).take(MAX_READ).read_until(b'\n', &mut self.line)?;
        Ok(match self.line.split_last() {
            None => Next::End,
            Some((b'\n', line)) => Next::Line(line),
            Some(_) if self.line.len() > MAX_LINE => Next::TooLong,
            Some(_) => Next::Torn(u64::try_from(read).unwrap_or(u64::MAX)),
        })
    }
}

/// Why a line is not an entry in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// Longer than [`MAX_LINE`].
    #[error("is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not one JSON object with a sequence number, a time and a kind, in this order.
    #[error("is not an entry")]
    NotAnEntry,
    /// The sequence number is not the line's place: something before it was removed, added or moved.
    #[error("is not in its place")]
    OutOfPlace,
}

#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    #[serde(borrow)]
    time: &'a str,
    #[serde(borrow)]
    kind: &'a str,
}

/// The time of the entry in `line`, once it is found to be entry `index`.
pub(super) fn check(line: &[u8], index: u64) -> Result<Timestamp, LineFault> {
    inspect(line, index).map(|(time, _)| time)
}

/// Time and kind of the entry in `line`, once it is found to be entry `index`.
pub(super) fn inspect(line: &[u8], index: u64) -> Result<(Timestamp, &str), LineFault> {
    if line.len() > MAX_LINE {
        return Err(LineFault::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineFault::NotAnEntry)?;
    if !text.starts_with("{\"seq\":") {
        return Err(LineFault::NotAnEntry);
    }
    let head: Head<'_> = serde_json::from_str(text).map_err(|_| LineFault::NotAnEntry)?;
    if head.seq != index {
        return Err(LineFault::OutOfPlace);
    }
    if head.kind.is_empty() {
        return Err(LineFault::NotAnEntry);
    }
    let time = head.time.parse().map_err(|_| LineFault::NotAnEntry)?;
    Ok((time, head.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_at_newlines_and_its_torn_end_is_told() {
        let mut lines = Lines::new(&b"one\n\nthree\nto"[..]);
        assert_eq!(lines.next().unwrap(), Next::Line(b"one"));
        assert_eq!(lines.next().unwrap(), Next::Line(b""));
        assert_eq!(lines.next().unwrap(), Next::Line(b"three"));
        assert_eq!(lines.next().unwrap(), Next::Torn(2));
        assert_eq!(lines.next().unwrap(), Next::End);
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        let longest = [vec![b'x'; 65_535], vec![b'\n']].concat();
        assert_eq!(Lines::new(&longest[..]).next().unwrap(), Next::Line(&longest[..65_535]));
        let longer = [vec![b'x'; 65_536], vec![b'\n']].concat();
        assert_eq!(Lines::new(&longer[..]).next().unwrap(), Next::TooLong);
        assert_eq!(Lines::new(&longest[..65_535]).next().unwrap(), Next::Torn(65_535));
        assert_eq!(Lines::new(&longer[..65_536]).next().unwrap(), Next::TooLong);
    }

    #[test]
    fn only_an_entry_in_its_place_passes() {
        let good = br#"{"seq":7,"time":"2026-01-02T03:04:05.000000Z","kind":"heartbeat"}"#;
        assert_eq!(check(good, 7), Ok("2026-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!(check(good, 8), Err(LineFault::OutOfPlace));
        for bad in [
            &br#"[7,"2026-01-02T03:04:05.000000Z","heartbeat"]"#[..],
            br#"{"seq":7,"time":"2026-01-02T03:04:05.000000Z"}"#,
            br#"{"seq":7,"time":"yesterday","kind":"heartbeat"}"#,
            br#"{"seq":7,"time":"2026-01-02T03:04:05.000000Z","kind":"heartbeat"} x"#,
            br#"{"seq":7,"seq":7,"time":"2026-01-02T03:04:05.000000Z","kind":"heartbeat"}"#,
            br#"{"seq":7.0,"time":"2026-01-02T03:04:05.000000Z","kind":"heartbeat"}"#,
            b"",
            b"\xff",
        ] {
            assert_eq!(check(bad, 7), Err(LineFault::NotAnEntry), "{}", String::from_utf8_lossy(bad));
        }
    }
}
