//! What is not written, and what is left as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::installation::Ran;
use super::{ALWAYS, log, report_of, value};

fn told(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
}

#[test]
fn a_site_that_is_not_there_and_a_period_that_ends_before_it_begins_are_mistakes_of_the_caller() {
    let history = log::history();
    let out = history.path().join("report.html");
    let report = |arguments: &[&str]| report_of(&history.dir(), &out, arguments);
    told(&report(&[&ALWAYS[..], &["--site", "shop.exampl"]].concat()), 2, &["no site is called `shop.exampl`"]);
    told(&report(&["--from", "2026-03-02", "--to", "2026-03-01"]), 2, &["--from 2026-03-02 is after --to 2026-03-01"]);
    told(&report(&["--from", "2026-3-2", "--to", "2026-03-01"]), 2, &["--from <DATE>"]);
    told(&report(&[&ALWAYS[..], &["--format", "pdf"]].concat()), 2, &["'pdf'", "html"]);
    told(&report(&["--from", "2026-01-01", "--to", "9999-12-31"]), 1, &["beyond the calendar"]);
    let left: Vec<_> = fs::read_dir(history.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
    assert_eq!(report(&[&ALWAYS[..], &["--site", "shop.example"]].concat()).code, 0);
}

#[test]
fn a_file_that_holds_something_is_left_as_it_is() {
    let history = log::history();
    let out = history.path().join("report.html");
    fs::write(&out, "kept").unwrap();
    told(&report_of(&history.dir(), &out, &ALWAYS), 1, &["report.html is there already and is left as it is"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "kept");

    let link = history.path().join("link.html");
    let target = history.path().join("target.html");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    told(&report_of(&history.dir(), &link, &ALWAYS), 1, &["is there already"]);
    assert!(!target.exists(), "no link is followed");

    told(&report_of(&history.dir(), &history.path().join("nowhere/report.html"), &ALWAYS), 1, &["nowhere"]);

    fs::write(&out, "").unwrap();
    assert_eq!(report_of(&history.dir(), &out, &ALWAYS).code, 0, "an empty file, as mktemp makes one, is filled");
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "readable by owner and group alone: {mode:o}");
    assert!(fs::read_to_string(&out).unwrap().starts_with("<!doctype html>"));
}

#[test]
fn a_log_that_was_tampered_with_is_reported_and_the_command_says_so() {
    let history = log::history();
    let log = history.dir().join("log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("\"erased\":100", "\"erased\":900", 1)).unwrap();
    let out = history.path().join("report.json");
    let ran = report_of(&history.dir(), &out, &[&ALWAYS[..], &["--format", "json"]].concat());
    assert_eq!(ran.code, 4, "{ran:?}");
    let report = value(&out);
    assert_eq!((&report["evidence"]["verdict"], &report["evidence"]["holds"]), (&"tampered".into(), &false.into()));

    fs::write(&log, format!("{}\n{}", "x".repeat(70_000), text)).unwrap();
    let page = history.path().join("report.html");
    assert_eq!(report_of(&history.dir(), &page, &ALWAYS).code, 4);
    let told = fs::read_to_string(&page).unwrap();
    assert!(told.contains("Nothing in this report can be relied on until that is explained."));
    assert!(told.contains("1 line of the log could not be read as entries"));
}
