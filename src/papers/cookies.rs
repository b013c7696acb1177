//! The overview of storage items, class by class, as a value and as a table.

use serde::Serialize;

use super::model::{Class, Papers, Stamp};
use super::table::Table;

/// The overview as JSON.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Overview<'a> {
    register: &'a Stamp,
    language: &'a str,
    site: &'a str,
    classes: &'a [Class],
}

pub(super) fn overview(papers: &Papers) -> Overview<'_> {
    Overview { register: &papers.stamp, language: &papers.language, site: &papers.site, classes: &papers.classes }
}

const COLUMNS: [&str; 9] =
    ["name", "provider", "item-purpose", "class", "duration", "type", "party", "register-date", "register-version"];

/// The overview as a table.
pub(super) fn table(papers: &Papers) -> Table {
    let rows = papers.classes.iter().flat_map(|class| {
        class.items.iter().map(move |item| {
            vec![
                item.name.clone(),
                item.provider.clone(),
                item.purpose.clone(),
                class.name.clone(),
                item.duration.clone(),
                item.kind_name.clone(),
                item.party_name.clone(),
                papers.stamp.date.clone(),
                papers.stamp.number(),
            ]
        })
    });
    Table { columns: &COLUMNS, rows: rows.collect() }
}
