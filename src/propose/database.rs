//! The tables of a database that look as if they held visitor records.
//!
//! A table is proposed if it says when and looks as if it were about people. Tables that refer to it are proposed as its
//! children, because their rows would keep it from being erased, or would stay behind.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::instants::{Instants, Sense, instants};
use super::people;
use crate::config::site::{Child, DatabaseKind, Scalar};
use crate::drift::By;
use crate::drift::likeness::{Certainty, Likeness, Tally, of_column, says_when, speak_of_people};
use crate::store::catalog::{Catalog, FoundColumn, FoundTable, Nature};
use crate::store::outline::{Clock, Null, Outline};
use crate::store::{Store, StoreError};

/// Tables of one database at which is looked. Whoever has more begins by hand.
const MOST_TABLES: usize = 500;

/// What is proposed of a database.
#[derive(Debug, Default)]
pub struct Proposed {
    /// Tables that look as if they held visitor records.
    pub tables: Vec<ProposedTable>,
    /// Tables that look personal and cannot be proposed.
    pub rejected: Vec<Rejected>,
    /// How many tables there are.
    pub seen: usize,
}

/// A table that looks personal and cannot be declared as it is.
#[derive(Debug)]
pub struct Rejected {
    /// Its name.
    pub name: String,
    /// What it lacks.
    pub lacks: &'static str,
}

/// A table that looks as if it held visitor records.
#[derive(Debug)]
pub struct ProposedTable {
    /// Its name.
    pub name: String,
    /// The column that tells its rows apart.
    pub key: String,
    /// The column that says when.
    pub time: Instants,
    /// Other columns that say when.
    pub other_times: Vec<String>,
    /// What its rows hold.
    pub holds: &'static str,
    /// Columns that look personal.
    pub columns: Vec<PersonalColumn>,
    /// A column that looks as if it said that consent was given.
    pub consent: Option<String>,
    /// Rows of other tables that belong to its rows.
    pub children: Vec<Child>,
    /// Those of which this is less certain, and why.
    pub perhaps_children: Vec<(Child, &'static str)>,
}

/// A column that looks personal.
#[derive(Debug)]
pub struct PersonalColumn {
    /// Its name.
    pub name: String,
    /// What it looks like, and by what.
    pub looks_like: (Likeness, By),
    /// What becomes of it.
    pub tag: ColumnTag,
}

/// What is proposed for a column.
#[derive(Debug)]
pub enum ColumnTag {
    /// It is tagged, and where it may not be empty this is written instead.
    Tagged(&'static str, Option<Scalar>),
    /// It is not, for this reason.
    GoesWithRow(&'static str),
}

/// Looks at a database.
///
/// # Errors
/// The database cannot be read.
pub fn look(kind: &DatabaseKind, store: &mut dyn Store, now: Timestamp) -> Result<Proposed, StoreError> {
    let catalog = store.catalog()?.unwrap_or_default();
    let mut proposed = Proposed { seen: catalog.tables.len(), ..Proposed::default() };
    let mut outlines = Vec::new();
    for table in catalog.tables.iter().take(MOST_TABLES) {
        let Some(outline) = store.outline(&table.name)? else { continue };
        let looked = Looked::at(store, kind, table, &outline, now)?;
        match looked.proposal(table, &outline) {
            Some(Ok(proposal)) => {
                proposed.tables.push(proposal);
                outlines.push(outline);
            }
            Some(Err(lacks)) => proposed.rejected.push(Rejected { name: table.name.clone(), lacks }),
            None => {}
        }
    }
    let names: Vec<String> = proposed.tables.iter().map(|table| table.name.clone()).collect();
    for (table, outline) in proposed.tables.iter_mut().zip(&outlines) {
        children(table, outline, &names, &catalog);
    }
    // What goes with its parent lacks nothing.
    let Proposed { tables, rejected, .. } = &mut proposed;
    let is_child = |name: &String| tables.iter().any(|table| table.children.iter().any(|child| child.table == *name));
    rejected.retain(|rejected| !is_child(&rejected.name));
    Ok(proposed)
}

/// What was seen in a table.
struct Looked {
    personal: Vec<(FoundColumn, Likeness, By, Certainty)>,
    times: Vec<Instants>,
}

impl Looked {
    /// Looks at a table. Values are asked only where names and types do not say enough.
    fn at(
        store: &mut dyn Store,
        kind: &DatabaseKind,
        table: &FoundTable,
        outline: &Outline,
        now: Timestamp,
    ) -> Result<Looked, StoreError> {
        let clock = |column: &FoundColumn| outline.column(&column.name).map_or(Clock::Unknown, |column| column.clock);
        let may_say_when = |column: &FoundColumn| {
            let likeness = of_column(&column.name, column.nature).map(|(likeness, _)| likeness);
            // Of a server's type that is about time and not about instants (TIME, YEAR) there is nothing to expect.
            let is_time_of_day = column.nature == Nature::Time
                && clock(column) == Clock::Unknown
                && !matches!(kind, DatabaseKind::Sqlite { .. });
            says_when(&column.name, column.nature) && likeness != Some(Likeness::Birth) && !is_time_of_day
        };
        let open: Vec<&FoundColumn> = table
            .columns
            .iter()
            .filter(|column| {
                let unknown_text = column.nature == Nature::Text && of_column(&column.name, column.nature).is_none();
                unknown_text || may_say_when(column) && clock(column) == Clock::Unknown
            })
            .collect();
        let names: Vec<&str> = open.iter().map(|column| column.name.as_str()).collect();
        let mut seen = vec![(Tally::default(), Sense::default()); open.len()];
        if !names.is_empty() {
            let looked = store.glance(&table.name, &names, &mut |position, value| {
                if let Some((tally, sense)) = seen.get_mut(position) {
                    tally.add(value);
                    sense.add(value, now);
                }
            });
            match looked {
                // What may not be read, or not so quickly, is judged by names and types.
                Ok(()) | Err(StoreError::Slow { .. } | StoreError::Failed { .. } | StoreError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let seen: BTreeMap<&str, (Tally, Sense)> = names.into_iter().zip(seen).collect();
        let values_of = |column: &FoundColumn| seen.get(column.name.as_str()).copied().unwrap_or_default();
        let times = table.columns.iter().filter(|column| may_say_when(column));
        let mut times: Vec<Instants> =
            times.filter_map(|column| instants(column, clock(column), &values_of(column).1)).collect();
        times.sort_by_key(Instants::rank);
        let personal = table.columns.iter().filter_map(|column| {
            let by = if column.nature == Nature::Address { By::Type } else { By::Name };
            let named = of_column(&column.name, column.nature).map(|(likeness, certainty)| (likeness, by, certainty));
            let valued = || Some((values_of(column).0.likeness()?, By::Values, Certainty::Alone));
            let (likeness, by, certainty) = named.or_else(valued)?;
            Some((column.clone(), likeness, by, certainty))
        });
        Ok(Looked { personal: personal.collect(), times })
    }

    /// `None` for a table that is not about people; the error says what one that is about people lacks.
    fn proposal(self, table: &FoundTable, outline: &Outline) -> Option<Result<ProposedTable, &'static str>> {
        let looks: Vec<(Likeness, Certainty)> =
            self.personal.iter().map(|(_, like, _, certain)| (*like, *certain)).collect();
        if !speak_of_people(&looks) {
            return None;
        }
        let Some(key) = outline.keys.first().cloned() else {
            return Some(Err(
                "a column that is unique alone and never empty: without one nobody can say which row is meant",
            ));
        };
        let mut times = self.times.into_iter().filter(|time| time.column != key);
        let Some(time) = times.next() else {
            return Some(Err("a column that says when: without one nobody can say which row is expired"));
        };
        let other_times = times.map(|time| time.column).collect();
        let is_free = |column: &FoundColumn| column.name != key && column.name != time.column;
        let columns = self.personal.into_iter().filter(|(column, ..)| is_free(column));
        let columns = columns.map(|(column, likeness, by, _)| PersonalColumn {
            tag: tag(&column, likeness, outline),
            name: column.name,
            looks_like: (likeness, by),
        });
        let consent = table.columns.iter().find(|column| people::is_consent(&column.name));
        Some(Ok(ProposedTable {
            columns: columns.collect(),
            consent: consent.map(|column| column.name.clone()),
            holds: people::holds(&table.name),
            name: table.name.clone(),
            key,
            time,
            other_times,
            children: Vec::new(),
            perhaps_children: Vec::new(),
        }))
    }
}

fn tag(column: &FoundColumn, likeness: Likeness, outline: &Outline) -> ColumnTag {
    let Some(category) = people::category(likeness) else {
        return ColumnTag::GoesWithRow("no shipped category says that");
    };
    if outline.keys.contains(&column.name) {
        return ColumnTag::GoesWithRow("it is unique and never empty");
    }
    match outline.column(&column.name) {
        Some(outlined) if outlined.is_computed => ColumnTag::GoesWithRow("it is computed from others"),
        Some(outlined) if outlined.null == Null::Refused => {
            ColumnTag::Tagged(category, Some(people::stand_in(column.nature)))
        }
        _ => ColumnTag::Tagged(category, None),
    }
}

/// Whoever refers to a table belongs to it, unless it may do without and looks as if it had a life of its own.
fn children(table: &mut ProposedTable, outline: &Outline, proposed: &[String], catalog: &Catalog) {
    for referring in &outline.referring {
        let has_own_life = referring.null == Null::Allowed && proposed.contains(&referring.from.table);
        let child = referring.from.clone();
        if referring.to != table.key {
            table.perhaps_children.push((child, "refers to another column than the key"));
        } else if has_own_life {
            table.perhaps_children.push((child, "refers to this table, and has a period of its own"));
        } else {
            table.children.push(child);
        }
    }
    for other in catalog.tables.iter().filter(|other| other.name != table.name) {
        let by_name = other.columns.iter().filter(|column| people::names_key_of(&column.name, &table.name));
        for column in by_name {
            let child = Child { table: other.name.clone(), column: column.name.clone() };
            let known = table.children.iter().chain(table.perhaps_children.iter().map(|(child, _)| child));
            if !known.into_iter().any(|known| *known == child) {
                table.perhaps_children.push((child, "refers to this table by its name, and no foreign key says so"));
            }
        }
    }
}
