//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! A batch is atomic: after a COMMIT none of its rows is as it was, without one all of them are. Since then the
//! application may have written a few of them anew, so that no single row proves anything: the majority decides. The
//! moment and the cutoff travel along and holds are left aside: what matched then must be recognised now, whatever an
//! operator changed in between. The rows are read under their own locks, and those are free only when no COMMIT is under
//! way. Of a partition the rows are counted by what they are partitioned by.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::connection::Database;
use super::keys::Keys;
use super::partitions::{self, Range};
use super::predicate::Predicate;
use super::rows::matching_keys;
use super::schema::TableFacts;
use crate::store::{Resolution, StoreError, TableSelection};

/// A batch as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct InFlight {
    now: Timestamp,
    cutoff: Option<Timestamp>,
    erased: Erased,
}

/// When a run selects what it erases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    now: Timestamp,
    cutoff: Option<Timestamp>,
}

impl Moment {
    /// That of a selection.
    pub(super) fn of(selection: &TableSelection<'_>) -> Moment {
        Moment { now: selection.now, cutoff: selection.cutoff }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Erased {
    /// Numbers, each as its distance from the one before: a byte or two.
    Steps(Vec<i128>),
    /// Keys of another kind.
    Keys(Keys),
    /// A whole partition, and how many rows it had.
    Partition(Range, u64),
}

/// Writes down a batch of rows.
pub(super) fn of_rows(moment: Moment, keys: &Keys) -> Vec<u8> {
    let erased = match keys {
        Keys::Integers(keys) => {
            let before = std::iter::once(0).chain(keys.iter().copied());
            Erased::Steps(keys.iter().zip(before).map(|(key, before)| key - before).collect())
        }
        other => Erased::Keys(other.clone()),
    };
    encode(moment, erased)
}

/// Writes down that a partition is to be dropped.
pub(super) fn of_range(moment: Moment, range: &Range, rows: u64) -> Vec<u8> {
    encode(moment, Erased::Partition(range.clone(), rows))
}

fn encode(Moment { now, cutoff }: Moment, erased: Erased) -> Vec<u8> {
    // Plain values in memory have no way to fail; nothing at all would be refused when it is read.
    serde_json::to_vec(&InFlight { now, cutoff, erased }).unwrap_or_default()
}

/// Finds out how the batch ended.
pub(super) fn resolve(
    database: &mut Database,
    facts: &TableFacts,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Ok(InFlight { now, cutoff, erased }) = serde_json::from_slice(in_flight) else {
        return Err(database.failed("the file of the batch in flight cannot be read"));
    };
    let as_then = TableSelection { rule: selection.rule, now, cutoff, holds: Vec::new() };
    let predicate = Predicate::new(database, facts, &as_then)?;
    let keys = match erased {
        Erased::Partition(range, rows) => return partitions::resolve(database, &predicate, &range, rows),
        Erased::Keys(keys) => keys,
        Erased::Steps(steps) => Keys::Integers(
            steps
                .into_iter()
                .scan(0_i128, |key, step| {
                    *key = key.checked_add(step)?;
                    Some(*key)
                })
                .collect(),
        ),
    };
    database.execute("START TRANSACTION")?;
    let survives = most_match(database, &predicate, &keys);
    database.roll_back();
    Ok(if survives? { Resolution::RolledBack } else { Resolution::Committed })
}

/// Whether more than half of the records still match.
fn most_match(database: &mut Database, predicate: &Predicate, keys: &Keys) -> Result<bool, StoreError> {
    let mut matching = 0;
    for piece in keys.exactly(&predicate.key) {
        matching += matching_keys(database, predicate, &piece)?.len();
        if matching > keys.len() / 2 {
            return Ok(true);
        }
    }
    Ok(false)
}
