//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! The server knows how a transaction ended, by its number. Where it has forgotten (which takes hundreds of millions
//! of transactions) or knows another history (a restored backup), the records decide: a batch is atomic, so one of
//! them that is still there and still matches proves that it was rolled back. They also object where most of them are
//! as they were and the server says "committed": one that crashed gives a number again of which nothing was on disk
//! yet, and then speaks of somebody else's transaction. The moment and the cutoff travel along and holds are left
//! aside: what matched then must be recognised now, whatever an operator changed in between.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::connection::{LOCK_WAIT, Session};
use super::predicate::{KEYS, Predicate};
use super::schema::TableFacts;
use super::values::Values;
use crate::store::{Resolution, StoreError, TableSelection};

/// First byte of the encoding.
const VERSION: u8 = 1;

/// How many records of a batch are written down: one is enough unless the application erases it itself.
pub(super) const SAMPLE: usize = 32;

/// How often a COMMIT under way is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// A batch as it is written down.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct InFlight {
    transaction: String,
    now: Timestamp,
    cutoff: Option<Timestamp>,
    touched: Touched,
}

/// What a batch touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Touched {
    /// Keys of some of its records, as text.
    Records(Vec<String>),
    /// A whole partition, by its number in the catalog.
    Partition(u32),
}

/// Writes down a batch.
pub(super) fn encode(selection: &TableSelection<'_>, transaction: &str, touched: &Touched) -> Vec<u8> {
    let batch = InFlight {
        transaction: transaction.to_owned(),
        now: selection.now,
        cutoff: selection.cutoff,
        touched: touched.clone(),
    };
    let mut bytes = vec![VERSION];
    // Plain values have no way to fail; an empty record could only not be resolved, and so would stop its rule.
    bytes.extend(serde_json::to_vec(&batch).unwrap_or_default());
    bytes
}

fn decode(bytes: &[u8]) -> Option<InFlight> {
    serde_json::from_slice(bytes.strip_prefix(&[VERSION])?).ok()
}

/// Finds out how the batch ended.
pub(super) fn resolve(
    session: &mut Session,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Some(batch) = decode(in_flight) else {
        let reason = "the file of the batch in flight cannot be read".to_owned();
        return Err(StoreError::Failed { place: session.place.clone(), reason });
    };
    let ended = status(session, &batch.transaction)?;
    if ended.as_deref() == Some("aborted") {
        return Ok(Resolution::RolledBack);
    }
    let (survivors, of) = survivors(session, selection, &batch)?;
    // The application may have filled a few columns again since.
    let few = if ended.as_deref() == Some("committed") { of / 2 } else { 0 };
    Ok(if survivors > few { Resolution::RolledBack } else { Resolution::Committed })
}

/// How the transaction ended, once it has; `None` where the server does not know.
fn status(session: &mut Session, transaction: &str) -> Result<Option<String>, StoreError> {
    let mut values = Values::default();
    let number = values.add(transaction);
    // A number that is yet to come, after a restore, would be an error.
    let sql = format!(
        "SELECT CASE WHEN {number}::xid8 < pg_snapshot_xmax(pg_current_snapshot()) \
         THEN pg_xact_status({number}::xid8) END"
    );
    let started = Instant::now();
    loop {
        let row = session.one(&sql, &values.with(&[]))?;
        let status: Option<String> = session.get(&row, 0)?;
        if status.as_deref() != Some("in progress") {
            return Ok(status);
        }
        if started.elapsed() > LOCK_WAIT {
            let waited_ms = u64::try_from(LOCK_WAIT.as_millis()).unwrap_or(u64::MAX);
            return Err(StoreError::Busy { place: session.place.clone(), waited_ms });
        }
        sleep(GLANCE);
    }
}

/// How much of what was written down is still as it was, and how much was written down.
fn survivors(
    session: &mut Session,
    selection: &TableSelection<'_>,
    batch: &InFlight,
) -> Result<(usize, usize), StoreError> {
    match &batch.touched {
        Touched::Partition(oid) => {
            let sql = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE oid = $1)";
            let row = session.one(sql, &[(oid, postgres::types::Type::OID)])?;
            Ok((usize::from(session.get::<bool>(&row, 0)?), 1))
        }
        Touched::Records(keys) => Ok((how_many_match(session, selection, batch, keys)?, keys.len())),
    }
}

fn how_many_match(
    session: &mut Session,
    selection: &TableSelection<'_>,
    batch: &InFlight,
    keys: &[String],
) -> Result<usize, StoreError> {
    let as_then = TableSelection { rule: selection.rule, now: batch.now, cutoff: batch.cutoff, holds: Vec::new() };
    let table = &selection.rule.target.table;
    let Some(facts) = TableFacts::read(session, table)? else {
        let reason = format!("there is no table {table}");
        return Err(StoreError::Failed { place: session.place.clone(), reason });
    };
    let predicate = Predicate::new(session, &as_then, &facts)?;
    let sql = format!(
        "SELECT count(*) FROM {} AS t WHERE {} = ANY (${}::{}[]) AND {}",
        facts.quoted,
        predicate.key,
        predicate.values.next(),
        predicate.key_type,
        predicate.matches()
    );
    let row = session.one(&sql, &predicate.values.with(&[(&keys, KEYS)]))?;
    Ok(usize::try_from(session.count(&row, 0)?).unwrap_or(usize::MAX))
}
