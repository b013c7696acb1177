//! What is said of each store, of the tables in it, and of what was covered once.

use std::collections::BTreeSet;

use super::Judged;
use crate::config::site::Store;
use crate::drift::database::{SeenDatabase, Suspect};
use crate::drift::finding::{Finding, Kind, StoreDrift, told};
use crate::drift::former::{Former, Whereabouts};
use crate::drift::observed::{Observed, Presence, Still};

impl Judged<'_> {
    pub(super) fn store(&mut self, place: String, store: &Store, observed: &Observed) -> StoreDrift {
        let before = self.findings.len();
        let mut tables = None;
        let location = store.location();
        match observed.databases.get(&location).filter(|_| self.told.insert(location.clone())) {
            Some(Ok(seen)) => {
                tables = Some(u64::try_from(seen.tables).unwrap_or(u64::MAX));
                self.database(seen, &once_covered(observed, &location));
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
        let mut errors = looked_at.filter_map(|seen| Some((seen.unreadable.as_deref()?, seen.presence)));
        match errors.next() {
            None => {}
            Some((_, Presence::Gone)) => {
                let text = format!("{} is not there: its directory is gone", store.location());
                self.findings.push(Finding::new(Kind::Gone, place, text));
            }
            Some((error, Presence::There)) => self.unreadable(place, error),
        }
    }

    fn database(&mut self, seen: &SeenDatabase, once_covered: &BTreeSet<&str>) {
        for table in &seen.missing {
            let text = format!("there is no table {} in the database, or forgetd's user may not see it", table.name);
            self.findings.push(Finding::new(Kind::Gone, &table.place, text));
        }
        for table in &seen.suspects {
            match &table.declared {
                Some(place) => self.undeclared_columns(place, table),
                // What was covered once is told as that, and not as something new.
                None if once_covered.iter().any(|name| table.is_called(name)) => {}
                None => self.undeclared_table(&seen.place, table),
            }
        }
        match seen.unread {
            0 => {}
            1 => self.notes.push(format!("{}: one table was judged by names and types alone", seen.place)),
            many => self.notes.push(format!("{}: {many} tables were judged by names and types alone", seen.place)),
        }
    }

    fn undeclared_columns(&mut self, place: &str, table: &Suspect) {
        for column in &table.columns {
            let text = format!(
                "column {} looks like {} (by its {}) and is not declared: tag it under `columns`",
                told(&column.column),
                column.looks_like.words(),
                column.by.words()
            );
            let finding = Finding::new(Kind::UndeclaredColumn, format!("{place}/{}", column.column), text);
            self.unless_accepted(Finding { columns: vec![column.clone()], ..finding });
        }
    }

    /// In a database with declared tables another one that says when, and what looks personal.
    fn undeclared_table(&mut self, store: &str, table: &Suspect) {
        let list: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} ({})", told(&column.column), column.looks_like.words()))
            .collect();
        let text = format!("table {} is not declared, and looks personal: {}", told(&table.name), list.join(", "));
        let finding = Finding::new(Kind::UndeclaredTable, format!("{store}/{}", table.name), text);
        self.unless_accepted(Finding { columns: table.columns.clone(), ..finding });
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

/// Tables of the database at this location that are told as uncovered.
fn once_covered<'a>(observed: &'a Observed, location: &str) -> BTreeSet<&'a str> {
    let of_this = |(former, still): &'a (Former, Still)| match &former.whereabouts {
        Whereabouts::Table { database, table } if *still != Still::Gone && database.location() == location => {
            Some(table.as_str())
        }
        _ => None,
    };
    observed.former.iter().filter_map(of_this).collect()
}
