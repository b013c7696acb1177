//! Where the rows that match lie: read beforehand, or guessed.

use postgres::types::Type;

use super::connection::Session;
use super::predicate::Predicate;
use super::values::Position;
use crate::store::StoreError;

/// Most positions in memory: 8 MB, and 10 MB while they arrive.
const CHUNK: usize = 1_000_000;

/// Blocks whose rows certainly fit in a chunk: one of 8 KiB holds at most 291 (`MaxHeapTuplesPerPage`).
pub(super) const WINDOW: u32 = 3_436;

/// Most blocks of one batch of which nothing is read beforehand: 128 MiB.
const LONGEST_RANGE: u32 = 16_384;

/// From so many rows per block on, reading all of a range is cheaper than visiting row by row.
const DENSE: usize = 4;

/// A table with fewer blocks (8 MB) is not worth a guess at how its rows are spread.
const SMALL: u32 = 1_000;

/// One range says little about the next: no more than this factor from one to the other.
const LARGEST_CHANGE: u32 = 4;

/// Where positions come from next, in the present leaf.
pub(super) enum Progress {
    /// Nothing was read yet.
    NotBegun,
    /// There are more than a chunk: window by window, from this block up to the end.
    From { block: u32, end: u32 },
    /// Nothing is read beforehand: range by range, from this block up to the end.
    Blocks {
        next: u32,
        end: u32,
        stride: Stride,
        /// Whether the last range was empty, so that the next record may be far.
        seek: bool,
    },
    /// There are no more.
    Complete,
}

/// How many blocks hold how many rows that match, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stride {
    blocks: u32,
    rows: u64,
    /// Rows in a block, matching or not: that many may match in the next.
    fullest: u64,
}

impl Stride {
    /// Blocks that are likely to hold `limit` rows, and where rows lie no closer than elsewhere cannot hold many more.
    pub(super) fn blocks_for(self, limit: usize) -> u32 {
        let limit = u128::try_from(limit).unwrap_or(u128::MAX);
        let of = |blocks: u128, rows: u64| {
            u32::try_from(limit.saturating_mul(blocks) / u128::from(rows.max(1))).unwrap_or(u32::MAX)
        };
        of(self.blocks.into(), self.rows)
            .min(self.blocks.saturating_mul(LARGEST_CHANGE))
            .min(of(LARGEST_CHANGE.into(), self.fullest))
            .clamp(1, LONGEST_RANGE)
    }

    /// So many rows were found in so many blocks.
    pub(super) fn learn(&mut self, blocks: u32, rows: u64) {
        (self.blocks, self.rows) = (blocks, rows);
    }

    /// So many blocks were too many: next time half of them, at most.
    pub(super) fn shrink(&mut self, blocks: u32) {
        self.blocks = (blocks / (2 * LARGEST_CHANGE)).max(1);
    }
}

/// The condition that both ends of a list make, where what matches is most of what lies between them.
pub(super) fn range(positions: &[Position]) -> Option<String> {
    let (first, last) = (positions.first()?, positions.last()?);
    let blocks = usize::try_from(last.block - first.block).ok()? + 1;
    // Within one block there is nothing to gain from a list.
    let dense = blocks == 1 || positions.len() / blocks >= DENSE;
    dense.then(|| format!("t.ctid BETWEEN {first} AND {last}"))
}

/// All positions, if they fit in a chunk; else where to begin with windows.
pub(super) fn first_positions(
    session: &mut Session,
    leaf: &str,
    predicate: &Predicate,
) -> Result<(Vec<Position>, Progress), StoreError> {
    let all = positions(session, leaf, predicate, "true", &format!("LIMIT {}", CHUNK + 1))?;
    if all.len() <= CHUNK {
        return Ok((all, Progress::Complete));
    }
    Ok((Vec::new(), Progress::From { block: 0, end: blocks(session, leaf)? }))
}

/// Rows in a block by the server's own guess; where there is none, as many as fit (`MaxHeapTuplesPerPage`).
fn rows_per_block(session: &mut Session, leaf: &str) -> Result<u64, StoreError> {
    let sql = "SELECT CASE WHEN reltuples > 0 AND relpages > 0 THEN ceil(reltuples / relpages)::int8 ELSE 291 END \
         FROM pg_class WHERE oid = $1::regclass";
    let row = session.one(sql, &[(&leaf, Type::TEXT)])?;
    session.count(&row, 0)
}

pub(super) fn blocks(session: &mut Session, leaf: &str) -> Result<u32, StoreError> {
    let sql = "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int8";
    let row = session.one(sql, &[(&leaf, Type::TEXT)])?;
    let blocks: i64 = session.get(&row, 0)?;
    Ok(u32::try_from(blocks).unwrap_or(u32::MAX))
}

/// Where to begin with blocks, if by the planner's guess a good part of a large table matches. A wrong guess costs
/// time and nothing else.
pub(super) fn dense(session: &mut Session, leaf: &str, predicate: &Predicate) -> Result<Option<Progress>, StoreError> {
    let end = blocks(session, leaf)?;
    if end < SMALL {
        return Ok(None);
    }
    let sql = format!("EXPLAIN (FORMAT JSON) SELECT 1 FROM {leaf} AS t WHERE {}", predicate.matches());
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    let plan: serde_json::Value = session.get(&row, 0)?;
    let guess = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let dense = usize::try_from(guess).is_ok_and(|guess| guess / usize::try_from(end).unwrap_or(usize::MAX) >= DENSE);
    if !dense {
        return Ok(None);
    }
    let stride = Stride { blocks: end, rows: guess, fullest: rows_per_block(session, leaf)? };
    Ok(Some(Progress::Blocks { next: 0, end, stride, seek: false }))
}

pub(super) fn positions(
    session: &mut Session,
    leaf: &str,
    predicate: &Predicate,
    which: &str,
    limit: &str,
) -> Result<Vec<Position>, StoreError> {
    let sql = format!(
        "SELECT array_agg(ctid) FROM (SELECT t.ctid FROM {leaf} AS t WHERE {which} AND {} {limit}) AS s",
        predicate.matches()
    );
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    Ok(session.get::<Option<Vec<Position>>>(&row, 0)?.unwrap_or_default())
}
