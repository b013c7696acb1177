//! `[[store.NAME.table]]`: a table with visitor records.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::super::TimeFormat;
use super::super::error::FileProblems;
use super::super::file::{ChildTable, ConsentTable, Keyed, ScalarValue, Section, TableTable, Text, TimeTable};
use super::super::site::{Child, Consent, RowTime, Scalar, SideEffect, Table, Tag, TimeMeaning};
use super::column::{self, Row};
use super::retention::{Kept, kept};
use super::site::Declared;
use super::{store, value};

const TIME_FORMATS: [(&str, TimeFormat); 6] = [
    ("unix-seconds", TimeFormat::UnixSeconds),
    ("unix-millis", TimeFormat::UnixMillis),
    ("unix-micros", TimeFormat::UnixMicros),
    ("iso-8601", TimeFormat::Iso8601),
    ("datetime", TimeFormat::Datetime),
    ("mediawiki", TimeFormat::Mediawiki),
];

/// A table and where it was named.
pub(super) struct CheckedTable {
    pub(super) table: Table,
    pub(super) place: Range<usize>,
}

/// Whether a `datetime` says in which zone it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DatetimeZone {
    /// It never does: `time-zone` must.
    Mandatory,
    /// The column's type may: the store finds out.
    ByColumn,
}

/// Checks one table.
pub(super) fn check(
    section: Section<TableTable>,
    zone: DatetimeZone,
    declared: Declared<'_>,
    problems: &mut FileProblems<'_>,
) -> Option<CheckedTable> {
    let place = section.span();
    let Keyed(TableTable { id, name, key, time, expires, holds, consent, children, columns, filter, accepts }) =
        section.into_inner();
    let named_at = id.as_ref().or(name.as_ref()).map_or_else(|| place.clone(), Spanned::span);
    let name = value::required_name(&place, "name", name, "add `name = \"…\"`: the table's name", problems);
    let id = id.and_then(|id| self::id(id, problems)).or_else(|| name.clone());
    let hint = "add `key = \"id\"`: a column that is unique and not null";
    let key = value::required_name(&place, "key", key, hint, problems);
    let time = row_time(&place, time, expires, zone, problems);
    let row = holds_of(&place, holds, declared, problems);
    let consent = consent.and_then(|section| self::consent(section, problems));
    let children = self::children(children, name.as_deref(), problems);
    let columns = column::check(
        columns,
        Row {
            taken: [
                ("key", key.as_deref()),
                ("time column", time.as_ref().map(|time| time.column.as_str())),
                ("consent column", consent.as_ref().map(|consent| consent.column.as_str())),
            ],
            meaning: time.as_ref().map(|time| time.meaning),
            kept: row.as_ref().and_then(|(_, kept)| *kept),
            declared,
        },
        problems,
    );
    let filter = self::filter(filter, problems);
    let accepts = accepts.iter().filter_map(|text| side_effect(text, problems)).collect();
    let (holds, _) = row?;
    let (id, name, key, time) = (id?, name?, key?, time?);
    let table = Table { id, name, key, time, holds, consent, children, columns, filter, accepts };
    Some(CheckedTable { table, place: named_at })
}

fn id(text: Text, problems: &mut FileProblems<'_>) -> Option<String> {
    if store::is_name(text.get_ref()) {
        return Some(text.into_inner());
    }
    let hint = "write letters, digits, `-` and `_`: it is part of the names of rules";
    problems.report_with_hint(&text.span(), format!("`{}` cannot be an `id`", text.get_ref()), hint);
    None
}

/// What the rows hold, and how long that may be kept.
pub(super) fn holds_of(
    place: &Range<usize>,
    holds: Option<Text>,
    declared: Declared<'_>,
    problems: &mut FileProblems<'_>,
) -> Option<(Tag, Option<Kept>)> {
    let hint = "add `holds = \"visit\"`: a category or a storage item, which says how long a row lives";
    let text = problems.required(place, "holds", holds, hint)?;
    let tag = declared.scope.tag_at(&text, problems)?;
    let kept = kept(&tag, &text.span(), declared.said, declared.retention, problems);
    Some((tag, kept))
}

fn row_time(
    place: &Range<usize>,
    time: Option<Section<TimeTable>>,
    expires: Option<Section<TimeTable>>,
    zone: DatetimeZone,
    problems: &mut FileProblems<'_>,
) -> Option<RowTime> {
    match (time, expires) {
        (Some(section), None) => instant(section, TimeMeaning::Recorded, zone, problems),
        (None, Some(section)) => instant(section, TimeMeaning::Expires, zone, problems),
        (Some(_), Some(section)) => {
            let message = "`time` and `expires` exclude each other";
            let hint = "keep `expires` if the column holds the instant of expiry, `time` otherwise";
            problems.report_with_hint(&section.span(), message, hint);
            None
        }
        (None, None) => {
            if problems.left_out(place).all(|key| key != "expires") {
                let hint = "add `time = { column = \"last_seen\", format = \"unix-seconds\" }`, or `expires = { … }`";
                problems.required(place, "time", None::<()>, hint);
            }
            None
        }
    }
}

fn instant(
    section: Section<TimeTable>,
    meaning: TimeMeaning,
    datetime: DatetimeZone,
    problems: &mut FileProblems<'_>,
) -> Option<RowTime> {
    let place = section.span();
    let Keyed(TimeTable { column, format, time_zone }) = section.into_inner();
    let column = value::required_name(&place, "column", column, "add `column = \"…\"`", problems);
    let format = problems
        .required(&place, "format", format, "add `format = \"unix-seconds\"`: how the instant is written")
        .and_then(|word| value::one_of(&word, "time format", &TIME_FORMATS, problems));
    let zone_at = time_zone.as_ref().map(Spanned::span);
    let zone = time_zone.and_then(|name| value::zone(&name, problems));
    match (format, zone_at) {
        (Some(TimeFormat::Datetime), None) if datetime == DatetimeZone::Mandatory => {
            let hint = "add `time-zone = \"UTC\"` or the zone in which the values were written: they carry none";
            problems.required(&place, "time-zone", None::<()>, hint);
        }
        (
            Some(TimeFormat::UnixSeconds | TimeFormat::UnixMillis | TimeFormat::UnixMicros | TimeFormat::Mediawiki),
            Some(span),
        ) => {
            problems.report_with_hint(&span, "values of this format are always in UTC", "remove `time-zone`");
        }
        _ => {}
    }
    Some(RowTime { column: column?, format: format?, zone, meaning })
}

fn consent(section: Section<ConsentTable>, problems: &mut FileProblems<'_>) -> Option<Consent> {
    let place = section.span();
    let Keyed(ConsentTable { column, given }) = section.into_inner();
    let column = value::required_name(&place, "column", column, "add `column = \"…\"`", problems);
    let hint = "add `given = 1`, or whatever value means that consent was given";
    let given = problems.required(&place, "given", given, hint);
    Some(Consent { column: column?, given: given?.0 })
}

fn children(sections: Vec<Section<ChildTable>>, parent: Option<&str>, problems: &mut FileProblems<'_>) -> Vec<Child> {
    let mut children: Vec<Child> = Vec::new();
    for section in sections {
        let place = section.span();
        let Keyed(ChildTable { table, column }) = section.into_inner();
        let table = value::required_name(&place, "table", table, "add `table = \"…\"`: where its rows are", problems);
        let hint = "add `column = \"…\"`: the column that holds the key of the parent";
        let column = value::required_name(&place, "column", column, hint, problems);
        let (Some(table), Some(column)) = (table, column) else { continue };
        let child = Child { table, column };
        if parent.is_some_and(|parent| parent.eq_ignore_ascii_case(&child.table)) {
            let hint = "name another table; rows of one table are erased by its own rule";
            problems.report_with_hint(&place, format!("`{}` cannot be its own child", child.table), hint);
        } else if children.contains(&child) {
            problems.report(&place, format!("the child `{}` is listed twice", child.table));
        } else {
            children.push(child);
        }
    }
    children
}

fn filter(filter: Option<BTreeMap<Text, ScalarValue>>, problems: &mut FileProblems<'_>) -> BTreeMap<String, Scalar> {
    filter
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(column, ScalarValue(value))| Some((value::name(column, problems)?, value)))
        .collect()
}

fn side_effect(text: &Text, problems: &mut FileProblems<'_>) -> Option<SideEffect> {
    let effect = text.get_ref().split_once(':').filter(|(_, name)| !name.trim().is_empty());
    let effect = effect.and_then(|(kind, name)| match kind {
        "trigger" => Some(SideEffect::Trigger(name.to_owned())),
        "cascade" => Some(SideEffect::Cascade(name.to_owned())),
        _ => None,
    });
    if effect.is_none() {
        let message = format!("`{}` names no side effect", text.get_ref());
        problems.report_with_hint(&text.span(), message, "write `trigger:NAME` or `cascade:TABLE`");
    }
    effect
}
