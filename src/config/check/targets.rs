//! What the stores of all sites mean, so that nothing is meant twice: of two declarations the shorter period would win
//! unseen.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::error::FileProblems;
use super::super::site::{DatabaseKind, Directory, Log, Scalar, Table};

/// What SQLite keeps beside a database: without it the database is damaged.
const BESIDE_A_DATABASE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// What was declared so far, each with the file that says so.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// By database, table and filter.
    records: BTreeMap<(String, String, BTreeMap<String, Scalar>), String>,
    /// Directories and logs, by path and pattern.
    files: BTreeMap<String, String>,
    directories: Vec<(Directory, String)>,
    /// Databases that are files.
    databases: BTreeMap<PathBuf, String>,
}

impl Targets {
    /// Remembers which records the table means; that another one means the same is a problem.
    pub(super) fn claim_table(
        &mut self,
        kind: &DatabaseKind,
        table: &Table,
        place: &Range<usize>,
        problems: &mut FileProblems<'_>,
    ) {
        let Table { name, filter, .. } = table;
        // Where names differ in case is the server's to say; PostgreSQL alone always does.
        let name_there = match kind {
            DatabaseKind::Postgres { .. } => name.clone(),
            DatabaseKind::Sqlite { .. } | DatabaseKind::Mysql { .. } => name.to_ascii_lowercase(),
        };
        let target = (kind.location(), name_there, filter.clone());
        if let Some(first) = self.records.get(&target) {
            let message = format!("the same records of `{name}` are declared in `{first}` already");
            let hint = "declare them once, or narrow each by a `filter` of its own";
            problems.report_with_hint(place, message, hint);
        } else {
            self.records.insert(target, problems.file().to_owned());
        }
    }

    /// Remembers where a database lies; that its files would be purged as files is a problem.
    pub(super) fn claim_database(&mut self, path: &Path, place: &Range<usize>, problems: &mut FileProblems<'_>) {
        for (directory, file) in &self.directories {
            if takes_database(directory, path) {
                report_database(path, directory, file, place, problems);
            }
        }
        self.databases.entry(path.to_owned()).or_insert_with(|| problems.file().to_owned());
    }

    /// Remembers which files a log means; that another store means the same is a problem.
    pub(super) fn claim_log(&mut self, log: &Log, place: &Range<usize>, problems: &mut FileProblems<'_>) {
        self.claim_files(log.location(), place, problems);
    }

    /// Remembers which files a directory means; that another store means some of them is a problem.
    pub(super) fn claim_directory(
        &mut self,
        directory: &Directory,
        place: &Range<usize>,
        problems: &mut FileProblems<'_>,
    ) {
        self.claim_files(directory.location(), place, problems);
        for (other, file) in &self.directories {
            let (outer, inner) = match other.path.starts_with(&directory.path) {
                true => (directory, other),
                false => (other, directory),
            };
            if outer.path != inner.path && inner.path.starts_with(&outer.path) {
                let message = format!(
                    "`{}` lies in `{}`; the other one is declared in `{file}`",
                    inner.path.display(),
                    outer.path.display()
                );
                let hint = "a directory is purged at any depth: declare directories of which none lies in another";
                problems.report_with_hint(place, message, hint);
            }
        }
        for (path, file) in &self.databases {
            if takes_database(directory, path) {
                report_database(path, directory, file, place, problems);
            }
        }
        self.directories.push((directory.clone(), problems.file().to_owned()));
    }

    fn claim_files(&mut self, location: String, place: &Range<usize>, problems: &mut FileProblems<'_>) {
        if let Some(first) = self.files.get(&location) {
            let message = format!("the same files are declared in `{first}` already");
            problems.report_with_hint(place, message, "declare them once");
        } else {
            self.files.insert(location, problems.file().to_owned());
        }
    }
}

/// Whether a file of the database at `path` could go with the directory's.
fn takes_database(directory: &Directory, path: &Path) -> bool {
    let Some(name) = path.file_name().filter(|_| path.starts_with(&directory.path)) else { return false };
    let pattern = globset::Glob::new(directory.pattern.as_str()).map(|glob| glob.compile_matcher());
    BESIDE_A_DATABASE.iter().any(|suffix| {
        let mut name = name.to_owned();
        name.push(suffix);
        pattern.as_ref().is_ok_and(|pattern| pattern.is_match(&name))
    })
}

fn report_database(
    path: &Path,
    directory: &Directory,
    file: &str,
    place: &Range<usize>,
    problems: &mut FileProblems<'_>,
) {
    let message = format!(
        "the database `{}` would be erased with the files `{}`; the other one is declared in `{file}`",
        path.display(),
        directory.location()
    );
    problems.report_with_hint(place, message, "name a directory, or a pattern, that holds the visitors' files alone");
}
