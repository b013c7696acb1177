//! What the contract suite needs of every kind of store, whatever its records are: visitors are written, seen again,
//! erased whole, and counted by their numbers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use forgetd::config::site::{Directory, FileAge, Log, LogFormat, NamePattern, UnparsedLine, Zone};
use forgetd::plan::{Definition, DirectoryRule, LineAction, LogRule, When};
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
    /// How many visitors a batch takes of whom there are more than `limit`.
    fn batch(&self, limit: u32) -> u64 {
        limit.into()
    }
}

/// Every kind that the suite runs over.
pub(crate) fn every_kind() -> Vec<Box<dyn Kind>> {
    let tables = support::every_database().into_iter().map(|fixture| Box::new(Tables(fixture)) as Box<dyn Kind>);
    tables.chain([Box::new(Files::new()) as Box<dyn Kind>, Box::new(Lines::new())]).collect()
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

/// One line for each visitor, each in a file of its own: a batch is a file.
struct Lines(TempDir);

impl Lines {
    fn new() -> Lines {
        Lines(tempfile::tempdir().unwrap())
    }
}

impl Kind for Lines {
    fn name(&self) -> String {
        "log".to_owned()
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(LineWriter(self.0.path().to_owned()))
    }

    fn rule(&self, when: When) -> Definition {
        Definition::Log(LogRule {
            rule: rule_name("shop.example/access"),
            log: Log {
                directory: self.0.path().to_owned(),
                pattern: NamePattern::new("access.log*").unwrap(),
                format: LogFormat::Combined,
                zone: None,
                unparsed: UnparsedLine::Scan,
                parameters: BTreeSet::new(),
            },
            when,
            action: LineAction::Drop,
            zone: Zone { name: "UTC".to_owned(), zone: TimeZone::UTC },
        })
    }

    /// The number of a file that is gone may be given to the next one.
    fn tells_arrivals(&self) -> bool {
        false
    }

    fn keeps_copies(&self) -> bool {
        true
    }

    fn children(&self) -> u64 {
        0
    }

    fn batch(&self, _limit: u32) -> u64 {
        1
    }
}

struct LineWriter(PathBuf);

impl LineWriter {
    fn write_one(&self, id: i64, last_seen: Option<Timestamp>) {
        let time = last_seen.map_or_else(|| "-".to_owned(), |time| time.strftime("%d/%b/%Y:%H:%M:%S %z").to_string());
        let new = self.0.join(format!("new.{id}"));
        fs::write(&new, format!("192.0.2.77 - - [{time}] \"GET /{id} HTTP/1.1\" 200 5 \"-\" \"-\"\n")).unwrap();
        fs::rename(new, self.0.join(format!("access.log.{id}"))).unwrap();
    }
}

impl Writer for LineWriter {
    fn write(&mut self, visitors: &[Visitor]) {
        visitors.iter().for_each(|visitor| self.write_one(visitor.id, visitor.last_seen));
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        ids.iter().for_each(|id| self.write_one(*id, Some(at)));
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("access.log."));
        let id = |line: &str| line.split("GET /").nth(1)?.split(' ').next()?.parse().ok();
        logs.filter_map(|path| id(&fs::read_to_string(path).unwrap())).collect()
    }
}

/// Sets when a file was last written.
pub(crate) fn set_modified(path: &Path, modified: Timestamp) {
    fs::File::open(path).unwrap().set_modified(SystemTime::try_from(modified).unwrap()).unwrap();
}
