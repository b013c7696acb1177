//! What is PostgreSQL's own: who is let in, what is refused before a rule runs, how a batch ends when the connection
//! does, and the forms of addresses, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "postgres/access.rs"]
mod access;
#[path = "postgres/binary.rs"]
mod binary;
#[path = "postgres/inspection.rs"]
mod inspection;
#[path = "support/installation.rs"]
mod installation;
#[path = "postgres/masks.rs"]
mod masks;
#[path = "postgres/outcome.rs"]
mod outcome;
#[path = "postgres/partitions.rs"]
mod partitions;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "postgres/predicate.rs"]
mod predicate;
#[path = "postgres/shape.rs"]
mod shape;

use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{After, DatabaseKind, RowTime, Server, TimeMeaning, Zone};
use forgetd::plan::{Action, TableRule, Target, When};
use forgetd::store::{self, Finding, Remainder, Selection, Severity, Store};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use postgres::Client;
use postgres_server::server;

/// Where nothing has a replica.
const MAX_LAG: Duration = Duration::ZERO;

/// An ordinary table of the application, half of it expired.
const VISITORS: &str = "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz NOT NULL, site integer NOT NULL, ip text, agreed boolean);
    CREATE INDEX ON visitors (seen);
    INSERT INTO visitors SELECT n, '2026-03-01'::timestamptz - n * interval '1 day', n % 3, '192.0.2.' || n % 250, n % 2 = 0 FROM generate_series(1, 400) AS n;";

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn cutoff() -> Timestamp {
    "2025-09-01T00:00:00Z".parse().unwrap()
}

/// Of `VISITORS`: the first whose time lies before the cutoff is the 182nd before 1 March.
const EXPIRED: u64 = 400 - 181;

fn older() -> When {
    When::Older("6 months".parse().unwrap())
}

fn zone(name: &str) -> Zone {
    Zone { name: name.to_owned(), zone: TimeZone::get(name).unwrap() }
}

fn server_of(url: String) -> Server {
    Server { url, password: None, ca_file: None }
}

/// A database with its application's connection.
struct Shop {
    name: String,
    url: String,
    client: Client,
}

impl Shop {
    fn new(schema: &str) -> Shop {
        Shop::on(server(), schema)
    }

    fn on(server: &postgres_server::Server, schema: &str) -> Shop {
        let name = server.create_database();
        let mut client = server.client(&name);
        client.batch_execute(schema).unwrap();
        Shop { url: server.url("postgres", &name), name, client }
    }

    fn kind(&self) -> DatabaseKind {
        DatabaseKind::Postgres { server: server_of(self.url.clone()), after: After::Nothing }
    }

    fn open(&self) -> Box<dyn Store> {
        store::open_database(&self.kind())
    }

    fn rule(&self, when: When, action: Action) -> TableRule {
        TableRule {
            rule: serde_json::from_value("shop.example/shop/visitors".into()).unwrap(),
            store: self.kind(),
            target: Target {
                table: "visitors".to_owned(),
                key: "id".to_owned(),
                time: RowTime {
                    column: "seen".to_owned(),
                    format: TimeFormat::Datetime,
                    zone: None,
                    meaning: TimeMeaning::Recorded,
                },
                filter: Default::default(),
                accepts: Default::default(),
            },
            when,
            action,
            zone: zone("UTC"),
        }
    }

    fn erasure(&self) -> TableRule {
        self.rule(older(), Action::EraseRows { children: Vec::new() })
    }

    fn inspect(&self, rule: &TableRule) -> Vec<Finding> {
        self.open().inspect(&selection(rule)).unwrap().findings
    }

    /// The messages and hints of what is refused.
    fn refusals(&self, rule: &TableRule) -> Vec<String> {
        let refused = |finding: &Finding| finding.severity == Severity::Refusal;
        self.inspect(rule).iter().filter(|finding| refused(finding)).map(Finding::to_string).collect()
    }

    fn count(&mut self, what: &str) -> i64 {
        self.client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).unwrap().get(0)
    }
}

fn selection(rule: &TableRule) -> Selection<'_> {
    let cutoff = matches!(rule.when, When::Older(_)).then(cutoff);
    Selection { rule: rule.into(), now: now(), cutoff, holds: Vec::new() }
}

/// Walks to the end: records, and what is left.
fn erase(store: &mut dyn Store, selection: &Selection<'_>, limit: u32) -> (u64, Remainder) {
    let mut walk = store.walk(selection, MAX_LAG).unwrap();
    let mut rows = 0;
    while let Some(batch) = walk.prepare(limit).unwrap() {
        rows += batch.rows();
        batch.commit().unwrap();
    }
    (rows, walk.remainder().unwrap())
}
