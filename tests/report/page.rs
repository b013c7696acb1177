//! The page itself: well formed, self-contained, accessible, and text where the data is hostile.

use std::fs;

use forgetd::audit::{Event, Kept, RunFinished, RunOutcome};
use serde_json::Value;

use super::log::{self, History};
use super::{ALWAYS, csv, outline, report, report_of, shop, value};

/// Names that try to be markup, formulas, rows, or to turn the sentence around.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A0",
    "\u{202e}drawkcab\u{2066}",
    "a|b`c`[d](javascript:e)",
    "'; DROP TABLE log; --\r\n\u{0}",
];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn a_page_is_well_formed_self_contained_and_accessible() {
    let shop = shop();
    let page = outline(&report(&shop, "html", &ALWAYS));
    assert_eq!(page["lang"], "en");
    assert_eq!(page["title"], "Erasure of visitor records, 2020-01-01 to 2999-12-31");
    for landmark in ["header", "nav", "main", "footer", "h1"] {
        assert_eq!(page["elements"][landmark], 1, "{landmark}");
    }
    for fetched in ["script", "link", "img", "iframe", "object", "form", "base"] {
        assert_eq!(page["elements"][fetched], Value::Null, "{fetched}");
    }
    for attribute in page["attributes"].as_array().unwrap() {
        let [tag, name, value] = strings(attribute)[..] else { panic!("{attribute}") };
        assert!(!name.starts_with("on") && name != "style" && name != "src", "{tag} {name}");
        assert!(name != "href" || value.starts_with('#'), "{value}");
    }
    let style = page["style"].as_str().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(style.contains("prefers-color-scheme: dark") && style.contains("@media print"));
    assert!(page["policy"].as_str().unwrap().starts_with("default-src 'none'"));

    let levels: Vec<&str> = page["headings"].as_array().unwrap().iter().map(|heading| strings(heading)[0]).collect();
    assert!(levels.windows(2).all(|pair| pair != ["h1", "h3"]), "no level is left out: {levels:?}");
    for table in page["tables"].as_array().unwrap() {
        assert!(!table["caption"].as_str().unwrap().is_empty());
        let (head, rows) = (table["head"][0].as_array().unwrap(), table["rows"].as_array().unwrap());
        assert!(rows.iter().all(|row| row.as_array().unwrap().len() == head.len()), "{}", table["caption"]);
        let scopes = table["scopes"].as_array().unwrap();
        let cols = scopes.iter().filter(|scope| **scope == "col").count();
        let row_headings = scopes.iter().filter(|scope| **scope == "row").count();
        assert_eq!((cols, row_headings), (head.len(), rows.len()), "{}", table["caption"]);
    }
}

#[test]
fn the_figures_and_the_sums_of_a_page_are_those_of_its_value() {
    let shop = shop();
    let totals = value(&report(&shop, "json", &ALWAYS))["totals"].clone();
    let page = outline(&report(&shop, "html", &ALWAYS));
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    let figures: Vec<u64> = strings(&page["figures"]).into_iter().map(number).collect();
    let of = |key: &str| totals[key].as_u64().unwrap();
    let not_done = of("interrupted") + of("stopped") + of("held") + of("failed") + of("without_end");
    assert_eq!(figures, [of("erased"), of("runs"), not_done, of("refused"), of("approvals"), of("versions")]);
    let tables = page["tables"].as_array().unwrap();
    let by_rule = tables.iter().find(|table| table["caption"] == "Runs of the period by rule").unwrap();
    let last = by_rule["rows"].as_array().unwrap().last().unwrap();
    let sums: Vec<u64> = (1..5).map(|column| number(last[column][0].as_str().unwrap())).collect();
    assert_eq!(sums, [of("runs"), not_done, of("erased"), of("children")]);
}

#[test]
fn whatever_a_table_is_called_stays_text() {
    let mut history = History::from("2026-03-01T02:30:00Z");
    for name in HOSTILE {
        history.pass(24);
        history.run(&format!("shop.example/chat/{name}"), RunOutcome::Failed, 9, 4);
        history.append(&Event::RuleHeld {
            rule: format!("shop.example/chat/{name}"),
            reason: name.to_owned(),
            matches: 3,
            overdue_since: None,
        });
    }
    let changes = HOSTILE.map(|name| format!("table shop.example chat {name} added: {name}")).to_vec();
    history.append(&Event::ConfigApplied { version: 1, digest: String::new(), files: 1, changes });
    let history = history.seal();
    let out = |format: &str| history.path().join(format!("report.{format}"));
    for format in ["html", "csv", "json", "md"] {
        let ran = report_of(&history.dir(), &out(format), &[&ALWAYS[..], &["--format", format]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    let page = outline(&out("html"));
    for fetched in ["script", "img"] {
        assert_eq!(page["elements"][fetched], Value::Null);
    }
    let text = page["text"].as_str().unwrap();
    assert!(text.contains("<script>alert(1)</script>") && text.contains("⟨U+202E⟩drawkcab⟨U+2066⟩"), "{text}");
    let raw = fs::read_to_string(out("html")).unwrap();
    assert!(!raw.contains(['\u{202e}', '\u{2066}', '\u{0}', '\r']));

    let rows = csv(&out("csv"));
    assert_eq!(rows.len(), 2 * HOSTILE.len());
    for row in &rows {
        for cell in row.as_object().unwrap().values() {
            assert!(!cell.as_str().unwrap().starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }
    }
    assert!(rows.iter().any(|row| row["reason"].as_str().unwrap().starts_with("'=")), "{rows:?}");

    let markdown = fs::read_to_string(out("md")).unwrap();
    // Behind a backslash it is a bracket and no link.
    let outside = markdown.split('`').step_by(2).collect::<String>().replace("\\]", "");
    assert!(!outside.contains("<script>") && !outside.contains("](javascript:") && !outside.contains('\u{202e}'));
    assert_eq!(value(&out("json"))["rules"].as_array().unwrap().len(), HOSTILE.len());
}

#[test]
fn a_log_of_many_years_makes_a_page_that_can_be_read() {
    let mut history = History::from("2023-01-01T02:30:00Z");
    for night in 0..12_000_u64 {
        history.pass(2);
        history.run("shop.example/chat/visitors", RunOutcome::Done, 1 + night % 3, 1 + night % 3);
    }
    let history = history.seal();
    let out = |format: &str| history.path().join(format!("report.{format}"));
    for format in ["html", "csv", "json"] {
        let ran = report_of(&history.dir(), &out(format), &[&ALWAYS[..], &["--format", format]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let whole = value(&out("json"));
    let runs = &whole["runs"];
    assert_eq!(runs["newest"].as_array().unwrap().len() as u64 + runs["earlier"].as_u64().unwrap(), 12_000);
    assert_eq!((&whole["totals"]["runs"], &whole["timeline"]["unit"]), (&12_000.into(), &"month".into()));
    assert_eq!(csv(&out("csv")).len(), 12_000, "the table has every run");
    let size = fs::metadata(out("html")).unwrap().len();
    assert!(size < 512 * 1024, "{size} bytes");
    let text = outline(&out("html"))["text"].as_str().unwrap().to_owned();
    assert!(text.contains("11,800 earlier ones are left out here"), "what is not listed is counted");
}

#[test]
fn a_run_without_an_end_and_a_kind_that_is_not_known_are_told() {
    let mut history = log::History::from("2026-03-01T02:30:00Z");
    let run = history.begin("shop.example/chat/visitors", "sites/shop.example.toml keeps `visit` for 6 months", 50);
    for batch in 1..=2 {
        history.append(&Event::BatchPrepared { run: run.clone(), batch, rows: 10, children: 3, transaction: None });
        if batch == 1 {
            history.append(&Event::BatchCommitted { run: run.clone(), batch, rows: 10 });
        }
    }
    let history = history.seal();
    // As a newer version would write: understood by none of today's, and not signed for.
    let later = "{\"seq\":5,\"time\":\"2026-03-01T03:00:00.000000Z\",\"kind\":\"dream.dreamt\",\"of\":\"sheep\"}\n";
    let log = history.dir().join("log.jsonl");
    fs::write(&log, fs::read_to_string(&log).unwrap() + later).unwrap();
    let out = history.path().join("report.json");
    let march = ["--format", "json", "--from", "2026-03-01", "--to", "2026-03-31"];
    let ran = report_of(&history.dir(), &out, &march);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = value(&out);
    assert_eq!((&report["totals"]["without_end"], &report["totals"]["runs"]), (&1.into(), &0.into()));
    assert_eq!(report["runs"]["newest"][0]["erased"], 10, "only what is recorded as committed");
    assert_eq!(report["evidence"]["kinds"]["dream.dreamt"], 1);
    assert!(report["missing"].to_string().contains("1 entry of the period could be counted only"), "{report}");
    assert_eq!(report["evidence"]["verdict"], "unsigned tail");
    assert_eq!(report["sites"][0]["rules"][0]["overdue"]["standing"], "not-known");
}

#[test]
fn what_is_expired_and_could_not_go_yet_is_told_with_why() {
    let mut history = log::History::from("2026-03-01T02:30:00Z");
    let rule = "shop.example/sessions";
    let run = history.begin(rule, "sites/shop.example.toml keeps `visit` for 6 months", 50);
    history.append(&Event::BatchPrepared { run: run.clone(), batch: 1, rows: 50, children: 0, transaction: None });
    history.append(&Event::BatchCommitted { run: run.clone(), batch: 1, rows: 47 });
    let kept = vec![Kept { records: 3, because: "somebody has them open".to_owned(), oldest: None }];
    let finished = RunFinished { kept, ..log::finished(run, rule, RunOutcome::Done, 50, 47) };
    history.append(&Event::RunFinished(RunFinished { left: 0, ..finished }));
    let history = history.seal();
    let out = history.path().join("report.json");
    let march = ["--format", "json", "--from", "2026-03-01", "--to", "2026-03-31"];
    assert_eq!(report_of(&history.dir(), &out, &march).code, 0);
    let report = value(&out);
    assert_eq!(report["totals"]["erased"], 47);
    assert_eq!(report["runs"]["newest"][0]["kept"][0]["records"], 3);
    let told = report["sites"][0]["rules"][0].to_string();
    assert!(told.contains("3 records expired and still there: Somebody has them open."), "{told}");
}
