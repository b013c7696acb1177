//! Everything an operator may call while the daemon is at work on the same state directory.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::daemon::{AGE_RULE, Daemon, FAST, Installation, QUIET, Rules, SETTING_RULE, Site};

const VISITORS: u64 = 60_000;

/// So that the run lasts.
const SLOW: Rules = Rules { duty: "0.05", ..FAST };

const WITHOUT_ADDRESSES: Site = Site { store_ip: false, ..QUIET };

/// A command, and with which codes it may end: while a run is under way its entries are not signed yet, and a rule that
/// is at work, or waits, wants attention.
const COMMANDS: [(&[&str], &[i32]); 9] = [
    (&["plan"], &[0, 3]),
    (&["status"], &[0, 3]),
    (&["check", "--stores"], &[0]),
    (&["purge", SETTING_RULE, "--yes"], &[0, 3]),
    (&["audit", "list"], &[0]),
    (&["audit", "verify"], &[0, 3]),
    (&["audit", "report", "--from", "2026-01-01", "--to", "2099-01-01", "--out", "REPORT"], &[0, 3]),
    (&["register", "show"], &[0]),
    (&["hold", "list"], &[0]),
];

fn call(shop: &Installation, (arguments, codes): (&[&str], &[i32])) {
    // A report replaces no file.
    let report = tempfile::tempdir().unwrap();
    let report = report.path().join("report.html").display().to_string();
    let arguments: Vec<&str> = arguments.iter().map(|word| if *word == "REPORT" { &*report } else { word }).collect();
    let output = shop.command(&arguments);
    assert!(codes.contains(&output.status.code().unwrap()), "{arguments:?}: {output:?}");
}

/// The rule of age is approved anew with a token of the moment.
fn approve(shop: &Installation) {
    let plan = shop.json(&["plan", AGE_RULE]);
    let rule = plan["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == AGE_RULE).unwrap();
    let output = shop.command(&["approve", AGE_RULE, "--plan", rule["plan"].as_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn commands_beside_a_daemon_at_work_neither_disturb_it_nor_count_what_it_erases() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, VISITORS.try_into().unwrap());
    let daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    let (stop, calls) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let (shop, stop, calls) = (&shop, &stop, &calls);
        // Two at a time are many for a small machine.
        for half in [&COMMANDS[..5], &COMMANDS[5..]] {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for command in half {
                        call(shop, *command);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for number in 0..3 {
            let rule = format!("other.example/{number}");
            let hold = ["hold", "add", &rule, "--until", "2099-01-01", "--reason-code", "audit-2026"];
            assert!(shop.command(&hold).status.success());
            approve(shop);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(shop.addresses() > 0, "the run was over before the commands were");
    // A run keeps the pace that it began with.
    assert!(shop.command(&["stop-purges"]).status.success());
    assert_eq!(shop.wait_for("run.finished", 1)["outcome"], "stopped");
    shop.set_rules(FAST);
    shop.wait_for("config.applied", 2);
    assert!(shop.command(&["stop-purges", "--lift"]).status.success());
    assert_eq!(shop.wait_for("run.finished", 2)["outcome"], "done");
    daemon.stop();
    assert_eq!(shop.erased(), VISITORS);
    for kind in ["hold.added", "rule.approved"] {
        assert_eq!(shop.entries_of(kind).len(), 3, "{kind}");
    }
    one_run_at_a_time(&shop);
    shop.assert_log_verifies();
    println!("{} commands beside the daemon", calls.load(Ordering::Relaxed));
}

/// The runs of the rule follow each other, whoever made them.
fn one_run_at_a_time(shop: &Installation) {
    let mut open = None;
    for entry in shop.entries() {
        match entry["kind"].as_str().unwrap() {
            "run.started" => assert_eq!(open.replace(entry["run"].clone()), None, "two runs at once"),
            "run.finished" => assert_eq!(open.take(), Some(entry["run"].clone())),
            _ => {}
        }
    }
    assert_eq!(open, None);
}

/// The lock is on the directory, whatever it is called.
#[test]
fn a_second_daemon_that_reaches_the_state_by_another_path_is_refused() {
    let shop = Installation::new(FAST, QUIET, 10);
    let first = Daemon::start(&shop);
    let (copy, link) = (shop.path().join("copy"), shop.path().join("link"));
    let copied = std::process::Command::new("cp").arg("-R").arg(shop.config().join(".")).arg(&copy).status().unwrap();
    assert!(copied.success());
    symlink(shop.state(), &link).unwrap();
    std::fs::write(copy.join("forgetd.toml"), shop.daemon_file(FAST, "link")).unwrap();
    let mut second = Daemon::spawn(&shop, &copy, &[]);
    assert_eq!(second.ended().code(), Some(1));
    assert!(second.said(&format!("another forgetd is running on {}", link.display())), "{}", second.log());
    first.stop();
}
