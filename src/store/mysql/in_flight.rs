//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! A batch is atomic: after a COMMIT none of its rows is as it was, without one all of them are. Since then the
//! application may have written a few of them anew, so that no single row proves anything: the majority decides. Holds
//! are left aside: what matched then must be recognised now, whatever an operator changed in between. The rows are read
//! under their own locks, and those are free only when no COMMIT is under way. Of a partition the rows are counted by
//! what they are partitioned by.

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
pub(super) fn of_rows(keys: &Keys) -> Vec<u8> {
    encode(&match keys {
        Keys::Integers(keys) => {
            let before = std::iter::once(0).chain(keys.iter().copied());
            Erased::Steps(keys.iter().zip(before).map(|(key, before)| key - before).collect())
        }
        other => Erased::Keys(other.clone()),
    })
}

/// Writes down that a partition is to be dropped.
pub(super) fn of_range(range: &Range, rows: u64) -> Vec<u8> {
    encode(&Erased::Partition(range.clone(), rows))
}

fn encode(erased: &Erased) -> Vec<u8> {
    // Plain values in memory have no way to fail; nothing at all would be refused when it is read.
    serde_json::to_vec(erased).unwrap_or_default()
}

/// Finds out how the batch ended. The selection is as it was then.
pub(super) fn resolve(
    database: &mut Database,
    facts: &TableFacts,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Ok(erased) = serde_json::from_slice::<Erased>(in_flight) else {
        return Err(database.failed("the file of the batch in flight cannot be read"));
    };
    let unheld = TableSelection { holds: Vec::new(), ..selection.clone() };
    let predicate = Predicate::new(database, facts, &unheld)?;
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
