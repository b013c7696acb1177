//! Keys of records, in as little memory as they need.

use std::ops::Range;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Up to which distance between two rowids the rows in between are looked at in vain rather than passed over by a new
/// statement, which costs as much as some twenty of them.
const LARGEST_GAP: u64 = 16;

/// A key that is not the rowid, byte for byte: text need not be valid UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(Vec<u8>),
    /// BLOB.
    Blob(Vec<u8>),
}

impl Key {
    /// The key that a query gave; `None` for NULL, which is none.
    pub(super) fn new(value: ValueRef<'_>) -> Option<Key> {
        match value {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(Key::Integer(number)),
            ValueRef::Real(number) => Some(Key::Real(number)),
            ValueRef::Text(text) => Some(Key::Text(text.to_vec())),
            ValueRef::Blob(blob) => Some(Key::Blob(blob.to_vec())),
        }
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Key::Integer(number) => ValueRef::Integer(*number),
            Key::Real(number) => ValueRef::Real(*number),
            Key::Text(text) => ValueRef::Text(text),
            Key::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

/// Which kind of keys a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Rowids.
    Rowid,
    /// Anything else.
    Value,
}

/// Keys of records.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keys {
    /// Keys that are rowids, descending.
    Integers(Vec<i64>),
    /// Keys of any other kind.
    Values(Vec<Key>),
}

impl Keys {
    /// An empty list.
    pub(super) fn none(kind: KeyKind) -> Keys {
        match kind {
            KeyKind::Rowid => Keys::Integers(Vec::new()),
            KeyKind::Value => Keys::Values(Vec::new()),
        }
    }

    /// Rowids from the end of the table to its beginning. Other keys are looked up one by one, in whatever order.
    pub(super) fn sort(&mut self) {
        if let Keys::Integers(keys) = self {
            keys.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Keys::Integers(keys) => keys.len(),
            Keys::Values(keys) => keys.len(),
        }
    }

    /// The key at `index`.
    pub(super) fn get(&self, index: usize) -> Option<Key> {
        match self {
            Keys::Integers(keys) => keys.get(index).copied().map(Key::Integer),
            Keys::Values(keys) => keys.get(index).cloned(),
        }
    }

    /// How many of the keys from `start` on, at most `longest`, lie so close together that one statement over their
    /// range pays.
    pub(super) fn range_from(&self, start: usize, longest: usize) -> usize {
        let Keys::Integers(keys) = self else { return 1 };
        let candidates = keys.get(start..start + longest).unwrap_or_default();
        let close = candidates.windows(2).take_while(|pair| pair[0].abs_diff(pair[1]) <= LARGEST_GAP);
        1 + close.count()
    }

    /// Takes over some of the keys of another list of the same kind.
    pub(super) fn extend(&mut self, from: &Keys, indexes: Range<usize>) {
        match (self, from) {
            (Keys::Integers(keys), Keys::Integers(from)) => keys.extend(from.get(indexes).unwrap_or_default()),
            (Keys::Values(keys), Keys::Values(from)) => keys.extend_from_slice(from.get(indexes).unwrap_or_default()),
            (Keys::Integers(_), Keys::Values(_)) | (Keys::Values(_), Keys::Integers(_)) => {}
        }
    }
}
