//! A purge follows the pace of a replica, on a real pair of servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::thread::sleep;
use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{After, DatabaseKind, RowTime, Server, TimeMeaning, Zone};
use forgetd::plan::{Action, TableRule, Target, When};
use forgetd::store::{self, Physical, Selection, Severity, StoreError};
use jiff::tz::TimeZone;
use postgres_server::{program, server, start};

const SECOND: Duration = Duration::from_secs(1);

fn rule(kind: DatabaseKind) -> TableRule {
    TableRule {
        rule: serde_json::from_value("shop.example/shop/visitors".into()).unwrap(),
        store: kind,
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
        when: When::Older("6 months".parse().unwrap()),
        action: Action::EraseRows { children: Vec::new() },
        zone: Zone { name: "UTC".to_owned(), zone: TimeZone::UTC },
    }
}

#[test]
fn a_purge_waits_for_a_replica_and_leaves_both_equal() {
    let primary = server();
    let name = primary.create_database();
    let mut client = primary.client(&name);
    let schema = "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz);
        INSERT INTO visitors SELECT n, '2020-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 3000) AS n;
        CREATE ROLE blind LOGIN; GRANT SELECT, DELETE ON visitors TO blind";
    client.batch_execute(schema).unwrap();
    let standby = primary.standby();
    let mut replica = standby.client(&name);
    let kind = |user| DatabaseKind::Postgres {
        server: Server { url: primary.url(user, &name), password: None, ca_file: None },
        after: After::Nothing,
    };
    let rule = rule(kind("postgres"));
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let cutoff = Some("2025-09-01T00:00:00Z".parse().unwrap());
    let selection = Selection { rule: (&rule).into(), now, cutoff, holds: Vec::new() };

    // Who may not see how far the replica is does not erase, and is told the grant.
    let mut blind = store::open_database(&kind("blind"));
    let findings = blind.inspect(&selection).unwrap().findings;
    let hint = |finding: &store::Finding| finding.hint.clone().unwrap_or_default();
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Refusal
                && hint(finding) == "GRANT pg_read_all_stats TO \"blind\";"),
        "{findings:?}"
    );
    let refused = blind.walk(&selection, SECOND).unwrap().prepare(10).err();
    assert!(matches!(refused, Some(StoreError::Lagging { lag_s: None, .. })), "{refused:?}");

    // What a replica has not told yet is not known either.
    while client.query_one("SELECT count(replay_lsn) FROM pg_stat_replication", &[]).unwrap().get::<_, i64>(0) == 0 {
        sleep(Duration::from_millis(50));
    }
    let mut store = store::open_database(&kind("postgres"));
    let mut walk = store.walk(&selection, SECOND).unwrap();
    replica.batch_execute("SELECT pg_wal_replay_pause()").unwrap();
    let mut batches = 0;
    let lagging = loop {
        match walk.prepare(10) {
            Ok(batch) => drop(batch.expect("it must not get to the end").commit().unwrap()),
            Err(error) => break error,
        }
        batches += 1;
        sleep(Duration::from_millis(100));
    };
    assert!(matches!(lagging, StoreError::Lagging { lag_s: Some(1..), .. }), "{lagging:?}");
    assert!(batches < 40, "{batches} batches of a tenth of a second for a lag of one second");
    assert!(matches!(walk.prepare(10).err(), Some(StoreError::Lagging { .. })));

    replica.batch_execute("SELECT pg_wal_replay_resume()").unwrap();
    let mut pauses = 0;
    loop {
        match walk.prepare(500) {
            Ok(Some(batch)) => drop(batch.commit().unwrap()),
            Ok(None) => break,
            Err(StoreError::Lagging { .. }) if pauses < 100 => {
                pauses += 1;
                sleep(Duration::from_millis(100));
            }
            Err(error) => panic!("{error}"),
        }
    }
    drop(walk);
    assert!(
        matches!(store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap(), Physical::Pending(what) if what.contains("1 replicas"))
    );
    let of = |client: &mut postgres::Client| -> Vec<String> {
        let rows = client.query("SELECT visitors::text FROM visitors ORDER BY id", &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let wanted = of(&mut client);
    assert_eq!(
        client.query_one("SELECT count(*) FROM visitors WHERE seen < '2025-09-01Z'", &[]).unwrap().get::<_, i64>(0),
        0
    );
    assert!((0..100).any(|_| {
        sleep(Duration::from_millis(100));
        of(&mut replica) == wanted
    }));
}

#[test]
fn a_replica_itself_is_no_place_to_erase() {
    let primary = start();
    let name = primary.create_database();
    let standby = primary.standby();
    let server = Server { url: standby.url("postgres", &name), password: None, ca_file: None };
    let refused = store::open_database(&DatabaseKind::Postgres { server, after: After::Nothing }).clock().unwrap_err();
    assert!(refused.to_string().contains("name the primary"), "{refused}");
}

/// A receiver of the write-ahead log; it ends with this value.
struct Receiver(std::process::Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn an_archive_that_receives_the_log_and_replays_nothing_is_not_waited_for() {
    let primary = start();
    let name = primary.create_database();
    let mut client = primary.client(&name);
    let schema = "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz);
        INSERT INTO visitors SELECT n, '2020-01-01' FROM generate_series(1, 100) AS n";
    client.batch_execute(schema).unwrap();
    let archive = tempfile::tempdir().unwrap();
    let mut receiver = std::process::Command::new(program("pg_receivewal"));
    receiver.args(["--no-loop", "--status-interval=1", "--username=postgres", "--directory"]).arg(archive.path());
    receiver.args(["--host".as_ref(), primary.directory.as_os_str()]).args(["--port", &primary.port.to_string()]);
    let _receiver = Receiver(receiver.spawn().unwrap());
    let known = "SELECT count(*) FROM pg_stat_replication WHERE write_lsn IS NOT NULL AND replay_lsn IS NULL";
    assert!((0..300).any(|_| {
        sleep(Duration::from_millis(50));
        client.query_one(known, &[]).unwrap().get::<_, i64>(0) == 1
    }));
    let server = Server { url: primary.url("postgres", &name), password: None, ca_file: None };
    let rule = rule(DatabaseKind::Postgres { server, after: After::Nothing });
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let cutoff = Some("2025-09-01T00:00:00Z".parse().unwrap());
    let selection = Selection { rule: (&rule).into(), now, cutoff, holds: Vec::new() };
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, SECOND).unwrap();
    assert_eq!(walk.prepare(500).unwrap().unwrap().rows(), 100);
}
