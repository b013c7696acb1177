//! Keys of records, in as little memory as they need, and the conditions that name them.

use std::ops::Range;

use mysql::Value;
use serde::{Deserialize, Serialize};

use super::rows::ChildTable;
use super::schema::Class;
use super::sql::{bytes, converted, text};

/// Up to how many numbers per key a range still pays: every row in between is looked at, and that costs about a tenth
/// of what erasing a row does.
pub(super) const SPARSEST_RANGE: u128 = 8;

/// Most keys that one condition lists: a longer list makes the server read the whole table.
const LONGEST_LIST: usize = 1_000;

/// Keys of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Keys {
    /// Numbers, ascending. Wide enough for BIGINT with a sign and without one.
    Integers(Vec<i128>),
    /// Text.
    Texts(Vec<String>),
    /// Bytes.
    Bytes(Vec<Vec<u8>>),
}

impl Keys {
    /// An empty list for a key column of this class.
    pub(super) fn none(class: Class) -> Keys {
        match class {
            Class::Integer => Keys::Integers(Vec::new()),
            Class::Binary { .. } => Keys::Bytes(Vec::new()),
            _ => Keys::Texts(Vec::new()),
        }
    }

    /// Adds a key as a query gave it; `None` if it is of another kind.
    pub(super) fn push(&mut self, value: Value) -> Option<()> {
        let Value::Bytes(value) = value else { return None };
        match self {
            Keys::Integers(keys) => keys.push(str::from_utf8(&value).ok()?.parse().ok()?),
            Keys::Texts(keys) => keys.push(String::from_utf8(value).ok()?),
            Keys::Bytes(keys) => keys.push(value),
        }
        Some(())
    }

    /// Adds the keys of another list of the same kind.
    pub(super) fn append(&mut self, more: Keys) {
        match (self, more) {
            (Keys::Integers(keys), Keys::Integers(more)) => keys.extend(more),
            (Keys::Texts(keys), Keys::Texts(more)) => keys.extend(more),
            (Keys::Bytes(keys), Keys::Bytes(more)) => keys.extend(more),
            _ => {}
        }
    }

    /// Numbers in the order in which their rows lie. The server decides the order of text.
    pub(super) fn sort(&mut self) {
        if let Keys::Integers(keys) = self {
            keys.sort_unstable();
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Keys::Integers(keys) => keys.len(),
            Keys::Texts(keys) => keys.len(),
            Keys::Bytes(keys) => keys.len(),
        }
    }

    /// The number at `index`.
    pub(super) fn integer(&self, index: usize) -> Option<i128> {
        match self {
            Keys::Integers(keys) => keys.get(index).copied(),
            Keys::Texts(_) | Keys::Bytes(_) => None,
        }
    }

    /// The key at `index`, as SQL.
    pub(super) fn literal(&self, index: usize) -> Option<String> {
        match self {
            Keys::Integers(keys) => keys.get(index).map(i128::to_string),
            Keys::Texts(keys) => keys.get(index).map(|key| text(key)),
            Keys::Bytes(keys) => keys.get(index).map(|key| bytes(key)),
        }
    }

    /// Some of the keys.
    pub(super) fn slice(&self, range: Range<usize>) -> Keys {
        match self {
            Keys::Integers(keys) => Keys::Integers(keys.get(range).unwrap_or_default().to_vec()),
            Keys::Texts(keys) => Keys::Texts(keys.get(range).unwrap_or_default().to_vec()),
            Keys::Bytes(keys) => Keys::Bytes(keys.get(range).unwrap_or_default().to_vec()),
        }
    }

    /// Conditions on `column` that together reach every key: a range where they lie close together, lists elsewhere.
    /// A range may reach further rows, which only the whole predicate keeps out.
    pub(super) fn reaching(&self, column: &str) -> Vec<String> {
        if let Some(range) = self.range(column, 0..self.len()) {
            return vec![range];
        }
        let pieces = self.pieces().map(|piece| match self.range(column, piece.clone()) {
            Some(range) => range,
            None => self.list(column, piece),
        });
        pieces.collect()
    }

    /// Conditions on `column` that together are true of the keys and nothing else.
    pub(super) fn exactly(&self, column: &str) -> Vec<String> {
        self.pieces().map(|piece| self.list(column, piece)).collect()
    }

    /// As [`Keys::exactly`], for a column of another table, which may hold numbers as text, and text with another idea
    /// of what is equal or of which characters there are: the parent's counts.
    pub(super) fn exactly_in(&self, child: &ChildTable) -> Vec<String> {
        let ChildTable { column, class, as_parent, .. } = child;
        match (self, class, as_parent) {
            (Keys::Integers(keys), Class::Text { .. } | Class::Enum, _) => {
                Keys::Texts(keys.iter().map(i128::to_string).collect()).exactly(column)
            }
            (Keys::Texts(keys), _, Some(as_parent)) => {
                let (plain, others) = keys.iter().cloned().partition(|key: &String| key.is_ascii());
                let (plain, others) = (Keys::Texts(plain), Keys::Texts(others));
                // The child's own comparison, which has to agree as well, lets an index serve.
                let both = plain.exactly(column).into_iter().zip(plain.exactly(as_parent));
                let both = both.map(|(own, parents)| format!("{own} AND {parents}"));
                let others = others.exactly(&converted(column)).into_iter().zip(others.exactly(as_parent));
                both.chain(others.map(|(own, parents)| format!("{own} AND {parents}"))).collect()
            }
            _ => self.exactly(column),
        }
    }

    fn pieces(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let length = self.len();
        (0..length).step_by(LONGEST_LIST).map(move |start| start..length.min(start + LONGEST_LIST))
    }

    /// A range over these keys, if it pays.
    fn range(&self, column: &str, keys: Range<usize>) -> Option<String> {
        let Keys::Integers(all) = self else { return None };
        let [first, .., last] = all.get(keys.clone())? else { return None };
        let count = u128::try_from(keys.len()).ok()?;
        let pays = last.abs_diff(*first) < count.saturating_mul(SPARSEST_RANGE);
        pays.then(|| format!("{column} BETWEEN {first} AND {last}"))
    }

    fn list(&self, column: &str, keys: Range<usize>) -> String {
        let literals: Vec<String> = keys.filter_map(|index| self.literal(index)).collect();
        format!("{column} IN ({})", literals.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_lie_close_together_are_a_range_and_others_a_list() {
        assert_eq!(Keys::Integers(vec![3, 4, 9]).reaching("id"), ["id BETWEEN 3 AND 9"]);
        assert_eq!(Keys::Integers(vec![3, 400]).reaching("id"), ["id IN (3,400)"]);
        assert_eq!(Keys::Integers(vec![3, 4]).exactly("id"), ["id IN (3,4)"]);
        assert_eq!(Keys::Texts(vec!["a".to_owned()]).reaching("id"), ["id IN (_utf8mb4 X'61')"]);
    }

    #[test]
    fn long_lists_are_cut_into_pieces() {
        let keys = Keys::Integers((0..2_500).map(|key| key * 1_000).collect());
        assert_eq!(keys.reaching("id").len(), 3);
        assert_eq!(keys.exactly("id").len(), 3);
    }
}
