//! `audit anchor`, `prove`, `check-proof`, `review` and `rotate-key`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use super::installation::{Installation, Ran, UNGUARDED, forgetd};
use super::{purged_shop, shop, told};

fn audit(shop: &Installation, name: &str) -> PathBuf {
    shop.state().join("audit").join(name)
}

fn copy(shop: &Installation, name: &str, to: &str) -> PathBuf {
    let to = shop.path().join(to);
    fs::copy(audit(shop, name), &to).unwrap();
    to
}

fn entries(shop: &Installation) -> usize {
    fs::read_to_string(audit(shop, "log.jsonl")).unwrap().lines().count()
}

/// The binary without any configuration, as on a reader's own machine.
fn elsewhere(arguments: &[&str]) -> Ran {
    let nowhere = tempfile::tempdir().unwrap();
    Ran::of(forgetd().args(arguments).current_dir(nowhere.path()).stdin(Stdio::null()).output().unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_anchor_is_the_checkpoint_as_it_was_signed_and_verifies_the_log_later() {
    let shop = purged_shop();
    let ran = shop.run(&["audit", "anchor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, fs::read_to_string(audit(&shop, "checkpoint")).unwrap());
    let kept = shop.path().join("kept");
    fs::write(&kept, &ran.stdout).unwrap();
    assert_eq!(shop.json(&["audit", "anchor"], 0)["size"], entries(&shop));
    shop.run(&["stop-purges"]);
    assert_eq!(shop.json(&["audit", "verify", "--anchor", text(&kept)], 0)["verdict"], "anchored");

    let log = fs::read_to_string(audit(&shop, "log.jsonl")).unwrap();
    fs::write(audit(&shop, "log.jsonl"), log.replacen("\"erased\":3", "\"erased\":2", 1)).unwrap();
    let ran = shop.run(&["audit", "anchor"]);
    told(&ran, 4, &["the log is tampered", "audit verify`"]);
    assert_eq!(ran.stdout, "", "nothing that a reader could keep");
}

#[test]
fn an_entry_is_proved_to_somebody_who_has_the_key_and_nothing_else() {
    let shop = purged_shop();
    let (proof, key) = (shop.path().join("7.tlog-proof"), copy(&shop, "forgetd.vkey", "kept.vkey"));
    let ran = shop.run(&["audit", "prove", "7", "--out", text(&proof)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let to_standard_output = shop.run(&["audit", "prove", "7"]).stdout;
    assert_eq!(to_standard_output, fs::read_to_string(&proof).unwrap());
    assert!(
        to_standard_output.starts_with("c2sp.org/tlog-proof@v1\nextra ") && to_standard_output.contains("\nindex 7\n")
    );

    let checked = elsewhere(&["audit", "check-proof", text(&proof), "--key", text(&key)]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
    assert!(checked.stdout.starts_with("holds: entry 7 ") && checked.stdout.contains("\"seq\": 7"), "{checked:?}");
    assert!(!checked.stdout.contains("verified"));
    let checked = elsewhere(&["audit", "check-proof", text(&proof), "--key", text(&key), "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&checked["holds"], &checked["index"], &checked["size"]),
        (&json!(true), &json!(7), &json!(entries(&shop)))
    );
    let line = fs::read_to_string(audit(&shop, "log.jsonl")).unwrap().lines().nth(7).unwrap().to_owned();
    assert_eq!(checked["entry"], serde_json::from_str::<serde_json::Value>(&line).unwrap());
    // Beside the log, its own key is taken.
    assert_eq!(shop.run(&["audit", "check-proof", text(&proof)]).code, 0);

    told(&elsewhere(&["audit", "check-proof", text(&proof)]), 2, &["--key FILE", "forgetd.vkey"]);
    told(&shop.run(&["audit", "prove", "4711"]), 2, &["entry 4711 is not among the "]);
}

#[test]
fn a_proof_without_its_entry_is_checked_with_the_line_that_the_reader_has() {
    let shop = purged_shop();
    let (proof, key) = (shop.path().join("bare"), copy(&shop, "forgetd.vkey", "kept.vkey"));
    shop.run(&["audit", "prove", "3", "--without-entry", "--out", text(&proof)]);
    let bare = fs::read_to_string(&proof).unwrap();
    assert_eq!(bare.lines().nth(1), Some("index 3"));
    let line = shop.path().join("line");
    let check = ["audit", "check-proof", text(&proof), "--key", text(&key)];
    let with_line = [&check[..], &["--entry", text(&line)]].concat();
    fs::write(&line, shop.run(&["audit", "show", "3", "--json"]).stdout).unwrap();
    assert_eq!(elsewhere(&with_line).code, 0);
    fs::write(&line, shop.run(&["audit", "show", "4", "--json"]).stdout).unwrap();
    let ran = elsewhere(&with_line);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.starts_with("does not hold: the entry is not number 3 "), "{ran:?}");
    told(&elsewhere(&check), 2, &["carries no entry", "--entry FILE"]);
    assert_eq!(shop.run(&["audit", "check-proof", text(&proof)]).code, 0, "the log is here, and has the entry");
}

#[test]
fn a_proof_that_was_changed_or_is_of_another_log_does_not_hold() {
    let (shop, other) = (purged_shop(), purged_shop());
    let proof = shop.path().join("proof");
    shop.run(&["audit", "prove", "5", "--out", text(&proof)]);
    let good = fs::read_to_string(&proof).unwrap();
    let ran = other.run(&["audit", "check-proof", text(&proof)]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("bears no signature of forgetd/"), "{ran:?}");
    fs::write(&proof, good.replace("index 5", "index 6")).unwrap();
    assert_eq!(shop.json(&["audit", "check-proof", text(&proof)], 4)["holds"], false);
    fs::write(&proof, "a letter").unwrap();
    told(&shop.run(&["audit", "check-proof", text(&proof)]), 4, &["not a proof in the format"]);
    told(&shop.run(&["audit", "check-proof", "/nonexistent"]), 1, &["/nonexistent: No such file"]);
}

#[test]
fn an_entry_is_proved_under_the_checkpoint_that_the_reader_kept() {
    let shop = purged_shop();
    let (kept, proof) = (copy(&shop, "checkpoint", "kept"), shop.path().join("proof"));
    shop.run(&["stop-purges"]);
    let ran = shop.run(&["audit", "prove", "2", "--anchor", text(&kept), "--out", text(&proof)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(fs::read_to_string(&proof).unwrap().ends_with(&fs::read_to_string(&kept).unwrap()));
    fs::write(&kept, "a letter").unwrap();
    told(&shop.run(&["audit", "prove", "2", "--anchor", text(&kept)]), 4, &["/kept: the anchor is not a checkpoint"]);
}

#[test]
fn a_review_is_recorded_and_status_tells_what_is_unreviewed() {
    let shop = purged_shop();
    let last = entries(&shop) - 1;
    assert!(shop.run(&["status"]).stdout.contains(" Never reviewed.\n"));
    assert_eq!(shop.json(&["status"], 0)["audit_log"]["unreviewed"], last + 1);

    let ran = shop.run(&["audit", "review", "--through", "9", "--note", "Q3, file 2026/114: nothing to object"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, format!("Reviewed: entries 0 to 9; {} entries after it are not.\n", last - 9));
    let log = &shop.json(&["status"], 0)["audit_log"];
    assert_eq!((&log["reviewed_through"], &log["unreviewed"]), (&json!(9), &json!(last - 9)));
    let entry = shop.json(&["audit", "show", &(last + 1).to_string()], 0);
    assert_eq!((&entry["kind"], &entry["through"]), (&json!("log.reviewed"), &json!(9)));
    assert_eq!(entry["note"], "Q3, file 2026/114: nothing to object");
    assert_eq!(shop.json(&["audit", "verify"], 0)["verdict"], "self-consistent", "the review is signed");

    let all = shop.json(&["audit", "review", "--through", &(last + 1).to_string(), "--note", "all"], 0);
    assert_eq!(all["unreviewed"], 0);
    let status = shop.run(&["status"]).stdout;
    assert!(status.contains(&format!(" Reviewed through entry {} (", last + 1)) && status.contains("): all of it.\n"));
    told(&shop.run(&["audit", "review", "--through", "3", "--note", "again"]), 2, &["reviewed through entry"]);
    told(&shop.run(&["audit", "review", "--through", "999", "--note", "x"]), 2, &["has no entry 999: its last is"]);
}

#[test]
fn a_note_is_one_plain_line_of_bounded_length() {
    let shop = purged_shop();
    let before = shop.tree();
    let long = "x".repeat(201);
    for note in ["", "   ", "two\nlines", "tab\there", "\u{1b}[31mred", "right\u{202e}left", "zero\u{200b}width", &long]
    {
        let ran = shop.run(&["audit", "review", "--through", "1", "--note", note]);
        told(&ran, 2, &["one line of 1 to 200 characters", "no personal data"]);
    }
    assert!(shop.tree() == before);
    let longest = "ž".repeat(200);
    assert_eq!(shop.run(&["audit", "review", "--through", "1", "--note", &longest]).code, 0);
    let help = shop.run(&["audit", "review", "--help"]).stdout;
    assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains("no personal data in it"), "{help}");
}

#[test]
fn a_log_that_does_not_verify_is_not_reviewed() {
    let shop = purged_shop();
    let log = fs::read_to_string(audit(&shop, "log.jsonl")).unwrap();
    fs::write(audit(&shop, "log.jsonl"), log.replacen("\"erased\":3", "\"erased\":2", 1)).unwrap();
    let before = shop.tree();
    told(&shop.run(&["audit", "review", "--through", "1", "--note", "x"]), 4, &["the log is tampered"]);
    assert!(shop.tree() == before);
}

#[test]
fn a_rotated_key_is_followed_by_readers_of_the_old_one() {
    let shop = purged_shop();
    let (key, anchor) = (copy(&shop, "forgetd.vkey", "old.vkey"), copy(&shop, "checkpoint", "kept"));
    let at = entries(&shop);
    let rotated = shop.json(&["audit", "rotate-key"], 0);
    assert_eq!(rotated["key"], fs::read_to_string(audit(&shop, "forgetd.vkey")).unwrap().trim_end());
    shop.run(&["stop-purges"]);

    let verified = shop.json(&["audit", "verify", "--key", text(&key), "--anchor", text(&anchor)], 0);
    assert_eq!(verified["verdict"], "anchored");
    let (proof, rotation) = (shop.path().join("proof"), copy(&shop, &format!("rotations/{at}.tlog-proof"), "rotation"));
    shop.run(&["audit", "prove", "0", "--out", text(&proof)]);
    let check = ["audit", "check-proof", text(&proof), "--key", text(&key)];
    assert_eq!(elsewhere(&check).code, 4, "the old key did not sign it");
    assert_eq!(elsewhere(&[&check[..], &["--rotation", text(&rotation)]].concat()).code, 0);
    assert_eq!(elsewhere(&["audit", "check-proof", text(&rotation), "--key", text(&key)]).code, 0);

    fs::remove_file(audit(&shop, &format!("rotations/{at}.tlog-proof"))).unwrap();
    let ran = shop.run(&["audit", "verify"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("the proof of a rotation is missing"), "{ran:?}");
    let stranger = purged_shop();
    let ran = stranger.run(&["audit", "verify", "--key", text(&key)]);
    told(&ran, 4, &["the key that you kept is none of forgetd/"]);
}

#[test]
fn what_is_recorded_is_recorded_in_the_own_log_only() {
    let shop = purged_shop();
    let log = audit(&shop, "");
    let before = shop.tree();
    told(&shop.run(&["audit", "--log", text(&log), "rotate-key"]), 2, &["leave `--log` away"]);
    let review = ["audit", "--log", text(&log), "review", "--through", "1", "--note", "x"];
    told(&shop.run(&review), 2, &["leave `--log` away"]);
    assert!(shop.tree() == before);
    told(&super::shop(UNGUARDED).run(&["audit", "rotate-key"]), 1, &["no audit log yet"]);
}

/// The binary as a service that was given the credentials in a directory.
fn with_credentials(shop: &Installation, credentials: &Path, arguments: &[&str]) -> Ran {
    let mut command = shop.command(arguments);
    Ran::of(command.env("CREDENTIALS_DIRECTORY", credentials).stdin(Stdio::null()).output().unwrap())
}

fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

#[test]
fn the_key_can_stand_in_a_systemd_credential_and_nowhere_in_the_state() {
    let shop = purged_shop();
    let file = shop.state().join("keys/audit.key");
    let credentials = shop.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    write_private(&credentials.join("audit.key"), &fs::read(&file).unwrap());
    fs::write(&file, "credential audit.key\n").unwrap();

    let without = shop.run(&["purge", "--yes"]);
    told(&without, 1, &["systemd credential `audit.key`", "systemd-run", "LoadCredential=audit.key:"]);
    assert_eq!(with_credentials(&shop, &credentials, &["purge", "--yes"]).code, 0);
    assert_eq!(shop.run(&["audit", "verify"]).code, 0, "reading needs no private key");
    assert_eq!(fs::read_to_string(&file).unwrap(), "credential audit.key\n");

    // Replaced: the new key is forgetd's own again, and the credential of the old one is not asked any more.
    assert_eq!(with_credentials(&shop, &credentials, &["audit", "rotate-key"]).code, 0);
    assert!(fs::read_to_string(&file).unwrap().starts_with("PRIVATE+KEY+"));
    assert_eq!(with_credentials(&shop, &credentials, &["purge", "--yes"]).code, 0);
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_first_start_takes_the_key_that_a_credential_gives() {
    let (maker, shop) = (purged_shop(), shop(UNGUARDED));
    let credentials = shop.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    write_private(&credentials.join("audit.key"), &fs::read(maker.state().join("keys/audit.key")).unwrap());
    assert_eq!(with_credentials(&shop, &credentials, &["purge", "--yes"]).code, 0);
    let vkey = |shop: &Installation| fs::read_to_string(audit(shop, "forgetd.vkey")).unwrap();
    assert_eq!(vkey(&shop), vkey(&maker));
    assert_eq!(fs::read_to_string(shop.state().join("keys/audit.key")).unwrap(), "credential audit.key\n");
    let secret = fs::read_to_string(credentials.join("audit.key")).unwrap();
    let secret = secret.trim_end().splitn(5, '+').nth(4).unwrap();
    let leaked = super::installation::tree(&shop.state()).into_values().flatten();
    assert!(leaked.into_iter().all(|content| !String::from_utf8_lossy(&content).contains(secret)));
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_key_or_credential_that_others_can_read_is_refused() {
    let shop = purged_shop();
    let file = shop.state().join("keys/audit.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    told(&shop.run(&["purge", "--yes"]), 1, &["audit.key can be read or written by others (mode 0640)", "chmod 600"]);
    let credentials = shop.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let credential = credentials.join("audit.key");
    fs::copy(&file, &credential).unwrap();
    fs::write(&file, "credential audit.key\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for (mode, code) in [(0o444, 1), (0o440, 0), (0o400, 0)] {
        fs::set_permissions(&credential, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(with_credentials(&shop, &credentials, &["purge", "--yes"]).code, code, "{mode:o}");
    }
}

#[test]
fn what_somebody_wrote_into_a_log_does_not_reach_a_terminal_as_a_command() {
    let shop = purged_shop();
    let log = fs::read_to_string(audit(&shop, "log.jsonl")).unwrap();
    let forged = log.replacen("\"action\":\"", "\"action\":\"\\u001b]0;owned\\u0007", 1);
    assert_ne!(forged, log);
    fs::write(audit(&shop, "log.jsonl"), forged).unwrap();
    let list = shop.run(&["audit", "list"]).stdout;
    assert!(list.contains("owned") && !list.chars().any(|c| c.is_control() && c != '\n'), "{list}");
}
