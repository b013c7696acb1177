//! The cache beside the log: per entry its leaf hash and the offset after its newline, 40 bytes.
//!
//! It saves hashing the whole log at every start, finds entry N without reading the ones before it, and tells which
//! line was changed. Whoever uses it compares it with something signed, or with the line it points to, first.
//! Records are written at their own place, so that writing one twice, or by two processes, does no harm; failing to
//! write one fails nothing: the next start completes the cache.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::merkle::Hash;
use crate::durable::{self, NoLink};

const RECORD: usize = Hash::LEN + size_of::<u64>();
const RECORD_BYTES: u64 = 40;
/// Records gathered before they are written, when many come at once.
const GATHERED: usize = 1024 * RECORD;

/// What the cache knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) leaf: Hash,
    /// Offset of the byte after the entry's newline.
    pub(super) end: u64,
}

impl Record {
    fn decode(bytes: &[u8; RECORD]) -> Record {
        let (mut leaf, mut end) = ([0; Hash::LEN], [0; size_of::<u64>()]);
        leaf.copy_from_slice(&bytes[..Hash::LEN]);
        end.copy_from_slice(&bytes[Hash::LEN..]);
        Record { leaf: Hash::from_bytes(leaf), end: u64::from_be_bytes(end) }
    }
}

/// The cache, for writing.
#[derive(Debug)]
pub(super) struct Index {
    /// `None` once a write failed: a record missing in the middle would be worse than a short cache.
    file: Option<File>,
    gathered: Vec<u8>,
    first_gathered: u64,
}

impl Index {
    /// Opens or creates the cache; without it the log works all the same.
    pub(super) fn open(path: &Path) -> Index {
        let open = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o640);
            let file = options.no_link().open(path)?;
            durable::give_to_owner(&file, path)?;
            Ok(file)
        };
        Index { file: open().ok(), gathered: Vec::new(), first_gathered: 0 }
    }

    /// Notes entry `index`; the record is written at the next [`Index::flush`].
    pub(super) fn put(&mut self, index: u64, record: Record) {
        if self.gathered.is_empty() {
            self.first_gathered = index;
        }
        self.gathered.extend_from_slice(record.leaf.as_bytes());
        self.gathered.extend_from_slice(&record.end.to_be_bytes());
        if self.gathered.len() >= GATHERED {
            self.flush();
        }
    }

    /// Writes what was noted.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &self.file
            && file.write_all_at(&self.gathered, self.first_gathered * RECORD_BYTES).is_err()
        {
            self.file = None;
        }
        self.gathered.clear();
    }
}

/// The cache, for reading in order.
pub(super) struct Records(Option<BufReader<File>>);

impl Records {
    /// The records from the first on; none when there is no cache.
    pub(super) fn open(path: &Path) -> Records {
        Records(File::open(path).ok().map(BufReader::new))
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut bytes = [0; RECORD];
        self.0.as_mut()?.read_exact(&mut bytes).ok()?;
        Some(Record::decode(&bytes))
    }
}

/// The record of entry `index`, if the cache has it.
pub(super) fn record(path: &Path, index: u64) -> Option<Record> {
    let mut bytes = [0; RECORD];
    File::open(path).ok()?.read_exact_at(&mut bytes, index.checked_mul(RECORD_BYTES)?).ok()?;
    Some(Record::decode(&bytes))
}

/// The number of whole records.
pub(super) fn count(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len() / RECORD_BYTES)
}

/// The number of entries that end within the first `length` bytes of the log.
pub(super) fn count_within(path: &Path, length: u64) -> u64 {
    (0..).zip(Records::open(path)).find(|(_, record)| record.end > length).map_or_else(|| count(path), |(n, _)| n)
}

/// Where entry `index` begins, if the cache knows; to be checked against the line found there.
pub(super) fn start_of(path: &Path, index: u64) -> Option<u64> {
    match index.checked_sub(1) {
        None => Some(0),
        Some(before) => record(path, before).map(|record| record.end),
    }
}
