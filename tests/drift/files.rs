//! Directories and logs: overdue, never run, undatable, gone.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::installation::{Installation, UNGUARDED};
use super::{drift, findings, found, of_rule};

const SESSIONS: &str = "shop.example/sessions";
const ACCESS: &str = "shop.example/access";

fn files(shop: &Installation) -> PathBuf {
    shop.path().join("files")
}

/// A directory and a log whose rules have just run.
fn shop() -> Installation {
    let shop = Installation::new(UNGUARDED);
    fs::create_dir(files(&shop)).unwrap();
    let path = files(&shop).display().to_string();
    let site = format!(
        "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
         [retention]\nvisit = \"6 months\"\n\
         [store.sessions]\nkind = \"directory\"\npath = \"{path}\"\npattern = \"sess_*\"\nholds = \"visit\"\nsettle = \"none\"\n\
         [store.access]\nkind = \"log\"\npath = \"{path}/access.log*\"\nformat = \"combined\"\nholds = \"visit\"\n"
    );
    shop.write("sites/shop.example.toml", &site);
    let checked = shop.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    shop
}

fn put(shop: &Installation, name: &str, text: &str) {
    let path = files(shop).join(name);
    fs::write(&path, text).unwrap();
    // Long ago whatever the day is.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn files_and_lines_that_should_have_gone_are_overdue() {
    let shop = shop();
    drift(&shop, 0);
    put(&shop, "sess_canary", "");
    let line = "192.0.2.7 - - [01/Feb/2025:00:00:00 +0000] \"GET /canary HTTP/1.1\" 200 1 \"-\" \"-\"\n";
    put(&shop, "access.log.1", &format!("{line}not of that form\n"));
    let drift = drift(&shop, 3);
    assert_eq!(
        findings(&drift),
        [found("overdue", ACCESS, 1), found("undatable", ACCESS, 1), found("overdue", SESSIONS, 1)]
    );
    assert_eq!(drift["findings"][0]["oldest"], "2025-02-01T00:00:00Z");
    assert!(!drift.to_string().contains("canary"), "{drift}");
    assert_eq!(drift["stores"][1]["tables"], serde_json::Value::Null);
}

#[test]
fn a_path_that_is_gone_is_told_for_each_store() {
    let shop = shop();
    fs::rename(files(&shop), shop.path().join("elsewhere")).unwrap();
    let drift = drift(&shop, 3);
    assert_eq!(findings(&drift), [found("gone", ACCESS, None), found("gone", SESSIONS, None)]);
    assert_eq!(of_rule(&drift, SESSIONS)["answer"], "gone");
    let ran = shop.run(&["drift"]);
    assert!(ran.stdout.contains("its directory is gone"), "{ran:?}");
}
