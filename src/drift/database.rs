//! A database as it is: what of its catalog, and of a glance at some of its columns, somebody should know.
//!
//! A catalog may name thousands of columns, and all of it is there only while it is looked at. What is kept is what may
//! become a finding.

use std::collections::BTreeMap;

use super::declared::{DeclaredDatabase, DeclaredTable};
use super::finding::{By, PersonalColumn};
use super::likeness::{Certainty, Likeness, Tally, of_column, says_when, speak_of_people};
use crate::store::catalog::{FoundColumn, FoundTable, NameCase, Nature};
use crate::store::{Catalog, Store, StoreError};

/// Tables of one database at whose values is glanced. Whoever has more has other means.
const MOST_GLANCES: usize = 200;

/// What was seen in a database.
#[derive(Debug)]
pub struct SeenDatabase {
    /// The store that names it first.
    pub(super) place: String,
    /// How many tables there are.
    pub(super) tables: usize,
    /// Declared tables that are not there.
    pub(super) missing: Vec<Missing>,
    /// Tables in which something looks personal that is not declared.
    pub(super) suspects: Vec<Suspect>,
    /// Tables at whose values was not glanced: there are too many, or they may not be read, or not so quickly.
    pub(super) unread: usize,
}

/// A declared table that is not there.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) place: String,
    pub(super) name: String,
}

/// A table in which something looks personal that is not declared.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) name: String,
    also: Option<String>,
    case: NameCase,
    /// What it is called in the names of rules, where it is declared itself.
    pub(super) declared: Option<String>,
    pub(super) columns: Vec<PersonalColumn>,
}

impl Suspect {
    /// Whether `name` means this table.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let is = |own: &str| self.case.is_same(own, name);
        is(&self.name) || self.also.as_deref().is_some_and(is)
    }
}

/// What is there while it is looked at.
struct Looked<'a> {
    declared: &'a [DeclaredTable],
    catalog: Catalog,
    /// What columns look like by their values, by table and column.
    glances: BTreeMap<(String, String), Likeness>,
    unread: usize,
}

pub(super) fn look_around(store: &mut dyn Store, declared: &DeclaredDatabase) -> Result<SeenDatabase, StoreError> {
    let catalog = store.catalog()?.unwrap_or_default();
    let mut looked = Looked { declared: &declared.tables, catalog, glances: BTreeMap::new(), unread: 0 };
    looked.glance(store)?;
    Ok(SeenDatabase {
        place: declared.place.clone(),
        tables: looked.catalog.tables.len(),
        missing: looked.missing(),
        suspects: looked.catalog.tables.iter().filter_map(|table| looked.suspect(table)).collect(),
        unread: looked.unread,
    })
}

impl Looked<'_> {
    fn glance(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let mut glanced = 0;
        for table in &self.catalog.tables {
            let columns = self.worth_a_glance(table);
            if columns.is_empty() {
                continue;
            }
            glanced += 1;
            if glanced > MOST_GLANCES {
                self.unread += 1;
                continue;
            }
            let mut tallies = vec![Tally::default(); columns.len()];
            let looked = store.glance(&table.name, &columns, &mut |position, value| {
                if let Some(tally) = tallies.get_mut(position) {
                    tally.add(value);
                }
            });
            match looked {
                Ok(()) => {}
                Err(StoreError::Lost { place, reason }) => return Err(StoreError::Lost { place, reason }),
                Err(_) => self.unread += 1,
            }
            let found = columns.iter().zip(&tallies).filter_map(|(column, tally)| Some((*column, tally.likeness()?)));
            let found: Vec<_> = found.map(|(column, what)| ((table.name.clone(), column.to_owned()), what)).collect();
            self.glances.extend(found);
        }
        Ok(())
    }

    /// Columns that may hold text, that nobody declared, and whose names say nothing. Of a table that nobody declared
    /// only if it could be a finding: it says when, and its names do not say enough already.
    fn worth_a_glance<'a>(&self, table: &'a FoundTable) -> Vec<&'a str> {
        let declared = self.declarations(table);
        if declared.is_empty() {
            let by_name = |column: &FoundColumn| of_column(&column.name, column.nature);
            let is_told = table.columns.iter().filter_map(by_name).any(|(_, certainty)| certainty == Certainty::Alone);
            if is_told || !table.columns.iter().any(|column| says_when(&column.name, column.nature)) {
                return Vec::new();
            }
        }
        let is_open = |column: &&FoundColumn| {
            column.nature == Nature::Text
                && !self.is_declared(&declared, &column.name)
                && of_column(&column.name, column.nature).is_none()
        };
        table.columns.iter().filter(is_open).map(|column| column.name.as_str()).collect()
    }

    fn declarations(&self, table: &FoundTable) -> Vec<&DeclaredTable> {
        self.declared.iter().filter(|declared| self.catalog.is_called(table, &declared.name)).collect()
    }

    /// Whether one of the declarations of a table speaks of this column.
    fn is_declared(&self, declared: &[&DeclaredTable], column: &str) -> bool {
        let is = |name: &String| self.catalog.column_names.is_same(name, column);
        declared.iter().any(|table| table.columns.iter().any(is))
    }

    fn missing(&self) -> Vec<Missing> {
        let gone = self.declared.iter().filter(|declared| self.catalog.table(&declared.name).is_none());
        gone.map(|declared| Missing { place: declared.place.clone(), name: declared.name.clone() }).collect()
    }

    /// Of a declared table the columns that are not. Another one if it says when, and speaks of people.
    fn suspect(&self, table: &FoundTable) -> Option<Suspect> {
        let declared = self.declarations(table);
        let mut columns = self.personal(table);
        if declared.is_empty() {
            let looks: Vec<_> = columns.iter().map(|(column, certainty)| (column.looks_like, *certainty)).collect();
            let says_when = table.columns.iter().any(|column| says_when(&column.name, column.nature));
            if !says_when || !speak_of_people(&looks) {
                return None;
            }
        } else {
            columns.retain(|(column, _)| !self.is_declared(&declared, &column.column));
            if columns.is_empty() {
                return None;
            }
        }
        Some(Suspect {
            name: table.name.clone(),
            also: table.also.clone(),
            case: self.catalog.table_names,
            declared: declared.first().map(|first| first.place.clone()),
            columns: columns.into_iter().map(|(column, _)| column).collect(),
        })
    }

    /// Columns of a table that look personal, with how much their names say. What values say is said for certain.
    fn personal(&self, table: &FoundTable) -> Vec<(PersonalColumn, Certainty)> {
        let column = |column: &FoundColumn| {
            let by = if column.nature == Nature::Address { By::Type } else { By::Name };
            let told = of_column(&column.name, column.nature).map(|(likeness, certainty)| (likeness, by, certainty));
            let (looks_like, by, certainty) = told.or_else(|| {
                let glance = self.glances.get(&(table.name.clone(), column.name.clone()))?;
                Some((*glance, By::Values, Certainty::Alone))
            })?;
            Some((PersonalColumn { column: column.name.clone(), looks_like, by }, certainty))
        };
        table.columns.iter().filter_map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::site::DatabaseKind;
    use crate::store::open_database;

    #[test]
    fn of_a_long_catalog_only_what_may_become_a_finding_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        for number in 0..300 {
            let table = format!("CREATE TABLE stock{number} (id INTEGER PRIMARY KEY, weight INTEGER, height INTEGER)");
            database.execute_batch(&table).unwrap();
        }
        database
            .execute_batch(
                "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, phone TEXT);
                 CREATE TABLE letters (id INTEGER PRIMARY KEY, created_at TEXT, email TEXT);",
            )
            .unwrap();
        let declared = |name: &str| DeclaredTable {
            place: format!("shop.example/chat/{name}"),
            name: name.to_owned(),
            columns: BTreeSet::from(["id".to_owned(), "last_seen".to_owned()]),
        };
        let kind = DatabaseKind::Sqlite { path };
        let mut store = open_database(&kind);
        let tables = vec![declared("visitors"), declared("carts")];
        let seen = look_around(&mut *store, &DeclaredDatabase { place: "shop.example/chat".to_owned(), kind, tables })
            .unwrap();
        assert_eq!(seen.tables, 302);
        let missing: Vec<&str> = seen.missing.iter().map(|table| table.place.as_str()).collect();
        assert_eq!(missing, ["shop.example/chat/carts"]);
        let of = |suspect: &Suspect| {
            let columns: Vec<String> = suspect.columns.iter().map(|column| column.column.clone()).collect();
            (suspect.name.clone(), suspect.declared.clone(), columns)
        };
        let mut suspects: Vec<_> = seen.suspects.iter().map(of).collect();
        suspects.sort();
        let in_visitors = Some("shop.example/chat/visitors".to_owned());
        let expected = [
            ("letters".to_owned(), None, vec!["email".to_owned()]),
            ("visitors".to_owned(), in_visitors, vec!["phone".to_owned()]),
        ];
        assert_eq!(suspects, expected);
    }
}
