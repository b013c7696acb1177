//! A directory of visitors' files, and a rule over it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use forgetd::config::site::{Directory, FileAge, NamePattern, Zone};
use forgetd::plan::{DirectoryRule, When};
use forgetd::store::{self, Remainder, Selection, Store, Survey};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

/// A day: what a rule has where nothing else is said.
pub(crate) const SETTLE: Duration = Duration::from_hours(24);

/// After every file that a test makes was left alone for a day: the moment is an argument, its birth is not.
pub(crate) fn later() -> Timestamp {
    "2037-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn cutoff() -> Timestamp {
    "2036-09-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn expired() -> Timestamp {
    cutoff() - SignedDuration::from_secs(1)
}

pub(crate) struct Tree {
    directory: TempDir,
    pub(crate) rule: DirectoryRule,
}

impl Tree {
    /// Empty, with a rule over names `sess_*` that were last written more than six months before.
    pub(crate) fn new() -> Tree {
        Tree::in_directory(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_directory(directory: TempDir) -> Tree {
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let rule = DirectoryRule {
            rule: serde_json::from_value("shop.example/sessions".into()).unwrap(),
            directory: Directory {
                path: root,
                pattern: NamePattern::new("sess_*").unwrap(),
                age: FileAge::Modified,
                settle: SETTLE,
            },
            when: When::Older("6 months".parse().unwrap()),
            zone: Zone { name: "Europe/Prague".to_owned(), zone: TimeZone::get("Europe/Prague").unwrap() },
        };
        Tree { directory, rule }
    }

    /// With another pattern.
    pub(crate) fn of(pattern: &str, age: FileAge) -> Tree {
        let mut tree = Tree::new();
        tree.rule.directory.pattern = NamePattern::new(pattern).unwrap();
        tree.rule.directory.age = age;
        tree
    }

    /// Beside the root.
    pub(crate) fn outside(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn root(&self) -> &Path {
        &self.rule.directory.path
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(Path::new(name.as_ref()))
    }

    /// A file below the root, and the directories that it needs.
    pub(crate) fn file(&self, name: impl AsRef<OsStr>, modified: Timestamp) -> PathBuf {
        let path = self.path(name);
        write(&path, modified);
        path
    }

    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection { rule: (&self.rule).into(), now: later(), cutoff: Some(cutoff()), holds: Vec::new() }
    }

    pub(crate) fn open(&self) -> Box<dyn Store> {
        store::open(&self.rule)
    }

    pub(crate) fn survey(&self) -> Survey {
        self.open().survey(&self.selection()).unwrap()
    }

    /// Walks to the end: files removed, and what is left.
    pub(crate) fn erase(&self) -> (u64, Remainder) {
        self.erase_by(&mut *self.open())
    }

    /// As a run does: counts first.
    pub(crate) fn erase_as_a_run_does(&self) -> (u64, Remainder) {
        let mut store = self.open();
        store.survey(&self.selection()).unwrap();
        self.erase_by(&mut *store)
    }

    fn erase_by(&self, store: &mut dyn Store) -> (u64, Remainder) {
        let selection = self.selection();
        let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
        let mut erased = 0;
        while let Some(batch) = walk.prepare(100).unwrap() {
            erased += batch.commit().unwrap().rows;
        }
        (erased, walk.remainder().unwrap())
    }
}

/// A file with the directories that it needs, last written then.
pub(crate) fn write(path: &Path, modified: Timestamp) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "a visitor's").unwrap();
    set_modified(path, modified);
}

/// Sets when a file was last written.
pub(crate) fn set_modified(path: &Path, modified: Timestamp) {
    fs::File::open(path).unwrap().set_modified(SystemTime::try_from(modified).unwrap()).unwrap();
}
