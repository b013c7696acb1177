//! What a batch leaves behind before its COMMIT, and what is made of it when nobody wrote down how it ended.
//!
//! First the batch's own lock is waited for, so that a COMMIT under way has ended, also one that waits for a standby.
//! Then the server says how a transaction of that number ended. "Aborted" is believed. "Committed" may be said of
//! another transaction, where ours was lost with a server that crashed or gave way to its standby and its number was
//! given away again; and of old transactions the server says nothing. So the records decide: of erased ones none is
//! still there, of changed ones few match again, those that the application filled anew. The moment and the cutoff
//! travel along and holds are left aside: what matched then must be recognised now, whatever an operator changed in
//! between.

use jiff::Timestamp;
use postgres::types::Type;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::connection::Session;
use super::predicate::{KEYS, Predicate};
use super::schema::TableFacts;
use super::values::Values;
use crate::plan::Action;
use crate::store::{Resolution, StoreError, TableSelection};

/// First byte of the encoding.
const VERSION: u8 = 1;

/// How many records of a batch are written down: enough for a majority, whatever the application does to a few.
pub(super) const SAMPLE: usize = 32;

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

/// Finds out how the batch ended. Nobody erases from the table meanwhile.
pub(super) fn resolve(
    session: &mut Session,
    selection: &TableSelection<'_>,
    in_flight: &[u8],
) -> Result<Resolution, StoreError> {
    let Some(batch) = decode(in_flight) else {
        return Err(failed(session, "the file of the batch in flight cannot be read".to_owned()));
    };
    let table = &selection.rule.target.table;
    let Some(facts) = TableFacts::read(session, table)? else {
        return Err(failed(session, format!("there is no table {table}")));
    };
    session.batch("BEGIN")?;
    let resolution = resolve_locked(session, selection, &facts, &batch);
    session.roll_back();
    resolution
}

fn failed(session: &Session, reason: String) -> StoreError {
    StoreError::Failed { place: session.place.clone(), reason }
}

/// The lock that every batch on a table takes, between hosts too, whatever the connection: by the table's name, since
/// the lock is per database.
pub(super) fn lock_number(table: &TableFacts) -> i64 {
    let digest: [u8; 32] = Sha256::digest(format!("forgetd/{}", table.quoted)).into();
    let (first, _) = digest.split_at(8);
    first.try_into().map_or(0, i64::from_be_bytes)
}

fn resolve_locked(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    batch: &InFlight,
) -> Result<Resolution, StoreError> {
    session.one("SELECT pg_advisory_xact_lock($1)", &[(&lock_number(facts), Type::INT8)])?;
    let status = status(session, &batch.transaction)?;
    if status.as_deref() == Some("aborted") {
        return Ok(Resolution::RolledBack);
    }
    let survives = match &batch.touched {
        Touched::Partition(oid) => {
            let row = session.one("SELECT EXISTS (SELECT 1 FROM pg_class WHERE oid = $1)", &[(oid, Type::OID)])?;
            session.get(&row, 0)?
        }
        Touched::Records(keys) => {
            let surviving = surviving(session, selection, facts, batch, keys)?;
            let erases = matches!(selection.rule.action, Action::EraseRows { .. });
            match status {
                // A batch is atomic: where nothing speaks for a COMMIT, one erased record that is there speaks against.
                None if erases => surviving > 0,
                _ => surviving > keys.len() / 2,
            }
        }
    };
    Ok(if survives { Resolution::RolledBack } else { Resolution::Committed })
}

/// How a transaction of that number ended; `None` where the server does not know. Our own number is the next that it
/// gives away: one that is yet to come, after a restore, would be an error to ask for.
fn status(session: &mut Session, transaction: &str) -> Result<Option<String>, StoreError> {
    let mut values = Values::default();
    let number = values.add(transaction);
    let sql = format!(
        "SELECT CASE WHEN {number}::xid8 < own THEN pg_xact_status({number}::xid8) END \
         FROM pg_current_xact_id() AS own"
    );
    let row = session.one(&sql, &values.with(&[]))?;
    session.get(&row, 0)
}

/// How many of the records are there and still match.
fn surviving(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    batch: &InFlight,
    keys: &[String],
) -> Result<usize, StoreError> {
    let as_then = TableSelection { rule: selection.rule, now: batch.now, cutoff: batch.cutoff, holds: Vec::new() };
    let predicate = Predicate::new(session, &as_then, facts)?;
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
