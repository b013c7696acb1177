//! The daemon's own comparison: once a day, in the evidence, in the report and in `status`.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::installation::Installation;
use super::{RULE, shop, shop_with};

/// Whatever is waited for comes much sooner, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(shop: &Installation) -> Child {
    let log = std::fs::File::create(shop.path().join("daemon.log")).unwrap();
    shop.command(&["run"]).stdin(Stdio::null()).stderr(log).spawn().unwrap()
}

fn end(mut daemon: Child) {
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn checked(shop: &Installation) -> Vec<Value> {
    let log = std::fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let entries = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["kind"] == "drift.checked").collect()
}

fn report(shop: &Installation, format: &str) -> String {
    let out = shop.path().join(format!("report.{format}"));
    let out = out.to_str().unwrap();
    let ran =
        shop.run(&["audit", "report", "--from", "2026-01-01", "--to", "2999-12-31", "--format", format, "--out", out]);
    assert_eq!(ran.code, 0, "{ran:?}");
    std::fs::read_to_string(out).unwrap()
}

#[test]
fn the_daemon_compares_and_says_so_in_the_evidence_in_the_report_and_in_status() {
    let shop = shop_with(
        "INSERT INTO visitors (last_seen) VALUES ('canary-yesterday');
         ALTER TABLE visitors ADD COLUMN phone TEXT;
         CREATE TABLE \"inbox_canary@shop.example\" (email TEXT, created_at TEXT);
         UPDATE visitors SET colour = 'canary-' || id || '@shop.example';",
    );
    let daemon = start(&shop);
    let entry = eventually("a comparison", || checked(&shop).pop());
    end(daemon);
    assert_eq!(entry["counts"], json!({"undatable": 1, "undeclared-column": 2, "undeclared-table": 1}));
    assert_eq!((&entry["rules"], &entry["stores"], &entry["accepted"]), (&json!(2), &json!(1), &json!(0)));
    assert_eq!(
        entry["findings"],
        json!([
            {"finding": "undatable", "place": RULE, "records": 1},
            {"finding": "undeclared-column", "place": "shop.example/chat/visitors/colour"},
            {"finding": "undeclared-column", "place": "shop.example/chat/visitors/phone"},
            {"finding": "undeclared-table",
             "place": "shop.example/chat/(not named: it looks like personal data itself)"},
        ])
    );
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);

    let status = shop.run(&["status"]);
    assert!(status.stdout.contains(" 1 undatable, 2 undeclared-column, 1 undeclared-table; `forgetd "), "{status:?}");
    let status: Value = serde_json::from_str(&shop.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["drift"]["ok"], json!(false));
    // The log always writes six digits of a second, other output as many as it needs.
    let instant = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(instant(&status["drift"]["checked"]), instant(&entry["time"]));

    let html = report(&shop, "html");
    assert!(html.contains("Declared, enforced, observed") && html.contains("phone"));
    assert!(html.contains("The field looks personal, and nobody declared what it holds."));
    assert!(report(&shop, "md").contains("Declared, enforced, observed"));
    let csv = report(&shop, "csv");
    assert!(
        csv.contains(",drift,") && csv.contains("\"1 undatable; 2 undeclared-column; 1 undeclared-table\""),
        "{csv}"
    );
    let json: Value = serde_json::from_str(&report(&shop, "json")).unwrap();
    assert_eq!((&json["drift"]["checks"], &json["drift"]["disagreed"]), (&json!(1), &json!(1)));
    assert_eq!(json["drift"]["last"]["findings"], entry["findings"]);

    let told = std::fs::read_to_string(shop.path().join("daemon.log")).unwrap();
    let evidence = std::fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    for text in [&html, &csv, &told, &evidence] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_daemon_that_is_started_again_the_same_day_does_not_compare_again() {
    let shop = shop();
    let daemon = start(&shop);
    let entry = eventually("a comparison", || checked(&shop).pop());
    end(daemon);
    assert_eq!((&entry["counts"], entry.get("findings")), (&json!({}), None));
    assert!(shop.run(&["status"]).stdout.contains("Drift: none at "));
    let daemon = start(&shop);
    std::thread::sleep(Duration::from_secs(16));
    end(daemon);
    assert_eq!(checked(&shop).len(), 1);
}

#[test]
fn a_purge_that_is_due_comes_before_the_comparison() {
    let shop = shop().with_database("UPDATE visitors SET ip = '192.0.2.7'");
    // Nothing was run yet as far as the daemon knows: what the setting forbids is due at once.
    super::register(&shop, "DELETE FROM runs");
    let daemon = start(&shop);
    let entry = eventually("a comparison", || checked(&shop).pop());
    end(daemon);
    assert!(entry["counts"].get("not-stored").is_none(), "{entry}");
    assert_eq!(shop.number("SELECT count(ip) FROM visitors"), 0);
}
