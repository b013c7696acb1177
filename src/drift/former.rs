//! What an earlier version of the declaration covered, and the present one does not.
//!
//! A store that is no longer declared is no longer purged, and nobody is told. The register keeps every earlier version
//! of the files, so that what was covered then can be found again, with its names and its way in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::declared::Declared;
use crate::config::site::{DatabaseKind, SideEffect, Store, Table};
use crate::config::{Config, Source};
use crate::register::{FactRow, Moment, Register, RegisterError};

/// Something that was covered once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Its name as rules had it: `shop.example/chat/visitors`.
    pub place: String,
    /// When it ceased to be; `None` where the files that no longer have it were not applied yet.
    pub until: Option<Timestamp>,
    /// Where it is, if it is still there.
    pub whereabouts: Whereabouts,
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// A table of a database.
    Table {
        /// The database, as it was reached then.
        database: DatabaseKind,
        /// The table's name in it.
        table: String,
    },
    /// Files of a directory, or of a log.
    Files {
        /// The directory.
        directory: PathBuf,
        /// The pattern of their names.
        pattern: String,
    },
    /// The version that declared it is not understood any more; its location as the register has it.
    Location(String),
}

/// Reads what was covered, and leaves out what is.
///
/// # Errors
/// The register cannot be read.
pub fn read(register: &Register, declared: &Declared<'_>) -> Result<Vec<Former>, RegisterError> {
    let now = Covered::by(declared.config);
    let mut versions = Versions { register, known: BTreeMap::new() };
    let mut found: Vec<Former> = Vec::new();
    for (table, key) in [("stores", None), ("tagged_tables", Some("table_name"))] {
        for fact in facts(register, table, Moment::Always)? {
            let (Some(site), Some(store)) = (value(&fact, "site"), value(&fact, "store")) else { continue };
            if declared.site.is_some_and(|asked| asked != site) {
                continue;
            }
            let until = fact.valid_until.as_deref().and_then(|until| until.parse().ok());
            let place = format!("{site}/{store}");
            let then = versions.before(until)?;
            let stood = then.and_then(|config| config.sites.get(site)?.stores.get(store));
            let formerly = match (stood, key.and_then(|key| value(&fact, key))) {
                (Some(store), None) => parts(&place, store),
                (Some(store), Some(id)) => parts_of_table(&place, store, id),
                (None, None) => {
                    vec![(place, Whereabouts::Location(value(&fact, "location").unwrap_or_default().to_owned()))]
                }
                (None, Some(_)) => Vec::new(),
            };
            for (place, whereabouts) in formerly {
                let is_known = found.iter().any(|former| former.whereabouts == whereabouts);
                if !is_known && !now.has(&whereabouts) {
                    found.push(Former { place, until, whereabouts });
                }
            }
        }
    }
    Ok(found)
}

fn value<'a>(fact: &'a FactRow, column: &str) -> Option<&'a str> {
    fact.values.iter().find(|(name, _)| *name == column).and_then(|(_, value)| value.as_deref())
}

fn facts(register: &Register, table: &str, moment: Moment) -> Result<Vec<FactRow>, RegisterError> {
    Register::fact_table(table).map_or(Ok(Vec::new()), |table| register.facts(table, moment))
}

/// The versions of the configuration, read as they are asked for.
struct Versions<'a> {
    register: &'a Register,
    known: BTreeMap<Option<Timestamp>, Option<Config>>,
}

impl Versions<'_> {
    /// The version that ended at `until`, or the one that is recorded as in force.
    fn before(&mut self, until: Option<Timestamp>) -> Result<Option<&Config>, RegisterError> {
        if !self.known.contains_key(&until) {
            let moment = until.and_then(|until| until.checked_sub(SignedDuration::from_micros(1)).ok());
            let files = facts(self.register, "configuration_files", moment.map_or(Moment::Now, Moment::At))?;
            let source = |fact: &FactRow| {
                let source = Source::new(value(fact, "path")?.to_owned(), value(fact, "content")?.to_owned());
                Some((source.path.clone(), source))
            };
            let config = Config::parse(files.iter().filter_map(source).collect()).ok();
            self.known.insert(until, config);
        }
        Ok(self.known.get(&until).and_then(Option::as_ref))
    }
}

fn parts(place: &str, store: &Store) -> Vec<(String, Whereabouts)> {
    let files = |directory: &PathBuf, pattern: &str| {
        vec![(place.to_owned(), Whereabouts::Files { directory: directory.clone(), pattern: pattern.to_owned() })]
    };
    match store {
        Store::Tables { database, tables } => tables.iter().map(|table| of_table(place, database, table)).collect(),
        Store::Directory { directory, .. } => files(&directory.path, directory.pattern.as_str()),
        Store::Log { log, .. } => files(&log.directory, log.pattern.as_str()),
    }
}

fn parts_of_table(place: &str, store: &Store, id: &str) -> Vec<(String, Whereabouts)> {
    let Store::Tables { database, tables } = store else { return Vec::new() };
    tables.iter().filter(|table| table.id == id).map(|table| of_table(place, database, table)).collect()
}

fn of_table(place: &str, database: &DatabaseKind, table: &Table) -> (String, Whereabouts) {
    let whereabouts = Whereabouts::Table { database: database.clone(), table: table.name.clone() };
    (format!("{place}/{}", table.id), whereabouts)
}

/// What is covered now, whichever site or store it is called by.
struct Covered {
    locations: BTreeSet<String>,
    tables: BTreeSet<(String, String)>,
    files: Vec<(PathBuf, String)>,
}

impl Covered {
    fn by(config: &Config) -> Covered {
        let mut covered = Covered { locations: BTreeSet::new(), tables: BTreeSet::new(), files: Vec::new() };
        for store in config.sites.values().flat_map(|site| site.stores.values()) {
            covered.locations.insert(store.location());
            match store {
                Store::Tables { database, tables } => {
                    let names = tables.iter().flat_map(names);
                    covered.tables.extend(names.map(|name| (database.location(), name.to_owned())));
                }
                Store::Directory { directory, .. } => {
                    covered.files.push((directory.path.clone(), directory.pattern.as_str().to_owned()));
                }
                Store::Log { log, .. } => {
                    covered.files.push((log.directory.clone(), log.pattern.as_str().to_owned()));
                }
            }
        }
        covered
    }

    fn has(&self, whereabouts: &Whereabouts) -> bool {
        match whereabouts {
            Whereabouts::Table { database, table } => self.tables.contains(&(database.location(), table.clone())),
            Whereabouts::Files { directory, pattern } => {
                self.files.iter().any(|(path, known)| directory.starts_with(path) && known == pattern)
            }
            Whereabouts::Location(location) => self.locations.contains(location),
        }
    }
}

/// A table and what goes along with its rows.
fn names(table: &Table) -> impl Iterator<Item = &str> {
    let children = table.children.iter().map(|child| child.table.as_str());
    let cascades = table.accepts.iter().filter_map(|accepted| match accepted {
        SideEffect::Cascade(name) => Some(name.as_str()),
        SideEffect::Trigger(_) => None,
    });
    std::iter::once(table.name.as_str()).chain(children).chain(cascades)
}
