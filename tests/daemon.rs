//! The daemon as systemd would run it: the built binary on a shop's installation. What it did is read from its audit
//! log and from the shop's database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use daemon::{AGE_RULE, Daemon, FAST, Installation, QUIET, Rules, SETTING_RULE, SLOW, Site, eventually};

/// The poll would find a change after a minute; what is noticed this soon was told by the watch.
const LONG_BEFORE_THE_POLL: SignedDuration = SignedDuration::from_secs(20);

/// Approvals as they are required by default, in one run.
const WITH_APPROVAL: Rules = Rules { approval: "required", duty: "1.0" };

/// Addresses are no longer stored.
const WITHOUT_ADDRESSES: Site = Site { store_ip: false, ..QUIET };

fn visit(period: &'static str) -> Site {
    Site { visit: period, ..QUIET }
}

fn time(entry: &Value) -> Timestamp {
    entry["time"].as_str().unwrap().parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "compared with the times in the evidence of another process")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Makes a change of the configuration and waits until it is in force.
fn is_applied(installation: &Installation, change: impl FnOnce()) {
    let before = installation.entries_of("config.applied").len();
    let changed_at = now();
    change();
    let applied = installation.wait_for("config.applied", before + 1);
    let waited = time(&applied).duration_since(changed_at);
    assert!(waited < LONG_BEFORE_THE_POLL, "{waited:#}");
}

#[test]
fn a_file_edited_in_place_is_in_force_at_once() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    is_applied(&shop, || shop.set_site(visit("7 months")));
    is_applied(&shop, || shop.set_site(visit("8 months")));
    daemon.stop();
}

#[test]
fn a_file_replaced_by_renaming_another_over_it_is_in_force_at_once() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    for period in ["7 months", "8 months"] {
        is_applied(&shop, || {
            shop.put("sites/.shop.example.toml.new", &shop.site_file(visit(period)));
            let sites = shop.config().join("sites");
            fs::rename(sites.join(".shop.example.toml.new"), sites.join("shop.example.toml")).unwrap();
        });
    }
    daemon.stop();
}

/// A copy of the configuration directory with another period, under another name.
fn copy_of_config(shop: &Installation, name: &str, period: &'static str) -> std::path::PathBuf {
    let copy = shop.path().join(name);
    let status = std::process::Command::new("cp").arg("-R").arg(shop.config().join(".")).arg(&copy).status().unwrap();
    assert!(status.success());
    fs::write(copy.join("sites/shop.example.toml"), shop.site_file(visit(period))).unwrap();
    copy
}

#[test]
fn a_replaced_directory_is_in_force_at_once_and_watched_from_then_on() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    let new = copy_of_config(&shop, "new", "7 months");
    is_applied(&shop, || {
        fs::rename(shop.config(), shop.path().join("config.old")).unwrap();
        fs::rename(new, shop.config()).unwrap();
    });
    is_applied(&shop, || shop.set_site(visit("8 months")));
    daemon.stop();
}

#[test]
fn a_directory_that_comes_back_is_in_force_at_once_and_watched_from_then_on() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    let new = copy_of_config(&shop, "new", "7 months");
    fs::rename(shop.config(), shop.path().join("config.old")).unwrap();
    assert_eq!(shop.wait_for("config.rejected", 1)["suspended"], serde_json::json!(["shop.example"]));
    is_applied(&shop, || fs::rename(new, shop.config()).unwrap());
    is_applied(&shop, || shop.set_site(visit("8 months")));
    daemon.stop();
}

#[test]
fn a_link_to_the_directory_that_is_pointed_elsewhere_is_followed_at_once() {
    let shop = Installation::new(FAST, QUIET, 10);
    let link = shop.path().join("link");
    symlink(shop.config(), &link).unwrap();
    let daemon = Daemon::spawn(&shop, &link, &[]);
    eventually("ready", || daemon.said(" ready").then_some(()));
    let second = copy_of_config(&shop, "second", "7 months");
    is_applied(&shop, || {
        symlink(&second, shop.path().join("link.new")).unwrap();
        fs::rename(shop.path().join("link.new"), &link).unwrap();
    });
    is_applied(&shop, || {
        fs::write(second.join("sites/shop.example.toml"), shop.site_file(visit("8 months"))).unwrap();
    });
    daemon.stop();
}

#[test]
fn a_swap_of_the_directory_behind_all_files_is_in_force_at_once() {
    // As Kubernetes mounts a ConfigMap: every name is a link through `..data`, which alone is exchanged.
    let shop = Installation::new(FAST, QUIET, 10);
    let mount = shop.path().join("mount");
    fs::create_dir(&mount).unwrap();
    fs::rename(copy_of_config(&shop, "v1", "6 months"), mount.join("..v1")).unwrap();
    symlink("..v1", mount.join("..data")).unwrap();
    for name in ["forgetd.toml", "categories.toml", "processors", "sites"] {
        symlink(std::path::Path::new("..data").join(name), mount.join(name)).unwrap();
    }
    let daemon = Daemon::spawn(&shop, &mount, &[]);
    eventually("ready", || daemon.said(" ready").then_some(()));
    for (version, period) in [("..v2", "7 months"), ("..v3", "8 months")] {
        let new = copy_of_config(&shop, "next", period);
        is_applied(&shop, || {
            fs::rename(new, mount.join(version)).unwrap();
            symlink(version, mount.join("..data_tmp")).unwrap();
            fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        });
    }
    daemon.stop();
}

#[test]
fn a_change_that_no_watch_can_see_is_found_by_the_poll_and_watched_from_then_on() {
    // The link lies further up than the directory's parent.
    let shop = Installation::new(FAST, QUIET, 10);
    let (release, link) = (|name: &str| shop.path().join(name), shop.path().join("current"));
    for (name, period) in [("release-1", "6 months"), ("release-2", "7 months")] {
        fs::create_dir(release(name)).unwrap();
        copy_of_config(&shop, &format!("{name}/config"), period);
    }
    symlink("release-1", &link).unwrap();
    let daemon = Daemon::spawn(&shop, &link.join("config"), &[]);
    eventually("ready", || daemon.said(" ready").then_some(()));
    let ready = std::time::Instant::now();
    symlink("release-2", release("current.new")).unwrap();
    fs::rename(release("current.new"), &link).unwrap();
    // It comes after a minute, which is longer than anything else takes.
    eventually("most of a minute", || (ready.elapsed().as_secs() >= 35).then_some(()));
    assert_eq!(shop.entries_of("config.applied").len(), 1, "the watch saw it, and the test shows nothing");
    shop.wait_for("config.applied", 2);
    is_applied(&shop, || {
        fs::write(release("release-2/config/sites/shop.example.toml"), shop.site_file(visit("8 months"))).unwrap();
    });
    daemon.stop();
}

#[test]
fn a_hangup_reloads_what_no_watch_can_see() {
    let shop = Installation::new(FAST, QUIET, 10);
    let elsewhere = shop.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let (file, target) = (shop.config().join("sites/shop.example.toml"), elsewhere.join("shop.toml"));
    fs::rename(&file, &target).unwrap();
    symlink(&target, &file).unwrap();
    let daemon = Daemon::start(&shop);
    fs::write(&target, shop.site_file(visit("7 months"))).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(shop.entries_of("config.applied").len(), 1, "the watch saw it, and the test shows nothing");
    is_applied(&shop, || daemon.signal(Signal::HUP));
    daemon.stop();
}

#[test]
fn a_setting_that_is_switched_off_waits_for_its_approval_and_then_runs_at_once() {
    let shop = Installation::new(WITH_APPROVAL, QUIET, 300);
    let daemon = Daemon::start(&shop);
    is_applied(&shop, || shop.set_site(WITHOUT_ADDRESSES));
    let held = shop.wait_for("rule.held", 1);
    assert_eq!((&held["rule"], &held["matches"]), (&SETTING_RULE.into(), &300.into()));
    assert_eq!(shop.addresses(), 300);

    let plan = shop.json(&["plan", SETTING_RULE]);
    let token = plan["rules"][0]["plan"].as_str().unwrap();
    let approved = shop.command(&["approve", SETTING_RULE, "--plan", token]);
    assert!(approved.status.success());
    let finished = shop.wait_for("run.finished", 1);
    assert_eq!((&finished["outcome"], &finished["erased"]), (&"done".into(), &300.into()));
    assert_eq!(shop.addresses(), 0);
    let waited = time(&finished).duration_since(time(&shop.wait_for("rule.approved", 1)));
    assert!(waited < LONG_BEFORE_THE_POLL, "{waited:#}");
    daemon.stop();
    assert_eq!(shop.entries_of("run.started").len(), 1);
    shop.assert_log_verifies();
}

#[test]
fn a_termination_ends_a_run_after_its_batch_and_the_next_start_takes_it_up() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, 40_000);
    let daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    daemon.stop();
    let interrupted = shop.wait_for("run.finished", 1);
    assert_eq!(interrupted["outcome"], "interrupted");
    assert_eq!(shop.entries().last().unwrap()["kind"], "daemon.stopped");
    let left = shop.addresses();
    assert!(left > 0, "the run was over before it was ended");
    assert_eq!(shop.erased(), 40_000 - left);

    shop.set_rules(FAST);
    let daemon = Daemon::start(&shop);
    assert_eq!(shop.wait_for("run.finished", 2)["outcome"], "done");
    assert_eq!((shop.addresses(), shop.erased()), (0, 40_000));
    daemon.stop();
    shop.assert_log_verifies();
}

#[test]
fn an_invalid_change_is_told_recorded_once_and_ends_the_run_that_it_concerns_until_it_is_repaired() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, 40_000);
    let daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    // The seventh line: the period, at its ninth column.
    shop.put("sites/shop.example.toml", &shop.site_file(Site { visit: "for ever", ..WITHOUT_ADDRESSES }));
    let rejected = shop.wait_for("config.rejected", 1);
    assert_eq!(rejected["problems"], 1);
    assert_eq!(rejected["suspended"], serde_json::json!(["shop.example"]));
    let place = format!("{}:7:9: ", shop.config().join("sites/shop.example.toml").display());
    assert!(daemon.said(&place), "{place} is not in {}", daemon.log());

    assert_eq!(shop.wait_for("run.finished", 1)["outcome"], "interrupted");
    let held = shop.wait_for("rule.held", 1);
    assert!(held["reason"].as_str().unwrap().contains("in doubt"), "{held}");
    let left = shop.addresses();
    assert!(left > 0, "the run was over before it was ended");
    daemon.signal(Signal::HUP);
    eventually("the problem, told again to who asked", || (daemon.log().matches(&place).count() == 2).then_some(()));
    assert_eq!(shop.entries_of("config.rejected").len(), 1);
    assert_eq!(shop.addresses(), left);

    shop.set_rules(FAST);
    shop.set_site(WITHOUT_ADDRESSES);
    assert_eq!(shop.wait_for("run.finished", 2)["outcome"], "done");
    assert_eq!((shop.addresses(), shop.erased()), (0, 40_000));
    daemon.stop();
    shop.assert_log_verifies();
}

#[test]
fn a_configuration_that_was_never_valid_ends_with_78() {
    let shop = Installation::new(FAST, visit("for ever"), 10);
    let mut daemon = Daemon::spawn(&shop, &shop.config(), &[]);
    assert_eq!(daemon.ended().code(), Some(78), "{}", daemon.log());
    assert!(!shop.state().exists());
}

#[test]
fn another_state_directory_is_refused_while_the_daemon_runs() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    shop.put("forgetd.toml", &shop.daemon_file(FAST, "other-state"));
    assert_eq!(shop.wait_for("config.rejected", 1)["suspended"], serde_json::json!(["shop.example"]));
    assert!(daemon.said("state-dir"), "{}", daemon.log());
    assert!(!shop.path().join("other-state").exists());
    shop.set_rules(FAST);
    eventually("valid again", || daemon.said("valid again").then_some(()));
    is_applied(&shop, || shop.set_site(visit("7 months")));
    daemon.stop();
}

#[test]
fn a_daemon_that_cannot_write_evidence_ends_and_erases_nothing_further() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, 40_000);
    let mut daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    let (audit, moved) = (shop.state().join("audit"), shop.state().join("moved"));
    fs::rename(&audit, &moved).unwrap();
    assert_eq!(daemon.ended().code(), Some(1), "{}", daemon.log());
    assert!(daemon.said("forgetd") && daemon.said("audit"), "{}", daemon.log());
    let left = shop.addresses();
    assert!(left > 0, "the run was over before the evidence was gone");

    // Once the log is back, the next start finds out exactly what had happened.
    fs::rename(&moved, &audit).unwrap();
    shop.set_site(QUIET);
    let daemon = Daemon::start(&shop);
    assert_eq!(shop.wait_for("run.finished", 1)["outcome"], "interrupted");
    assert_eq!(shop.erased(), 40_000 - left);
    daemon.stop();
    shop.assert_log_verifies();
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let shop = Installation::new(FAST, QUIET, 10);
    let first = Daemon::start(&shop);
    let mut second = Daemon::spawn(&shop, &shop.config(), &[]);
    assert_eq!(second.ended().code(), Some(1));
    let expected = format!("another forgetd is running on {}", shop.state().display());
    assert!(second.said(&expected), "{}", second.log());
    first.stop();
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_exact_counts_to_the_next_start() {
    let shop = Installation::new(Rules { duty: "0.3", ..FAST }, WITHOUT_ADDRESSES, 60_000);
    for delay in [0, 7, 23, 61] {
        let mut daemon = Daemon::spawn(&shop, &shop.config(), &[]);
        let before = shop.entries_of("batch.prepared").len();
        eventually("a batch", || (shop.entries_of("batch.prepared").len() > before).then_some(()));
        std::thread::sleep(Duration::from_millis(delay));
        daemon.signal(Signal::KILL);
        daemon.ended();
    }
    assert!(shop.addresses() > 0, "the run was over before it was killed");
    shop.set_rules(FAST);
    let daemon = Daemon::start(&shop);
    eventually("a run to its end", || {
        shop.entries_of("run.finished").iter().find(|run| run["outcome"] == "done").cloned()
    });
    daemon.stop();
    assert_eq!((shop.addresses(), shop.erased()), (0, 60_000));
    assert_eq!(shop.entries_of("run.finished").len(), shop.entries_of("run.started").len());
    shop.assert_log_verifies();
}

#[test]
fn commands_beside_the_daemon_share_its_log_and_stopped_purges_go_on_when_they_may() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, 40_000);
    let daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    std::thread::scope(|scope| {
        for rule in ["other.example/a", "other.example/b", "other.example/c"] {
            let shop = &shop;
            scope.spawn(move || {
                let hold = ["hold", "add", rule, "--until", "2099-01-01", "--reason-code", "audit-2026"];
                assert!(shop.command(&hold).status.success());
            });
        }
    });
    assert!(shop.command(&["stop-purges"]).status.success());
    assert_eq!(shop.wait_for("run.finished", 1)["outcome"], "stopped");
    let left = shop.addresses();
    assert!(left > 0, "the run was over before it was stopped");
    shop.set_rules(FAST);
    shop.wait_for("config.applied", 2);
    assert_eq!(shop.addresses(), left);

    assert!(shop.command(&["stop-purges", "--lift"]).status.success());
    let done = shop.wait_for("run.finished", 2);
    assert_eq!(done["outcome"], "done");
    assert_eq!((shop.addresses(), shop.erased()), (0, 40_000));
    assert_eq!(shop.entries_of("hold.added").len(), 3);
    daemon.stop();
    shop.assert_log_verifies();
}

/// The value of a field in a line of the daemon's log.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split(' ').next().unwrap()
}

#[test]
fn each_checkpoint_is_told_in_one_line_from_which_a_second_place_has_the_whole_note() {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    let told = |size: usize| {
        let is_it = |line: &&str| line.contains(" checkpoint ") && field(line, "size") == size.to_string();
        eventually("the checkpoint in the log", || daemon.log().lines().find(is_it).map(str::to_owned))
    };
    let checkpoint = || fs::read_to_string(shop.state().join("audit/checkpoint")).unwrap();
    let mut notes = Vec::new();
    // Its own, and one that a command has signed.
    for command in [None, Some(["audit", "review", "--through", "0", "--note", "seen"])] {
        if let Some(command) = command {
            assert!(shop.command(&command).status.success());
        }
        let line = told(shop.entries().len());
        let [origin, size, root, signature] = ["origin", "size", "root", "signature"].map(|name| field(&line, name));
        notes.push(format!("{origin}\n{size}\n{root}\n\n\u{2014} {origin} {signature}\n"));
        assert_eq!(notes.last(), Some(&checkpoint()));
    }
    daemon.stop();
    let kept = shop.path().join("kept");
    for note in notes {
        fs::write(&kept, note).unwrap();
        assert_eq!(shop.json(&["audit", "verify", "--anchor", kept.to_str().unwrap()])["verdict"], "anchored");
    }
}

#[test]
fn a_rule_runs_when_its_schedule_says_and_not_before() {
    let shop = Installation::new(FAST, Site { schedule: "* * * * *", ..QUIET }, 1_000);
    let daemon = Daemon::start(&shop);
    let applied = time(&shop.wait_for("config.applied", 1));
    // A minute may pass: more than one patience.
    eventually("half a minute", || (now().duration_since(applied).as_secs() >= 30).then_some(()));
    let started = shop.wait_for("run.started", 1);
    assert_eq!(started["rule"], AGE_RULE);
    let minute = |at: Timestamp| at.as_second().div_euclid(60);
    assert_eq!(minute(time(&started)), minute(applied) + 1, "{started}");
    assert_eq!(shop.wait_for("run.finished", 1)["erased"], 500);
    assert_eq!(shop.visitors(), 500);
    daemon.stop();
}

/// What a service manager is told, message by message.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("a message in time");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Waits for the message that says `expected`, letting only signs of life pass before it.
fn next_but_life(socket: &UnixDatagram, expected: &str) -> String {
    loop {
        let message = told(socket);
        if message.lines().any(|line| line == expected) {
            return message;
        }
        assert!(message.contains("WATCHDOG=1"), "{message} instead of {expected}");
    }
}

#[test]
fn systemd_hears_of_readiness_reloads_life_and_the_end() {
    let shop = Installation::new(FAST, QUIET, 10);
    let (socket, daemon) = watched(&shop);
    let ready = std::time::Instant::now();
    assert!(told(&socket).contains("WATCHDOG=1"));
    assert!(told(&socket).contains("WATCHDOG=1"));
    // Twice within the time that was asked for, and something for a busy machine.
    assert!(ready.elapsed() < Duration::from_secs(4), "{:?}", ready.elapsed());

    daemon.signal(Signal::HUP);
    let reloading = next_but_life(&socket, "RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    next_but_life(&socket, "READY=1");
    shop.set_site(visit("for ever"));
    next_but_life(&socket, "RELOADING=1");
    let ready = next_but_life(&socket, "READY=1");
    assert!(ready.contains("STATUS=the configuration is invalid; 1 of 1 sites suspended"), "{ready}");
    daemon.signal(Signal::TERM);
    next_but_life(&socket, "STOPPING=1");
}

/// The daemon with a service manager that wants to hear of it every two seconds.
fn watched(shop: &Installation) -> (UnixDatagram, Daemon) {
    let path = shop.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let daemon = Daemon::spawn(shop, &shop.config(), &environment);
    next_but_life(&socket, "READY=1");
    (socket, daemon)
}

#[test]
fn a_scheduler_that_is_stuck_gives_no_sign_of_life_until_it_goes_on() {
    let shop = Installation::new(FAST, QUIET, 10);
    let (socket, daemon) = watched(&shop);
    assert!(told(&socket).contains("WATCHDOG=1"));

    // Whoever has the log locked keeps the scheduler from recording a change, and from everything else.
    let log = fs::File::open(shop.state().join("audit/log.jsonl")).unwrap();
    log.lock().unwrap();
    shop.set_site(visit("7 months"));
    next_but_life(&socket, "RELOADING=1");
    // Six times as long as it is silent otherwise.
    socket.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    let mut buffer = [0; 4096];
    let heard = socket.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
    assert!(heard.is_err(), "{heard:?}");

    log.unlock().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    next_but_life(&socket, "READY=1");
    while !told(&socket).contains("WATCHDOG=1") {}
    daemon.stop();
}

#[test]
fn a_long_run_is_no_reason_to_think_that_the_scheduler_is_stuck() {
    let shop = Installation::new(SLOW, WITHOUT_ADDRESSES, 400_000);
    let (socket, daemon) = watched(&shop);
    shop.wait_for("batch.committed", 1);
    for _ in 0..3 {
        assert!(told(&socket).contains("WATCHDOG=1"));
    }
    assert_eq!(shop.entries_of("run.finished").len(), 0, "the run was over before anything was heard");
    daemon.stop();
}

#[test]
fn the_unit_file_starts_this_program_and_does_not_restart_what_cannot_get_better() {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/forgetd.service");
    let unit = fs::read_to_string(shipped).unwrap();
    let has = |line: &str| assert!(unit.lines().any(|found| found == line), "no `{line}`");
    has("Type=notify");
    has("ExecStart=/usr/bin/forgetd run");
    has("Restart=on-failure");
    has("RestartPreventExitStatus=2 4 78");
    has("StateDirectory=forgetd");

    // What systemd itself thinks of it: the program is not, so this one stands in.
    let directory = tempfile::TempDir::new().unwrap();
    let installed = directory.path().join("forgetd.service");
    fs::write(&installed, unit.replace("/usr/bin/forgetd", env!("CARGO_BIN_EXE_forgetd"))).unwrap();
    let verify = std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&installed).output();
    let verified = verify.expect("systemd-analyze: `tests/run` installs what the tests need");
    let complaints = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !complaints.contains("forgetd"), "{complaints}");
}
