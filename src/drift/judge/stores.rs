//! What is said of each store, of the tables in it, and of what was covered once.

use std::collections::BTreeSet;

use super::Judged;
use crate::config::site::Store;
use crate::drift::declared::DeclaredTable;
use crate::drift::finding::{By, Finding, Kind, PersonalColumn, StoreDrift, told};
use crate::drift::former::{Former, Whereabouts};
use crate::drift::likeness::{Certainty, of_column, says_when};
use crate::drift::observed::{Observed, Presence, SeenDatabase, Still};
use crate::safety::Reason;
use crate::store::catalog::{FoundColumn, FoundTable, Nature};

impl Judged<'_> {
    pub(super) fn store(&mut self, place: String, store: &Store, observed: &Observed) -> StoreDrift {
        let before = self.findings.len();
        let mut tables = None;
        let location = store.location();
        match observed.databases.get(&location).filter(|_| self.told.insert(location.clone())) {
            Some(Ok(seen)) => {
                tables = Some(u64::try_from(seen.catalog.tables.len()).unwrap_or(u64::MAX));
                self.database(seen, &once_covered(observed, seen));
            }
            Some(Err(error)) => self.unreadable(&place, error),
            None => self.files(&place, store, observed),
        }
        let answer = self.answer(before);
        StoreDrift { store: place, kind: store.key(), answer, tables }
    }

    fn unreadable(&mut self, place: &str, error: &str) {
        let text = format!("it cannot be looked at: {error}");
        self.findings.push(Finding::new(Kind::Unreadable, place, text));
    }

    /// A store without a catalog could be looked at if its rules could.
    fn files(&mut self, place: &str, store: &Store, observed: &Observed) {
        if matches!(store, Store::Tables { .. }) {
            return;
        }
        let of_store = self.declared.rules().filter(|rule| rule.name.is_within(place));
        let looked_at = of_store.filter_map(|rule| observed.rules.get(rule.name.as_str()));
        let mut errors = looked_at.filter_map(|(assessment, presence)| {
            let error = assessment.reasons.iter().find_map(|reason| match reason {
                Reason::Store(error) => Some(error.to_string()),
                _ => None,
            })?;
            Some((error, *presence))
        });
        match errors.next() {
            None => {}
            Some((_, Presence::Gone)) => {
                let text = format!("{} is not there: its directory is gone", store.location());
                self.findings.push(Finding::new(Kind::Gone, place, text));
            }
            Some((error, Presence::There)) => self.unreadable(place, &error),
        }
    }

    fn database(&mut self, seen: &SeenDatabase, once_covered: &BTreeSet<&str>) {
        for declared in &seen.declared {
            if seen.catalog.table(&declared.name).is_none() {
                let text =
                    format!("there is no table {} in the database, or forgetd's user may not see it", declared.name);
                self.findings.push(Finding::new(Kind::Gone, &declared.place, text));
            }
        }
        for table in &seen.catalog.tables {
            let declared: Vec<&DeclaredTable> =
                seen.declared.iter().filter(|declared| seen.catalog.is_called(table, &declared.name)).collect();
            match declared.first() {
                Some(first) => self.undeclared_columns(&first.place, table, &declared, seen),
                // What was covered once is told as that, and not as something new.
                None if once_covered.iter().any(|name| seen.catalog.is_called(table, name)) => {}
                None => self.undeclared_table(&seen.place, table, seen),
            }
        }
        match seen.unread {
            0 => {}
            1 => self.notes.push(format!("{}: one table was judged by names and types alone", seen.place)),
            many => self.notes.push(format!("{}: {many} tables were judged by names and types alone", seen.place)),
        }
    }

    fn undeclared_columns(
        &mut self,
        place: &str,
        table: &FoundTable,
        declared: &[&DeclaredTable],
        seen: &SeenDatabase,
    ) {
        for (column, _) in personal(table, seen) {
            if seen.is_declared(declared, &column.column) {
                continue;
            }
            let text = format!(
                "column {} looks like {} (by its {}) and is not declared: tag it under `columns`",
                told(&column.column),
                column.looks_like.words(),
                column.by.words()
            );
            let finding = Finding::new(Kind::UndeclaredColumn, format!("{place}/{}", column.column), text);
            self.unless_accepted(Finding { columns: vec![column], ..finding });
        }
    }

    /// In a database with declared tables another one that says when, and what looks personal.
    fn undeclared_table(&mut self, store: &str, table: &FoundTable, seen: &SeenDatabase) {
        let columns = personal(table, seen);
        let is_certain = columns.iter().any(|(_, certainty)| *certainty == Certainty::Alone);
        let mut kinds: Vec<_> = columns.iter().map(|(column, _)| column.looks_like).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let says_when = table.columns.iter().any(|column| says_when(&column.name, column.nature));
        if !says_when || !(is_certain || kinds.len() > 1) {
            return;
        }
        let list: Vec<String> = columns
            .iter()
            .map(|(column, _)| format!("{} ({})", told(&column.column), column.looks_like.words()))
            .collect();
        let text = format!("table {} is not declared, and looks personal: {}", told(&table.name), list.join(", "));
        let finding = Finding::new(Kind::UndeclaredTable, format!("{store}/{}", table.name), text);
        self.unless_accepted(Finding { columns: columns.into_iter().map(|(column, _)| column).collect(), ..finding });
    }

    pub(super) fn former(&mut self, former: &Former, still: &Still) {
        let until = match former.until {
            Some(until) => format!("until {until:.0}"),
            None => "by the version in force".to_owned(),
        };
        let what = match &former.whereabouts {
            Whereabouts::Table { database, table } => format!("table {} of {}", told(table), database.location()),
            Whereabouts::Files { directory, pattern } => directory.join(pattern).display().to_string(),
            Whereabouts::Location(location) => location.clone(),
        };
        let text = match still {
            Still::Gone => return,
            Still::There => format!("{what} was covered {until}, is still there, and nothing covers it now"),
            Still::Unknown(why) => {
                format!(
                    "{what} was covered {until}, and nothing covers it now; whether it is still there is not known: {why}"
                )
            }
        };
        self.unless_accepted(Finding::new(Kind::Uncovered, &former.place, text));
    }
}

/// Tables of this database that are told as uncovered.
fn once_covered<'a>(observed: &'a Observed, seen: &SeenDatabase) -> BTreeSet<&'a str> {
    let of_this = |(former, still): &'a (Former, Still)| match &former.whereabouts {
        Whereabouts::Table { database, table } if *still != Still::Gone && database.location() == seen.location => {
            Some(table.as_str())
        }
        _ => None,
    };
    observed.former.iter().filter_map(of_this).collect()
}

/// Columns of a table that look personal, with how much their names say. What values say is said for certain.
fn personal(table: &FoundTable, seen: &SeenDatabase) -> Vec<(PersonalColumn, Certainty)> {
    let column = |column: &FoundColumn| {
        let by = if column.nature == Nature::Address { By::Type } else { By::Name };
        let told = of_column(&column.name, column.nature).map(|(likeness, certainty)| (likeness, by, certainty));
        let (looks_like, by, certainty) = told.or_else(|| {
            let glance = seen.glances.get(&(table.name.clone(), column.name.clone()))?;
            Some((*glance, By::Values, Certainty::Alone))
        })?;
        Some((PersonalColumn { column: column.name.clone(), looks_like, by }, certainty))
    };
    table.columns.iter().filter_map(column).collect()
}
