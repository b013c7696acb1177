//! Rules over files through the built program: plan, approval, purge, holds, and a directory that is not the one that
//! was approved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;
#[path = "support/tree.rs"]
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use installation::{GUARDED, Installation, UNGUARDED};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::Value;
use tree::write;

const RULE: &str = "shop.example/sessions";

/// Stands in every name, in several forms.
const SECRET: &str = "Nemo4711";

/// Long ago whatever the day is.
fn old() -> Timestamp {
    "2020-01-01T00:00:00Z".parse().unwrap()
}

fn recent() -> Timestamp {
    (std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap()
}

/// An installation whose one store is a directory, with these further keys.
fn shop(daemon: &str, keys: &str) -> Installation {
    let shop = Installation::new(daemon);
    fs::create_dir(sessions(&shop)).unwrap();
    let path = sessions(&shop).display().to_string();
    shop.write(
        "sites/shop.example.toml",
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
             [retention]\nvisit = \"6 months\"\n\
             [store.sessions]\nkind = \"directory\"\npath = \"{path}\"\npattern = \"sess_*\"\nholds = \"visit\"\n{keys}"
        ),
    );
    shop
}

fn sessions(shop: &Installation) -> PathBuf {
    shop.path().join("sessions")
}

/// Files of these numbers.
fn put(shop: &Installation, numbers: std::ops::Range<u32>, modified: Timestamp) {
    for number in numbers {
        write(&sessions(shop).join(format!("{SECRET}/sess_{SECRET}_{number}")), modified);
    }
}

fn there(shop: &Installation) -> usize {
    fs::read_dir(sessions(shop).join(SECRET)).unwrap().count()
}

/// The one run of `purge --json`.
fn purge(shop: &Installation, code: i32) -> Value {
    shop.json(&["purge", "--yes"], code)["runs"][0].clone()
}

#[test]
fn files_go_once_their_rule_is_approved_and_the_evidence_says_how_many() {
    let shop = shop(GUARDED, "settle = \"none\"\n");
    put(&shop, 0..300, old());
    put(&shop, 300..1_000, recent());
    let planned = shop.planned(RULE);
    assert_eq!(
        (&planned["action"], &planned["matches"], &planned["total"], &planned["state"]),
        (&"erase-files".into(), &300.into(), &1_000.into(), &"waiting".into())
    );
    assert_eq!(purge(&shop, 3)["outcome"], "waiting");
    assert_eq!(there(&shop), 1_000);
    assert_eq!(shop.approve(RULE).code, 0);
    let run = purge(&shop, 0);
    assert_eq!((&run["outcome"], &run["erased"], &run["left"]), (&"done".into(), &300.into(), &0.into()));
    assert_eq!(there(&shop), 700);
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let committed = entries.iter().filter(|entry| entry["kind"] == "batch.committed");
    assert_eq!(committed.map(|entry| entry["rows"].as_u64().unwrap()).sum::<u64>(), 300);
}

/// The file system is not mounted, and what is underneath looks just like it.
#[test]
fn another_directory_in_the_place_of_the_approved_one_is_not_purged() {
    let shop = shop(UNGUARDED, "settle = \"none\"\n");
    put(&shop, 0..10, old());
    assert_eq!(purge(&shop, 0)["erased"], 10);
    let away = shop.path().join("away");
    fs::rename(sessions(&shop), &away).unwrap();
    put(&shop, 0..10, old());
    let planned = shop.planned(RULE);
    assert_eq!(planned["state"], "held");
    let reason = planned["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with(
            "its store has changed since it was accepted: another directory is in its place: it was inode"
        ),
        "{reason}"
    );
    assert_eq!(purge(&shop, 3)["outcome"], "held");
    assert_eq!(there(&shop), 10);
    fs::rename(sessions(&shop), shop.path().join("underneath")).unwrap();
    let reason = shop.planned(RULE)["reasons"][0].clone();
    assert!(reason.as_str().unwrap().contains("there is no such directory"), "{reason}");
    fs::rename(&away, sessions(&shop)).unwrap();
    assert_eq!(shop.planned(RULE)["state"], "ready");
}

#[test]
fn a_hold_on_the_store_or_the_site_keeps_every_file() {
    for prefix in [RULE, "shop.example"] {
        let shop = shop(UNGUARDED, "settle = \"none\"\n");
        put(&shop, 0..10, old());
        let add = ["hold", "add", prefix, "--until", "2099-12-31", "--reason-code", "dispute"];
        assert_eq!(shop.run(&add).code, 0);
        assert_eq!(purge(&shop, 3)["outcome"], "held");
        assert_eq!(there(&shop), 10);
        // One that names a column cannot be told in terms of files: it keeps all of them.
        assert_eq!(shop.run(&["hold", "lift", "1"]).code, 0);
        assert_eq!(shop.run(&[&add[..], &["--where", "id=1"]].concat()).code, 0);
        assert_eq!(purge(&shop, 3)["outcome"], "held");
        assert_eq!(shop.run(&["hold", "lift", "2"]).code, 0);
        assert_eq!(purge(&shop, 0)["erased"], 10);
    }
}

/// Holds a file open until it is dropped.
struct Reader(Child);

impl Reader {
    fn of(path: &Path) -> Reader {
        Reader(Command::new("sleep").arg("600").stdin(fs::File::open(path).unwrap()).spawn().unwrap())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_stays_for_now_shows_in_the_plan_the_status_and_the_evidence() {
    let shop = shop(UNGUARDED, "settle = \"none\"\n");
    put(&shop, 0..10, old());
    let reader = Reader::of(&sessions(&shop).join(format!("{SECRET}/sess_{SECRET}_3")));
    let expected = "1 expired records stay for now: somebody has them open; the oldest is of 2020-01-01T00:00:00Z";
    assert_eq!(shop.planned(RULE)["warnings"], serde_json::json!([expected]));
    let status = shop.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["rules"][0]["kept"], serde_json::json!([expected]));
    assert_eq!(purge(&shop, 0)["erased"], 9);
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    let kept = r#""kept":[{"records":1,"because":"somebody has them open","oldest":"2020-01-01T00:00:00.000000Z"}]"#;
    assert!(log.contains(kept), "{log}");
    drop(reader);
    assert_eq!(purge(&shop, 0)["erased"], 1);
}

#[test]
fn what_a_setting_forbids_goes_from_every_file_whatever_its_age() {
    let shop = shop(UNGUARDED, "settle = \"none\"\n[settings]\nnot-stored = [\"visit\"]\n");
    put(&shop, 0..10, old());
    put(&shop, 10..30, recent());
    let planned = shop.planned(&format!("{RULE}@setting"));
    assert_eq!((&planned["cutoff"], &planned["matches"]), (&Value::Null, &30.into()));
    assert_eq!(purge(&shop, 0)["erased"], 30);
}

/// An approval is for what was approved, and for whatever keeps more.
#[rstest]
#[case("settle = \"1 hour\"", "settle = \"2 hours\"", "ready")]
#[case("settle = \"1 hour\"", "settle = \"none\"", "waiting")]
#[case("visit = \"6 months\"", "visit = \"7 months\"", "ready")]
#[case("visit = \"6 months\"", "visit = \"5 months\"", "waiting")]
#[case("pattern = \"sess_*\"", "pattern = \"*\"", "waiting")]
#[case("pattern = \"sess_*\"", "pattern = \"sess_a*\"", "waiting")]
#[case("pattern = \"sess_*\"", "pattern = \"sess_*\"\nage = { name = \"%Y-%m-%d\" }", "waiting")]
fn a_rule_that_may_remove_more_than_was_approved_waits(#[case] was: &str, #[case] is: &str, #[case] state: &str) {
    let shop = shop(GUARDED, "settle = \"1 hour\"\n");
    put(&shop, 0..10, recent());
    assert_eq!(shop.approve(RULE).code, 0);
    assert_eq!(shop.planned(RULE)["state"], "ready");
    let site = fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    assert!(site.contains(was));
    shop.write("sites/shop.example.toml", &site.replace(was, is));
    assert_eq!(shop.planned(RULE)["state"], state);
}

#[test]
fn what_was_put_there_today_settles_first_by_default() {
    let shop = shop(UNGUARDED, "");
    put(&shop, 0..10, old());
    assert_eq!(purge(&shop, 0)["erased"], 0);
    let warning = shop.planned(RULE)["warnings"][0].clone();
    assert!(warning.as_str().unwrap().contains("a shorter while ago than `settle` says"), "{warning}");
    assert_eq!(there(&shop), 10);
}

/// Names are visitors' in whatever a person or a machine gets to see: also where something goes wrong.
#[test]
fn no_name_is_told_by_any_command_nor_stands_in_the_state_afterwards() {
    let shop = shop(UNGUARDED, "settle = \"none\"\n");
    put(&shop, 0..2_000, old());
    put(&shop, 2_000..2_010, recent());
    let odd = [SECRET.as_bytes(), b"\xFF\n"].concat();
    write(&sessions(&shop).join(OsStr::from_bytes(&[b"sess_", &odd[..]].concat())), old());
    let _reader = Reader::of(&sessions(&shop).join(format!("{SECRET}/sess_{SECRET}_3")));
    let commands: [&[&str]; 8] = [
        &["plan"],
        &["plan", "--json"],
        &["check", "--stores"],
        &["status"],
        &["purge", "--yes"],
        &["audit", "list"],
        &["register", "history"],
        &["audit", "verify"],
    ];
    for arguments in commands {
        let mut command = shop.command(arguments);
        let output = command.env("RUST_LOG", "trace").output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {output:?}");
        for stream in [output.stdout, output.stderr] {
            assert!(!contains(&stream, SECRET), "{arguments:?}: {}", String::from_utf8_lossy(&stream));
        }
    }
    assert_eq!(there(&shop), 11);
    for (path, content) in installation::tree(&shop.state()) {
        assert!(!content.is_some_and(|content| contains(&content, SECRET)), "{}", path.display());
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// The shipped examples on files as they are meant for: those that go, and those that stay.
#[rstest]
#[case("php-sessions", &["sess_a", "1/b/sess_c"], &["sess_fresh", "other"])]
#[case("chat-transcripts", &["chat-2020-01-01-8f3c2a.html", "2020/chat-2020-12-31.html"], &["chat-2020-13-01.html",
    "chat-2099-01-01.html", "index.html"])]
#[case("uploads", &["order.pdf", ".hidden", "2020/photo.jpg"], &["photo-fresh.jpg"])]
#[case("archives", &["shop-20200101.tar.gz", "shop-20201231.tar.zst"], &["shop-2020010.tar.gz", "shop-202001012.tar.gz",
    "shop-20200101.zip"])]
fn the_shipped_examples_remove_what_they_say(#[case] name: &str, #[case] go: &[&str], #[case] stay: &[&str]) {
    let shop = Installation::new(UNGUARDED);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.example.toml"));
    let text = fs::read_to_string(shipped).unwrap();
    // Files cannot be put there in the past: that they settle first is another test's.
    let path = format!("path = \"{}\"\nsettle = \"none\"", sessions(&shop).display());
    let lines = text.lines().filter(|line| !line.starts_with("settle = "));
    let lines: Vec<&str> = lines.map(|line| if line.starts_with("path = ") { &path } else { line }).collect();
    shop.write("sites/example.toml", &lines.join("\n"));
    for name in go.iter().chain(stay) {
        write(&sessions(&shop).join(name), if name.contains("fresh") { recent() } else { old() });
    }
    assert_eq!(purge(&shop, 0)["erased"], go.len());
    assert!(stay.iter().all(|name| sessions(&shop).join(name).exists()));
}
