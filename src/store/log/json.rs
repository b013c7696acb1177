//! A line that is one JSON object: where its time and its addresses stand.
//!
//! The line is looked at once, without a tree in memory, and is not changed but in its fields. It must be well formed
//! to its end: half a line, as a full disk leaves it, is not in the format.

use std::ops::Range;

use super::field::{FieldKind, Fields};
use super::reader::Want;

/// Deeper than this no log is nested, and an attacker's line must not be.
const DEEPEST: usize = 64;

/// Which fields are looked for, by their names with dots between them.
#[derive(Debug)]
pub(super) struct Json {
    time: Vec<u8>,
    addresses: Vec<Vec<u8>>,
    /// The name of the field that is looked at, in a buffer that is used again.
    path: Vec<u8>,
}

impl Json {
    pub(super) fn new(time: &str, addresses: &[String]) -> Json {
        let addresses = addresses.iter().map(|name| name.clone().into_bytes()).collect();
        Json { time: time.as_bytes().to_vec(), addresses, path: Vec::new() }
    }

    /// Where the time stands, without quotes; `None` where the line is no object or has none.
    pub(super) fn read(&mut self, line: &[u8], want: Want, fields: &mut Fields) -> Option<Range<usize>> {
        self.path.clear();
        let addresses = if want == Want::Addresses { &self.addresses[..] } else { &[] };
        let mut text = Reading { line, at: 0, time: &self.time, addresses, path: &mut self.path, fields, found: None };
        text.space();
        if text.peek() != Some(b'{') {
            return None;
        }
        text.value(0)?;
        text.space();
        text.found.filter(|_| text.at == line.len())
    }
}

struct Reading<'r> {
    line: &'r [u8],
    at: usize,
    time: &'r [u8],
    addresses: &'r [Vec<u8>],
    path: &'r mut Vec<u8>,
    fields: &'r mut Fields,
    found: Option<Range<usize>>,
}

impl Reading<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            _ if depth > DEEPEST => None,
            b'{' => self.items(depth, b'}'),
            b'[' => self.items(depth, b']'),
            b'"' => {
                let place = self.string()?;
                self.leaf(place, FieldKind::Certain);
                Some(())
            }
            b'-' | b'0'..=b'9' => {
                let number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = self.line[self.at..].iter().take_while(|byte| number(byte)).count();
                self.leaf(self.at..self.at + length, FieldKind::Number);
                self.at += length;
                Some(())
            }
            _ => ["true", "false", "null"].iter().find(|word| self.word(word)).map(|_| ()),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let is_here = self.line[self.at..].starts_with(word.as_bytes());
        self.at += if is_here { word.len() } else { 0 };
        is_here
    }

    /// The members of an object, or the elements of an array, which have the name of the array.
    fn items(&mut self, depth: usize, end: u8) -> Option<()> {
        self.at += 1;
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Some(());
        }
        let length = self.path.len();
        loop {
            self.space();
            if end == b'}' {
                self.name()?;
            }
            self.value(depth + 1)?;
            self.path.truncate(length);
            self.space();
            if self.peek() == Some(end) {
                self.at += 1;
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    fn name(&mut self) -> Option<()> {
        let name = self.string()?;
        if !self.path.is_empty() {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(&self.line[name]);
        self.space();
        self.expect(b':')?;
        self.space();
        Some(())
    }

    /// A string, without its quotes and as it is written.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.line.get(self.at..)?)?;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Some(start..self.at - 1);
            }
            // Whatever is escaped is no quote.
            self.at += 2;
        }
    }

    fn leaf(&mut self, place: Range<usize>, kind: FieldKind) {
        if *self.path == self.time {
            // The first, as most that read JSON from a stream.
            self.found.get_or_insert(place);
        } else if self.addresses.iter().any(|name| name == self.path) {
            self.fields.push(place, kind);
        }
    }
}
