//! Ranges of keys, for a table of which a good part matches: range follows range, as long as the rows found so far
//! suggest, and no key is read beforehand.
//!
//! A guess that is wrong costs time and nothing else: each statement says the whole predicate again, touches no more
//! rows than it is told, and counts them.

use super::connection::Database;
use super::keys::SPARSEST_RANGE;
use super::predicate::Predicate;
use super::schema::{Class, TableFacts};
use crate::store::StoreError;

/// With fewer records that match, reading their keys takes no time that matters.
const FEW: u128 = 10_000;

/// One range says little about the next: no more than this factor from one to the other. It also bounds a batch whose
/// range holds more than was thought.
const LARGEST_CHANGE: u32 = 4;

/// Most keys in one range, however rare the records are among them: looking at a million rows takes half a second.
const LONGEST_RANGE: u128 = 1_000_000;

/// Where a walk by ranges is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ranges {
    next: i128,
    last: i128,
    stride: Stride,
    /// Whether the range before was empty, so that the next record may be far.
    is_gap: bool,
}

/// How many keys hold how many records that match, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stride {
    keys: u128,
    rows: u128,
}

/// One range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: i128,
    last: i128,
    /// Most records that may be erased in it.
    pub(super) most: u32,
}

impl Range {
    /// The range as SQL.
    pub(super) fn of(self, key: &str) -> String {
        format!("{key} BETWEEN {} AND {}", self.first, self.last)
    }
}

impl Ranges {
    /// Where to begin, if by the server's guess a good part of a large table matches, and its rows lie in the order of
    /// the key.
    pub(super) fn guess(
        database: &mut Database,
        facts: &TableFacts,
        predicate: &Predicate,
        key: &str,
    ) -> Result<Option<Ranges>, StoreError> {
        let lies_in_order = facts.key_index(key).is_some_and(|index| index.name == "PRIMARY");
        if predicate.key_class != Class::Integer || !lies_in_order {
            return Ok(None);
        }
        let Predicate { table, key, .. } = predicate;
        let ends: (Option<String>, Option<String>) =
            database.row(&format!("SELECT CAST(MIN({key}) AS CHAR), CAST(MAX({key}) AS CHAR) FROM {table}"))?;
        let (Some(first), Some(last)) = (number(ends.0), number(ends.1)) else { return Ok(None) };
        let mut rows = 0;
        // Newer servers of MySQL answer with a tree unless they are asked for the table.
        let plan = format!("EXPLAIN FORMAT=TRADITIONAL SELECT {key} FROM {table} WHERE {}", predicate.matches());
        database.each(&plan, |row| {
            rows = row.get::<Option<u64>, _>("rows").flatten().map_or(0, u128::from);
        })?;
        Ok(Ranges::over(first, last, rows))
    }

    fn over(first: i128, last: i128, rows: u128) -> Option<Ranges> {
        let keys = last.abs_diff(first).saturating_add(1);
        let is_dense = rows >= FEW && keys <= rows.saturating_mul(SPARSEST_RANGE);
        is_dense.then_some(Ranges { next: first, last, stride: Stride { keys, rows }, is_gap: false })
    }

    /// The range that is likely to hold `limit` records; `None` at the end.
    pub(super) fn next(&self, limit: u32) -> Option<Range> {
        let keys = self.stride.keys * u128::from(limit) / self.stride.rows.max(1);
        let keys = i128::try_from(keys.clamp(1, LONGEST_RANGE)).ok()?;
        let last = self.next.saturating_add(keys - 1).min(self.last);
        let most = limit.saturating_mul(LARGEST_CHANGE);
        (self.next <= self.last).then_some(Range { first: self.next, last, most })
    }

    /// Goes on behind a range in which so many records were erased.
    pub(super) fn pass(&mut self, range: Range, rows: u64) {
        let full = u128::from(rows) >= u128::from(range.most);
        // As many as it may: they have as many keys at least, and nothing that matches is left among those.
        let last = if full { range.first.saturating_add(i128::from(range.most) - 1) } else { range.last };
        let keys = last.abs_diff(range.first).saturating_add(1);
        self.next = last.saturating_add(1);
        self.is_gap = rows == 0;
        self.stride = match u128::from(rows) {
            0 => self.stride,
            rows => Stride { keys: keys.max(1), rows }.not_much_wider_than(self.stride),
        };
    }

    /// After an empty range, where to look for the next record; `None` where there is no gap.
    pub(super) fn gap(&self) -> Option<(i128, i128)> {
        (self.is_gap && self.next <= self.last).then_some((self.next, self.last))
    }

    /// Goes on at a record that was found, or to the end where there is none.
    pub(super) fn leap(&mut self, found: Option<i128>) {
        self.is_gap = false;
        self.next = found.unwrap_or_else(|| self.last.saturating_add(1));
    }
}

impl Stride {
    fn not_much_wider_than(self, before: Stride) -> Stride {
        let widest = before.keys.saturating_mul(self.rows).saturating_mul(LARGEST_CHANGE.into()) / before.rows.max(1);
        Stride { keys: self.keys.min(widest.max(1)), rows: self.rows }
    }
}

fn number(key: Option<String>) -> Option<i128> {
    key?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_as_long_as_the_one_before_suggests() {
        let mut ranges = Ranges::over(1, 2_000_000, 1_000_000).unwrap();
        let first = ranges.next(500).unwrap();
        assert_eq!(first, Range { first: 1, last: 1_000, most: 2_000 });
        ranges.pass(first, 1_000);
        assert_eq!(ranges.next(500).unwrap(), Range { first: 1_001, last: 1_500, most: 2_000 });
    }

    #[test]
    fn few_records_or_rare_ones_are_not_walked_by_ranges() {
        assert_eq!(Ranges::over(1, 2_000_000, 9_999), None);
        assert_eq!(Ranges::over(1, 2_000_000, 249_999), None);
        assert!(Ranges::over(1, 2_000_000, 250_000).is_some());
        assert_eq!(Ranges::over(i128::from(i64::MIN), i128::from(u64::MAX), 1_000_000), None);
    }

    #[test]
    fn behind_a_batch_that_was_cut_short_the_walk_goes_on_where_it_may_have_ended_at_the_earliest() {
        let mut ranges = Ranges::over(1, 2_000_000, 250_000).unwrap();
        let range = ranges.next(1_000).unwrap();
        assert_eq!(range, Range { first: 1, last: 8_000, most: 4_000 });
        ranges.pass(range, 4_000);
        assert_eq!(ranges.next(1_000).unwrap().first, 4_001);
    }

    #[test]
    fn the_last_range_ends_with_the_last_key() {
        let mut ranges = Ranges::over(1, 15_000, 15_000).unwrap();
        let range = ranges.next(20_000).unwrap();
        assert_eq!(range.of("id"), "id BETWEEN 1 AND 15000");
        ranges.pass(range, 15_000);
        assert_eq!(ranges.next(20_000), None);
    }
}
