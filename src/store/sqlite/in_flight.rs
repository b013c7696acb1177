//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! A batch is atomic, so one of its rows that is still there and still matches proves that a deletion was rolled back.
//! A column proves less: the application may have filled it again since, in a few records, or emptied it. There the
//! majority decides: after a COMMIT all but those few are as the batch made them. The moment and the cutoff travel
//! with the keys and holds are left aside: what matched then must be recognised now, whatever an operator changed in
//! between. A key that was used again for a newer record does not match. VACUUM renumbers rowids only where they are
//! not the declared key, and then they are not what is written here.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::Database;
use super::keys::{Key, Keys};
use super::predicate::Predicate;
use crate::plan::Action;
use crate::store::{Resolution, StoreError, TableSelection};

/// First byte of the encoding.
const VERSION: u8 = 1;

/// A batch as it is written down.
#[derive(Debug, PartialEq)]
struct InFlight {
    now: Timestamp,
    cutoff: Option<Timestamp>,
    keys: Keys,
}

/// Writes down a batch. Integer keys take a byte or two each: the distance to the one before.
pub(super) fn encode(selection: &TableSelection<'_>, keys: &Keys) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(selection.now.as_nanosecond().to_le_bytes());
    bytes.push(selection.cutoff.is_some().into());
    bytes.extend(selection.cutoff.unwrap_or_default().as_nanosecond().to_le_bytes());
    match keys {
        Keys::Integers(keys) => {
            bytes.push(0);
            let mut previous = 0_i64;
            for key in keys.iter().rev() {
                push_varint(&mut bytes, key.wrapping_sub(previous).cast_unsigned());
                previous = *key;
            }
        }
        Keys::Values(keys) => {
            bytes.push(1);
            keys.iter().for_each(|key| push_key(&mut bytes, key));
        }
    }
    bytes
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7F).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

fn push_key(bytes: &mut Vec<u8>, key: &Key) {
    let (tag, content) = match key {
        Key::Integer(number) => (0, number.to_le_bytes().to_vec()),
        Key::Real(number) => (1, number.to_le_bytes().to_vec()),
        Key::Text(text) => (2, text.clone()),
        Key::Blob(blob) => (3, blob.clone()),
    };
    bytes.push(tag);
    push_varint(bytes, u64::try_from(content.len()).unwrap_or_default());
    bytes.extend(content);
}

fn decode(bytes: &[u8]) -> Option<InFlight> {
    let mut unread = Unread(bytes);
    (unread.array()? == [VERSION]).then_some(())?;
    let now = unread.timestamp()?;
    let [has_cutoff] = unread.array()?;
    let cutoff = unread.timestamp()?;
    let keys = match unread.array()? {
        [0] => Keys::Integers(unread.integers()?),
        [1] => Keys::Values(unread.values()?),
        _ => return None,
    };
    Some(InFlight { now, cutoff: (has_cutoff == 1).then_some(cutoff), keys })
}

/// Bytes not yet read.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from_le_bytes(self.array()?)).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn integers(&mut self) -> Option<Vec<i64>> {
        let mut keys = Vec::new();
        let mut previous = 0_i64;
        while !self.0.is_empty() {
            previous = previous.wrapping_add(self.varint()?.cast_signed());
            keys.push(previous);
        }
        Some(keys)
    }

    fn values(&mut self) -> Option<Vec<Key>> {
        let mut keys = Vec::new();
        while !self.0.is_empty() {
            let [tag] = self.array()?;
            let length = usize::try_from(self.varint()?).ok()?;
            let content = self.take(length)?;
            keys.push(match tag {
                0 => Key::Integer(i64::from_le_bytes(content.try_into().ok()?)),
                1 => Key::Real(f64::from_le_bytes(content.try_into().ok()?)),
                2 => Key::Text(content.to_vec()),
                3 => Key::Blob(content.to_vec()),
                _ => return None,
            });
        }
        Some(keys)
    }
}

/// Finds out how the batch ended. The write lock is taken first: it is free only when no COMMIT is under way.
pub(super) fn resolve(
    database: &Database,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Some(batch) = decode(in_flight) else {
        let reason = "the file of the batch in flight cannot be read".to_owned();
        return Err(StoreError::Failed { place: database.place.clone(), reason });
    };
    let as_then = TableSelection { rule: selection.rule, now: batch.now, cutoff: batch.cutoff, holds: Vec::new() };
    database.run(|connection| {
        let predicate = Predicate::new(connection, &as_then)?;
        let lock = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let needed = match selection.rule.action {
            Action::EraseRows { .. } => 1,
            Action::EraseColumn { .. } | Action::TruncateColumn { .. } => batch.keys.len() / 2 + 1,
        };
        if !so_many_match(connection, &predicate, &batch.keys, needed)? {
            return Ok(Resolution::Committed);
        }
        write_over(lock)?;
        Ok(Resolution::RolledBack)
    })
}

/// Makes a rollback final. SQLite writes the frame that commits to the write-ahead log before it syncs it and makes it
/// known: a COMMIT that failed or died in between did not happen for whoever is connected, and did for whoever reads
/// the log anew after a crash. The next transaction takes the frame's place, so there is one: it sets a number of the
/// file's header to what it is.
fn write_over(lock: Transaction<'_>) -> rusqlite::Result<()> {
    let mode: String = lock.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        let version: i64 = lock.pragma_query_value(None, "user_version", |row| row.get(0))?;
        lock.pragma_update(None, "user_version", version)?;
    }
    lock.commit()
}

/// Whether at least `needed` of the records still match.
fn so_many_match(connection: &Connection, predicate: &Predicate, keys: &Keys, needed: usize) -> rusqlite::Result<bool> {
    let mut matching = 0;
    let sql = format!("SELECT 1 FROM {} WHERE {} = :key AND {}", predicate.table, predicate.key, predicate.matches());
    let mut statement = connection.prepare(&sql)?;
    predicate.bind(&mut statement)?;
    let Some(key) = statement.parameter_index(":key")? else { return Ok(false) };
    for index in 0..keys.len() {
        statement.raw_bind_parameter(key, keys.get(index))?;
        matching += usize::from(statement.raw_query().next()?.is_some());
        if matching >= needed {
            return Ok(true);
        }
    }
    Ok(false)
}
