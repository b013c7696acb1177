//! A log that somebody else has written to, and files that somebody else hands over: nothing of them is believed,
//! nothing acts, and reading them ends.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use rstest::rstest;

use crate::installation::{Installation, UNGUARDED};
use crate::{assert_plain, bounded};

const TABLE: &str = "[[store.chat.table]]\nname = \"visitors\"\nkey = \"id\"\nholds = \"visit\"\n\
    time = { column = \"t\", format = \"unix-seconds\" }\n";
const SCHEMA: &str = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, t INTEGER);
    INSERT INTO visitors VALUES (1, unixepoch() - 400 * 86400), (2, unixepoch());";

/// An installation with one run in its log.
fn with_a_run() -> Installation {
    let installation = Installation::new(UNGUARDED).with_tables(TABLE).with_database(SCHEMA);
    assert_eq!(installation.run(&["purge", "--yes"]).code, 0);
    installation
}

fn log(installation: &Installation) -> PathBuf {
    installation.state().join("audit/log.jsonl")
}

fn entries(installation: &Installation) -> usize {
    fs::read(log(installation)).unwrap().iter().filter(|byte| **byte == b'\n').count()
}

/// A line in the log's form, with its number, and something of the writer's.
fn line(number: usize, rest: &str) -> Vec<u8> {
    format!("{{\"seq\":{number},\"time\":\"2030-01-02T03:04:05.000000Z\",{rest}}}").into_bytes()
}

/// Lines of a writer who is not forgetd, each at the end of a log of so many entries.
fn hostile_lines(number: usize) -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| {
        format!("\"kind\":\"heartbeat\",\"x\":{}{}", open.repeat(20_000), close.repeat(20_000))
    };
    vec![
        ("deep lists", line(number, &deep("[", "]"))),
        (
            "deep tables",
            line(number, &format!("\"kind\":\"heartbeat\",\"x\":{}1{}", "{\"a\":".repeat(9_000), "}".repeat(9_000))),
        ),
        ("a list that is not closed", line(number, &deep("[", ""))),
        ("a huge number", line(number, &format!("\"kind\":\"log.repaired\",\"bytes\":{}", "9".repeat(60_000)))),
        ("a huge exponent", line(number, "\"kind\":\"log.repaired\",\"bytes\":1e999999999")),
        ("a negative count", line(number, "\"kind\":\"log.repaired\",\"bytes\":-1")),
        ("a key twice", line(number, "\"kind\":\"heartbeat\",\"kind\":\"daemon.stopped\"")),
        ("a number twice", line(number, &format!("\"kind\":\"heartbeat\",\"seq\":{number}"))),
        ("an unknown kind", line(number, "\"kind\":\"run.forged\"")),
        ("a kind that is a table", line(number, "\"kind\":{\"heartbeat\":1}")),
        ("a lone surrogate", line(number, "\"kind\":\"heartbeat\",\"x\":\"\\ud800\"")),
        ("an escaped kind", line(number, "\"kind\":\"heartbeat\\u0000\"")),
        (
            "escapes of a terminal",
            line(number, "\"kind\":\"daemon.started\",\"version\":\"\\u001b[2J\\u009b31m\\u202e\""),
        ),
        (
            "raw escapes of a terminal",
            line(number, "\"kind\":\"daemon.started\",\"version\":\"\u{9b}2J\u{7f}\u{202e}\""),
        ),
        ("a rule with newlines", line(number, "\"kind\":\"rule.released\",\"rule\":\"a\\nb\\u001b]0;x\\u0007\"")),
        (
            "a year beyond the calendar",
            format!("{{\"seq\":{number},\"time\":\"99999-01-01T00:00:00Z\",\"kind\":\"heartbeat\"}}").into_bytes(),
        ),
        ("NULs", vec![0; 5_000]),
        ("no UTF-8", vec![0xFF; 5_000]),
        ("nothing", Vec::new()),
        (
            "the longest line",
            line(number, &format!("\"kind\":\"daemon.started\",\"version\":\"{}\"", "x".repeat(65_400))),
        ),
        ("a line longer than any", vec![b'x'; 3 * 1024 * 1024]),
    ]
}

#[test]
fn whatever_is_appended_to_the_log_is_unsigned_or_tampered_and_acts_on_nobody() {
    for (what, line) in hostile_lines(with_a_run_of()) {
        let installation = with_a_run();
        let mut file = OpenOptions::new().append(true).open(log(&installation)).unwrap();
        file.write_all(&[&line[..], b"\n"].concat()).unwrap();
        drop(file);

        let verified = bounded(&installation, &["audit", "verify"]);
        assert!(verified.code == 3 || verified.code == 4, "{what}: {verified:?}");
        assert!(verified.stdout.starts_with("unsigned tail") || verified.stdout.starts_with("tampered"), "{what}");
        let out = installation.path().join("report.html");
        let last = entries(&installation).saturating_sub(1).to_string();
        let report = ["audit", "report", "--from", "2026-01-01", "--to", "2031-01-01", "--out", out.to_str().unwrap()];
        for command in [
            &["audit", "list"][..],
            &["audit", "list", "--json"],
            &["audit", "show", &last],
            &["audit", "anchor"],
            &["status"],
            &report,
            &["purge", "--yes"],
            &["audit", "verify"],
        ] {
            let ran = bounded(&installation, command);
            assert!([0, 1, 3, 4].contains(&ran.code), "{what}: {command:?}: {ran:?}");
            assert_plain(&format!("{what}: {command:?}"), &ran.stdout);
            assert_plain(&format!("{what}: {command:?}"), &ran.stderr);
        }
        if let Ok(html) = fs::read_to_string(&out) {
            assert_plain(what, &html);
        }
    }
}

/// How many entries one run leaves.
fn with_a_run_of() -> usize {
    entries(&with_a_run())
}

#[test]
fn a_line_put_in_place_of_another_is_tampering_whatever_it_holds() {
    let replaced = 2;
    for (what, line) in hostile_lines(replaced) {
        let installation = with_a_run();
        let before = fs::read(log(&installation)).unwrap();
        let mut lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
        let own = [&line[..], b"\n"].concat();
        lines[replaced] = &own;
        fs::write(log(&installation), lines.concat()).unwrap();
        let verified = bounded(&installation, &["audit", "verify", "--json"]);
        assert_eq!(verified.code, 4, "{what}: {verified:?}");
        let told: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
        // Lines are counted from 1.
        assert_eq!((told["verdict"].as_str(), told["line"].as_u64()), (Some("tampered"), Some(3)), "{what}");
        // No entry can be written: nothing may be erased.
        installation.database().execute_batch("UPDATE visitors SET t = t - 400 * 86400").unwrap();
        let purged = bounded(&installation, &["purge", "--yes"]);
        assert!([1, 3, 4].contains(&purged.code), "{what}: {purged:?}");
        assert_eq!(installation.number("SELECT count(*) FROM visitors"), 1, "{what}");
        assert_plain(what, &purged.stderr);
    }
}

/// What somebody hands over as a checkpoint, a key or a proof.
fn hostile_files(checkpoint: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (body, signature) = checkpoint.split_once("\n\n").unwrap();
    let foreign = format!("\u{2014} witness.example {}\n", "A".repeat(96));
    vec![
        ("nothing", Vec::new()),
        ("a newline", b"\n".to_vec()),
        ("ten megabytes on one line", vec![b'x'; 10_000_000]),
        ("ten megabytes of newlines", vec![b'\n'; 10_000_000]),
        ("ten megabytes of NULs", vec![0; 10_000_000]),
        ("ten megabytes that are no UTF-8", vec![0xFF; 10_000_000]),
        ("no newline at the end", checkpoint.trim_end().as_bytes().to_vec()),
        ("ten thousand signatures", format!("{body}\n\n{}{signature}", foreign.repeat(10_000)).into_bytes()),
        ("ten thousand times the own signature", format!("{body}\n\n{}", signature.repeat(10_000)).into_bytes()),
        ("an escape in the name", checkpoint.replacen("forgetd", "\u{1b}[2Jforgetd", 1).into_bytes()),
        ("a direction in the name", checkpoint.replacen("forgetd", "\u{202e}forgetd", 1).into_bytes()),
        (
            "a size beyond all",
            format!("{}\n99999999999999999999\n{}", body.lines().next().unwrap(), checkpoint).into_bytes(),
        ),
        ("a magic line alone", b"c2sp.org/tlog-proof@v1\n".to_vec()),
        (
            "a proof of many hashes",
            format!(
                "c2sp.org/tlog-proof@v1\nindex 1\n{}\n{checkpoint}",
                format!("{}=\n", "A".repeat(43)).repeat(100_000)
            )
            .into_bytes(),
        ),
        (
            "a proof of an index beyond all",
            format!("c2sp.org/tlog-proof@v1\nindex 18446744073709551616\n\n{checkpoint}").into_bytes(),
        ),
    ]
}

#[test]
fn a_file_that_is_handed_over_is_refused_with_one_plain_line() {
    let installation = with_a_run();
    let audit = installation.state().join("audit");
    let checkpoint = fs::read_to_string(audit.join("checkpoint")).unwrap();
    let file = installation.path().join("handed-over");
    let path = file.to_str().unwrap();
    for (what, bytes) in hostile_files(&checkpoint) {
        fs::write(&file, bytes).unwrap();
        for command in [
            &["audit", "verify", "--anchor", path][..],
            &["audit", "verify", "--key", path],
            &["audit", "check-proof", path],
            &["audit", "prove", "1", "--anchor", path],
        ] {
            let ran = bounded(&installation, command);
            assert!([1, 4].contains(&ran.code), "{what}: {command:?}: {ran:?}");
            assert_plain(&format!("{what}: {command:?}"), &ran.stderr);
            assert!(ran.stderr.len() < 1_000 && ran.stdout.len() < 1_000, "{what}: {command:?}");
        }
    }
}

#[rstest]
fn a_file_without_an_end_is_not_read_to_it(
    #[values("verify --anchor", "verify --key", "check-proof", "prove 1 --anchor")] command: &str,
) {
    let installation = with_a_run();
    let words: Vec<&str> = std::iter::once("audit").chain(command.split(' ')).chain(["/dev/zero"]).collect();
    let ran = bounded(&installation, &words);
    assert!([1, 4].contains(&ran.code), "{ran:?}");
}

#[test]
fn whatever_stands_in_place_of_the_logs_own_files_stops_erasure() {
    let checkpoint = fs::read_to_string(with_a_run().state().join("audit/checkpoint")).unwrap();
    for (what, bytes) in hostile_files(&checkpoint) {
        for name in ["checkpoint", "forgetd.vkey", "rotations/5.tlog-proof"] {
            let installation = with_a_run();
            let audit = installation.state().join("audit");
            fs::create_dir_all(audit.join("rotations")).unwrap();
            fs::write(audit.join(name), &bytes).unwrap();
            let verified = bounded(&installation, &["audit", "verify"]);
            assert_eq!(verified.code, 4, "{what} as {name}: {verified:?}");
            assert_plain(what, &verified.stdout);
            if name == "checkpoint" {
                installation.database().execute_batch("UPDATE visitors SET t = t - 400 * 86400").unwrap();
                let purged = bounded(&installation, &["purge", "--yes"]);
                assert!([1, 4].contains(&purged.code), "{what}: {purged:?}");
                assert_eq!(installation.number("SELECT count(*) FROM visitors"), 1, "{what}");
                assert_plain(what, &purged.stderr);
            }
        }
    }
}
