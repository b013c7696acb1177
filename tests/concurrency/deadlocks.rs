//! Deadlocks with the application: its transaction has what the purge wants next, and wants what the purge has. It is
//! arranged that the server ends the purge's batch, which then has to be tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rstest::rstest;

use crate::application::{Application, Kind};
use crate::database::{Connection, Database};
use crate::evidence::Evidence;
use crate::{end_of, installation, mariadb, purge};

const BACKLOG: i64 = 8_000;

/// Rows from where the purge is to those that the application goes for: it gets there while the application waits.
const AHEAD: usize = 900;

/// Rows between the one that the application wants and the one that it has.
const APART: usize = 10;

/// A night in which they miss each other is repeated.
const MOST_NIGHTS: u64 = 20;

/// How long it has the one before it wants the other.
const PAUSE: Duration = Duration::from_millis(250);

/// PostgreSQL ends who looks first, MariaDB who has changed less.
fn prepare(kind: Kind, connection: &mut dyn Connection) {
    match kind {
        Kind::Postgres => _ = connection.execute("SET deadlock_timeout = '20s'"),
        _ => _ = connection.execute("CREATE TABLE IF NOT EXISTS ballast (id bigint PRIMARY KEY)"),
    }
}

fn grow(kind: Kind, connection: &mut dyn Connection) {
    if matches!(kind, Kind::MariaDb) {
        connection.execute(&mariadb::in_its_words("INSERT INTO ballast SELECT seq FROM seq_1_to_3000"));
    }
}

/// Deadlocks that the server has seen.
fn deadlocks(kind: Kind, connection: &mut dyn Connection) -> i64 {
    let sql = match kind {
        Kind::Postgres => "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        _ if mariadb::is_mysql() => {
            "SELECT CAST(COUNT AS SIGNED) FROM information_schema.INNODB_METRICS WHERE NAME = 'lock_deadlocks'"
        }
        _ => {
            "SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS \
             WHERE VARIABLE_NAME = 'INNODB_DEADLOCKS'"
        }
    };
    connection.row(sql)[0]
}

/// Stands in the purge's way until told to stop, whichever way that goes: how many deadlocks there were.
fn quarrel(kind: Kind, database: &dyn Database, stop: &AtomicBool) -> i64 {
    let (mut connection, mut observer) = (database.connect(), database.connect());
    prepare(kind, &mut *connection);
    let before = deadlocks(kind, &mut *observer);
    let mut upwards = false;
    while !stop.load(Ordering::Relaxed) {
        let mut left: Vec<i64> =
            observer.rows("SELECT id FROM visitors ORDER BY id").into_iter().map(|row| row[0]).collect();
        upwards = !upwards;
        if !upwards {
            left.reverse();
        }
        let ahead = AHEAD.min(left.len() / 2);
        let [Some(wants), Some(has)] = [left.get(ahead), left.get(ahead + APART)] else { break };
        connection.execute("BEGIN");
        grow(kind, &mut *connection);
        connection.execute(&format!("UPDATE visitors SET seen = seen + 1 WHERE id = {has}"));
        std::thread::sleep(PAUSE);
        connection.execute(&format!("UPDATE visitors SET seen = seen + 1 WHERE id = {wants}"));
        connection.execute("ROLLBACK");
    }
    // What a session counted is known to others a little later.
    std::thread::sleep(Duration::from_secs(1));
    deadlocks(kind, &mut *observer) - before
}

#[rstest]
fn a_batch_that_the_server_ends_for_a_deadlock_is_tried_again(#[values(Kind::Postgres, Kind::MariaDb)] kind: Kind) {
    let database = kind.database();
    let shop = installation(&*database, "1.0");
    let mut application = Application::new(&*database);
    let (mut nights, mut seen) = (0, 0);
    while seen == 0 {
        nights += 1;
        assert!(nights < MOST_NIGHTS, "no deadlock came about");
        application.fill_up(BACKLOG);
        let stop = AtomicBool::new(false);
        seen = std::thread::scope(|scope| {
            // Whatever goes wrong in a statement of the application, as when it is the victim, ends the test.
            let quarrel = scope.spawn(|| quarrel(kind, &*database, &stop));
            let ended = end_of(purge(&shop));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(ended, (0, "done".to_owned(), BACKLOG.unsigned_abs()));
            quarrel.join().unwrap()
        });
    }
    println!("{kind:?}: {seen} deadlocks in {nights} nights, each at the purge's cost");
    application.finds_only_the_young();
    let all = BACKLOG.unsigned_abs() * nights;
    assert_eq!(Evidence::read(&shop.state()), Evidence { rows: all, children: all, ..Evidence::default() });
}
