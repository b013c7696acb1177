//! The shop's application: visitors come, come back and leave while records are erased, and it remembers whom it must
//! still find.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Action;
use super::database::Connection;
use super::random::Random;

/// Between two acts of the application.
const REST: Duration = Duration::from_millis(2);

const DAY: i64 = 24 * 3_600;

/// Older than every period; younger than every period.
const EXPIRED_DAYS: i64 = 300;
const KEPT_DAYS: i64 = 1;

/// Far from both.
const BOUNDARY_DAYS: i64 = 100;

/// The tables, in words that both servers understand.
const SCHEMA: [&str; 4] = [
    "CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint NOT NULL, city varchar(40), ip varchar(40))",
    "CREATE INDEX visitors_last_seen ON visitors (last_seen)",
    "CREATE TABLE pages (id bigint PRIMARY KEY, visitor_id bigint NOT NULL, FOREIGN KEY (visitor_id) REFERENCES visitors (id))",
    "CREATE INDEX pages_visitor_id ON pages (visitor_id)",
];

fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

fn days_ago(days: i64) -> i64 {
    now() - days * DAY
}

/// The application with its connection, and what it knows of its visitors.
pub(crate) struct Application {
    pub(crate) connection: Box<dyn Connection>,
    action: Action,
    random: Random,
    next: i64,
    /// Everybody inside retention: they must be there, as they were.
    kept: BTreeSet<i64>,
    /// The numbers of the last expired visitors.
    backlog: Range<i64>,
    /// Visitors that were expired and did not come back.
    expired: u64,
}

impl Application {
    /// Empty tables and a few visitors.
    pub(crate) fn new(mut connection: Box<dyn Connection>, action: Action, seed: u64) -> Application {
        for statement in SCHEMA {
            connection.execute(statement);
        }
        let mut application = Application {
            connection,
            action,
            random: Random(seed),
            next: 1,
            kept: BTreeSet::new(),
            backlog: 0..0,
            expired: 0,
        };
        application.arrive(100);
        application
    }

    /// Visitors with two pages each.
    fn insert(&mut self, count: i64, last_seen: i64) -> Range<i64> {
        let ids = self.next..self.next + count;
        self.next = ids.end;
        let visitors: Vec<String> =
            ids.clone().map(|id| format!("({id}, {last_seen}, 'Brno', '192.0.2.77')")).collect();
        let pages: Vec<String> = ids.clone().map(|id| format!("({}, {id}), ({}, {id})", 2 * id, 2 * id + 1)).collect();
        self.connection.execute("BEGIN");
        self.connection.execute(&format!("INSERT INTO visitors VALUES {}", visitors.join(", ")));
        self.connection.execute(&format!("INSERT INTO pages VALUES {}", pages.join(", ")));
        self.connection.execute("COMMIT");
        ids
    }

    fn arrive(&mut self, count: i64) {
        let ids = self.insert(count, days_ago(KEPT_DAYS));
        self.kept.extend(ids);
    }

    /// Fills up to `count` expired visitors.
    pub(crate) fn fill_up(&mut self, count: u64) {
        let missing = i64::try_from(count.saturating_sub(self.expired_left())).unwrap();
        if missing > 0 {
            let ids = self.insert(missing, days_ago(EXPIRED_DAYS));
            self.backlog = ids;
            self.expired += missing.unsigned_abs();
        }
    }

    fn any_kept(&mut self) -> i64 {
        let at = self.random.number(self.kept.len().try_into().unwrap());
        *self.kept.iter().nth(at.try_into().unwrap()).unwrap()
    }

    /// One act, of four kinds.
    fn act(&mut self) {
        match self.random.number(4) {
            0 => self.arrive(3),
            1 => {
                let id = self.any_kept();
                self.connection.execute(&format!("UPDATE visitors SET last_seen = {} WHERE id = {id}", now()));
            }
            2 => self.come_back(),
            _ => self.leave(),
        }
    }

    /// One that is expired is seen again: if the record is still whole then, it must stay so.
    fn come_back(&mut self) {
        let count = u64::try_from(self.backlog.clone().count()).unwrap();
        let id = self.backlog.start + i64::try_from(self.random.number(count.max(1))).unwrap();
        let sql = format!("UPDATE visitors SET last_seen = {} WHERE id = {id} AND {}", now(), self.action.untouched());
        if self.connection.execute(&sql) == 1 && self.kept.insert(id) {
            self.expired -= 1;
        }
    }

    fn leave(&mut self) {
        let id = self.any_kept();
        self.kept.remove(&id);
        self.connection.execute("BEGIN");
        self.connection.execute(&format!("DELETE FROM pages WHERE visitor_id = {id}"));
        assert_eq!(self.connection.execute(&format!("DELETE FROM visitors WHERE id = {id}")), 1, "{id} was not there");
        self.connection.execute("COMMIT");
    }

    fn expired_left(&mut self) -> u64 {
        let (untouched, boundary) = (self.action.untouched(), days_ago(BOUNDARY_DAYS));
        let sql = format!("SELECT count(*) FROM visitors WHERE {untouched} AND last_seen < {boundary}");
        self.connection.row(&sql)[0].unsigned_abs()
    }

    /// Everybody inside retention is there, and every visitor with the pages: the number of records that forgetd has
    /// erased so far.
    pub(crate) fn find_everybody(&mut self) -> u64 {
        let (untouched, boundary) = (self.action.untouched(), days_ago(BOUNDARY_DAYS));
        let kept = format!("SELECT id FROM visitors WHERE {untouched} AND last_seen >= {boundary}");
        let found: BTreeSet<i64> = self.connection.rows(&kept).into_iter().map(|row| row[0]).collect();
        let (lost, odd): (Vec<_>, Vec<_>) =
            (self.kept.difference(&found).collect(), found.difference(&self.kept).collect());
        assert!(lost.is_empty() && odd.is_empty(), "inside retention: lost {lost:?}, not known {odd:?}");
        let pages = "SELECT (SELECT count(*) FROM visitors) * 2 - (SELECT count(*) FROM pages)";
        assert_eq!(self.connection.row(pages), [0], "visitors without their pages, or pages without a visitor");
        self.expired - self.expired_left()
    }

    /// All that forgetd must have erased at the end.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }
}

/// Acts until told to stop. Whoever holds the lock stops it for the while.
pub(crate) fn live(application: &Mutex<Application>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        application.lock().unwrap().act();
        std::thread::sleep(REST);
    }
}
