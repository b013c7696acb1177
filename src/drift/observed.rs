//! What is observed: the stores as they are, one task at a time.
//!
//! A rule is observed by the guards themselves, so that what is said here is what a purge would find. A database is
//! observed by its catalog, and by a glance at columns whose names say nothing: what they look like is kept, what
//! stands in them is not.

use std::collections::BTreeMap;
use std::path::Path;

use super::declared::{Declared, DeclaredDatabase, DeclaredTable};
use super::enforced::Enforced;
use super::former::{Former, Whereabouts};
use super::likeness::{Certainty, Likeness, of_column, of_value, says_when};
use crate::config::site::{DatabaseKind, Store as DeclaredStore};
use crate::plan::{Definition, Rule};
use crate::safety::{self, Assessment, Circumstances};
use crate::store::catalog::{FoundColumn, FoundTable, Nature};
use crate::store::{self, Catalog, Store, StoreError};

/// Tables of one database at whose values is glanced. Whoever has more has other means.
const MOST_GLANCES: usize = 200;

/// Values that must look alike before they say what a column holds, and they must be most of those that were seen.
const FEWEST_ALIKE: u32 = 3;

/// Files of a directory that are looked at for one of a name: if there is none among so many, nobody can say.
const MOST_NAMES: usize = 100_000;

/// The moment of an observation.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// As the guards ask for it.
    pub circumstances: Circumstances<'a>,
    /// Sites whose rules are suspended, and why.
    pub suspended: &'a BTreeMap<String, String>,
}

/// One thing to look at, with all that is needed for it.
#[derive(Debug, Clone)]
pub enum Task {
    /// What a rule would find.
    Rule(Box<Rule>),
    /// What is in a database.
    Database(DeclaredDatabase),
    /// Whether what was once covered is still there. Of files, those of such names are covered now.
    Former(Former, Vec<String>),
}

impl Task {
    /// All there is to look at.
    pub fn all(declared: &Declared<'_>, enforced: &Enforced) -> Vec<Task> {
        let rules = declared.rules().map(|rule| Task::Rule(Box::new(rule.clone())));
        let databases = declared.databases().into_iter().map(Task::Database);
        let former = enforced.former.iter().map(|former| Task::Former(former.clone(), covering(declared, former)));
        rules.chain(databases).chain(former).collect()
    }

    /// Where it is looked, as rules name the location of their store.
    pub fn location(&self) -> String {
        match self {
            Task::Rule(rule) => rule.definition.location(),
            Task::Database(database) => database.kind.location(),
            Task::Former(former, _) => match &former.whereabouts {
                Whereabouts::Table { database, .. } => database.location(),
                Whereabouts::Files { directory, pattern } => directory.join(pattern).display().to_string(),
                Whereabouts::Location(location) => location.clone(),
            },
        }
    }
}

/// Patterns of stores that cover some files of the same directory.
fn covering(declared: &Declared<'_>, former: &Former) -> Vec<String> {
    let Whereabouts::Files { directory: of, .. } = &former.whereabouts else { return Vec::new() };
    let stores = declared.config.sites.values().flat_map(|site| site.stores.values());
    let covers = |store: &DeclaredStore| match store {
        DeclaredStore::Directory { directory, .. } if of.starts_with(&directory.path) => {
            Some(directory.pattern.clone())
        }
        DeclaredStore::Log { log, .. } if *of == log.directory => Some(log.pattern.clone()),
        _ => None,
    };
    stores.filter_map(covers).map(|pattern| pattern.as_str().to_owned()).collect()
}

/// Databases that are open, so that one is connected to once and not for every rule.
#[derive(Default)]
pub struct Stores(Vec<(DatabaseKind, Box<dyn Store>)>);

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stores").field(&self.0.len()).finish()
    }
}

impl Stores {
    fn database(&mut self, kind: &DatabaseKind) -> &mut dyn Store {
        let position = self.0.iter().position(|(known, _)| known == kind).unwrap_or_else(|| {
            self.0.push((kind.clone(), store::open_database(kind)));
            self.0.len() - 1
        });
        &mut *self.0[position].1
    }
}

/// What was seen by one task.
#[derive(Debug)]
pub enum Seen {
    /// Of a rule, and whether the directory that it is about is there.
    Rule(String, Box<Assessment>, Presence),
    /// Of the database at a location, or why it could not be looked at.
    Database(String, Result<SeenDatabase, String>),
    /// Of something that was once covered.
    Former(Former, Still),
}

/// Whether the directory of a rule is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is, or the rule is about none, or it cannot be told.
    There,
    /// It certainly is not.
    Gone,
}

/// What is in a database.
#[derive(Debug)]
pub struct SeenDatabase {
    /// The store that names it first.
    pub(super) place: String,
    pub(super) location: String,
    pub(super) declared: Vec<DeclaredTable>,
    pub(super) catalog: Catalog,
    /// What columns look like by their values, by table and column.
    pub(super) glances: BTreeMap<(String, String), Likeness>,
    /// Tables at whose values was not glanced: there are too many, or they may not be read, or not so quickly.
    pub(super) unread: usize,
}

/// Whether something is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Still {
    /// It is.
    There,
    /// It is not.
    Gone,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Observed {
    pub(super) rules: BTreeMap<String, (Assessment, Presence)>,
    pub(super) databases: BTreeMap<String, Result<SeenDatabase, String>>,
    pub(super) former: Vec<(Former, Still)>,
}

impl Observed {
    /// Adds what one task saw.
    pub fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Rule(rule, assessment, presence) => drop(self.rules.insert(rule, (*assessment, presence))),
            Seen::Database(location, seen) => drop(self.databases.insert(location, seen)),
            Seen::Former(former, still) => self.former.push((former, still)),
        }
    }
}

/// Looks.
pub fn look(task: &Task, stores: &mut Stores, moment: &Moment<'_>) -> Seen {
    match task {
        Task::Rule(rule) => {
            let suspended = moment.suspended.get(&rule.site).map(String::as_str);
            let assessment = match &rule.definition {
                Definition::Table(table) => {
                    safety::assess(rule, stores.database(&table.store), &moment.circumstances, suspended)
                }
                Definition::Directory(_) | Definition::Log(_) => {
                    safety::assess(rule, &mut *safety::open_store(rule), &moment.circumstances, suspended)
                }
            };
            Seen::Rule(rule.name.to_string(), Box::new(assessment), presence(rule))
        }
        Task::Database(declared) => {
            let seen = look_around(stores.database(&declared.kind), declared);
            Seen::Database(declared.kind.location(), seen.map_err(|error| error.to_string()))
        }
        Task::Former(former, covering) => Seen::Former(former.clone(), still(former, covering, stores)),
    }
}

/// Whether the directory of a rule over files or lines is there.
fn presence(rule: &Rule) -> Presence {
    let directory = match &rule.definition {
        Definition::Table(_) => return Presence::There,
        Definition::Directory(rule) => &rule.directory.path,
        Definition::Log(rule) => &rule.log.directory,
    };
    if is_gone(directory) { Presence::Gone } else { Presence::There }
}

fn look_around(store: &mut dyn Store, declared: &DeclaredDatabase) -> Result<SeenDatabase, StoreError> {
    let (location, tables) = (declared.kind.location(), declared.tables.clone());
    let catalog = store.catalog()?.unwrap_or_default();
    let place = declared.place.clone();
    let mut seen = SeenDatabase { place, location, declared: tables, catalog, glances: BTreeMap::new(), unread: 0 };
    let mut glanced = 0;
    for table in &seen.catalog.tables {
        let columns = worth_a_glance(&seen, table);
        if columns.is_empty() {
            continue;
        }
        glanced += 1;
        if glanced > MOST_GLANCES {
            seen.unread += 1;
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
            Err(_) => seen.unread += 1,
        }
        let found = columns.iter().zip(&tallies).filter_map(|(column, tally)| Some((*column, tally.likeness()?)));
        let found: Vec<_> = found.map(|(column, what)| ((table.name.clone(), column.to_owned()), what)).collect();
        seen.glances.extend(found);
    }
    Ok(seen)
}

/// Columns that may hold text, that nobody declared, and whose names say nothing. Of a table that nobody declared only
/// if it could be a finding: it says when, and its names do not say enough already.
fn worth_a_glance<'a>(seen: &SeenDatabase, table: &'a FoundTable) -> Vec<&'a str> {
    let declared: Vec<&DeclaredTable> =
        seen.declared.iter().filter(|declared| seen.catalog.is_called(table, &declared.name)).collect();
    if declared.is_empty() {
        let by_name = |column: &FoundColumn| of_column(&column.name, column.nature);
        let is_told = table.columns.iter().filter_map(by_name).any(|(_, certainty)| certainty == Certainty::Alone);
        if is_told || !table.columns.iter().any(|column| says_when(&column.name, column.nature)) {
            return Vec::new();
        }
    }
    let is_open = |column: &&FoundColumn| {
        column.nature == Nature::Text
            && !seen.is_declared(&declared, &column.name)
            && of_column(&column.name, column.nature).is_none()
    };
    table.columns.iter().filter(is_open).map(|column| column.name.as_str()).collect()
}

impl SeenDatabase {
    /// Whether one of the declarations of a table speaks of this column.
    pub(super) fn is_declared(&self, declared: &[&DeclaredTable], column: &str) -> bool {
        let is = |name: &String| self.catalog.column_names.is_same(name, column);
        declared.iter().any(|table| table.columns.iter().any(is))
    }
}

/// What the values of one column looked like.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    values: u32,
    addresses: u32,
    emails: u32,
}

impl Tally {
    fn add(&mut self, value: &str) {
        if value.trim().is_empty() {
            return;
        }
        self.values += 1;
        match of_value(value) {
            Some(Likeness::IpAddress) => self.addresses += 1,
            Some(Likeness::Email) => self.emails += 1,
            _ => {}
        }
    }

    fn likeness(&self) -> Option<Likeness> {
        let most = |alike: u32| alike >= FEWEST_ALIKE && alike > self.values / 2;
        match (most(self.addresses), most(self.emails)) {
            (true, _) => Some(Likeness::IpAddress),
            (_, true) => Some(Likeness::Email),
            _ => None,
        }
    }
}

fn still(former: &Former, covering: &[String], stores: &mut Stores) -> Still {
    match &former.whereabouts {
        Whereabouts::Table { database: DatabaseKind::Sqlite { path }, .. } if is_gone(path) => Still::Gone,
        Whereabouts::Table { database, table } => match stores.database(database).catalog() {
            Ok(Some(catalog)) if catalog.table(table).is_some() => Still::There,
            Ok(_) => Still::Gone,
            Err(error) => Still::Unknown(error.to_string()),
        },
        Whereabouts::Files { directory, pattern } => files(directory, pattern, covering),
        Whereabouts::Location(_) => {
            Still::Unknown("the version that declared it is not understood any more".to_owned())
        }
    }
}

fn is_gone(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

/// Whether a file of such a name lies in the directory itself that no other pattern covers.
fn files(directory: &Path, pattern: &str, covering: &[String]) -> Still {
    if is_gone(directory) {
        return Still::Gone;
    }
    let matcher = |pattern: &str| globset::Glob::new(pattern).ok().map(|glob| glob.compile_matcher());
    let covering: Vec<_> = covering.iter().filter_map(|pattern| matcher(pattern)).collect();
    let Some(wanted) = matcher(pattern) else { return Still::Gone };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return Still::Unknown(format!("{}: {error}", directory.display())),
    };
    let names = entries.take(MOST_NAMES).filter_map(|entry| entry.ok().map(|entry| entry.file_name()));
    let mut uncovered =
        names.filter(|name| wanted.is_match(name) && !covering.iter().any(|covering| covering.is_match(name)));
    if uncovered.next().is_some() { Still::There } else { Still::Gone }
}
