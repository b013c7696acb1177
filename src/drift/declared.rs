//! What is declared: the rules, and for every database the tables and columns that somebody has thought of.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::site::{DatabaseKind, SideEffect, Site, Store, Table};
use crate::plan::Rule;
use crate::plan::rule::is_within;

/// What is declared.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The rules that follow from it.
    pub rules: &'a [Rule],
    /// Only this site is asked about.
    pub site: Option<&'a str>,
}

/// A database, once, however many sites and stores name it.
#[derive(Debug, Clone)]
pub struct DeclaredDatabase {
    /// The store that names it first of all, whoever is asked about: `shop.example/chat`.
    pub(super) place: String,
    /// How it is reached.
    pub(super) kind: DatabaseKind,
    /// Its tables.
    pub(super) tables: Vec<DeclaredTable>,
}

/// A table that is declared, or goes along with one that is.
#[derive(Debug, Clone)]
pub(super) struct DeclaredTable {
    /// What it is called in the names of rules: `shop.example/chat/visitors`.
    pub(super) place: String,
    /// Its name in the database.
    pub(super) name: String,
    /// Its columns that are spoken of.
    pub(super) columns: BTreeSet<String>,
}

impl Declared<'_> {
    /// The rules that are asked about.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| self.site.is_none_or(|site| site == rule.site))
    }

    /// Where they stand among all.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> {
        let asked = |(_, rule): &(usize, &Rule)| self.site.is_none_or(|site| site == rule.site);
        self.rules.iter().enumerate().filter(asked).map(|(position, _)| position)
    }

    /// The stores that are asked about, with their names.
    pub(super) fn stores(&self) -> impl Iterator<Item = (String, &Store)> {
        let sites = self.config.sites.values().filter(|site| self.site.is_none_or(|asked| asked == site.domain));
        sites.flat_map(|site| site.stores.iter().map(|(name, store)| (place(site, name), store)))
    }

    /// The databases of the stores that are asked about. What is declared of them counts whichever site declares it.
    pub(super) fn databases(&self) -> Vec<DeclaredDatabase> {
        let asked: BTreeSet<String> = self.stores().map(|(_, store)| store.location()).collect();
        let of_all = databases(self.config, |_| true);
        of_all.into_iter().filter(|database| asked.contains(&database.kind.location())).collect()
    }

    /// The database at this location.
    pub(super) fn database(&self, location: &str) -> Option<DeclaredDatabase> {
        databases(self.config, |kind| kind.location() == location).pop()
    }

    /// Whether the operator has said of this place that nothing is wrong with it.
    pub(super) fn accepts(&self, place: &str) -> bool {
        self.config.daemon.drift_accepts.iter().any(|accepted| is_within(place, accepted))
    }
}

pub(super) fn place(site: &Site, store: &str) -> String {
    format!("{}/{store}", site.domain)
}

fn databases(config: &Config, wanted: impl Fn(&DatabaseKind) -> bool) -> Vec<DeclaredDatabase> {
    let mut databases: BTreeMap<String, DeclaredDatabase> = BTreeMap::new();
    for site in config.sites.values() {
        for (name, store) in &site.stores {
            let Store::Tables { database: kind, tables } = store else { continue };
            if !wanted(kind) {
                continue;
            }
            let place = place(site, name);
            let database = databases.entry(kind.location()).or_insert_with(|| DeclaredDatabase {
                place: place.clone(),
                kind: kind.clone(),
                tables: Vec::new(),
            });
            for declared in tables.iter().flat_map(|table| with_companions(&place, table)) {
                add(&mut database.tables, declared);
            }
        }
    }
    databases.into_values().collect()
}

/// One table may be declared several times, by several sites, with other rows each time.
fn add(known: &mut Vec<DeclaredTable>, declared: DeclaredTable) {
    match known.iter_mut().find(|table| table.name == declared.name) {
        Some(table) => table.columns.extend(declared.columns),
        None => known.push(declared),
    }
}

/// The table, its children, and what foreign keys empty along with it.
fn with_companions(store: &str, table: &Table) -> Vec<DeclaredTable> {
    let consent = table.consent.iter().map(|consent| &consent.column);
    let tagged = table.columns.iter().map(|column| &column.name);
    let spoken_of =
        [&table.key, &table.time.column].into_iter().chain(consent).chain(tagged).chain(table.filter.keys());
    let own = DeclaredTable {
        place: format!("{store}/{}", table.id),
        name: table.name.clone(),
        columns: spoken_of.cloned().collect(),
    };
    let along = |name: &str, columns: BTreeSet<String>| DeclaredTable {
        place: format!("{store}/{name}"),
        name: name.to_owned(),
        columns,
    };
    let children = table.children.iter().map(|child| along(&child.table, BTreeSet::from([child.column.clone()])));
    let cascades = table.accepts.iter().filter_map(|accepted| match accepted {
        SideEffect::Cascade(name) => Some(along(name, BTreeSet::new())),
        SideEffect::Trigger(_) => None,
    });
    std::iter::once(own).chain(children).chain(cascades).collect()
}
