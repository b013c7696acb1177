//! What the daemon tells, and in which form: to a file, to a terminal, to the journal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use daemon::{Daemon, FAST, Installation, QUIET, SETTING_RULE, Site, eventually};

/// Addresses are no longer stored: a rule that is due at once.
const WITHOUT_ADDRESSES: Site = Site { store_ip: false, ..QUIET };

fn with_level(shop: &Installation, level: &str) {
    shop.put("forgetd.toml", &format!("{}[log]\nlevel = \"{level}\"\n", shop.daemon_file(FAST, "state")));
}

#[test]
fn in_a_file_every_line_is_a_json_object_and_a_run_is_one_of_them() {
    let shop = Installation::new(FAST, WITHOUT_ADDRESSES, 10);
    let daemon = Daemon::start(&shop);
    let run = eventually("the run", || {
        let lines = daemon.raw_log();
        let mut events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["message"] == "run")
    });
    assert_eq!((run["level"].as_str(), run["target"].as_str()), (Some("INFO"), Some("forgetd::service::job")));
    run["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(run["rule"], SETTING_RULE);
    assert_eq!((&run["outcome"], &run["erased"], &run["left"]), (&"done".into(), &10.into(), &0.into()));
    run["next"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let finished = shop.wait_for("run.finished", 1);
    let (told, recorded) = (run["millis"].as_i64().unwrap(), finished["millis"].as_i64().unwrap());
    assert!((told - recorded).abs() < 1_000, "{told} {recorded}");
    daemon.stop();
}

#[test]
fn the_level_is_what_the_configuration_says_at_once_and_what_the_environment_says_before() {
    let shop = Installation::new(FAST, QUIET, 10);
    with_level(&shop, "warn");
    let daemon = Daemon::spawn(&shop, &shop.config(), &[]);
    shop.wait_for("config.applied", 1);
    shop.set_site(WITHOUT_ADDRESSES);
    shop.wait_for("run.finished", 1);
    with_level(&shop, "info");
    shop.wait_for("config.applied", 3);
    eventually("the change", || daemon.said("configuration applied version=3").then_some(()));
    assert!(!daemon.said("configuration applied version=2") && !daemon.said("run rule="), "{}", daemon.log());
    shop.set_site(Site { visit: "for ever", ..QUIET });
    eventually("the mistake", || daemon.said("ERROR").then_some(()));
    daemon.stop();

    shop.set_site(QUIET);
    let daemon = Daemon::spawn(&shop, &shop.config(), &[("RUST_LOG", "error")]);
    shop.wait_for("daemon.started", 2);
    with_level(&shop, "debug");
    shop.wait_for("config.applied", 5);
    assert_eq!(daemon.log(), "");
    daemon.stop();
}

/// Ends a daemon that another program has started, by what stands in its lock.
fn end(shop: &Installation, mut child: Child) {
    let lock = fs::read_to_string(shop.state().join("daemon.lock")).unwrap();
    let process = Pid::from_raw(lock.trim().parse().unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

fn run_line(shop: &Installation) -> String {
    format!("{} --config {} run", env!("CARGO_BIN_EXE_forgetd"), shop.config().display())
}

#[test]
fn on_a_terminal_lines_are_for_people_and_coloured_unless_they_want_none() {
    for (no_color, coloured) in [("", true), ("1", false)] {
        let shop = Installation::new(FAST, WITHOUT_ADDRESSES, 10);
        let typescript = shop.path().join("typescript");
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &run_line(&shop)]).arg(&typescript);
        script.env("TERM", "xterm").env("NO_COLOR", no_color).env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        let child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1) of bsdutils is there");
        let seen = || fs::read_to_string(&typescript).unwrap_or_default();
        let line = eventually("the run", || seen().lines().find(|line| line.contains("erased")).map(str::to_owned));
        assert_eq!(line.contains('\u{1b}'), coloured, "{line}");
        let mut plain = line.clone();
        while let Some((before, after)) = plain.clone().split_once('\u{1b}') {
            plain = format!("{before}{}", after.split_once('m').unwrap().1);
        }
        assert!(plain.contains(" INFO run rule=") && plain.contains("erased=10 left=0 millis="), "{plain}");
        end(&shop, child);
    }
}

#[test]
fn the_journal_is_sent_one_datagram_an_event_with_its_fields() {
    let shop = Installation::new(FAST, WITHOUT_ADDRESSES, 10);
    let directory = shop.path().join("journal");
    fs::create_dir(&directory).unwrap();
    let journal = UnixDatagram::bind(directory.join("socket")).unwrap();
    journal.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // What systemd gives a service as its standard error, and says which it is.
    let stream = fs::File::create(shop.path().join("stream")).unwrap();
    let identity = stream.metadata().map(|found| format!("{}:{}", found.dev(), found.ino())).unwrap();
    let place = "/run/systemd/journal";
    let inside = format!(
        "mount -t tmpfs none /run && mkdir -p {place} && mount --bind {} {place} && exec {}",
        directory.display(),
        run_line(&shop)
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &inside]).env("JOURNAL_STREAM", identity).env_remove("RUST_LOG");
    let mut child = unshare.stderr(stream).spawn().unwrap();
    let mut buffer = vec![0; 1 << 16];
    let run = loop {
        if child.try_wait().unwrap().is_some() {
            let said = fs::read_to_string(shop.path().join("stream")).unwrap();
            assert!(said.contains("unshare") || said.contains("mount"), "{said}");
            eprintln!("left out: nothing can be mounted here");
            return;
        }
        let length = journal.recv(&mut buffer).unwrap();
        let event = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if event.contains("MESSAGE=run ") {
            break event;
        }
    };
    let lines: Vec<&str> = run.lines().collect();
    assert!(lines[0].starts_with(&format!("MESSAGE=run rule={SETTING_RULE} outcome=done erased=10 left=0 ")), "{run}");
    for field in
        ["PRIORITY=6", "SYSLOG_IDENTIFIER=forgetd", "FORGETD_OUTCOME=done", "FORGETD_ERASED=10", "FORGETD_LEFT=0"]
    {
        assert!(lines.contains(&field), "{field}: {run}");
    }
    assert!(lines.contains(&format!("FORGETD_RULE={SETTING_RULE}").as_str()), "{run}");
    assert_eq!(fs::read_to_string(shop.path().join("stream")).unwrap(), "", "and nothing is said twice");
    end(&shop, child);
}
