//! Captures in files, by tools of others and by nobody's good will.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rstest::rstest;
use serde_json::Value;

use super::{CHAT, MARKETING, VALUE, expected, remark, said, shop};
use crate::installation::{Installation, Ran};

/// When curl, Playwright and Puppeteer took the captures in `tests/data/captures`: 30 November 2026, 20:35:26 UTC.
const TAKEN: u64 = 1_796_070_926;

/// A capture of `tests/data/captures` as it was when it was taken.
pub(super) fn capture(shop: &Installation, name: &str) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures").join(name);
    written(shop, name, &fs::read(kept).unwrap())
}

pub(super) fn written(shop: &Installation, name: &str, contents: &[u8]) -> PathBuf {
    let path = shop.path().join(name);
    fs::write(&path, contents).unwrap();
    let taken = SystemTime::UNIX_EPOCH + Duration::from_secs(TAKEN);
    File::options().write(true).open(&path).unwrap().set_modified(taken).unwrap();
    path
}

pub(super) fn check(shop: &Installation, file: &Path, more: &[&str], code: i32) -> Value {
    let file = file.to_str().unwrap();
    let human = shop.run(&[&["cookies", "check", "--site", "shop.example", file], more].concat());
    assert_eq!(human.code, code, "{human:?}");
    let json = shop.json(&[&["cookies", "check", file], more].concat(), code);
    assert!(!format!("{human:?}{json}").contains(VALUE), "{human:?}\n{json:#}");
    json
}

fn refused(shop: &Installation, file: &Path) -> Ran {
    let ran = shop.run(&["cookies", "check", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(!ran.stderr.contains(VALUE), "{ran:?}");
    ran
}

#[test]
fn a_storage_state_of_playwright_shows_what_was_planted_and_nothing_else() {
    let shop = shop(MARKETING, "");
    let checked = check(&shop, &capture(&shop, "playwright-state.json"), &["--consent", "none"], 3);
    let findings = [
        ("before-consent", "ssupp.visits"),
        ("before-consent", "ssupp_8f3c2avisits"),
        ("undeclared", "_tracker"),
        ("lives-longer", "ssupp.vid"),
    ];
    assert_eq!(said(&checked, "findings"), expected(&findings));
    assert_eq!(said(&checked, "notes"), expected(&[("not-seen", "cookie_bar")]));
    let what = remark(&checked, "lives-longer", "ssupp.vid")["what"].as_str().unwrap();
    assert_eq!(what, "it lives 365 days, and 6 months is declared");
    assert_eq!(checked["captures"][0]["source"], "storage-state");
    assert_eq!(checked["captures"][0]["items"].as_array().unwrap().len(), 10);
}

#[test]
fn a_har_file_of_playwright_shows_cookies_that_were_set_and_those_that_were_sent_back() {
    let shop = shop(MARKETING, "");
    let checked = check(&shop, &capture(&shop, "playwright.har"), &[], 3);
    assert_eq!(said(&checked, "findings"), expected(&[("undeclared", "_tracker")]));
    let notes = said(&checked, "notes");
    for (topic, name) in [
        ("consent-not-said", "ssupp.visits"),
        ("lifetime-not-said", "ssupp.vid"),
        ("lifetime-not-said", "ssupp.visits"),
        ("not-seen", "cookie_bar"),
        ("not-looked-for", ""),
    ] {
        assert!(notes.contains(&(topic.to_owned(), name.to_owned())), "{topic} {name}: {notes:?}");
    }
    assert_eq!(notes.len(), 5, "{notes:?}");
}

#[test]
fn a_cookie_file_of_curl_is_read_with_the_cookies_that_scripts_cannot_see() {
    let shop = shop(CHAT, "");
    let checked = check(&shop, &capture(&shop, "curl-cookies.txt"), &[], 3);
    assert_eq!(said(&checked, "findings"), expected(&[("undeclared", "_tracker")]));
    assert_eq!(checked["captures"][0]["source"], "cookies-txt");
}

#[test]
fn an_inspection_of_the_evidence_collector_is_dated_by_itself_and_tells_third_parties() {
    let shop = shop(CHAT, "");
    let checked = check(&shop, &capture(&shop, "inspection.json"), &["--consent", "none"], 3);
    let findings = [
        ("before-consent", "ssupp_8f3c2avisits"),
        ("undeclared", "basket"),
        ("third-party-undeclared", "PREF"),
        ("third-party-undeclared", "VISITOR_INFO1_LIVE"),
        ("third-party-undeclared", "widget-id"),
        ("feature-off", "ssupp_8f3c2avisits"),
    ];
    assert_eq!(said(&checked, "findings"), expected(&findings));
    assert_eq!(remark(&checked, "third-party-undeclared", "widget-id")["hosts"], serde_json::json!(["widget.example"]));
}

#[test]
fn a_list_of_cookies_is_read_in_the_words_of_puppeteer_and_of_extensions() {
    let shop = shop(CHAT, "");
    let checked = check(&shop, &capture(&shop, "puppeteer-cookies.json"), &[], 3);
    let findings = [("undeclared", "basket"), ("undeclared", "of_an_extension"), ("lives-longer", "ssupp.vid")];
    assert_eq!(said(&checked, "findings"), expected(&findings));
}

/// Six months are at most 186 days, and a day is let pass.
#[rstest]
#[case(186, 0)]
#[case(187, 0)]
#[case(188, 3)]
#[case(365, 3)]
fn a_lifetime_is_too_long_beyond_the_longest_months_and_a_day(#[case] days: u64, #[case] code: i32) {
    let shop = shop(CHAT, "");
    let line = format!(".shop.example\tTRUE\t/\tFALSE\t{}\tssupp.vid\tcanary\n", TAKEN + days * 86_400);
    check(&shop, &written(&shop, "cookies.txt", line.as_bytes()), &[], code);
}

#[rstest]
#[case::as_declared("ssupp.vid", None)]
#[case::as_php_reads_it("ssupp_vid", None)]
#[case::with_a_guarantee_of_the_browser("__Secure-ssupp.vid", None)]
#[case::with_a_guarantee_and_as_php_reads_it("__Secure-ssupp_visits", Some("feature-off"))]
#[case::with_another_guarantee_and_as_php_reads_it("__Host-ssupp_vid", None)]
#[case::with_two_guarantees("__Secure-__Host-ssupp_vid", Some("undeclared"))]
#[case::of_the_feature_that_is_off("ssupp.visits", Some("feature-off"))]
#[case::longer_than_declared("ssupp.vids", Some("undeclared"))]
#[case::in_local_storage_by_declaration("_ss.enableSounds", Some("wrong-kind"))]
#[case::in_another_case("Ssupp.vid", Some("undeclared"))]
fn a_cookie_is_known_by_its_name(#[case] name: &str, #[case] topic: Option<&str>) {
    let shop = shop(CHAT, "");
    let file = written(&shop, "cookies.txt", format!("shop.example\tFALSE\t/\tFALSE\t0\t{name}\tcanary\n").as_bytes());
    let checked = check(&shop, &file, &["--consent", "given"], if topic.is_some() { 3 } else { 0 });
    assert_eq!(said(&checked, "findings"), expected(&topic.map(|topic| (topic, name)).into_iter().collect::<Vec<_>>()));
}

#[test]
fn an_entry_with_another_chat_key_is_told_as_such() {
    let shop = shop(CHAT, "");
    let state = r#"{"cookies":[],"origins":[{"origin":"https://shop.example","localStorage":[{"name":"ssupp_0000vid","value":"canary"}]}]}"#;
    let checked = check(&shop, &written(&shop, "state.json", state.as_bytes()), &[], 3);
    let remedy = remark(&checked, "undeclared", "ssupp_0000vid")["remedy"].as_str().unwrap();
    assert!(remedy.contains("`ssupp_<CHAT_KEY>vid`") && remedy.contains("`chat-key`"), "{remedy}");
}

#[test]
fn a_name_that_stands_in_two_classes_needs_no_consent() {
    let shop = shop(MARKETING, "");
    let state = r#"{"cookies":[],"origins":[{"origin":"https://shop.example","localStorage":[{"name":"ssupp_8f3c2a","value":"canary"}]}]}"#;
    check(&shop, &written(&shop, "state.json", state.as_bytes()), &["--consent", "none"], 0);
}

#[test]
fn control_characters_in_a_name_reach_no_terminal() {
    let shop = shop(CHAT, "");
    let state =
        r#"{"cookies":[{"name":"a\u001b[31m\u202eb","value":"canary","domain":"x\u0007.example"}],"origins":[]}"#;
    let file = written(&shop, "state.json", state.as_bytes());
    let ran = shop.run(&["cookies", "check", file.to_str().unwrap()]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("`a⟨U+001B⟩[31m⟨U+202E⟩b`"), "{ran:?}");
    assert!(!ran.stdout.chars().any(|c| c.is_control() && c != '\n'), "{ran:?}");
}

#[rstest]
#[case::nothing("", "none of the captures")]
#[case::a_text("Dear canary, here are my cookies\n", "none of the captures")]
#[case::another_document(r#"{"name":"canary","version":1}"#, "none of the captures")]
#[case::cut_off(r#"{"cookies":[{"name":"a","value":"canary"#, "the file ends in the middle")]
#[case::no_json("{canary}", ":1:2: this is not JSON")]
#[case::something_behind(r#"{"cookies":[]} canary"#, "this is not JSON")]
#[case::a_number_that_is_none(
    r#"{"cookies":[{"name":"a","expires":["canary"]}]}"#,
    "a value is not what such a capture has there"
)]
#[case::a_cookie_without_a_name(r#"[{"value":"canary"}]"#, "a value is not what such a capture has there")]
#[case::a_line_that_is_no_cookie(
    "# Netscape HTTP Cookie File\nshop.example\tcanary\n",
    ":2:1: a cookie has seven fields"
)]
fn what_is_no_capture_is_refused_without_a_word_of_it(#[case] contents: &str, #[case] reason: &str) {
    let shop = shop(CHAT, "");
    let ran = refused(&shop, &written(&shop, "capture", contents.as_bytes()));
    assert!(ran.stderr.contains(reason), "{ran:?}");
}

#[test]
fn a_har_file_without_cookies_says_why_that_may_be() {
    let shop = shop(CHAT, "");
    let har = r#"{"log":{"version":"1.2","entries":[{"startedDateTime":"2026-03-01T00:00:00Z","request":{"url":"https://shop.example/","cookies":[]},"response":{"cookies":[],"headers":[]}}]}}"#;
    let checked = check(&shop, &written(&shop, "visit.har", har.as_bytes()), &[], 0);
    assert!(remark(&checked, "nothing-of-site", "")["remedy"].as_str().unwrap().contains("sensitive data"));
}

/// A file of that size with holes, and what it says.
fn of_size(shop: &Installation, bytes: u64) -> PathBuf {
    let path = shop.path().join("large");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"[").unwrap();
    file.set_len(bytes).unwrap();
    path
}

/// How much memory a check may take at most, by the limit that the system sets.
fn within_memory(shop: &Installation, file: &Path, kib: u64) -> Ran {
    let script = format!("ulimit -v {kib}; exec \"$@\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_forgetd"), "--config"]);
    Ran::of(shell.arg(shop.config()).args(["cookies", "check"]).arg(file).output().unwrap())
}

#[test]
fn a_file_of_one_gibibyte_is_refused_within_little_memory() {
    let shop = shop(CHAT, "");
    let file = of_size(&shop, 1 << 30);
    // A list that begins with NUL bytes is no JSON at its second byte; white space goes on to the limit.
    assert!(within_memory(&shop, &file, 512 << 10).stderr.contains("this is not JSON"));
    let spaces = shop.path().join("spaces");
    let mut out = File::create(&spaces).unwrap();
    out.write_all(b"{").unwrap();
    let blank = vec![b' '; 1 << 20];
    for _ in 0..129 {
        out.write_all(&blank).unwrap();
    }
    let ran = within_memory(&shop, &spaces, 512 << 10);
    assert!(ran.stderr.contains("larger than 128 MiB"), "{ran:?}");
}

#[test]
fn lists_without_end_are_refused_within_little_memory() {
    let shop = shop(CHAT, "");
    let many = |element: &str, times: usize| vec![element; times].join(",");
    let cookies = format!("[{}]", many(r#"{"name":"a"}"#, 200_000));
    let ran = within_memory(&shop, &written(&shop, "cookies.json", cookies.as_bytes()), 512 << 10);
    assert!(ran.stderr.contains("too many"), "{ran:?}");
    // A log of any length: names that repeat are kept once.
    let entry = r#"{"request":{"url":"https://shop.example/","cookies":[{"name":"ssupp.vid","value":"canary"}]}}"#;
    let har = format!("{{\"log\":{{\"entries\":[{}]}}}}", many(entry, 200_000));
    let ran = within_memory(&shop, &written(&shop, "long.har", har.as_bytes()), 512 << 10);
    assert_eq!(ran.code, 0, "{ran:?}");
    let names: Vec<String> = (0..20_000).map(|n| format!(r#"{{"name":"{n}"}}"#)).collect();
    let ran = refused(&shop, &written(&shop, "names.json", format!("[{}]", names.join(",")).as_bytes()));
    assert!(ran.stderr.contains("more cookies and entries than a visit"), "{ran:?}");
    let deep = "[".repeat(10_000_000);
    let ran = within_memory(&shop, &written(&shop, "deep.json", format!("{{\"x\":{deep}").as_bytes()), 512 << 10);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_check_of_a_file_changes_nothing() {
    let shop = shop(CHAT, "");
    let file = capture(&shop, "playwright.har");
    let before = shop.tree();
    check(&shop, &file, &[], 3);
    assert_eq!(before, shop.tree());
}
