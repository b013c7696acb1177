//! Every call of a purge that changes something lasting (write, sync, rename, unlink, truncate, make a directory) fails
//! in turn, once or from then on, or is the moment at which the process is killed. Whichever it is: nothing is gone that
//! the log did not announce durably before, nothing inside its retention is gone at all, the operator is told what and
//! what to do, and the next run ends what this one began.
//!
//! Which calls there are is found by having strace(1) record a run, not from the source: a call that is added later is
//! in the matrix by itself. On another machine the order of the calls may differ, but not that each has its turn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test tells what it covered, or that it was left out")]

#[path = "fault_matrix/audit_disk.rs"]
mod audit_disk;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/installation.rs"]
mod installation;
#[path = "fault_matrix/scene.rs"]
mod scene;
#[path = "fault_matrix/trace.rs"]
mod trace;

use rstest::rstest;
use scene::Scene;
use trace::{Call, Evil};

/// Cases of one scene in the usual form, spread evenly over all.
const SAMPLE: usize = 150;

/// What a purge finds when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Night {
    /// No state yet, and a database with a rollback journal: everything is created first.
    First,
    /// The state of an earlier night, and a database with a write-ahead log.
    Second,
}

/// Every call with every evil.
fn all_cases(calls: &[Call]) -> Vec<(&Call, Evil)> {
    calls.iter().flat_map(|call| Evil::ALL.map(|evil| (call, evil))).collect()
}

/// So many of them, spread evenly.
fn sample<T: Copy>(cases: &[T], count: usize) -> Vec<T> {
    (0..count.min(cases.len())).map(|at| cases[at * cases.len() / count.min(cases.len())]).collect()
}

fn suffer_all(night: Night, choose: impl Fn(&[(&Call, Evil)]) -> Vec<usize>) {
    let mut scene = Scene::new(night);
    let Some(calls) = trace::record(scene.purge()) else { return };
    assert!(calls.len() > 100, "{} calls were recorded", calls.len());
    let cases = all_cases(&calls);
    let chosen = choose(&cases);
    let mut missed = 0;
    for at in &chosen {
        let (call, evil) = cases[*at];
        scene.begin_again();
        let killed = scene.suffer(call, evil);
        missed += usize::from(evil == Evil::Killed && !killed);
    }
    println!("{night:?}: {} calls, {} of {} cases", calls.len(), chosen.len(), cases.len());
    assert!(missed * 50 <= chosen.len(), "{missed} calls were not made again");
}

/// What is done to the shop's own database, but for plain writes, of which there are many.
fn concerns_the_shop((call, _): &(&Call, Evil)) -> bool {
    call.target.contains("chat.db") && call.name != "pwrite64"
}

#[rstest]
fn whatever_call_of_a_purge_fails_or_is_its_last_nothing_goes_unannounced_and_the_next_run_ends_it(
    #[values(Night::First, Night::Second)] night: Night,
) {
    suffer_all(night, |cases| {
        let (few, many): (Vec<_>, Vec<_>) = (0..cases.len()).partition(|at| concerns_the_shop(&cases[*at]));
        [few, sample(&many, SAMPLE)].concat()
    });
}

#[rstest]
#[ignore = "takes minutes"]
fn every_call_of_a_purge_with_every_evil(#[values(Night::First, Night::Second)] night: Night) {
    suffer_all(night, |cases| (0..cases.len()).collect());
}

/// SQLite writes the frame that commits before it syncs it and makes it known to others. Whoever is connected goes on
/// without it; who reads the log anew after a crash of the machine takes it for committed.
#[rstest]
fn a_batch_that_was_found_to_be_rolled_back_stays_so_for_who_reads_the_write_ahead_log_anew(
    #[values(Evil::Killed, Evil::Broken)] evil: Evil,
) {
    let mut scene = Scene::new(Night::Second);
    let Some(calls) = trace::record(scene.purge()) else { return };
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is_sync_of("chat.db-wal")).collect();
    assert!(syncs.len() >= 2, "{syncs:?}");
    for sync in syncs {
        scene.begin_again();
        let application = scene.shop.database();
        application.query_row("SELECT count(*) FROM visitors", [], |_| Ok(())).unwrap();
        trace::suffer(&scene.purge(), sync, evil);
        // The next one finds out what became of the batch, and begins no new one.
        scene.shop.run(&["stop-purges"]);
        scene.shop.run(&["purge", "--yes"]);
        let evidence = evidence::Evidence::read(&scene.shop.state());
        assert!(evidence.open.is_empty(), "{evidence:?}");
        assert_eq!(scene.gone_for_who_reads_anew() + scene.before, evidence.rows, "{sync:?}");
        drop(application);
    }
}
