//! `[store.NAME]`: a place that holds visitor records, by its kind.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::error::{FileProblems, suggest};
use super::super::file::{Section, SqliteTable, TableTable, decode};
use super::super::site::{DatabaseKind, Store};
use super::site::Declared;
use super::table::{self, CheckedTable, DatetimeZone};
use super::{Targets, directory, log, server, value};

/// Kinds that can be declared.
const KINDS: [&str; 5] = ["sqlite", "postgres", "mysql", "directory", "log"];

/// Checks the stores of a site.
pub(super) fn check(
    stores: Option<Spanned<DeValue<'_>>>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> BTreeMap<String, Store> {
    let Some(stores) = stores else { return BTreeMap::new() };
    let place = stores.span();
    let DeValue::Table(stores) = stores.into_inner() else {
        problems.report_with_hint(&place, "a store has a name", "write `[store.NAME]`");
        return BTreeMap::new();
    };
    let mut checked = BTreeMap::new();
    for (name, value) in stores {
        let place = value.span();
        let named = is_name(name.get_ref());
        if !named {
            problems.report_with_hint(
                &name.span(),
                format!("`{}` cannot name a store", name.get_ref()),
                "write letters, digits, `-` and `_`: the name is part of the names of rules",
            );
        }
        let DeValue::Table(table) = value.into_inner() else {
            problems.report_with_hint(&place, "a store is a table", format!("write `[store.{}]`", name.get_ref()));
            continue;
        };
        if let Some(store) = self::store(table, &place, declared, targets, problems).filter(|_| named) {
            checked.insert(name.into_inner().into_owned(), store);
        }
    }
    checked
}

/// Letters, digits, `-` and `_`.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn store(
    mut table: DeTable<'_>,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let kind = problems.required(place, "kind", table.remove("kind"), "add `kind = \"sqlite\"`")?;
    let Some(word) = kind.get_ref().as_str() else {
        problems.report_with_hint(&kind.span(), "expected a string", "write `\"sqlite\"`");
        return None;
    };
    match word {
        "sqlite" => sqlite(decode(table, place, problems), place, declared, targets, problems),
        "postgres" => server::postgres(decode(table, place, problems), place, declared, targets, problems),
        "mysql" => server::mysql(decode(table, place, problems), place, declared, targets, problems),
        "directory" => directory::check(decode(table, place, problems), place, declared, targets, problems),
        "log" => log::check(decode(table, place, problems), place, declared, targets, problems),
        unknown => {
            let hint = suggest::hint(unknown, KINDS);
            problems.report_with_hint(&kind.span(), format!("unknown kind `{unknown}`"), hint);
            None
        }
    }
}

fn sqlite(
    store: SqliteTable,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let SqliteTable { path, table } = store;
    let hint = "add `path = \"/srv/shop/chat.db\"`: the database file";
    let path_at = path.as_ref().map_or_else(|| place.clone(), Spanned::span);
    let path = value::absolute_path(place, "path", path, hint, problems);
    if let Some(path) = &path {
        targets.claim_database(path, &path_at, problems);
    }
    let kind = path.map(|path| DatabaseKind::Sqlite { path });
    tables(kind, table, DatetimeZone::Mandatory, declared, targets, problems)
}

/// The tables of a store, and the store itself where its kind could be told.
pub(super) fn tables(
    kind: Option<DatabaseKind>,
    sections: Vec<Section<TableTable>>,
    zone: DatetimeZone,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let tables: Vec<CheckedTable> =
        sections.into_iter().filter_map(|section| table::check(section, zone, declared, problems)).collect();
    check_ids(&tables, problems);
    let kind = kind?;
    for table in &tables {
        targets.claim_table(&kind, &table.table, &table.place, problems);
    }
    Some(Store::Tables { database: kind, tables: tables.into_iter().map(|checked| checked.table).collect() })
}

/// Two tables of one name would give two rules of one name.
fn check_ids(tables: &[CheckedTable], problems: &mut FileProblems<'_>) {
    let mut ids = BTreeSet::new();
    for CheckedTable { table, place } in tables {
        if !ids.insert(table.id.to_ascii_lowercase()) {
            problems.report_with_hint(
                place,
                format!("this store has a table `{}` already", table.id),
                "tell them apart by a key `id = \"…\"`, which takes the place of the table's name in the names of rules",
            );
        }
    }
}
