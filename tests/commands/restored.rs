//! Parts of the state put back from an older copy.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::installation::Installation;
use super::{purged_shop, told};

/// Copies a file or a directory of files.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

fn restored(shop: &Installation) -> Vec<Value> {
    let list = shop.json(&["audit", "list", "--kind", "state.restored"], 0);
    list["entries"].as_array().unwrap().clone()
}

const HOLD: [&str; 7] = ["hold", "add", "shop.example", "--until", "2099-01-01", "--reason-code", "case-7"];

#[test]
fn an_older_register_that_lacks_a_hold_stops_all_purges_until_an_operator_lets_them_go_on() {
    let shop = purged_shop();
    let (register, older) = (shop.state().join("register.db"), shop.path().join("older"));
    copy(&register, &older);
    assert_eq!(shop.run(&HOLD).code, 0);
    copy(&older, &register);
    shop.database().execute_batch("UPDATE visitors SET last_seen = 946684800 WHERE id = 9").unwrap();

    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id = 9"), 1, "the hold would have kept it");
    assert!(shop.state().join("stop").exists());
    let found = restored(&shop);
    assert_eq!((found.len(), &found[0]["part"], &found[0]["missing"]), (1, &"register".into(), &1.into()));
    assert_eq!(shop.run(&["purge", "--yes"]).code, 3);

    assert_eq!(shop.run(&HOLD).code, 0);
    assert_eq!(shop.run(&["stop-purges", "--lift"]).code, 0);
    let held = shop.run(&["purge", "--yes"]);
    assert!(!shop.state().join("stop").exists(), "once was enough: {held:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id = 9"), 1);
    assert_eq!(restored(&shop).len(), 1);
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
}

#[test]
fn an_older_log_that_lacks_a_run_is_recorded_once_and_an_anchor_tells_that_it_is_older() {
    let shop = purged_shop();
    let (audit, older, kept) = (shop.state().join("audit"), shop.path().join("older"), shop.path().join("kept"));
    copy(&audit, &older);
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    assert_eq!(restored(&shop).len(), 0);
    fs::write(&kept, shop.run(&["audit", "anchor"]).stdout).unwrap();
    fs::rename(&audit, shop.path().join("newer")).unwrap();
    copy(&older, &audit);
    for _ in 0..2 {
        assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
        let found = restored(&shop);
        assert_eq!((found.len(), &found[0]["part"]), (1, &"log".into()));
    }
    assert_eq!(shop.json(&["audit", "verify"], 0)["verdict"], "self-consistent");
    let verified = shop.run(&["audit", "verify", "--anchor", kept.to_str().unwrap()]);
    assert_eq!(verified.code, 4, "{verified:?}");
}

#[test]
fn an_older_key_directory_after_a_rotation_starts_nothing() {
    let shop = purged_shop();
    let (keys, older) = (shop.state().join("keys"), shop.path().join("older"));
    copy(&keys, &older);
    assert_eq!(shop.run(&["audit", "rotate-key"]).code, 0);
    copy(&older, &keys);
    told(&shop.run(&["purge", "--yes"]), 1, &["is not the key that", "forgetd.vkey names"]);
    fs::remove_file(keys.join("audit.key")).unwrap();
    told(&shop.run(&["purge", "--yes"]), 1, &["is missing although an audit log was begun"]);
}

#[test]
fn a_whole_state_from_an_older_copy_is_told_by_an_anchor_only() {
    let shop = purged_shop();
    let (state, older, kept) = (shop.state(), shop.path().join("older"), shop.path().join("kept"));
    copy(&state, &older);
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    fs::write(&kept, shop.run(&["audit", "anchor"]).stdout).unwrap();
    fs::rename(&state, shop.path().join("newer")).unwrap();
    copy(&older, &state);
    assert_eq!(shop.json(&["audit", "verify"], 0)["verdict"], "self-consistent");
    assert_eq!(shop.json(&["audit", "verify", "--anchor", kept.to_str().unwrap()], 4)["verdict"], "truncated");
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    assert_eq!(restored(&shop).len(), 0);
}
