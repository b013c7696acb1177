//! What remains of a check: an entry of the log, and the draft of a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::files::capture;
use super::{MARKETING, VALUE, said, shop};
use crate::installation::{Installation, Ran};

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
    assert_eq!(said(&checked, "findings"), []);
    let overview = shop.run(&["register", "export", "cookies", "--format", "csv"]).stdout;
    let whose = |name: &str| overview.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(whose("PREF,").contains(",third party (youtube.com),"), "{overview}");
    assert!(whose("widget-id,").contains(",third party (widget.example),"), "{overview}");
    assert!(whose("basket,").contains(",first party,"), "{overview}");
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

/// The commands that `docs/cookies.md` tells for what nobody declares.
fn documented() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookies.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, section) = text.split_once("\n## What nobody declares\n").unwrap();
    let (_, commands) = section.split_once("```sh\n").unwrap();
    commands.split_once("```").unwrap().0.to_owned()
}

/// A program of the operator's.
fn program(shop: &Installation, name: &str, script: &str) {
    let path = shop.path().join("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_documented_way_to_complete_a_draft_works() {
    let shop = shop(MARKETING, "");
    fs::rename(capture(&shop, "inspection.json"), shop.path().join("state.json")).unwrap();
    let (config, built) = (shop.config(), env!("CARGO_BIN_EXE_forgetd"));
    program(&shop, "forgetd", &format!("exec '{built}' --config '{}' \"$@\"", config.display()));
    let completed =
        "s/TO DO: functional, analytics or marketing/functional/; s/TO DO: the name.*\"/others\"/; s/TO DO/Something/";
    program(&shop, "edit", &format!("exec sed -i '{completed}' \"$1\""));
    let commands = documented().replace("/etc/forgetd", config.to_str().unwrap());
    let path = format!("{}:{}", shop.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euc", &commands]).current_dir(shop.path()).env("PATH", path).env("EDITOR", "edit");
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let drafted: toml::Table = fs::read_to_string(config.join("processors/others.toml")).unwrap().parse().unwrap();
    assert_eq!((drafted["id"].as_str(), drafted["item"].as_array().unwrap().len()), (Some("others"), 4));
}
