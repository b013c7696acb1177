//! `audit report`: every number of it is that of an independent count, whatever a table is called it stays text, and it
//! says what it does not know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;
#[path = "report/log.rs"]
mod log;
#[path = "report/page.rs"]
mod page;
#[path = "report/refusals.rs"]
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forgetd::config::Config;
use forgetd::plan;
use forgetd::purge::State;
use installation::{GUARDED, Installation, Ran, forgetd, tree};
use serde_json::{Value, json};

/// A table with every kind of rule that needs nothing else of it, and one of a longer period.
const TABLES: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "ssupp.vid"
consent = { column = "consent", given = 1 }
children = [{ table = "pages", column = "visitor_id" }]
[store.chat.table.columns]
ip = "visit.ip-address"
city = "visit.location"
visits = "ssupp.visits"

[[store.chat.table]]
name = "talks"
key = "id"
time = { column = "ended", format = "unix-seconds" }
holds = "conversation"
"#;

/// Visitors of 300, 60 and 2 days, one without a usable date; talks of three years and of two days.
const ROWS: &str = "
    CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, consent INTEGER, ip TEXT, city TEXT, visits INTEGER);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, url TEXT);
    CREATE TABLE talks (id INTEGER PRIMARY KEY, ended INTEGER, said TEXT);
    WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 1300)
    INSERT INTO visitors
        SELECT i, CASE WHEN i = 1300 THEN 0 ELSE unixepoch() - 86400 * (CASE WHEN i <= 1100 THEN 300 WHEN i <= 1200 THEN 60 ELSE 2 END) END,
               CASE i % 2 WHEN 0 THEN 1 END, '192.0.2.' || (i % 250), 'canary-city-' || i, 5 FROM g;
    INSERT INTO pages (visitor_id, url) SELECT id, '/canary-url' FROM visitors UNION ALL SELECT id, '/cart' FROM visitors;
    WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 40)
    INSERT INTO talks SELECT i, unixepoch() - 86400 * (CASE WHEN i <= 30 THEN 1000 ELSE 2 END), 'canary-said' FROM g;
    ";

const TALKS: &str = "shop.example/chat/talks";

/// The days around the tests', whatever the zone.
const ALWAYS: [&str; 4] = ["--from", "2020-01-01", "--to", "2999-12-31"];

/// A shop with a history: refused, approved, run, stopped, on hold, edited, loosened and refused again.
fn shop() -> Installation {
    let shop = Installation::new(GUARDED).with_tables(TABLES).with_database(ROWS);
    shop.write("sites/shop.example.toml", &shop.site("store-ip = true", TABLES));
    assert_eq!(shop.run(&["purge", "--yes"]).code, 3, "nothing is approved yet");
    for rule in rules(&shop) {
        assert_eq!(shop.approve(&rule).code, 0, "{rule}");
    }
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let hold = ["hold", "add", TALKS, "--where", "id=canary-held", "--until", "2999-12-31", "--reason-code", "case-7"];
    assert_eq!(shop.run(&hold).code, 0);
    assert_eq!(shop.run(&["stop-purges"]).code, 0);
    assert_eq!(shop.run(&["stop-purges", "--lift"]).code, 0);
    let site = shop.site("store-ip = false", TABLES).replace("conversation = \"2 years\"", "conversation = \"1 year\"");
    shop.write("sites/shop.example.toml", &site);
    assert_eq!(shop.run(&["purge", "--yes"]).code, 3, "what erases more waits");
    shop
}

fn rules(shop: &Installation) -> Vec<String> {
    let planned: Value = serde_json::from_str(&shop.run(&["plan", "--json"]).stdout).unwrap();
    planned["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
}

/// Writes a report of the shop and returns where it is.
fn report(shop: &Installation, format: &str, arguments: &[&str]) -> PathBuf {
    let out = shop.path().join(format!("report.{format}"));
    let _ = fs::remove_file(&out);
    let ran = shop.run(&[&["audit", "report", "--format", format, "--out", out.to_str().unwrap()], arguments].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    out
}

/// Writes a report of a log that stands alone.
fn report_of(log: &Path, out: &Path, arguments: &[&str]) -> Ran {
    let mut command = forgetd();
    command.args(["audit", "--log", log.to_str().unwrap(), "report", "--out", out.to_str().unwrap()]).args(arguments);
    Ran::of(command.output().unwrap())
}

fn value(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The entries as any reader of JSON Lines sees them.
fn entries(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["kind"] == kind).collect()
}

fn sum(entries: &[&Value], key: &str) -> u64 {
    entries.iter().map(|entry| entry[key].as_u64().unwrap()).sum()
}

/// What a parser that is not ours finds in a page.
fn outline(page: &Path) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report/outline.py");
    let parsed = Command::new("python3").arg(script).arg(page).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    serde_json::from_slice(&parsed.stdout).unwrap()
}

/// The rows of a table file, by an independent reader of CSV.
fn csv(path: &Path) -> Vec<Value> {
    let script = "import csv, json, sys\n\
        with open(sys.argv[1], newline='', encoding='utf-8-sig') as file:\n    \
        print(json.dumps(list(csv.DictReader(file, strict=True))))";
    let parsed = Command::new("python3").args(["-c", script]).arg(path).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    serde_json::from_slice::<Value>(&parsed.stdout).unwrap().as_array().unwrap().clone()
}

#[test]
fn every_number_is_that_of_an_independent_count() {
    let shop = shop();
    let entries = entries(&shop.state().join("audit"));
    let finished = of_kind(&entries, "run.finished");
    let (erased, children) = (sum(&finished, "erased"), sum(&finished, "children"));
    assert!(erased > 1_300 && children == 2_200, "the history has something to count: {erased}, {children}");

    let report_json = value(&report(&shop, "json", &ALWAYS));
    let totals = &report_json["totals"];
    let expected = [
        ("entries", entries.len() as u64),
        ("runs", finished.len() as u64),
        ("done", finished.iter().filter(|entry| entry["outcome"] == "done").count() as u64),
        ("erased", erased),
        ("children", children),
        ("refused", of_kind(&entries, "rule.held").len() as u64),
        ("approvals", of_kind(&entries, "rule.approved").len() as u64),
        ("versions", of_kind(&entries, "config.applied").len() as u64),
        ("rejected_versions", 0),
        ("without_end", 0),
    ];
    for (key, many) in expected {
        assert_eq!(totals[key], many, "{key}");
    }
    for rule in report_json["rules"].as_array().unwrap() {
        let of_rule: Vec<&Value> = finished.iter().copied().filter(|entry| entry["rule"] == rule["rule"]).collect();
        assert_eq!(rule["runs"], of_rule.len() as u64);
        assert_eq!(
            (&rule["erased"], &rule["children"]),
            (&sum(&of_rule, "erased").into(), &sum(&of_rule, "children").into())
        );
    }
    let bars = report_json["timeline"]["bars"].as_object().unwrap().values();
    assert_eq!(bars.map(|bar| bar["erased"].as_u64().unwrap()).sum::<u64>(), erased);
    for (kind, many) in report_json["evidence"]["kinds"].as_object().unwrap() {
        assert_eq!(*many, of_kind(&entries, kind).len() as u64, "{kind}");
    }

    let rows = csv(&report(&shop, "csv", &ALWAYS));
    let runs: Vec<&Value> = rows.iter().filter(|row| row["outcome"] != "refused").collect();
    assert_eq!(rows.len() - runs.len(), of_kind(&entries, "rule.held").len());
    for (row, entry) in runs.iter().zip(&finished) {
        for (column, key) in [("run", "run"), ("rule", "rule"), ("outcome", "outcome")] {
            assert_eq!(row[column], entry[key]);
        }
        for (column, key) in
            [("erased", "erased"), ("dependent_rows", "children"), ("left", "left"), ("batches", "batches")]
        {
            assert_eq!(row[column].as_str().unwrap(), entry[key].to_string(), "{column}");
        }
        let started =
            of_kind(&entries, "run.started").into_iter().find(|started| started["run"] == entry["run"]).unwrap();
        assert_eq!(row["counted"].as_str().unwrap(), started["counted"].to_string());
    }
    assert_eq!(runs.len(), finished.len());
}

#[test]
fn a_period_has_the_entries_of_its_days_and_no_others() {
    let log = log::history();
    let out = log.path().join("report.json");
    let ran = report_of(&log.dir(), &out, &["--format", "json", "--from", "2026-03-01", "--to", "2026-03-31"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = value(&out);
    let entries = entries(&log.dir());
    let in_march: Vec<Value> =
        entries.into_iter().filter(|entry| entry["time"].as_str().unwrap().starts_with("2026-03-")).collect();
    let finished = of_kind(&in_march, "run.finished");
    assert_eq!(report["totals"]["entries"], in_march.len() as u64);
    assert_eq!(report["totals"]["runs"], finished.len() as u64);
    assert_eq!(report["totals"]["erased"], sum(&finished, "erased"));
    assert_eq!(report["timeline"]["unit"], "day");
    assert_eq!(report["timeline"]["bars"].as_object().unwrap().len(), 31);
    assert_eq!(report["pending"], json!([]), "the last run of March asked the store, and nothing was left");

    let night = log.path().join("night.json");
    let ran = report_of(&log.dir(), &night, &["--format", "json", "--from", "2026-01-01", "--to", "2026-01-09"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = value(&night);
    assert_eq!(report["totals"]["interrupted"], 1);
    assert!(report["pending"][0]["text"].as_str().unwrap().starts_with("not known"), "{report}");
    assert_eq!(report["sites"][0]["rules"][0]["overdue"]["records"], 5, "what the interrupted run left");
}

#[test]
fn nothing_of_a_record_and_no_value_of_a_hold_is_in_any_form() {
    let shop = shop();
    for format in ["html", "csv", "json", "md"] {
        let text = fs::read_to_string(report(&shop, format, &ALWAYS)).unwrap();
        for personal in ["canary", "192.0.2."] {
            assert!(!text.contains(personal), "{format} has {personal}");
        }
    }
}

#[test]
fn a_report_changes_nothing_but_its_own_file() {
    let shop = shop();
    let before = tree(&shop.state());
    let config = tree(&shop.config());
    report(&shop, "html", &[&ALWAYS[..], &["--site", "shop.example"]].concat());
    assert!(tree(&shop.state()) == before && tree(&shop.config()) == config);
}

#[test]
fn a_change_of_the_configuration_is_told_in_words() {
    let shop = shop();
    let text = outline(&report(&shop, "html", &ALWAYS))["text"].as_str().unwrap().to_owned();
    assert!(text.contains("store-ip: true → false. IP addresses are not stored."), "{text}");
    assert!(text.contains("conversation is kept for 1 year instead of 2 years."), "{text}");
    assert!(
        text.contains("Hold 1 placed: nothing of it may be erased until 2999-12-31. Reason code: case-7."),
        "{text}"
    );
    assert!(text.contains("Stopped all erasure.") && text.contains("Let erasure go on."), "{text}");
}

#[test]
fn every_rule_stands_with_its_period_its_last_run_and_what_holds_it() {
    let shop = shop();
    let report = value(&report(&shop, "json", &ALWAYS));
    let site = &report["sites"][0];
    assert_eq!((&site["site"], &site["zone"]), (&"shop.example".into(), &"Europe/Prague".into()));
    let rules = site["rules"].as_array().unwrap();
    let planned = self::rules(&shop);
    assert_eq!(rules.iter().map(|rule| rule["rule"].as_str().unwrap()).collect::<Vec<_>>(), planned);
    let rule = |name: &str| rules.iter().find(|rule| rule["rule"] == name).unwrap();

    let visitors = rule("shop.example/chat/visitors");
    assert_eq!((&visitors["category"], &visitors["declared"]), (&"ssupp.vid".into(), &"6 months".into()));
    assert_eq!(
        (&visitors["last_run"]["outcome"], &visitors["last_run"]["erased"]),
        (&"done".into(), &0.into()),
        "the second run"
    );
    assert!(visitors["oldest"].as_str().unwrap().starts_with("None from before "), "{visitors}");
    assert_eq!(visitors["overdue"]["standing"], "nothing");
    assert!(visitors["kept"][0].as_str().unwrap().starts_with("1 record without a usable date"), "{visitors}");
    assert!(visitors["approved"]["uid"].is_number());

    let talks = rule(TALKS);
    assert_eq!((&talks["category"], &talks["declared"]), (&"conversation".into(), &"1 year".into()));
    let held = talks["held"].as_array().unwrap();
    assert!(held[0].as_str().unwrap().contains("It no longer is the rule that was approved."), "{talks}");
    assert!(talks["kept"][0].as_str().unwrap().starts_with("Hold 1 (reason code case-7)"), "{talks}");
    assert!(!talks.to_string().contains("--plan"), "a token is for who approves, not for who reads");

    let ip = rule("shop.example/chat/visitors/ip@setting");
    assert_eq!((&ip["declared"], &ip["overdue"]["standing"]), (&"not stored".into(), &"overdue".into()));
    assert_eq!(ip["last_run"], Value::Null);
    assert_eq!(ip["overdue"]["records"], 200, "those that the first purge left");
    assert_eq!(site["without_store"], json!(["`contact` (2 years)"]), "`visit` has a part that a store holds");
}

#[test]
fn what_a_log_alone_cannot_say_is_said_to_be_missing() {
    let shop = shop();
    let copy = shop.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in ["log.jsonl", "checkpoint", "forgetd.vkey"] {
        fs::copy(shop.state().join("audit").join(file), copy.join(file)).unwrap();
    }
    let out = shop.path().join("copy.json");
    let kept = shop.state().join("audit/checkpoint");
    let anchored = ["--format", "json", "--anchor", kept.to_str().unwrap()];
    let ran = report_of(&copy, &out, &[&ALWAYS[..], &anchored].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("the log was read alone"), "{ran:?}");
    let (alone, whole) = (value(&out), value(&report(&shop, "json", &ALWAYS)));
    assert_eq!(alone["totals"], whole["totals"]);
    assert_eq!(alone["runs"], whole["runs"]);
    assert_eq!(
        (&alone["evidence"]["verdict"], &whole["evidence"]["verdict"]),
        (&"anchored".into(), &"self-consistent".into())
    );
    assert_eq!((&alone["controller"], &whole["controller"]), (&Value::Null, &"Shop s.r.o.".into()));
    assert_eq!(alone["missing"].as_array().unwrap().len(), 1);
    let rule = &alone["sites"][0]["rules"][0];
    assert_eq!((&rule["declared"], &rule["category"]), (&Value::Null, &Value::Null));

    let page = shop.path().join("copy.html");
    assert_eq!(report_of(&copy, &page, &ALWAYS).code, 0);
    let text = outline(&page)["text"].as_str().unwrap().to_owned();
    assert!(text.contains("What this report could not say") && text.contains("The log was read alone"), "{text}");
}

#[test]
fn a_period_that_is_over_is_laid_beside_what_was_declared_at_its_end() {
    let shop = Installation::new(GUARDED).with_tables(TABLES).with_database(ROWS);
    for (day, period) in [("2026-11-24", "3 years"), ("2026-11-26", "1 year")] {
        let site = shop.site("", TABLES).replace("conversation = \"2 years\"", &format!("conversation = \"{period}\""));
        shop.write("sites/shop.example.toml", &site);
        let now = format!("{day}T12:00:00Z").parse().unwrap();
        let config = Config::load(&shop.config()).unwrap();
        let mut state = State::open(&shop.state(), now).unwrap();
        state.apply(&config, &plan::derive(&config), now).unwrap();
    }
    for (day, period) in [("2026-11-24", "3 years"), ("2026-11-25", "3 years"), ("2026-11-26", "1 year")] {
        let report = value(&report(&shop, "json", &["--from", "2026-11-24", "--to", day]));
        let rules = report["sites"][0]["rules"].as_array().unwrap();
        let talks = rules.iter().find(|rule| rule["rule"] == TALKS).unwrap();
        assert_eq!(talks["declared"], period, "on {day}");
        assert_eq!(report["missing"], json!([]));
    }
}

#[test]
fn a_period_before_anything_was_declared_says_so() {
    let shop = shop();
    let early = ["--from", "2020-01-01", "--to", "2020-12-31"];
    let report = value(&report(&shop, "json", &early));
    assert_eq!(report["totals"]["entries"], 0);
    let missing = report["missing"].as_array().unwrap();
    assert!(missing[0].as_str().unwrap().contains("nothing was recorded by then"), "{missing:?}");
}
