//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! A batch is atomic, so one of its rows that is still there and still matches proves that a deletion was rolled back.
//! A column proves less: the application may have filled it again since, in a few records, or emptied it. There the
//! majority decides: after a COMMIT all but those few are as the batch made them. The moment and the cutoff travel with the keys and holds are left aside: what matched then must be recognised
//! now, whatever an operator changed in between. The rows are read under their own locks, and those are free only
//! when no COMMIT is under way. A partition that was to be dropped is still there or is not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::connection::Database;
use super::keys::Keys;
use super::partitions;
use super::predicate::Predicate;
use super::rows::matching_keys;
use super::schema::TableFacts;
use crate::plan::Action;
use crate::store::{Resolution, StoreError, TableSelection};

/// A batch as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct InFlight {
    now: Timestamp,
    cutoff: Option<Timestamp>,
    erased: Erased,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Erased {
    /// Numbers, each as its distance from the one before: a byte or two.
    Steps(Vec<i128>),
    /// Keys of another kind.
    Keys(Keys),
    /// A whole partition.
    Partition(String),
}

/// Writes down a batch of rows.
pub(super) fn of_rows(selection: &TableSelection<'_>, keys: &Keys) -> Vec<u8> {
    let erased = match keys {
        Keys::Integers(keys) => {
            let before = std::iter::once(0).chain(keys.iter().copied());
            Erased::Steps(keys.iter().zip(before).map(|(key, before)| key - before).collect())
        }
        other => Erased::Keys(other.clone()),
    };
    encode(selection, erased)
}

/// Writes down that a partition is to be dropped.
pub(super) fn of_partition(selection: &TableSelection<'_>, partition: &str) -> Vec<u8> {
    encode(selection, Erased::Partition(partition.to_owned()))
}

fn encode(selection: &TableSelection<'_>, erased: Erased) -> Vec<u8> {
    let batch = InFlight { now: selection.now, cutoff: selection.cutoff, erased };
    // Plain values in memory have no way to fail; nothing at all would be refused when it is read.
    serde_json::to_vec(&batch).unwrap_or_default()
}

/// Finds out how the batch ended.
pub(super) fn resolve(
    database: &mut Database,
    facts: &TableFacts,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Ok(batch) = serde_json::from_slice::<InFlight>(in_flight) else {
        return Err(database.failed("the file of the batch in flight cannot be read"));
    };
    let keys = match batch.erased {
        Erased::Partition(name) => return partitions::resolve(database, facts, &name),
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
    let as_then = TableSelection { rule: selection.rule, now: batch.now, cutoff: batch.cutoff, holds: Vec::new() };
    let predicate = Predicate::new(database, facts, &as_then)?;
    database.execute("START TRANSACTION")?;
    let needed = match selection.rule.action {
        Action::EraseRows { .. } => 1,
        Action::EraseColumn { .. } | Action::TruncateColumn { .. } => keys.len() / 2 + 1,
    };
    let survives = so_many_match(database, &predicate, &keys, needed);
    database.roll_back();
    Ok(if survives? { Resolution::RolledBack } else { Resolution::Committed })
}

/// Whether at least `needed` of the records still match.
fn so_many_match(
    database: &mut Database,
    predicate: &Predicate,
    keys: &Keys,
    needed: usize,
) -> Result<bool, StoreError> {
    let mut matching = 0;
    for piece in keys.exactly(&predicate.key) {
        matching += matching_keys(database, predicate, &piece)?.len();
        if matching >= needed {
            return Ok(true);
        }
    }
    Ok(false)
}
