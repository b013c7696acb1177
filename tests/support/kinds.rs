//! What the contract suite needs of every kind of store, whatever its records are: visitors are written, seen again,
//! erased whole, and counted by their numbers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use forgetd::config::site::{Directory, FileAge, NamePattern, Zone};
use forgetd::plan::{Definition, DirectoryRule, When};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use crate::support::{self, Application, Fixture, Visitor, rule_name};

/// Whoever writes the records.
pub(crate) trait Writer: Send {
    fn write(&mut self, visitors: &[Visitor]);
    /// The visitors were seen again.
    fn touch(&mut self, ids: &[i64], at: Timestamp);
    fn visitors(&mut self) -> BTreeSet<i64>;
}

/// A kind of store, empty.
pub(crate) trait Kind {
    fn name(&self) -> String;
    fn writer(&self) -> Box<dyn Writer>;
    /// A rule that erases whole visitors, with all that belongs to them.
    fn rule(&self, when: When) -> Definition;
    /// As [`Fixture::tells_arrivals`].
    fn tells_arrivals(&self) -> bool;
    /// As [`Fixture::keeps_copies`].
    fn keeps_copies(&self) -> bool;
    /// How many records of other kinds each visitor takes along.
    fn children(&self) -> u64;
}

/// Every kind that the suite runs over.
pub(crate) fn every_kind() -> Vec<Box<dyn Kind>> {
    let tables = support::every_database().into_iter().map(|fixture| Box::new(Tables(fixture)) as Box<dyn Kind>);
    tables.chain([Box::new(Files::new()) as Box<dyn Kind>]).collect()
}

struct Tables(Box<dyn Fixture>);

impl Kind for Tables {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(TableWriter(self.0.application()))
    }

    fn rule(&self, when: When) -> Definition {
        Definition::Table(self.0.rule(when, self.0.erase_rows()))
    }

    fn tells_arrivals(&self) -> bool {
        self.0.tells_arrivals()
    }

    fn keeps_copies(&self) -> bool {
        self.0.keeps_copies()
    }

    fn children(&self) -> u64 {
        2
    }
}

struct TableWriter(Box<dyn Application>);

impl Writer for TableWriter {
    fn write(&mut self, visitors: &[Visitor]) {
        self.0.write(visitors);
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        self.0.touch(ids, at);
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        self.0.visitors()
    }
}

/// One file for each visitor, in a few directories.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }
}

impl Kind for Files {
    fn name(&self) -> String {
        "directory".to_owned()
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(FileWriter(self.0.path().to_owned()))
    }

    fn rule(&self, when: When) -> Definition {
        Definition::Directory(DirectoryRule {
            rule: rule_name("shop.example/sessions"),
            directory: Directory {
                path: self.0.path().to_owned(),
                pattern: NamePattern::new("sess_*").unwrap(),
                age: FileAge::Modified,
                settle: Duration::ZERO,
            },
            when,
            zone: Zone { name: "UTC".to_owned(), zone: TimeZone::UTC },
        })
    }

    fn tells_arrivals(&self) -> bool {
        false
    }

    fn keeps_copies(&self) -> bool {
        true
    }

    fn children(&self) -> u64 {
        0
    }
}

struct FileWriter(PathBuf);

impl FileWriter {
    fn path(&self, id: i64) -> PathBuf {
        self.0.join(format!("{}/{}/sess_{id}", id % 3, id % 2))
    }
}

impl Writer for FileWriter {
    fn write(&mut self, visitors: &[Visitor]) {
        for visitor in visitors {
            let path = self.path(visitor.id);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Whole from the beginning, as it must be for the age to be its own.
            let new = path.with_extension("new");
            fs::write(&new, "192.0.2.77").unwrap();
            set_modified(&new, visitor.last_seen.unwrap_or(Timestamp::UNIX_EPOCH));
            fs::rename(new, path).unwrap();
        }
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        ids.iter().for_each(|id| set_modified(&self.path(*id), at));
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        let within =
            |directory: &Path| fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
        let files = within(&self.0).flat_map(|outer| within(&outer).collect::<Vec<_>>());
        let files = files.flat_map(|inner| within(&inner).collect::<Vec<_>>());
        let id = |path: PathBuf| path.to_str().unwrap().rsplit_once("sess_").unwrap().1.parse().ok();
        files.filter_map(id).collect()
    }
}

/// Sets when a file was last written.
pub(crate) fn set_modified(path: &Path, modified: Timestamp) {
    fs::File::open(path).unwrap().set_modified(SystemTime::try_from(modified).unwrap()).unwrap();
}
