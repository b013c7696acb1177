//! The papers that are written from the register: every fact in its place, nothing invented, nothing that is not stored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "papers/accessible.rs"]
mod accessible;
#[path = "papers/changes.rs"]
mod changes;
#[path = "papers/forms.rs"]
mod forms;
#[path = "papers/gaps.rs"]
mod gaps;
#[path = "support/installation.rs"]
mod installation;
#[path = "papers/languages.rs"]
mod languages;
#[path = "support/npm.rs"]
mod npm;
#[path = "papers/roles.rs"]
mod roles;
#[path = "papers/valid.rs"]
mod valid;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use installation::{GUARDED, Installation};
use rstest::rstest;
use serde_json::Value;

/// Every paper with every form that it is written in.
const FORMS: [(&str, &[&str]); 8] = [
    ("article30", &["html", "csv", "json"]),
    ("article30-processor", &["html", "csv", "json"]),
    ("privacy-notice", &["html", "page", "md"]),
    ("visitor-notice", &["html", "page", "md"]),
    ("cookies", &["html", "page", "md", "csv", "json"]),
    ("agreement-annex", &["html", "md"]),
    ("cookieconsent", &["js", "json"]),
    ("klaro", &["js", "json"]),
];

/// The site of the shipped example, with these features and settings.
fn site(features: &str, settings: &str) -> String {
    format!(
        "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
         [settings]\n{settings}\n\
         [[processor]]\nid = \"smartsupp\"\nchat-key = \"8f3c2a\"\nfeatures = [{features}]\nagreement = 2026-01-10\n\
         [retention]\nvisit = \"6 months\"\ncontact = \"2 years\"\nconversation = \"2 years\"\n\"visit.location\" = \"30 days\"\n"
    )
}

const CHAT: &str = "\"chat\"";
const ALL: &str = "\"chat\", \"analytics\", \"marketing\"";

fn shop(features: &str, settings: &str) -> Installation {
    let shop = Installation::new(GUARDED);
    shop.write("sites/shop.example.toml", &site(features, settings));
    shop
}

/// An export, which must succeed.
fn export(shop: &Installation, paper: &str, form: &str, arguments: &[&str]) -> String {
    let ran = shop.run(&[&["register", "export", paper, "--format", form], arguments].concat());
    assert_eq!(ran.code, 0, "{paper} as {form}: {ran:?}");
    ran.stdout
}

/// What Python prints of an export.
fn python(script: &str, arguments: &[&str], export: &str) -> String {
    piped(Command::new("python3").args(["-c", script]).args(arguments), export)
}

/// What another program prints of an export.
fn piped(program: &mut Command, export: &str) -> String {
    let running = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = running.spawn().unwrap();
    std::io::Write::write_all(&mut running.stdin.take().unwrap(), export.as_bytes()).unwrap();
    let read = running.wait_with_output().unwrap();
    assert!(read.status.success(), "{}\n{export}", String::from_utf8_lossy(&read.stderr));
    String::from_utf8(read.stdout).unwrap()
}

/// What a parser that is not ours finds in a page or a part of one.
fn outline(html: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), html).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report/outline.py");
    let parsed = Command::new("python3").arg(script).arg(file.path()).output().unwrap();
    assert!(parsed.status.success(), "{}\n{html}", String::from_utf8_lossy(&parsed.stderr));
    serde_json::from_slice(&parsed.stdout).unwrap()
}

/// The rows of a table, by an independent reader of CSV.
fn rows(csv: &str) -> Vec<Value> {
    let script = "import csv, io, json, sys\n\
        text = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8-sig', newline='')\n\
        print(json.dumps(list(csv.DictReader(text, strict=True))))";
    serde_json::from_str::<Value>(&python(script, &[], csv)).unwrap().as_array().unwrap().clone()
}

/// What a reader sees: without markup, with single spaces.
fn seen(form: &str, export: &str) -> String {
    let text = match form {
        "html" | "page" => outline(export)["text"].as_str().unwrap().to_owned(),
        "md" => export.replace('\\', "").replace("**", ""),
        _ => export.to_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rstest]
fn every_fact_of_the_page_stands_in_its_paper(
    #[values(("chat", CHAT), ("all", ALL))] (features, listed): (&str, &str),
    #[values(true, false)] store_ip: bool,
) {
    let shop = shop(listed, &format!("store-ip = {store_ip}"));
    let table: toml::Table = include_str!("data/smartsupp-page.toml").parse().unwrap();
    let texts = |fact: &toml::Value, key: &str| -> Vec<String> {
        let texts = fact.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let (mut checked, mut wrong, mut exports) = (0, Vec::new(), BTreeMap::new());
    for fact in table["fact"].as_array().unwrap() {
        let is_of = fact.get("features").is_none_or(|of| of.as_str() == Some(features))
            && fact.get("store-ip").is_none_or(|of| of.as_bool() == Some(store_ip));
        if !is_of {
            continue;
        }
        let (paper, form) = (fact["paper"].as_str().unwrap(), fact["form"].as_str().unwrap());
        let seen = exports.entry((paper, form)).or_insert_with(|| seen(form, &export(&shop, paper, form, &[])));
        let missing = texts(fact, "expected").into_iter().filter(|text| !seen.contains(text.as_str()));
        wrong.extend(missing.map(|text| format!("{}: {paper} as {form} lacks: {text}", fact["page"])));
        let there = texts(fact, "absent").into_iter().filter(|text| seen.contains(text.as_str()));
        wrong.extend(there.map(|text| format!("{}: {paper} as {form} has: {text}", fact["page"])));
        checked += 1;
    }
    assert!(checked >= 40, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
