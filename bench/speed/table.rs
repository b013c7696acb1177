//! The table that everything is measured on: a website's visitors, as an application would have made it, half of
//! them expired.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::figures::now;

const DAY: i64 = 86_400;

/// Half of the rows are at least this old and half at most [`NEWEST_EXPIRED`] less: no month's length matters.
const OLDEST: i64 = 400 * DAY;
const NEWEST_EXPIRED: i64 = 190 * DAY;
const OLDEST_KEPT: i64 = 175 * DAY;
const NEWEST: i64 = DAY;

const SCHEMA: &str = "
    CREATE TABLE visitors (
        id        INTEGER PRIMARY KEY,
        last_seen INTEGER NOT NULL,
        ip        TEXT,
        agent     TEXT,
        url       TEXT,
        city      TEXT
    );";

const INDEX: &str = "CREATE INDEX visitors_last_seen ON visitors (last_seen);";

pub(crate) const INSERT: &str = "INSERT INTO visitors (last_seen, ip, agent, url, city) VALUES (?1, ?2, ?3, ?4, ?5)";

const CITIES: [&str; 5] = ["Brno", "Praha", "Hradec Králové", "Karlovy Vary", "Ostrava"];

/// How rows lie in the file, which is the order of their rowids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they came: the expired ones lie together.
    Time,
    /// Every page holds expired rows and others.
    Random,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Order::Time => "time order",
            Order::Random => "random order",
        }
    }
}

/// A table that was written once and is copied for every measurement.
pub(crate) struct Template {
    path: PathBuf,
    /// Rows in it.
    pub(crate) rows: u32,
}

impl Template {
    /// Writes `rows` rows to a file in `dir`.
    pub(crate) fn write(dir: &Path, rows: u32, order: Order) -> Template {
        let path = dir.join("template.db");
        remove(&path);
        let mut connection = Connection::open(&path).unwrap();
        // Written once and thrown away: nothing to lose in a power cut.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144").unwrap();
        let transaction = connection.transaction().unwrap();
        transaction.execute_batch(SCHEMA).unwrap();
        let mut insert = transaction.prepare(INSERT).unwrap();
        for (number, time) in (1_u32..).zip(times(rows, order)) {
            insert
                .execute(params![time, ip(number), agent(number), url(number), CITIES[number as usize % CITIES.len()]])
                .unwrap();
        }
        drop(insert);
        transaction.execute_batch(INDEX).unwrap();
        transaction.commit().unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.close().unwrap();
        Template { path, rows }
    }

    /// A fresh copy at `path`, on the disk and in memory alike.
    pub(crate) fn copy_to(&self, path: &Path) {
        remove(path);
        fs::copy(&self.path, path).unwrap();
        File::open(path).unwrap().sync_all().unwrap();
    }

    /// Rows that are expired.
    pub(crate) fn expired(&self) -> u32 {
        self.rows / 2
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a database and what SQLite left beside it.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _absent = fs::remove_file(name);
    }
}

/// Everything before it is expired, in Unix seconds; between the two halves.
pub(crate) fn cutoff() -> i64 {
    now() - (NEWEST_EXPIRED + OLDEST_KEPT) / 2
}

pub(crate) fn ip(number: u32) -> String {
    format!("198.51.{}.{}", number / 250 % 250, number % 250)
}

pub(crate) fn agent(number: u32) -> String {
    format!("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML) Chrome/{}.0.0.0", 90 + number % 40)
}

pub(crate) fn url(number: u32) -> String {
    format!("https://shop.example/catalogue/item-{number:08}")
}

fn times(rows: u32, order: Order) -> Vec<i64> {
    let now = now();
    let half = rows / 2;
    let spread = |oldest: i64, newest: i64, number: u32, of: u32| {
        now - oldest + (oldest - newest) * i64::from(number) / i64::from(of.max(1))
    };
    let expired = (0..half).map(|number| spread(OLDEST, NEWEST_EXPIRED, number, half));
    let kept = (0..rows - half).map(|number| spread(OLDEST_KEPT, NEWEST, number, rows - half));
    let mut times: Vec<i64> = expired.chain(kept).collect();
    if order == Order::Random {
        shuffle(&mut times);
    }
    times
}

/// Fisher-Yates, from a fixed seed.
fn shuffle(times: &mut [i64]) {
    let mut random = Random::new(30);
    for last in (1..times.len()).rev() {
        let other = random.below(last + 1);
        times.swap(last, other);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}
