//! Rules over logs through the built program: plan, approval, purge, holds, what waits for rotation, and the shipped
//! examples on lines as their servers write them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "support/installation.rs"]
mod installation;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use installation::{GUARDED, Installation, UNGUARDED};
use rstest::rstest;
use serde_json::Value;

const LINES: &str = "shop.example/access";
const ADDRESSES: &str = "shop.example/access/address@setting";

/// Stands in every name and line.
const SECRET: &str = "Nemo4711";

/// An installation whose one store is a log.
fn shop(daemon: &str) -> Installation {
    let shop = Installation::new(daemon);
    fs::create_dir(logs(&shop)).unwrap();
    let path = logs(&shop).display().to_string();
    shop.write(
        "sites/shop.example.toml",
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
             [retention]\nvisit = \"6 months\"\n\
             [store.access]\nkind = \"log\"\npath = \"{path}/access*.log*\"\nformat = \"combined\"\nholds = \"visit\"\n\
             address = {{ category = \"visit.ip-address\", do = \"truncate\" }}\n"
        ),
    );
    shop
}

fn logs(shop: &Installation) -> PathBuf {
    shop.path().join("logs")
}

/// Lines of that time, as the log has it.
fn lines(time: &str, count: usize) -> String {
    let line = format!("192.0.2.77 - - [{time}] \"GET /{SECRET} HTTP/1.1\" 200 5 \"-\" \"-\"\n");
    line.repeat(count)
}

const OLD: &str = "01/Jan/2020:00:00:00 +0000";

fn now() -> jiff::Timestamp {
    (std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap()
}

/// Of yesterday.
fn young(count: usize) -> String {
    let time = now() - jiff::SignedDuration::from_hours(24);
    lines(&time.strftime("%d/%b/%Y:12:00:00 %z").to_string(), count)
}

fn file(shop: &Installation, name: &str, text: &str) -> PathBuf {
    let path = logs(shop).join(name);
    fs::write(&path, text).unwrap();
    age(&path, 86_400);
    path
}

fn age(path: &Path, seconds: u64) {
    let written = fs::metadata(path).unwrap().modified().unwrap();
    fs::File::open(path).unwrap().set_modified(written - Duration::from_secs(seconds)).unwrap();
}

/// What `purge --json` says of a rule. The name of one that drops lines is the beginning of others' as well.
fn purge(shop: &Installation, rule: &str) -> Value {
    let ran = shop.run(&["purge", rule, "--yes", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let runs = told["runs"].as_array().unwrap();
    runs.iter().find(|run| run["rule"] == rule).unwrap_or_else(|| panic!("no {rule} in {told}")).clone()
}

#[test]
fn lines_go_once_their_rule_is_approved_and_the_evidence_says_how_many() {
    let shop = shop(GUARDED);
    file(&shop, "access.log.1", &(lines(OLD, 30) + &young(70)));
    file(&shop, "access.log", "");
    let planned = shop.planned(LINES);
    assert_eq!(
        (&planned["action"], &planned["matches"], &planned["total"], &planned["state"]),
        (&"drop-lines".into(), &30.into(), &100.into(), &"waiting".into())
    );
    assert_eq!(purge(&shop, LINES)["outcome"], "waiting");
    assert_eq!(shop.approve(LINES).code, 0);
    let run = purge(&shop, LINES);
    assert_eq!((&run["outcome"], &run["erased"], &run["left"]), (&"done".into(), &30.into(), &0.into()));
    assert_eq!(fs::read_to_string(logs(&shop).join("access.log.1")).unwrap(), young(70));
    let planned = shop.planned(ADDRESSES);
    assert_eq!((&planned["action"], &planned["matches"]), (&"truncate-addresses".into(), &70.into()));
    assert_eq!(shop.approve(ADDRESSES).code, 0);
    assert_eq!(purge(&shop, ADDRESSES)["erased"], 70);
    let masked = young(70).replace("192.0.2.77 ", "192.0.2.0 ");
    assert_eq!(fs::read_to_string(logs(&shop).join("access.log.1")).unwrap(), masked);
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let committed = entries.iter().filter(|entry| entry["kind"] == "batch.committed");
    assert_eq!(committed.map(|entry| entry["rows"].as_u64().unwrap()).sum::<u64>(), 100);
}

#[test]
fn what_waits_for_rotation_shows_in_the_plan_the_status_and_the_evidence() {
    let shop = shop(UNGUARDED);
    let path = file(&shop, "access.log", &lines(OLD, 3));
    let writer = OpenOptions::new().append(true).open(&path).unwrap();
    let expected = "3 expired records stay for now: the file they are in is still being written; the oldest is of \
                    2020-01-01T00:00:00Z";
    assert_eq!(shop.planned(LINES)["warnings"], serde_json::json!([expected]));
    assert_eq!(purge(&shop, LINES)["erased"], 0);
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    let kept = r#""kept":[{"records":3,"because":"the file they are in is still being written","oldest":"2020-01-01T00:00:00.000000Z"}]"#;
    assert!(log.contains(kept), "{log}");
    drop(writer);
    assert_eq!(purge(&shop, LINES)["erased"], 3);
}

#[test]
fn a_hold_on_the_log_or_on_its_addresses_keeps_every_line() {
    for prefix in [LINES, "shop.example/access/address"] {
        let shop = shop(UNGUARDED);
        file(&shop, "access.log.1", &lines(OLD, 3));
        file(&shop, "access.log", "");
        let add = ["hold", "add", prefix, "--until", "2099-12-31", "--reason-code", "dispute"];
        assert_eq!(shop.run(&add).code, 0);
        assert_eq!(purge(&shop, LINES)["outcome"], "held");
        assert_eq!(purge(&shop, ADDRESSES)["outcome"], "held");
        // One that names a column cannot be told in terms of lines: it keeps all of them.
        assert_eq!(shop.run(&["hold", "lift", "1"]).code, 0);
        assert_eq!(shop.run(&[&add[..], &["--where", "id=1"]].concat()).code, 0);
        assert_eq!(purge(&shop, LINES)["outcome"], "held");
        assert_eq!(shop.run(&["hold", "lift", "2"]).code, 0);
        assert_eq!(purge(&shop, LINES)["erased"], 3);
    }
}

/// In a container, a directory that is mounted into it may be written to by processes that cannot be seen there. It may
/// be one of the very file system that the container's own files are on.
#[rstest]
fn where_a_writer_may_be_hidden_only_what_was_compressed_after_its_rotation_is_touched(
    #[values("-t tmpfs none", "--bind .")] mount: &str,
) {
    let shop = shop(UNGUARDED);
    let path = logs(&shop);
    let old = lines(OLD, 3);
    let script = format!(
        "cd {0} && mount {mount} {0} && cd {0} && for name in log log.1 log.2 log.3 log.4; do \
           printf '%s' \"$LINES_OF_OLD\" > access.$name; done && \
         gzip access.log.3 access.log.4 && mv access.log.4.gz access.gz.log.gz && \
         touch -d '2 hours ago' access.log.[2-4]* access.gz.log.gz && : > access.log.5 && \
         \"$FORGETD\" --config {1} purge --yes >&2; \"$FORGETD\" --config {1} plan; \
         cat access.log access.log.1 access.log.2 | wc -c; ls",
        path.display(),
        shop.path().join("config").display(),
    );
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .env("LINES_OF_OLD", &old)
        .env("FORGETD", env!("CARGO_BIN_EXE_forgetd"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if told.is_empty() {
        eprintln!("left out: no namespaces here: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert!(told.contains("cannot tell whether one still writes to a log"), "{output:?}");
    assert!(told.contains("12 expired records stay for now: it cannot be told whether"), "{output:?}");
    let left = "access.gz.log.gz\naccess.log\naccess.log.1\naccess.log.2\naccess.log.5\n";
    assert!(told.ends_with(&format!("{}\n{left}", 3 * old.len())), "{output:?}");
}

/// Lines and names are visitors' in whatever a person or a machine gets to see.
#[test]
fn nothing_of_a_line_or_a_name_is_told_by_any_command_nor_stands_in_the_state_afterwards() {
    let shop = shop(UNGUARDED);
    file(&shop, &format!("access-{SECRET}.log.1"), &(lines(OLD, 30) + &young(70)));
    file(&shop, &format!("access-{SECRET}.log.2"), &format!("{SECRET} is in no format, from 192.0.2.77\n"));
    file(&shop, &format!("access-{SECRET}.log.xz"), "\u{FFFD}7zXZ");
    fs::write(logs(&shop).join(format!("access-{SECRET}.log.gz")), b"\x1F\x8B\x08\0damaged").unwrap();
    fs::write(logs(&shop).join("access.log"), "").unwrap();
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
        let output = shop.command(arguments).env("RUST_LOG", "trace").output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {output:?}");
        for stream in [output.stdout, output.stderr] {
            assert!(!contains(&stream), "{arguments:?}: {}", String::from_utf8_lossy(&stream));
        }
    }
    for (path, content) in installation::tree(&shop.state()) {
        assert!(!content.is_some_and(|content| contains(&content)), "{}", path.display());
    }
}

fn contains(bytes: &[u8]) -> bool {
    [SECRET, "192.0.2"].iter().any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

/// The shipped examples on lines as they are meant for: each store drops the old one and masks the young one.
#[rstest]
#[case("nginx", "access", r#"192.0.2.77 - eva [TIME] "GET /?ip=192.0.2.8 HTTP/2.0" 200 5 "-" "curl" "198.51.100.9""#,
    "%d/%b/%Y:%H:%M:%S %z", &["192.0.2.77", "192.0.2.8", "198.51.100.9"])]
#[case("nginx", "errors", "TIME [error] 7#7: *1 open() \"/srv/x\" failed, client: 192.0.2.77, server: x",
    "%Y/%m/%d %H:%M:%S", &["192.0.2.77"])]
#[case("apache", "access", r#"2001:db8:1:2::77 - - [TIME] "GET / HTTP/1.1" 200 5 "-" "curl""#,
    "%d/%b/%Y:%H:%M:%S %z", &["2001:db8:1:2::77"])]
#[case("apache", "errors", "[TIME] [core:error] [pid 7:tid 8] [client 192.0.2.77:54321] AH00126: Invalid URI",
    "%a %b %d %H:%M:%S.%6f %Y", &["192.0.2.77"])]
#[case("caddy", "access", r#"{"level":"info","ts":TIME.25,"request":{"remote_ip":"192.0.2.77","remote_port":"54321","client_ip":"192.0.2.77","headers":{"X-Forwarded-For":["192.0.2.8"],"Forwarded":["for=192.0.2.6;proto=https"],"X-Real-Ip":["192.0.2.5"],"Cf-Connecting-Ip":["192.0.2.4"],"True-Client-Ip":["192.0.2.3"]}},"status":200}"#,
    "%s", &["192.0.2.77", "192.0.2.8", "54321", "192.0.2.6", "192.0.2.5", "192.0.2.4", "192.0.2.3"])]
#[case("caddy", "searches", r#"[TIME] 192.0.2.77 searched for "shoes""#, "%Y-%m-%d %H:%M:%S", &["192.0.2.77"])]
fn the_shipped_examples_do_what_they_say(
    #[case] name: &str,
    #[case] store: &str,
    #[case] line: &str,
    #[case] time: &str,
    #[case] gone: &[&str],
) {
    let shop = Installation::new(UNGUARDED);
    fs::create_dir(logs(&shop)).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.example.toml"));
    let text = fs::read_to_string(shipped).unwrap();
    let directory = format!("path = \"{}/", logs(&shop).display());
    let moved: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("path = \"").and_then(|path| path.rsplit_once('/')) {
            Some((_, pattern)) => format!("{directory}{pattern}"),
            None => line.to_owned(),
        })
        .collect();
    shop.write("sites/example.toml", &moved.join("\n"));
    // Beyond the first step of any ladder and within the period of every line.
    let young = (now() - jiff::SignedDuration::from_hours(24 * 20)).strftime(time).to_string();
    let old: jiff::Timestamp = "2020-06-01T12:00:00Z".parse().unwrap();
    let old = line.replace("TIME", &old.strftime(time).to_string());
    let pattern = moved.iter().skip_while(|line| **line != format!("[store.{store}]"));
    let pattern = pattern.clone().find_map(|line| line.strip_prefix(&directory)).unwrap();
    let pattern = pattern.split('"').next().unwrap();
    let (rotated, current) = (pattern.replace('*', "") + ".1", pattern.replace('*', ""));
    let rotated = if pattern.ends_with('*') { rotated } else { current.clone() };
    let path = file(&shop, &rotated, &format!("{old}\n{}\n", line.replace("TIME", &young)));
    file(&shop, &current, "");
    age(&path, 3_600);
    let site = moved.iter().find_map(|line| line.strip_prefix("domain = \"")).unwrap().trim_end_matches('"');
    assert_eq!(purge(&shop, &format!("{site}/{store}"))["erased"], 1);
    for run in shop.json(&["purge", "--yes"], 0)["runs"].as_array().unwrap() {
        assert_eq!(run["outcome"], "done", "{run}");
    }
    let left = fs::read_to_string(&path).unwrap();
    assert!(gone.iter().all(|gone| !left.contains(gone)), "{left}");
    assert_eq!(left.lines().count(), 1);
}
