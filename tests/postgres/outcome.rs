//! How a batch ends when somebody else is in the way, or the connection goes.

use std::thread::sleep;
use std::time::Duration;

use forgetd::config::site::{After, DatabaseKind};
use forgetd::store::{self, Physical, Prepared, Remainder, Resolution, StoreError};

use super::postgres_server::{server, start};
use super::{EXPIRED, MAX_LAG, Shop, VISITORS, erase, selection, server_of};

#[test]
fn two_hosts_never_purge_one_table_at_once() {
    let shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let (mut first, mut second) = (shop.open(), shop.open());
    let mut first = first.walk(&selection, MAX_LAG).unwrap();
    let mut second = second.walk(&selection, MAX_LAG).unwrap();
    let batch = first.prepare(10).unwrap().unwrap();
    assert!(matches!(second.prepare(10).err(), Some(StoreError::Busy { .. })));
    batch.commit().unwrap();
    assert_eq!(second.prepare(10).unwrap().unwrap().rows(), 10);
}

#[test]
fn a_record_that_the_application_locks_is_waited_for_with_a_bound() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    shop.client.batch_execute("BEGIN; SELECT * FROM visitors WHERE id = 390 FOR UPDATE").unwrap();
    assert!(matches!(walk.prepare(400).err(), Some(StoreError::Busy { .. })));
    shop.client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(walk.prepare(400).unwrap().unwrap().rows(), EXPIRED);
}

/// Ends the sessions of forgetd in a database once one waits for what is named.
fn terminate(database: &str, waits_for: &str) {
    let mut client = server().client("postgres");
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = $1 AND application_name = 'forgetd' AND {waits_for}"
    );
    for _ in 0..500 {
        let ended: i64 = client.query_one(&sql, &[&database]).unwrap().get(0);
        if ended > 0 {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("nobody waits for {waits_for}");
}

#[test]
fn a_connection_lost_before_a_commit_is_lost_and_another_one_goes_on() {
    let shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    walk.prepare(10).unwrap().unwrap().commit().unwrap();
    terminate(&shop.name, "true");
    assert!(matches!(walk.prepare(10).err(), Some(StoreError::Lost { .. })));
    drop(walk);
    store.reconnect();
    assert_eq!(erase(&mut *store, &selection, 50), (EXPIRED - 10, Remainder::default()));
}

fn commit_and_terminate(database: &str, batch: Box<dyn Prepared + '_>, waits_for: &str) -> StoreError {
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| terminate(database, waits_for));
        let committed = batch.commit();
        ending.join().unwrap();
        committed.unwrap_err()
    })
}

#[test]
fn a_commit_that_lost_its_connection_before_it_took_effect_is_found_to_be_rolled_back() {
    let mut shop = Shop::new(VISITORS);
    let slow =
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER DELETE ON visitors DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()";
    shop.client.batch_execute(slow).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    for _ in 0..20 {
        let mut store = shop.open();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(10).unwrap().unwrap();
        let in_flight = batch.in_flight().to_vec();
        let error = commit_and_terminate(&shop.name, batch, "wait_event = 'PgSleep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    }
    assert_eq!(shop.count("visitors"), 400);
}

#[test]
fn a_commit_that_lost_its_connection_after_it_took_effect_is_found_to_be_committed() {
    let mut shop = Shop::new(VISITORS);
    // It is durable, and waits for a replica that will never answer.
    let waits = format!("ALTER DATABASE {} SET synchronous_commit = on", shop.name);
    shop.client.batch_execute(&waits).unwrap();
    shop.client.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", &[]).unwrap();
    shop.client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    for batches in 1..=20 {
        let mut store = shop.open();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(10).unwrap().unwrap();
        let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().map(str::to_owned));
        let error = commit_and_terminate(&shop.name, batch, "wait_event = 'SyncRep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert!(transaction.is_some());
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
        assert_eq!(shop.count("visitors"), 400 - 10 * batches);
    }
    shop.client.execute("ALTER SYSTEM RESET synchronous_standby_names", &[]).unwrap();
}

#[test]
fn where_the_server_has_forgotten_a_transaction_the_records_tell() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let transaction = batch.transaction().unwrap().to_owned();
    // A number that this server will not reach: the history is another one.
    let text = String::from_utf8(batch.in_flight().to_vec()).unwrap();
    let foreign = text.replace(&format!("\"{transaction}\""), "\"4000000000000\"").into_bytes();
    assert_ne!(foreign, text.as_bytes());
    drop(batch);
    assert_eq!(shop.open().resolve(&selection, &foreign).unwrap(), Resolution::RolledBack);
    walk.prepare(10).unwrap().unwrap().commit().unwrap();
    assert_eq!(shop.open().resolve(&selection, &foreign).unwrap(), Resolution::Committed);
    assert_eq!(shop.count("visitors"), 390);
}

/// A server that crashes forgets the numbers of transactions of which nothing was on disk yet, and gives them again.
#[test]
fn a_transaction_that_a_crash_undid_is_not_taken_for_another_one_of_its_number() {
    let server = start();
    let mut shop = Shop::on(&server, VISITORS);
    // Nothing is written to the log of the server but by a COMMIT.
    shop.client.batch_execute("ALTER SYSTEM SET wal_writer_delay = '10s'").unwrap();
    shop.client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    shop.client.batch_execute("CHECKPOINT").unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().unwrap().to_owned());
    server.crash(Duration::ZERO);
    while shop.client.simple_query("SELECT 1").is_ok() {}
    assert!(batch.commit().is_err());
    server.wait();
    let mut client = server.client(&shop.name);
    client.batch_execute("SET synchronous_commit = on").unwrap();
    let again = (0..50).any(|_| {
        client.query_one("SELECT pg_current_xact_id()::text", &[]).unwrap().get::<_, String>(0) == transaction
    });
    assert!(again, "the number was not given again");
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    drop(walk);
}

#[test]
fn dead_rows_are_told_until_a_vacuum_that_nobody_hinders() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let pending = |after| {
        let mut store = store::open_database(&DatabaseKind::Postgres {
            server: server_of(server().url("postgres", &shop.name)),
            after,
        });
        let _ = erase(&mut *store, &selection, 50);
        // Counts reach the statistics a moment after the transaction.
        sleep(Duration::from_millis(1_500));
        match store.settle().unwrap() {
            Physical::Pending(what) => what,
            Physical::Gone => panic!("the write-ahead log is not gone"),
        }
    };
    assert!(pending(After::Nothing).contains("219 dead rows until VACUUM"), "{}", pending(After::Nothing));
    assert!(!pending(After::Vacuum).contains("dead rows"));
    shop.client.execute("SELECT 1", &[]).unwrap();
}
