//! A directory with logs, a rule over them, and runs of it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use forgetd::config::site::{ColumnAction, Log, LogFormat, Mask, NamePattern, Unparsed, UnparsedLine, Zone};
use forgetd::plan::{LineAction, LogRule, When};
use forgetd::store::log::LogFiles;
use forgetd::store::{self, Inspection, Remainder, Selection, Store, Survey};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;

pub(crate) const TRUNCATE: LineAction =
    LineAction::Addresses(ColumnAction::Truncate(Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase }));

/// Nothing here has a replica.
const MAX_LAG: Duration = Duration::ZERO;

pub(crate) fn now() -> Timestamp {
    "2026-10-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn cutoff() -> Timestamp {
    "2026-10-10T00:00:00Z".parse().unwrap()
}

/// A line in the combined format, of that many seconds after the cutoff.
pub(crate) fn line(number: u32, seconds: i64) -> String {
    let time = cutoff() + jiff::SignedDuration::from_secs(seconds);
    let time = time.strftime("%d/%b/%Y:%H:%M:%S %z");
    format!("192.0.2.{} - - [{time}] \"GET /{number} HTTP/1.1\" 200 5 \"-\" \"curl/8\"\n", number % 250 + 1)
}

/// Lines numbered from `first`, one a second, of which `expired` lie before the cutoff and the others after it.
pub(crate) fn lines(first: u32, expired: u32, kept: u32) -> String {
    let seconds = -i64::from(expired)..i64::from(kept);
    (first..).zip(seconds).map(|(number, seconds)| line(number, seconds)).collect()
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// What a file holds, compressed or not.
pub(crate) fn text_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    match &bytes[..] {
        [0x1F, 0x8B, ..] => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
        [0x28, 0xB5, ..] => zstd::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut text).unwrap(),
        mut plain => plain.read_to_string(&mut text).unwrap(),
    };
    text
}

pub(crate) struct Logs {
    directory: TempDir,
    pub(crate) rule: LogRule,
    pub(crate) cutoff: Option<Timestamp>,
}

impl Logs {
    /// No files yet, and the rule that drops what is older than the cutoff.
    pub(crate) fn new() -> Logs {
        let directory = tempfile::tempdir().unwrap();
        let utc = || Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
        let rule = LogRule {
            rule: serde_json::from_value("shop.example/access".into()).unwrap(),
            log: Log {
                directory: directory.path().to_owned(),
                pattern: NamePattern::new("access.log*").unwrap(),
                format: LogFormat::Combined,
                zone: None,
                unparsed: UnparsedLine::Scan,
                parameters: BTreeSet::new(),
            },
            when: When::Older("10 days".parse().unwrap()),
            action: LineAction::Drop,
            zone: utc(),
        };
        Logs { directory, rule, cutoff: Some(cutoff()) }
    }

    /// The same with the rule that masks addresses in every line.
    pub(crate) fn masking() -> Logs {
        let mut logs = Logs::new();
        logs.rule = logs.masking_rule();
        logs.cutoff = None;
        logs
    }

    pub(crate) fn masking_rule(&self) -> LogRule {
        LogRule {
            rule: serde_json::from_value("shop.example/access/address@setting".into()).unwrap(),
            when: When::NotStored,
            action: TRUNCATE,
            ..self.rule.clone()
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A file that was last written to long ago.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        age(&path, 86_400);
        path
    }

    pub(crate) fn text(&self, name: &str) -> String {
        text_of(&self.path(name))
    }

    /// Names of everything in the directory.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection { rule: (&self.rule).into(), now: now(), cutoff: self.cutoff, holds: Vec::new() }
    }

    pub(crate) fn open(&self) -> Box<dyn Store> {
        store::open(&self.rule)
    }

    pub(crate) fn inspect(&self) -> Inspection {
        self.open().inspect(&self.selection()).unwrap()
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        self.inspect().findings.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn survey(&self) -> Survey {
        self.open().survey(&self.selection()).unwrap()
    }

    /// A whole walk: what was done, and what is left.
    pub(crate) fn erase(&self) -> (u64, Remainder) {
        self.erase_in(&mut *self.open())
    }

    /// The same, counting also for other rules over the log.
    pub(crate) fn erase_beside(&self, others: &[LogRule]) -> (u64, Remainder) {
        self.erase_in(&mut LogFiles::beside(&self.rule.log, others))
    }

    fn erase_in(&self, store: &mut dyn Store) -> (u64, Remainder) {
        let selection = self.selection();
        store.survey(&selection).unwrap();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let mut rows = 0;
        while let Some(batch) = walk.prepare(1).unwrap() {
            rows += batch.commit().unwrap().rows;
        }
        (rows, walk.remainder().unwrap())
    }
}

/// Makes a file look as if it was last written to so many seconds before now.
pub(crate) fn age(path: &Path, seconds: u64) {
    let then = SystemTime::try_from(now()).unwrap() - Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(then).unwrap();
}
