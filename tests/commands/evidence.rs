//! `register` and `audit`.

use std::fs;

use serde_json::{Value, json};

use super::installation::Installation;
use super::{purged_shop, told};

#[test]
fn the_register_shows_what_is_declared_and_how_it_was() {
    let shop = purged_shop();
    let items = shop.run(&["register", "show", "storage-items"]);
    assert_eq!(items.code, 0, "{items:?}");
    assert!(items.stdout.lines().any(|line| line.contains("ssupp.vid") && line.contains("6 months")), "{items:?}");
    let everything = shop.json(&["register", "show"], 0);
    assert_eq!(everything["storage_items"].as_array().unwrap().len(), 10);
    assert_eq!(everything["processors"][0]["legal_name"], "Smartsupp.com, s.r.o.");

    let before = shop.json(&["register", "show", "processors", "--as-of", "2020-01-01"], 0);
    assert_eq!(before["processors"], json!([]), "nothing was declared then");
    let text = shop.run(&["register", "show", "processors", "--as-of", "2020-01-01"]).stdout;
    assert_eq!(text, "processors\n(none declared)\n\n");
    let later = shop.json(&["register", "show", "processors", "--as-of", "2999-01-01"], 0);
    assert_eq!(later["processors"].as_array().unwrap().len(), 1);

    let smartsupp = fs::read_to_string(shop.config().join("processors/smartsupp.toml")).unwrap();
    shop.write("processors/smartsupp.toml", &smartsupp.replace("Smartsupp.com, s.r.o.", "Smartsupp a.s."));
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let history = shop.json(&["register", "history", "processors"], 0);
    let versions: Vec<(&Value, bool)> = history["processors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (&version["legal_name"], version["valid_until"].is_null()))
        .collect();
    assert_eq!(versions, [(&json!("Smartsupp.com, s.r.o."), false), (&json!("Smartsupp a.s."), true)]);
    told(&shop.run(&["register", "show", "cats"]), 2, &["no table `cats`", "processors", "storage-items"]);
    assert!(shop.run(&["register", "show", "categories"]).stdout.contains("visit.ip-address"));
    let text = shop.run(&["register", "show"]).stdout;
    assert!(text.contains("transfers\n(none declared)\n"), "what nobody declared is shown as missing: {text}");
    let date = shop.run(&["register", "show", "--as-of", "2026-13-01"]);
    told(&date, 2, &["'2026-13-01'", "--as-of <DATE>", "YEAR-MONTH-DAY"]);
}

/// The kinds of the entries that a call of `audit list` selects.
fn kinds(shop: &Installation, filter: &[&str]) -> Vec<String> {
    let listed = shop.json(&[&["audit", "list"], filter].concat(), 0);
    listed["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_filter_of_the_audit_list_selects() {
    let shop = purged_shop();
    let all = kinds(&shop, &[]);
    assert_eq!(all[0], "log.created");
    assert_eq!(kinds(&shop, &["--kind", "run.finished"]), vec!["run.finished"; 4]);
    assert_eq!(kinds(&shop, &["--kind", "run"]).len(), 8, "a group is its kinds");
    assert!(kinds(&shop, &["--kind", "ru"]).is_empty());
    let city = ["run.started", "batch.prepared", "batch.committed", "run.finished"];
    assert_eq!(kinds(&shop, &["--rule", "shop.example/chat/visitors/city"]), city);
    assert_eq!(kinds(&shop, &["--site", "shop.example"]).len(), 16);
    assert!(kinds(&shop, &["--site", "other.example"]).is_empty());
    assert!(kinds(&shop, &["--until", "2020-01-01"]).is_empty());
    assert_eq!(kinds(&shop, &["--since", "2020-01-01"]), all);
    assert!(kinds(&shop, &["--since", "2999-01-01"]).is_empty());
    assert_eq!(kinds(&shop, &["--last", "2"]), all[all.len() - 2..]);
    assert_eq!(kinds(&shop, &["--kind", "run.finished", "--last", "1", "--site", "shop.example"]), ["run.finished"]);
    let text = shop.run(&["audit", "list", "--kind", "run.finished"]).stdout;
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().nth(1).unwrap().contains("erased=3 children=6 left=0"), "{text}");
}

#[test]
fn an_entry_in_json_is_exactly_its_line_of_the_log() {
    let shop = purged_shop();
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    assert_eq!(shop.run(&["audit", "show", "1", "--json"]).stdout, format!("{}\n", log.lines().nth(1).unwrap()));
    assert!(shop.run(&["audit", "show", "1"]).stdout.contains("\"kind\": \"config.applied\""));
    told(&shop.run(&["audit", "show", "4711"]), 2, &["no entry 4711", "audit list --last 10`"]);
}

#[test]
fn the_evidence_is_verified_against_a_kept_checkpoint_and_every_verdict_has_its_exit_code() {
    let shop = purged_shop();
    let audit = shop.state().join("audit");
    let kept = shop.path().join("kept");
    fs::copy(audit.join("checkpoint"), &kept).unwrap();
    assert_eq!(shop.json(&["audit", "verify"], 0)["verdict"], "self-consistent");
    assert_eq!(shop.json(&["audit", "verify", "--anchor", kept.to_str().unwrap()], 0)["verdict"], "anchored");

    let other = shop.path().join("other");
    fs::write(&other, "a letter").unwrap();
    let two = ["audit", "verify", "--anchor", kept.to_str().unwrap(), "--anchor", other.to_str().unwrap()];
    told(&shop.run(&two), 4, &["/other: the anchor is not a checkpoint that holds"]);

    let log = fs::read_to_string(audit.join("log.jsonl")).unwrap();
    let copy = shop.path().join("copy");
    let changed = |name: &str, text: &str| {
        let copy = copy.join(name);
        fs::create_dir_all(&copy).unwrap();
        for file in ["checkpoint", "forgetd.vkey"] {
            fs::copy(audit.join(file), copy.join(file)).unwrap();
        }
        fs::write(copy.join("log.jsonl"), text).unwrap();
        copy.display().to_string()
    };
    let verify = |log: &str, code: i32| shop.json(&["audit", "--log", log, "verify"], code)["verdict"].clone();
    assert_eq!(verify(&changed("same", &log), 0), "self-consistent");
    assert_eq!(verify(&changed("tampered", &log.replace("\"erased\":3", "\"erased\":2")), 4), "tampered");
    let shorter: String = log.lines().take(5).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify(&changed("truncated", &shorter), 4), "truncated");
    let longer = format!("{log}{}\n", log.lines().last().unwrap().replace("\"seq\":17", "\"seq\":18"));
    assert_eq!(verify(&changed("longer", &longer), 3), "unsigned tail");
    let text = shop.run(&["audit", "verify"]).stdout;
    assert!(text.starts_with("self-consistent: ") && !text.contains("verified"), "{text}");
}
