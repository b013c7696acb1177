//! The shape of the tables that a rule acts on: the fingerprint by which a change under a rule is noticed.
//!
//! A rule is released for tables as they are. When an upgrade of the application changes them, the same words may mean
//! something else: a column moved away, a time in another unit, a trigger that does more. The shape is everything about
//! a table that decides what the rule would do, in words and in one order, so that two of them can be compared and the
//! difference read. What changes without changing that is left out: other indexes than unique ones, partitions, the
//! order of columns, comments, statistics, privileges, counters.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The tables that a rule erases from, by name: its target, its children, and what foreign keys empty along with them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    tables: BTreeMap<String, TableShape>,
    /// The directory, where the rule acts on files: which one it is. An unmounted file system must not become "erase
    /// what is underneath".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
}

/// One table. Texts are SQL words, for people and for comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableShape {
    /// What it is.
    pub(super) kind: String,
    /// Columns: the type as declared, and what else decides which values there are.
    pub(super) columns: BTreeMap<String, String>,
    /// Sets of columns whose values are unique.
    pub(super) keys: BTreeSet<String>,
    /// Foreign keys that point at it or from it, with what they do.
    pub(super) foreign_keys: BTreeSet<String>,
    /// Triggers that the rule fires, with the digest of what they do.
    pub(super) triggers: BTreeMap<String, String>,
}

impl Shape {
    /// The shape of these tables.
    pub(super) fn new(tables: impl IntoIterator<Item = (String, TableShape)>) -> Shape {
        Shape { tables: tables.into_iter().collect(), directory: None }
    }

    /// This directory and no other.
    pub(super) fn of_directory(file_system: u64, inode: u64) -> Shape {
        let directory = format!("inode {inode} of file system {file_system:x}");
        Shape { tables: BTreeMap::new(), directory: Some(directory) }
    }

    /// SHA-256 of the shape's JSON, in hex.
    pub fn digest(&self) -> String {
        crate::config::hex(Sha256::digest(self.to_json()))
    }

    /// The form in which an accepted shape is kept. Fields and names are in a fixed order.
    pub fn to_json(&self) -> String {
        // Plain values into memory have no way to fail; an empty text would be no shape, and hold the rule.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is different now, a sentence for each change. Tables that only one of the two has are left out: whether a
    /// table belongs to the rule is the configuration's to say, and approved with it.
    pub fn changes_since(&self, before: &Shape) -> Vec<String> {
        let of_both = |(name, now): (&String, &TableShape)| Some(now.changes_since(before.tables.get(name)?, name));
        let mut changes: Vec<String> = Vec::new();
        if let (Some(now), Some(before)) = (&self.directory, &before.directory)
            && now != before
        {
            changes.push(format!("another directory is in its place: it was {before}, is now {now}"));
        }
        for change in self.tables.iter().filter_map(of_both).flatten() {
            // A foreign key between two of the tables is one of either.
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        changes
    }
}

impl TableShape {
    fn changes_since(&self, before: &TableShape, table: &str) -> Vec<String> {
        let TableShape { kind, columns, keys, foreign_keys, triggers } = self;
        let mut changes = Vec::new();
        if *kind != before.kind {
            changes.push(format!("table {table} was {}, is now {kind}", before.kind));
        }
        let column = |name: &str| format!("column `{name}` of {table}");
        changes.extend(differences(&before.columns, columns, column, |was, is| format!("was {was}, is now {is}")));
        let set = |texts: &BTreeSet<String>| texts.iter().map(|text| (text.clone(), String::new())).collect();
        let unchanged = |_: &str, _: &str| String::new();
        let key = |name: &str| format!("{name} of {table}");
        changes.extend(differences(&set(&before.keys), &set(keys), key, unchanged));
        let foreign_key = |name: &str| format!("foreign key {name}");
        changes.extend(differences(&set(&before.foreign_keys), &set(foreign_keys), foreign_key, unchanged));
        let trigger = |name: &str| format!("trigger `{name}` of {table}");
        changes.extend(differences(&before.triggers, triggers, trigger, |_, _| "was changed".to_owned()));
        changes
    }
}

/// What was removed, what is another one, what was added.
fn differences(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    subject: impl Fn(&str) -> String,
    changed: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let gone = gone.map(|name| format!("{} was removed", subject(name)));
    let other = now.iter().filter_map(|(name, is)| Some((name, before.get(name).filter(|was| *was != is)?, is)));
    let other = other.map(|(name, was, is)| format!("{} {}", subject(name), changed(was, is)));
    let new = now.keys().filter(|name| !before.contains_key(*name));
    let new = new.map(|name| format!("{} was added", subject(name)));
    gone.chain(other).chain(new).collect()
}

/// The words that apply, in their order.
pub(super) fn words<'a>(words: impl IntoIterator<Item = Option<&'a str>>) -> String {
    words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A set of columns whose values are unique, `None` standing for an expression. Their order decides nothing.
pub(super) fn unique_key<'a>(columns: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let columns: BTreeSet<&str> = columns.into_iter().map(|column| column.unwrap_or("an expression")).collect();
    format!("UNIQUE ({})", columns.into_iter().collect::<Vec<_>>().join(", "))
}

/// SHA-256 over texts, in hex.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // With its length, so that no two lists of texts run into one.
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    }
    crate::config::hex(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn visitors() -> TableShape {
        TableShape {
            kind: "table".to_owned(),
            columns: map(&[("id", "bigint NOT NULL"), ("ip", "varchar(45)"), ("name", "text")]),
            keys: set(&["UNIQUE (id)"]),
            foreign_keys: set(&["pages (visitor_id) REFERENCES visitors (id) ON DELETE CASCADE"]),
            triggers: map(&[("note", "00")]),
        }
    }

    fn shape(visitors: TableShape) -> Shape {
        Shape::new([("visitors".to_owned(), visitors)])
    }

    #[test]
    fn a_shape_is_read_back_as_it_was_kept() {
        let shape = shape(visitors());
        assert_eq!(serde_json::from_str::<Shape>(&shape.to_json()).unwrap(), shape);
        assert_eq!(shape.changes_since(&shape), Vec::<String>::new());
    }

    #[test]
    fn every_change_is_told_in_words() {
        let now = TableShape {
            kind: "table partitioned by RANGE (id)".to_owned(),
            columns: map(&[("id", "bigint NOT NULL"), ("ip", "varbinary(16)"), ("locale", "text")]),
            keys: set(&["UNIQUE (id, ip)"]),
            foreign_keys: set(&["pages (visitor_id) REFERENCES visitors (id) ON DELETE SET NULL"]),
            triggers: map(&[("note", "01")]),
        };
        let expected = [
            "table visitors was table, is now table partitioned by RANGE (id)",
            "column `name` of visitors was removed",
            "column `ip` of visitors was varchar(45), is now varbinary(16)",
            "column `locale` of visitors was added",
            "UNIQUE (id) of visitors was removed",
            "UNIQUE (id, ip) of visitors was added",
            "foreign key pages (visitor_id) REFERENCES visitors (id) ON DELETE CASCADE was removed",
            "foreign key pages (visitor_id) REFERENCES visitors (id) ON DELETE SET NULL was added",
            "trigger `note` of visitors was changed",
        ];
        assert_eq!(shape(now).changes_since(&shape(visitors())), expected);
    }

    #[test]
    fn another_directory_in_the_same_place_is_a_change() {
        let before = Shape::of_directory(0xABC, 2);
        assert_eq!(serde_json::from_str::<Shape>(&before.to_json()).unwrap(), before);
        assert_eq!(before.changes_since(&before), Vec::<String>::new());
        let expected = "another directory is in its place: it was inode 2 of file system abc, is now inode";
        for (now, is) in
            [(Shape::of_directory(0xABC, 3), "3 of file system abc"), (Shape::of_directory(1, 2), "2 of file system 1")]
        {
            assert_eq!(now.changes_since(&before), [format!("{expected} {is}")]);
            assert_ne!(now.digest(), before.digest());
        }
    }

    #[test]
    fn a_table_that_the_configuration_adds_is_no_change_of_a_table() {
        let with_pages = Shape::new([("visitors".to_owned(), visitors()), ("pages".to_owned(), TableShape::default())]);
        let without = shape(visitors());
        assert_eq!(with_pages.changes_since(&without), Vec::<String>::new());
        assert_eq!(without.changes_since(&with_pages), Vec::<String>::new());
        assert_ne!(with_pages.digest(), without.digest());
    }

    #[test]
    fn the_digest_is_that_of_the_canonical_form() {
        let json =
            r#"{"tables":{"t":{"kind":"table","columns":{"id":"INTEGER"},"keys":[],"foreign_keys":[],"triggers":{}}}}"#;
        let t = TableShape { kind: "table".to_owned(), columns: map(&[("id", "INTEGER")]), ..TableShape::default() };
        let shape = Shape::new([("t".to_owned(), t)]);
        assert_eq!(shape.to_json(), json);
        // By sha256sum.
        assert_eq!(shape.digest(), "79c244d77c90fbe99f13c9e56be670d444ca64dfbdf95766143045ab7509f9cb");
    }

    #[test]
    fn no_two_lists_of_texts_have_one_digest() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_ne!(digest(["a"]), digest(["a", ""]));
    }

    #[test]
    fn the_order_of_a_unique_keys_columns_does_not_matter() {
        assert_eq!(unique_key([Some("b"), Some("a")]), "UNIQUE (a, b)");
        assert_eq!(unique_key([None, Some("a")]), "UNIQUE (a, an expression)");
    }
}
