//! A shop with one visitor database, its configuration, and the state of a daemon: what the tests of whole runs need.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use forgetd::audit::{Entry, Event, read};
use forgetd::config::{ApprovalMode, Config, Pace, Safety, Share};
use forgetd::plan::{self, Rule};
use forgetd::purge::{self, Order, Outcome, PurgeError, State, Unwatched, Watcher};
use forgetd::register::ClockSample;
use forgetd::safety::{self, Assessment};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) const SITE: &str = "sites/shop.example.toml";
pub(crate) const VISITORS: &str = "shop.example/chat/visitors";

/// As fast as it goes.
pub(crate) const FULL_PACE: Pace =
    Pace { batch_time: Duration::from_millis(200), duty: Share::WHOLE, max_lag: Duration::from_secs(10) };

/// The settings that nobody has to write.
pub(crate) const DEFAULT_SAFETY: Safety =
    Safety { approval: ApprovalMode::Required, max_share: Share::TENTH, max_rows: 1_000_000 };

/// No guard but those that cannot be switched off.
pub(crate) const UNLIMITED: Safety =
    Safety { approval: ApprovalMode::Automatic, max_share: Share::WHOLE, max_rows: u64::MAX };

/// A moment after the release of this version, for the tests that need no real clock.
pub(crate) fn noon() -> Timestamp {
    "2027-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A machine that has been up since the epoch, and whose clocks agree.
pub(crate) fn clock(wall: Timestamp) -> ClockSample {
    ClockSample { boot: "one boot".to_owned(), boottime_us: wall.as_microsecond(), wall }
}

const SITE_TEXT: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"

[settings]
store-ip = true

[retention]
visit = "6 months"
"visit.location" = "30 days"
"visit.ip-address" = "30 days"

[store.chat]
kind = "sqlite"
path = "DATABASE"

[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "visit"
children = [{ table = "pages", column = "visitor_id" }]
"#;

pub(crate) const SCHEMA: &str = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, city TEXT, ip TEXT);
    CREATE INDEX visitors_last_seen ON visitors (last_seen);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, url TEXT);
    CREATE INDEX pages_visitor_id ON pages (visitor_id);";

/// The shop's site file: one rule for the rows of `visitors`, and whatever `further` says of the table.
pub(crate) fn site(further: &str) -> String {
    format!("{SITE_TEXT}{further}")
}

/// Visitors with two pages each.
pub(crate) fn insert(connection: &Connection, count: u32, last_seen: Timestamp) {
    if count == 0 {
        return;
    }
    let visitors = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO visitors (last_seen, city, ip) SELECT ?2, 'Brno', '192.0.2.77' FROM n";
    let transaction = connection.unchecked_transaction().unwrap();
    transaction.execute(visitors, (count, last_seen.as_second())).unwrap();
    let last = transaction.last_insert_rowid();
    let pages = "INSERT INTO pages (visitor_id, url) SELECT id, '/' FROM visitors, (SELECT 1 UNION SELECT 2)
        WHERE id > ?1 - ?2 AND id <= ?1";
    transaction.execute(pages, (last, count)).unwrap();
    transaction.commit().unwrap();
}

pub(crate) struct Shop {
    directory: TempDir,
}

impl Shop {
    /// A shop whose site file is `site` with `DATABASE` filled in, and an empty database of the tables in `schema`.
    pub(crate) fn new(site: &str, schema: &str) -> Shop {
        Shop::in_directory(tempfile::tempdir().unwrap(), site, schema)
    }

    /// The same where a sync costs nothing, for tests of many runs that are not about crashes.
    pub(crate) fn in_memory(site: &str, schema: &str) -> Shop {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Shop::in_directory(directory.unwrap(), site, schema)
    }

    fn in_directory(directory: TempDir, site: &str, schema: &str) -> Shop {
        let shop = Shop { directory };
        for sub in ["config/sites", "config/processors"] {
            fs::create_dir_all(shop.directory.path().join(sub)).unwrap();
        }
        for file in ["categories.toml", "processors/smartsupp.toml"] {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
            shop.write(file, &fs::read_to_string(shipped).unwrap());
        }
        shop.write_daemon("");
        shop.write(SITE, site);
        shop.sql().execute_batch(schema).unwrap();
        shop
    }

    /// A shop that another process made.
    pub(crate) fn state_of(directory: &Path, now: Timestamp) -> State {
        State::open(&directory.join("state"), now).unwrap()
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn config_dir(&self) -> PathBuf {
        self.root().join("config")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root().join("state")
    }

    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.state_dir().join("audit")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root().join("chat.db")
    }

    /// Replaces a file of the configuration; `DATABASE` in it stands for the database's path.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let text = text.replace("DATABASE", &self.database().display().to_string());
        fs::write(self.config_dir().join(file), text).unwrap();
    }

    /// `forgetd.toml` with further sections.
    pub(crate) fn write_daemon(&self, sections: &str) {
        let state_dir = self.state_dir();
        self.write(
            "forgetd.toml",
            &format!("state-dir = \"{}\"\n[controller]\nname = \"Shop s.r.o.\"\n{sections}", state_dir.display()),
        );
    }

    /// Replaces one text in a file of the configuration by another.
    pub(crate) fn edit(&self, file: &str, before: &str, after: &str) {
        let path = self.config_dir().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(before), "{file} does not say {before}");
        fs::write(path, text.replace(before, after)).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.config_dir()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(crate) fn rule(&self, name: &str) -> Rule {
        rule(&self.config(), name)
    }

    pub(crate) fn state(&self, now: Timestamp) -> State {
        Shop::state_of(self.root(), now)
    }

    /// The application's connection.
    pub(crate) fn sql(&self) -> Connection {
        let connection = Connection::open(self.database()).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        connection
    }

    pub(crate) fn count(&self, table_and_condition: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table_and_condition}");
        self.sql().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        read::entries(&self.audit_dir(), 0).unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub(crate) fn events(&self, kind: &str) -> Vec<Event> {
        self.entries().into_iter().map(|entry| entry.event).filter(|event| event.kind() == kind).collect()
    }
}

pub(crate) fn rule(config: &Config, name: &str) -> Rule {
    let rules = plan::derive(config);
    let names: Vec<String> = rules.iter().map(|rule| rule.name.to_string()).collect();
    rules.into_iter().find(|rule| rule.name.as_str() == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

/// One run, as the daemon would make it.
///
/// A test in another thread may just be starting a process, which has this rule's lock for the moment between its fork
/// and its exec: then the run is tried again.
pub(crate) fn run(
    rule: &Rule,
    state: &mut State,
    safety: Safety,
    clock: &ClockSample,
    watcher: &dyn Watcher,
) -> Result<Outcome, PurgeError> {
    let attempt = |_| match try_run(rule, state, safety, clock, watcher) {
        Ok(Outcome::Busy) => {
            std::thread::sleep(Duration::from_millis(20));
            None
        }
        ended => Some(ended),
    };
    (0..100).find_map(attempt).unwrap_or(Ok(Outcome::Busy))
}

pub(crate) fn try_run(
    rule: &Rule,
    state: &mut State,
    safety: Safety,
    clock: &ClockSample,
    watcher: &dyn Watcher,
) -> Result<Outcome, PurgeError> {
    let interrupt = AtomicBool::new(false);
    let order = Order { safety, pace: FULL_PACE, clock, suspended: None, interrupt: &interrupt, watcher };
    purge::run(rule, state, &order)
}

/// What the guards say of a rule.
pub(crate) fn assess(rule: &Rule, state: &State, safety: Safety, clock: &ClockSample) -> Assessment {
    let interrupt = AtomicBool::new(false);
    let order = Order { safety, pace: FULL_PACE, clock, suspended: None, interrupt: &interrupt, watcher: &Unwatched };
    safety::assess(rule, &mut *safety::open_store(rule), &purge::circumstances(state, &order), None)
}
