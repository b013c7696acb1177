//! The server ends the connection while a COMMIT is under way, before it takes effect or after.

use std::time::{Duration, Instant};

use forgetd::audit::RunOutcome;

use super::database::{Connection, Database, OnMariaDb, OnPostgres};
use super::installation::Ran;
use super::scene::Scene;
use super::{Action, mariadb, postgres_server, start_logging_mariadb};

/// Each is killed before it takes effect in one test and after in another.
const COMMITS: usize = 10;

/// Longer than any purge needs to get to its first COMMIT.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps a COMMIT waiting.
struct Obstacle<'a> {
    /// Statements of one session; the first are for once.
    prepare: &'a [&'a str],
    place: &'a [&'a str],
    remove: &'a [&'a str],
    /// Ends the sessions whose COMMIT waits: SQL that gives their numbers, and what is done to each.
    waiting: String,
    end: fn(&mut dyn Connection, i64),
}

impl Obstacle<'_> {
    /// The session whose COMMIT waits, as another one sees it.
    fn waiting(&self, administrator: &mut dyn Connection) -> i64 {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(session) = administrator.rows(&self.waiting).first() {
                return session[0];
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no COMMIT waits");
    }

    /// Waits until the session is gone: before, its COMMIT could still slip through. On MySQL it has lost its client, and
    /// waits on.
    fn is_left(&self, administrator: &mut dyn Connection, session: i64) {
        if mariadb::is_mysql() && self.waiting.contains("semi-sync") {
            return;
        }
        let started = Instant::now();
        while administrator.rows(&self.waiting).iter().any(|waiting| waiting[0] == session) {
            assert!(started.elapsed() < PATIENCE, "the session stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A purge whose first COMMIT is cut off: it finds out what became of the batch, and goes on.
fn purge_and_cut(scene: &Scene, [hindrance, administrator]: [&mut dyn Connection; 2], obstacle: &Obstacle<'_>) {
    for statement in obstacle.place {
        hindrance.execute(statement);
    }
    let purge = scene.begin();
    let waiting = obstacle.waiting(administrator);
    assert_eq!(scene.evidence().open.len(), 1, "the batch is announced before its COMMIT");
    (obstacle.end)(administrator, waiting);
    obstacle.is_left(administrator, waiting);
    for statement in obstacle.remove {
        hindrance.execute(statement);
    }
    let ran = Ran::of(purge.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let run = scene.last_run();
    assert_eq!((run.outcome, run.reason), (RunOutcome::Done, None));
    assert!(run.batches > 1, "{}", run.batches);
    assert!(scene.evidence().open.is_empty(), "resolved by the same process");
    scene.nothing_is_gone_without_evidence();
}

fn cut_many(database: &dyn Database, obstacle: &Obstacle<'_>, expected: (usize, usize)) {
    let scene = Scene::new(database, Action::EraseRows, 1);
    scene.declare("accepts = [\"trigger:slow\"]");
    let (mut hindrance, mut administrator) = (database.connect(), database.connect());
    for statement in obstacle.prepare {
        hindrance.execute(statement);
    }
    for _ in 0..COMMITS {
        scene.fill_up();
        purge_and_cut(&scene, [&mut *hindrance, &mut *administrator], obstacle);
    }
    assert_eq!(scene.resolved(), expected);
    scene.finish();
    scene.everything_adds_up();
}

fn terminate(connection: &mut dyn Connection, pid: i64) {
    connection.execute(&format!("SELECT pg_terminate_backend({pid})"));
}

fn kill(connection: &mut dyn Connection, id: i64) {
    connection.execute(&format!("KILL CONNECTION {id}"));
}

/// A deferred trigger of the application takes its time.
#[test]
fn on_postgresql_a_commit_cut_off_before_its_effect_is_found_to_be_rolled_back() {
    let database = OnPostgres::new(postgres_server::server());
    let waiting = waiting_on_postgres(&database, "wait_event = 'PgSleep'");
    let obstacle = Obstacle {
        prepare: &[
            "CREATE TABLE hindrance (seconds integer)",
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN PERFORM pg_sleep(seconds) FROM public.hindrance; RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER slow AFTER DELETE ON visitors DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION slow()",
        ],
        place: &["INSERT INTO hindrance VALUES (60)"],
        remove: &["DELETE FROM hindrance"],
        waiting,
        end: terminate,
    };
    cut_many(&database, &obstacle, (0, COMMITS));
}

/// COMMIT is durable, and waits for a replica that never answers.
#[test]
fn on_postgresql_a_commit_cut_off_after_its_effect_is_found_to_be_committed() {
    // Whoever commits there waits.
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    let waiting = waiting_on_postgres(&database, "wait_event = 'SyncRep'");
    let obstacle = Obstacle {
        prepare: &[],
        place: &["ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"],
        remove: &["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"],
        waiting,
        end: terminate,
    };
    cut_many(&database, &obstacle, (COMMITS, 0));
}

fn waiting_on_postgres(database: &OnPostgres<'_>, condition: &str) -> String {
    format!(
        "SELECT pid::bigint FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'forgetd' \
         AND query = 'COMMIT' AND {condition}",
        database.name
    )
}

/// First a backup keeps everybody from committing for a moment. Then COMMIT is durable, and waits for a replica that
/// never answers. Both are of the whole server. MySQL has no such backup: what keeps others from committing there keeps
/// them from deleting before.
#[test]
fn on_mariadb_a_commit_cut_off_before_or_after_its_effect_is_found_to_be_what_it_is() {
    let server = start_logging_mariadb();
    if !mariadb::is_mysql() {
        cut_before_the_effect(&OnMariaDb::new(&server));
    }
    let database = OnMariaDb::new(&server);
    let (place, remove, state): (&[&str], &[&str], _) = match mariadb::is_mysql() {
        true => (
            &["SET GLOBAL rpl_semi_sync_source_timeout = 600000", "SET GLOBAL rpl_semi_sync_source_enabled = ON"],
            &["SET GLOBAL rpl_semi_sync_source_enabled = OFF"],
            "Waiting for semi-sync ACK from replica",
        ),
        false => (
            &["SET GLOBAL rpl_semi_sync_master_timeout = 600000", "SET GLOBAL rpl_semi_sync_master_enabled = ON"],
            &["SET GLOBAL rpl_semi_sync_master_enabled = OFF"],
            "Waiting for semi-sync ACK from slave",
        ),
    };
    let waiting = waiting_on_mariadb(&database, state);
    cut_many(&database, &Obstacle { prepare: &[], place, remove, waiting, end: kill }, (COMMITS, 0));
}

fn cut_before_the_effect(database: &OnMariaDb) {
    let obstacle = Obstacle {
        prepare: &[],
        place: &["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"],
        remove: &["BACKUP STAGE END"],
        waiting: waiting_on_mariadb(database, "Waiting for backup lock"),
        end: kill,
    };
    cut_many(database, &obstacle, (0, COMMITS));
}

fn waiting_on_mariadb(database: &OnMariaDb, state: &str) -> String {
    format!(
        "SELECT CAST(ID AS SIGNED) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO = 'COMMIT' AND STATE = '{state}'",
        database.database.name
    )
}
