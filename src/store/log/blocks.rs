//! A stream of bytes, cut into blocks of whole lines.
//!
//! Memory is bounded whatever the lines are: one that is longer than a block comes in pieces, and a piece never ends
//! within an address.

use std::io::{self, Read};

/// The longest text that an address is looked for in, with its port and zone; a piece ends before a byte that cannot
/// be part of one, if there is such a byte among the last of it.
const LONGEST_ADDRESS: usize = 128;

/// Some of a stream.
#[derive(Debug, Default)]
pub(super) struct Block {
    buffer: Vec<u8>,
    length: usize,
    pub(super) part: Part,
}

/// What the bytes of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Part {
    /// Whole lines; the last of the stream may lack its newline.
    #[default]
    Lines,
    /// The beginning of a line that is longer than a block.
    LineHead,
    /// More of it.
    LineBody,
    /// The end of it.
    LineTail,
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Cuts a stream into blocks.
pub(super) struct Blocks<R> {
    source: R,
    size: usize,
    /// What was read beyond the end of the last block.
    carried: Vec<u8>,
    within_a_line: bool,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R, size: usize) -> Blocks<R> {
        Blocks { source, size, carried: Vec::new(), within_a_line: false, ended: false }
    }

    /// Whether all was read that the source holds.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended && self.carried.is_empty()
    }

    /// The next block, in the buffer of `used`, which is no longer needed. `None` at the end.
    pub(super) fn next(&mut self, used: Block) -> io::Result<Option<Block>> {
        let mut buffer = used.buffer;
        buffer.resize(self.size, 0);
        let mut filled = self.carried.len();
        buffer[..filled].copy_from_slice(&self.carried);
        self.carried.clear();
        while filled < self.size && !self.ended {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled == 0 {
            return Ok(None);
        }
        let (length, part) = self.cut(&buffer[..filled]);
        self.carried.extend_from_slice(&buffer[length..filled]);
        Ok(Some(Block { buffer, length, part }))
    }

    fn cut(&mut self, filled: &[u8]) -> (usize, Part) {
        if self.within_a_line {
            if let Some(end) = memchr::memchr(b'\n', filled) {
                self.within_a_line = false;
                return (end + 1, Part::LineTail);
            }
            if filled.len() < self.size {
                return (filled.len(), Part::LineTail);
            }
            return (between_addresses(filled), Part::LineBody);
        }
        match memchr::memrchr(b'\n', filled) {
            _ if filled.len() < self.size => (filled.len(), Part::Lines),
            Some(last) => (last + 1, Part::Lines),
            None => {
                self.within_a_line = true;
                (between_addresses(filled), Part::LineHead)
            }
        }
    }
}

fn between_addresses(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(LONGEST_ADDRESS);
    let apart = |byte: &u8| !byte.is_ascii_alphanumeric() && !b".:%[]-_".contains(byte);
    bytes[tail..].iter().rposition(apart).map_or(bytes.len(), |at| tail + at + 1)
}
