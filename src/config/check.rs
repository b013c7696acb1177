//! From files to checked values: every name resolved, every period found, every mistake told at its own place.
//!
//! The files are checked in the order in which they build on each other. What a file with mistakes declares cannot be
//! relied on, so what other files say of it is then not reported as unknown: one mistake, one problem.

mod category;
mod column;
mod daemon;
mod directory;
mod ladder;
mod log;
mod observe;
mod processor;
mod retention;
mod server;
mod site;
mod store;
mod table;
mod tag;
mod targets;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeTable;

use super::error::FileProblems;
use super::read::{CATEGORIES_FILE, DAEMON_FILE};
use super::{Category, CategoryId, Config, Problem, Problems, Processor, Source, file};
use targets::Targets;

/// What the files before the sites declare.
#[derive(Debug, Default)]
struct Known {
    /// Where the register and the evidence are.
    state_dir: Option<PathBuf>,
    categories: BTreeMap<CategoryId, Category>,
    processors: BTreeMap<String, Processor>,
    /// Whether all categories could be read: only then is one that is not here unknown.
    categories_complete: bool,
    /// Whether all processors could be read.
    processors_complete: bool,
}

impl Known {
    fn is_complete(&self) -> bool {
        self.categories_complete && self.processors_complete
    }
}

impl Config {
    /// Checks a whole directory of files, as [`read_directory`](super::read_directory) gives them.
    ///
    /// # Errors
    ///
    /// Every mistake there is, in one go.
    pub fn parse(sources: BTreeMap<String, Source>) -> Result<Config, Problems> {
        let mut problems = Vec::new();
        let daemon = mandatory(&sources, DAEMON_FILE, &mut problems, daemon::check);
        let categories = mandatory(&sources, CATEGORIES_FILE, &mut problems, category::check).unwrap_or_default();
        let categories_complete = !has_problem(&problems, CATEGORIES_FILE);
        let state_dir = daemon.as_ref().map(|daemon| daemon.state_dir.clone());
        let mut known = Known { state_dir, categories, categories_complete, ..Known::default() };
        for source in below(&sources, "processors/") {
            read(source, &mut problems, |table, problems| processor::check(table, &mut known, problems));
        }
        known.processors_complete = !has_problem(&problems, "processors/");
        let (mut sites, mut targets) = (BTreeMap::new(), Targets::default());
        for source in below(&sources, "sites/") {
            read(source, &mut problems, |table, problems| {
                site::check(table, &known, &mut sites, &mut targets, problems)
            });
        }
        match daemon {
            Some(daemon) if problems.is_empty() => {
                let Known { categories, processors, .. } = known;
                Ok(Config { daemon, categories, processors, sites, sources })
            }
            _ => Err(Problems::sorted(problems)),
        }
    }
}

fn has_problem(problems: &[Problem], path: &str) -> bool {
    problems.iter().any(|problem| problem.file.starts_with(path))
}

fn below<'a>(sources: &'a BTreeMap<String, Source>, directory: &'static str) -> impl Iterator<Item = &'a Source> {
    sources.values().filter(move |source| source.path.starts_with(directory))
}

fn mandatory<T>(
    sources: &BTreeMap<String, Source>,
    path: &str,
    all: &mut Vec<Problem>,
    check: impl FnOnce(DeTable<'_>, &mut FileProblems<'_>) -> Option<T>,
) -> Option<T> {
    match sources.get(path) {
        Some(source) => read(source, all, check),
        None => {
            all.push(Problem::of_file(path, "the file is missing", format!("copy `{path}` from the shipped `config`")));
            None
        }
    }
}

/// Reads one file; its problems are added to `all`.
fn read<T>(
    source: &Source,
    all: &mut Vec<Problem>,
    check: impl FnOnce(DeTable<'_>, &mut FileProblems<'_>) -> Option<T>,
) -> Option<T> {
    let mut problems = FileProblems::new(source);
    let table = file::parse(&source.text, &mut problems);
    let value = check(table, &mut problems);
    all.extend(problems.into_problems());
    value
}
