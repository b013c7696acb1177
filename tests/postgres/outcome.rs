//! How a batch ends when somebody else is in the way, or the connection goes.

use std::thread::sleep;
use std::time::Duration;

use forgetd::config::site::{After, DatabaseKind};
use forgetd::plan::Action;
use forgetd::store::{self, Physical, Prepared, Remainder, Resolution, StoreError};

use super::postgres_server::{Server, server, start};
use super::{EXPIRED, MAX_LAG, Shop, VISITORS, erase, older, selection, server_of};

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
fn terminate(server: &Server, database: &str, waits_for: &str) {
    let mut client = server.client("postgres");
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
    terminate(server(), &shop.name, "true");
    assert!(matches!(walk.prepare(10).err(), Some(StoreError::Lost { .. })));
    drop(walk);
    store.reconnect();
    assert_eq!(erase(&mut *store, &selection, 50), (EXPIRED - 10, Remainder::default()));
}

fn commit_and_terminate(server: &Server, database: &str, batch: Box<dyn Prepared + '_>, waits_for: &str) -> StoreError {
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| terminate(server, database, waits_for));
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
        let error = commit_and_terminate(server(), &shop.name, batch, "wait_event = 'PgSleep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    }
    assert_eq!(shop.count("visitors"), 400);
}

/// A server of its own whose commits are durable, and then wait for a replica that never answers. Asynchronous commits
/// are its default: what waits has asked for it.
fn server_whose_commits_wait() -> Server {
    let server = start();
    set_standby(&server, "nobody");
    server
}

fn set_standby(server: &Server, name: &str) {
    let mut client = server.client("postgres");
    client.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"), &[]).unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let shown = || client.query_one("SHOW synchronous_standby_names", &[]).unwrap().get::<_, String>(0);
    assert!(std::iter::repeat_with(shown).take(1_000).any(|now| now == name));
}

#[test]
fn a_commit_that_lost_its_connection_after_it_took_effect_is_found_to_be_committed() {
    let server = server_whose_commits_wait();
    let mut shop = Shop::on(&server, VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    for batches in 1..=20 {
        let mut store = shop.open();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(10).unwrap().unwrap();
        let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().map(str::to_owned));
        let error = commit_and_terminate(&server, &shop.name, batch, "wait_event = 'SyncRep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert!(transaction.is_some());
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
        assert_eq!(shop.count("visitors"), 400 - 10 * batches);
    }
}

#[test]
fn a_commit_that_still_waits_for_a_standby_is_not_decided_yet() {
    let server = server_whose_commits_wait();
    let mut shop = Shop::on(&server, VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    let kind = shop.kind();
    let meanwhile = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = server.client("postgres");
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            let count = || client.query_one(waiting, &[]).unwrap().get::<_, i64>(0);
            assert!(std::iter::repeat_with(count).take(10_000).any(|waiting| waiting == 1));
            let resolved = store::open_database(&kind).resolve(&selection, &in_flight);
            set_standby(&server, "");
            resolved
        });
        batch.commit().unwrap();
        asking.join().unwrap()
    });
    assert!(matches!(meanwhile, Err(StoreError::Busy { .. })), "{meanwhile:?}");
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
    assert_eq!(shop.count("visitors"), 390);
}

/// The batch as if its transaction had another number.
fn with_number(in_flight: &[u8], transaction: &str, another: &str) -> Vec<u8> {
    let text = String::from_utf8(in_flight.to_vec()).unwrap();
    let replaced = text.replace(&format!("\"{transaction}\""), &format!("\"{another}\""));
    assert_ne!(replaced, text);
    replaced.into_bytes()
}

/// A number that this server will not reach: the history is another one.
const FOREIGN: &str = "4000000000000";

#[test]
fn a_number_that_was_given_to_another_transaction_proves_nothing() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().unwrap().to_owned());
    drop(batch);
    let another: String = shop.client.query_one("SELECT pg_current_xact_id()::text", &[]).unwrap().get(0);
    let reused = with_number(&in_flight, &transaction, &another);
    assert_eq!(shop.open().resolve(&selection, &reused).unwrap(), Resolution::RolledBack);
}

#[test]
fn a_column_that_the_application_fills_again_in_a_few_records_was_erased_all_the_same() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().unwrap().to_owned());
    batch.commit().unwrap();
    shop.client
        .execute(
            "UPDATE visitors SET ip = '192.0.2.9' WHERE id IN (SELECT id FROM visitors WHERE ip IS NULL LIMIT 4)",
            &[],
        )
        .unwrap();
    let forgotten = with_number(&in_flight, &transaction, FOREIGN);
    for in_flight in [in_flight, forgotten] {
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
    }
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
    let foreign = with_number(batch.in_flight(), &transaction, FOREIGN);
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

fn pending(shop: &Shop, after: After) -> String {
    let rule = shop.erasure();
    let kind = DatabaseKind::Postgres { server: server_of(shop.url.clone()), after };
    let mut store = store::open_database(&kind);
    let _ = erase(&mut *store, &selection(&rule), 50);
    match store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap() {
        Physical::Pending(what) => what,
        Physical::Gone => panic!("the write-ahead log is not gone"),
    }
}

#[test]
fn dead_rows_are_told_at_once_until_a_vacuum_that_nobody_hinders() {
    let shop = Shop::new(VISITORS);
    let told = pending(&shop, After::Nothing);
    assert!(told.contains("219 dead rows until VACUUM"), "{told}");
    let told = pending(&shop, After::Vacuum);
    assert!(!told.contains("dead rows"), "{told}");
}

#[test]
fn who_keeps_dead_rows_from_vacuum_is_told_as_far_as_it_is_known() {
    let mut shop = Shop::new(VISITORS);
    let mut reader = server().client(&shop.name);
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM visitors").unwrap();
    sleep(Duration::from_millis(1_100));
    let told = pending(&shop, After::Vacuum);
    assert!(told.contains("219 dead rows until VACUUM (a transaction open for "), "{told}");
    reader.batch_execute("COMMIT").unwrap();
    let user = "CREATE ROLE narrow LOGIN; GRANT SELECT, DELETE ON visitors TO narrow;
        UPDATE visitors SET seen = '2020-01-01'";
    shop.client.batch_execute(user).unwrap();
    shop.url = server().url("narrow", &shop.name);
    let told = pending(&shop, After::Nothing);
    assert!(told.contains("transactions that this user may not see"), "{told}");
}
