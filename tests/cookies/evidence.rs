//! What remains of a check: an entry of the log, and the draft of a file.

use std::fs;

use serde_json::json;

use super::files::capture;
use super::{MARKETING, VALUE, said, shop};
use crate::installation::Installation;

/// The text of the audit log; none before there is one.
fn log_of(shop: &Installation) -> Option<String> {
    fs::read_to_string(shop.state().join("audit/log.jsonl")).ok()
}

#[test]
fn a_check_is_an_entry_without_names_and_a_decision_of_the_report() {
    let shop = shop(MARKETING, "");
    let file = capture(&shop, "playwright-state.json");
    let file = file.to_str().unwrap();
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let before = log_of(&shop).unwrap();
    assert_eq!(shop.run(&["cookies", "check", file, "--consent", "none", "--no-record"]).code, 3);
    assert_eq!(log_of(&shop).unwrap(), before);
    let ran = shop.run(&["cookies", "check", file, "--consent", "none"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{ran:?}");
    let log = log_of(&shop).unwrap();
    let entry: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(entry["kind"], "cookies.checked");
    assert_eq!(entry["findings"], json!({ "before-consent": 2, "lives-longer": 1, "undeclared": 1 }));
    assert_eq!((&entry["items"], &entry["notes"]), (&json!(10), &json!(1)));
    assert_eq!((&entry["source"], &entry["moments"]), (&json!("storage-state"), &json!(["before-consent"])));
    assert!(!log.contains("_tracker") && !log.contains(VALUE), "{log}");
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
    let out = shop.path().join("report.md");
    let to = out.to_str().unwrap();
    let ran =
        shop.run(&["audit", "report", "--from", "2020-01-01", "--to", "2099-12-31", "--format", "md", "--out", to]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = fs::read_to_string(&out).unwrap();
    let sentence = "Compared what a browser holds with the cookie overview (storage-state, 10 items). \
                    Against it: 2 before-consent, 1 lives-longer, 1 undeclared.";
    assert!(report.replace('\\', "").contains(sentence), "{report}");
}

#[test]
fn a_check_says_that_it_is_not_recorded_where_nothing_was_ever_applied() {
    let shop = shop(MARKETING, "");
    let file = capture(&shop, "playwright-state.json");
    let ran = shop.run(&["cookies", "check", file.to_str().unwrap(), "--consent", "none"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("The result is not in the audit log: there is none before"), "{ran:?}");
    assert_eq!(log_of(&shop), None);
}

#[test]
fn a_check_whose_result_cannot_be_recorded_tells_it_and_fails() {
    let shop = shop(MARKETING, "");
    let file = capture(&shop, "playwright-state.json");
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let key = shop.state().join("audit/checkpoint");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    let ran = shop.run(&["cookies", "check", file.to_str().unwrap(), "--consent", "none"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("undeclared: `_tracker`"), "{ran:?}");
    assert!(
        ran.stderr.contains("the result is not in the audit log: ") && ran.stderr.contains("`--no-record`"),
        "{ran:?}"
    );
}

#[test]
fn a_draft_is_refused_until_it_is_completed_and_then_nothing_is_undeclared() {
    let shop = shop(MARKETING, "");
    let file = capture(&shop, "inspection.json");
    let file = file.to_str().unwrap();
    let ran = shop.run(&["cookies", "draft", file]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(!ran.stdout.contains(VALUE), "{ran:?}");
    shop.write("processors/draft.toml", &ran.stdout);
    let check = shop.run(&["check"]);
    assert_eq!(check.code, 78, "{check:?}");
    assert!(check.stderr.contains("unknown class `TO DO: functional, analytics or marketing`"), "{check:?}");
    let completed = ran.stdout.replace("TO DO: functional, analytics or marketing", "functional");
    let completed = completed.replace("TO DO: the name that sites use for the processor", "others");
    shop.write("processors/draft.toml", &completed.replace("TO DO", "Something"));
    let site = fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    shop.write(
        "sites/shop.example.toml",
        &site.replace("[cookie-bar]", "[[processor]]\nid = \"others\"\n[cookie-bar]"),
    );
    let checked = shop.json(&["cookies", "check", file, "--consent", "given"], 0);
    let third: Vec<String> =
        said(&checked, "notes").into_iter().filter(|(t, _)| t == "third-party").map(|n| n.1).collect();
    assert_eq!(third, ["PREF", "VISITOR_INFO1_LIVE", "widget-id"]);
    let again = shop.run(&["cookies", "draft", file]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again:?}");
}

#[test]
fn a_name_of_any_characters_comes_back_from_a_draft_as_it_was() {
    let shop = shop(MARKETING, "");
    let name = "a\"b\\c\u{1b}\u{202e}d\ne č";
    let state = json!({ "cookies": [], "origins": [{ "origin": "https://x\n.example",
        "localStorage": [{ "name": name, "value": VALUE }] }] });
    let file = shop.path().join("state.json");
    fs::write(&file, state.to_string()).unwrap();
    let draft = shop.run(&["cookies", "draft", file.to_str().unwrap()]).stdout;
    assert!(!draft.chars().any(|c| c == '\u{202e}' || c == '\u{1b}'), "{draft:?}");
    let read: toml::Table = draft.parse().unwrap();
    assert_eq!(read["item"][0]["name"].as_str(), Some(name));
}
