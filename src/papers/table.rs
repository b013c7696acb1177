//! Tables for spreadsheets. The rules of quoting, and the guard against text that a spreadsheet would take for a
//! formula, are those of the report.

use super::language::Language;
use super::model::{Activity, Group, Party, Period, Recipient, SubProcessor, Transfer};
use crate::report::csv;

/// Between the parts of one cell: a line break would be named instead of shown.
const BETWEEN: &str = "; ";

/// A table: its columns by the keys of their texts, and its rows, the first cell of which names them.
pub(super) struct Table {
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// For a spreadsheet.
    pub(super) fn csv(&self, language: &Language) -> String {
        let heading: Vec<String> = self.headings(language).collect();
        let mut table = csv::BYTE_ORDER_MARK.to_owned() + &csv::record(&heading);
        self.rows.iter().for_each(|row| table.push_str(&csv::record(row)));
        table
    }

    /// A line for each cell: what a change of the table is told by.
    pub(super) fn lines(&self, language: &Language) -> Vec<String> {
        let of_row = |row: &Vec<String>| -> Vec<String> {
            let name = row.first().cloned().unwrap_or_default();
            self.headings(language).zip(row).map(|(heading, cell)| format!("{name}: {heading}: {cell}")).collect()
        };
        self.rows.iter().flat_map(of_row).collect()
    }

    fn headings(&self, language: &Language) -> impl Iterator<Item = String> {
        self.columns.iter().map(|key| language.text(&format!("column.{key}")))
    }
}

/// Cells of a table in one language.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a>(pub(super) &'a Language);

impl Cells<'_> {
    pub(super) fn known(self, value: Option<&String>) -> String {
        value.cloned().unwrap_or_else(|| self.0.missing())
    }

    fn none_if_empty(self, parts: &[String]) -> String {
        if parts.is_empty() { self.0.text("none") } else { parts.join(BETWEEN) }
    }

    /// Name, address, contact.
    pub(super) fn party(self, party: &Party) -> String {
        [Some(&party.name), party.address.as_ref(), party.contact.as_ref()].map(|part| self.known(part)).join(", ")
    }

    /// Name and contact: where an officer lives is not asked for.
    pub(super) fn person(self, party: Option<&Party>) -> String {
        match party {
            Some(party) => {
                let address = party.address.iter().cloned();
                let parts =
                    std::iter::once(party.name.clone()).chain(address).chain([self.known(party.contact.as_ref())]);
                parts.collect::<Vec<_>>().join(", ")
            }
            None => self.0.text("none-declared"),
        }
    }

    pub(super) fn data(self, groups: &[Group]) -> String {
        let group = |group: &Group| format!("{}: {}", group.name, group.categories.join(", "));
        self.none_if_empty(&groups.iter().map(group).collect::<Vec<_>>())
    }

    pub(super) fn recipients(self, recipients: &[Recipient]) -> String {
        let mut parts = Vec::new();
        for recipient in recipients {
            parts.push(format!("{}: {}", self.0.text("processor"), self.party(&recipient.party)));
            let sub = |sub: &SubProcessor| {
                format!(
                    "{}: {}, {}",
                    self.0.text("sub-processor"),
                    self.party(&sub.party),
                    self.known(sub.country.as_ref())
                )
            };
            parts.extend(recipient.sub_processors.iter().map(sub));
            if recipient.sub_processors.is_empty() && recipient.has_sub_processors != Some(false) {
                parts.push(format!("{}: {}", self.0.text("sub-processors"), self.0.missing()));
            }
        }
        self.none_if_empty(&parts)
    }

    pub(super) fn countries(self, transfers: &[Transfer]) -> String {
        self.none_if_empty(&transfers.iter().map(|transfer| transfer.country.clone()).collect::<Vec<_>>())
    }

    pub(super) fn safeguards(self, transfers: &[Transfer]) -> String {
        let safeguard = |transfer: &Transfer| {
            let until =
                transfer.valid_until.as_ref().map(|date| self.0.told("valid-until", &[("date", &self.0.date(date))]));
            let until = until.map_or_else(String::new, |until| format!(" ({until})"));
            format!("{}: {}{until}", transfer.country, self.known(transfer.safeguard.as_ref()))
        };
        self.none_if_empty(&transfers.iter().map(safeguard).collect::<Vec<_>>())
    }

    pub(super) fn periods(self, periods: &[Period]) -> String {
        let period = |period: &Period| {
            let all = std::iter::once(self.known(period.period.as_ref())).chain(period.steps.iter().cloned());
            format!("{}: {}", period.subject, all.collect::<Vec<_>>().join(", "))
        };
        self.none_if_empty(&periods.iter().map(period).collect::<Vec<_>>())
    }

    pub(super) fn measures(self, measures: &[String], others: Option<&String>) -> String {
        measures.iter().cloned().chain([self.known(others)]).collect::<Vec<_>>().join(BETWEEN)
    }

    pub(super) fn locations(self, activity: &Activity) -> String {
        if activity.locations.is_empty() { self.0.missing() } else { activity.locations.join(BETWEEN) }
    }
}
