//! What is observed: the stores as they are, one task at a time.
//!
//! A rule is observed by the guards themselves, so that what is said here is what a purge would find. A database is
//! observed by its catalog, and by a glance at columns whose names say nothing: what they look like is kept, what
//! stands in them is not.
//!
//! What was seen is kept until everything was looked at, which takes long where there are thousands of rules. So no more
//! is kept of a look than what is compared, and of what is still to be looked at no more than its name.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::database::{SeenDatabase, look_around};
use super::declared::{Declared, DeclaredDatabase};
use super::former::{Former, Whereabouts};
use crate::config::site::{DatabaseKind, Store as DeclaredStore};
use crate::plan::{Definition, Rule};
use crate::safety::{self, Assessment, Circumstances, Reason};
use crate::store::{self, Store, Survey};

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

/// One thing that is to be looked at, by its place in a declaration that must not change until then.
#[derive(Debug, Clone)]
pub struct Errand(What);

#[derive(Debug, Clone)]
enum What {
    /// The position of a rule among all.
    Rule(usize),
    /// The location of a database.
    Database(String),
    Former(Box<Former>),
}

impl Errand {
    /// All there is to look at.
    pub fn all(declared: &Declared<'_>, former: &[Former]) -> Vec<Errand> {
        let rules = declared.positions().map(What::Rule);
        let databases = declared.databases().into_iter().map(|database| What::Database(database.kind.location()));
        let former = former.iter().map(|former| What::Former(Box::new(former.clone())));
        rules.chain(databases).chain(former).map(Errand).collect()
    }

    /// With all that is needed for it; `None` where the declaration is another one by now.
    pub fn task(&self, declared: &Declared<'_>) -> Option<Task> {
        match &self.0 {
            What::Rule(position) => declared.rules.get(*position).map(|rule| Task::Rule(Box::new(rule.clone()))),
            What::Database(location) => declared.database(location).map(Task::Database),
            What::Former(former) => Some(Task::Former((**former).clone(), covering(declared, former))),
        }
    }
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
    /// Of the rule of a name.
    Rule(String, Box<SeenRule>),
    /// Of the database at a location, or why it could not be looked at.
    Database(String, Result<SeenDatabase, String>),
    /// Of something that was once covered.
    Former(Former, Still),
}

/// What of a rule's assessment is compared.
#[derive(Debug)]
pub struct SeenRule {
    /// Counts; `None` where the store could not be read.
    pub(super) survey: Option<Survey>,
    /// Since when the oldest record that matches has been expired.
    pub(super) overdue_since: Option<Timestamp>,
    /// The hold that suspends it.
    pub(super) hold: Option<u64>,
    /// Why its store could not be read.
    pub(super) unreadable: Option<String>,
    /// Why it does not run.
    pub(super) stopped: Option<String>,
    pub(super) presence: Presence,
}

impl SeenRule {
    fn of(assessment: Assessment, presence: Presence) -> SeenRule {
        let reasons = &assessment.reasons;
        let hold = reasons.iter().find_map(|reason| match reason {
            Reason::OnHold(hold) => Some(*hold),
            _ => None,
        });
        let unreadable = reasons.iter().find_map(|reason| match reason {
            Reason::Store(error) => Some(error.to_string()),
            _ => None,
        });
        let stopped = (!reasons.is_empty()).then(|| assessment.reason());
        let (survey, overdue_since) = (assessment.survey, assessment.overdue_since);
        SeenRule { survey, overdue_since, hold, unreadable, stopped, presence }
    }
}

/// Whether the directory of a rule is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is, or the rule is about none, or it cannot be told.
    There,
    /// It certainly is not.
    Gone,
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
    pub(super) rules: BTreeMap<String, SeenRule>,
    pub(super) databases: BTreeMap<String, Result<SeenDatabase, String>>,
    pub(super) former: Vec<(Former, Still)>,
}

impl Observed {
    /// Adds what one task saw.
    pub fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Rule(rule, seen) => drop(self.rules.insert(rule, *seen)),
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
            Seen::Rule(rule.name.to_string(), Box::new(SeenRule::of(assessment, presence(rule))))
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
