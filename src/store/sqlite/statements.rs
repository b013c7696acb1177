//! The statements of a walk, each made from the one predicate.

use super::predicate::{Predicate, qualified, quoted, table};
use super::schema::KeyShape;
use crate::config::site::Child;
use crate::plan::Action;

/// The statements of a walk.
pub(super) struct Statements {
    /// Keys of all that matches.
    pub(super) all_keys: String,
    /// The largest of them, descending.
    pub(super) first_keys: String,
    /// Those below `:below`, descending.
    pub(super) next_keys: String,
    /// Erases or changes from `:first` to `:last`.
    pub(super) act: String,
    /// Before that, erases what belongs to these rows in other tables.
    pub(super) children: Vec<String>,
}

impl Statements {
    /// All of them for one rule on one table.
    pub(super) fn new(predicate: &Predicate, shape: &KeyShape, action: &Action) -> Statements {
        let Predicate { table: target, key, assignment, .. } = predicate;
        let matches = predicate.matches();
        // Without a word about indexes SQLite may prefer the one over the time, and read all of it for each batch.
        let (by_key, range) = match shape {
            KeyShape::Rowid => ("NOT INDEXED".to_owned(), format!("{key} BETWEEN :first AND :last")),
            KeyShape::Clustered => ("NOT INDEXED".to_owned(), format!("{key} = :first")),
            KeyShape::Indexed(index) => (format!("INDEXED BY {}", quoted(index)), format!("{key} = :first")),
        };
        let keys = |which: &str| {
            format!("SELECT {key} FROM {target} {by_key} WHERE {which} AND {matches} ORDER BY {key} DESC LIMIT :limit")
        };
        let children: &[Child] = if let Action::EraseRows { children } = action { children } else { &[] };
        let erase_children = |child: &Child| {
            format!(
                "DELETE FROM {} WHERE {} IN (SELECT {key} FROM {target} {by_key} WHERE {range} AND {matches})",
                table(&child.table),
                qualified(&child.table, &child.column)
            )
        };
        Statements {
            all_keys: format!("SELECT {key} FROM {target} WHERE {matches} LIMIT :limit"),
            first_keys: keys("1"),
            next_keys: keys(&format!("{key} < :below")),
            act: match assignment {
                None => format!("DELETE FROM {target} {by_key} WHERE {range} AND {matches}"),
                Some(assignment) => format!("UPDATE {target} {by_key} SET {assignment} WHERE {range} AND {matches}"),
            },
            children: children.iter().map(erase_children).collect(),
        }
    }

    /// Those that change something.
    pub(super) fn changing(&self) -> impl Iterator<Item = &str> {
        self.children.iter().chain([&self.act]).map(String::as_str)
    }
}
