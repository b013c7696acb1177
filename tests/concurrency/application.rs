//! The shop's application, which inserts a thousand rows a second while others erase.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::database::{Connection, Database, OnMariaDb, OnPostgres};
use crate::{mariadb, postgres_server};

/// Visitors with one page each are two rows.
const VISITORS_AT_ONCE: i64 = 5;
const PAUSE: Duration = Duration::from_millis(10);

const DAY: i64 = 24 * 3_600;

const SCHEMA: [&str; 4] = [
    "CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint NOT NULL, seen bigint NOT NULL)",
    "CREATE INDEX visitors_last_seen ON visitors (last_seen)",
    "CREATE TABLE pages (id bigint PRIMARY KEY, visitor_id bigint NOT NULL, \
     FOREIGN KEY (visitor_id) REFERENCES visitors (id))",
    "CREATE INDEX pages_visitor_id ON pages (visitor_id)",
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Kind {
    pub(crate) fn database(self) -> Box<dyn Database + Sync> {
        match self {
            Kind::Sqlite => Box::new(OnSqlite(tempfile::tempdir_in("/dev/shm").unwrap())),
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }
}

/// An embedded database with a write-ahead log.
struct OnSqlite(TempDir);

impl OnSqlite {
    fn path(&self) -> PathBuf {
        self.0.path().join("chat.db")
    }
}

impl Database for OnSqlite {
    fn connect(&self) -> Box<dyn Connection> {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        Box::new(connection)
    }

    fn declaration(&self) -> String {
        format!("kind = \"sqlite\"\npath = \"{}\"", self.path().display())
    }
}

impl Connection for rusqlite::Connection {
    fn execute(&mut self, sql: &str) -> u64 {
        let changed =
            rusqlite::Connection::execute(self, sql, []).unwrap_or_else(|error| panic!("{sql:.200}: {error}"));
        changed.try_into().unwrap()
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let mut statement = self.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn is_alive(&mut self) -> bool {
        true
    }
}

fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

/// Numbers of visitors that arrive while others erase are far from those of the backlog.
static ARRIVED: AtomicI64 = AtomicI64::new(1_000_000_000);

fn insert(connection: &mut dyn Connection, ids: std::ops::Range<i64>, last_seen: i64) {
    for table in ["visitors", "pages"] {
        let row = |id| if table == "visitors" { format!("({id}, {last_seen}, 0)") } else { format!("({id}, {id})") };
        let rows: Vec<String> = ids.clone().map(row).collect();
        connection.execute(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }
}

pub(crate) struct Application {
    connection: Box<dyn Connection>,
    next: i64,
}

impl Application {
    pub(crate) fn new(database: &dyn Database) -> Application {
        let mut connection = database.connect();
        SCHEMA.iter().for_each(|statement| _ = connection.execute(statement));
        Application { connection, next: 1 }
    }

    /// Adds expired visitors.
    pub(crate) fn fill_up(&mut self, count: i64) {
        insert(&mut *self.connection, self.next..self.next + count, now() - 300 * DAY);
        self.next += count;
    }

    /// The numbers of the expired ones that are still there, in order.
    pub(crate) fn expired_left(&mut self) -> Vec<i64> {
        let sql = format!("SELECT id FROM visitors WHERE last_seen < {} ORDER BY id", now() - 100 * DAY);
        self.connection.rows(&sql).into_iter().map(|row| row[0]).collect()
    }

    /// Nobody is there but those inside retention, each with a page.
    pub(crate) fn finds_only_the_young(&mut self) {
        assert_eq!(self.expired_left(), [0_i64; 0]);
        let pages = "SELECT (SELECT count(*) FROM visitors) - (SELECT count(*) FROM pages)";
        assert_eq!(self.connection.row(pages), [0]);
    }
}

/// Does `work` while the application inserts a thousand rows a second; afterwards every one of them is there.
pub(crate) fn beside(database: &(dyn Database + Sync), work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let arrived = std::thread::scope(|scope| {
        let arrivals = scope.spawn(|| arrive(database, &stop));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let arrived = arrivals.join().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        arrived
    });
    let ids: Vec<String> = arrived.iter().map(|ids| format!("id BETWEEN {} AND {}", ids.start, ids.end - 1)).collect();
    let mut found = 0;
    let mut connection = database.connect();
    for some in ids.chunks(200) {
        found += connection.row(&format!("SELECT count(*) FROM visitors WHERE {}", some.join(" OR ")))[0];
    }
    assert_eq!(found, i64::try_from(arrived.len()).unwrap() * VISITORS_AT_ONCE, "visitors inside retention are lost");
}

fn arrive(database: &dyn Database, stop: &AtomicBool) -> Vec<std::ops::Range<i64>> {
    let mut connection = database.connect();
    let started = Instant::now();
    let mut arrived = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let first = ARRIVED.fetch_add(VISITORS_AT_ONCE, Ordering::Relaxed);
        insert(&mut *connection, first..first + VISITORS_AT_ONCE, now() - DAY);
        arrived.push(first..first + VISITORS_AT_ONCE);
        // What it was kept waiting it catches up.
        let due = PAUSE * u32::try_from(arrived.len()).unwrap();
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    let rows = 2 * VISITORS_AT_ONCE * i64::try_from(arrived.len()).unwrap();
    println!("{rows} rows were inserted in {:?}", started.elapsed());
    arrived
}
