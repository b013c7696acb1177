//! A real browser on a page of ours: before consent, after refusal, after acceptance.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::page::{SHOP, Server};
use super::{CHAT, MARKETING, VALUE, expected, remark, said, shop};
use crate::installation::{Installation, Ran};

const BAR: &str = "accept = \"#accept\"\nrefuse = \"#refuse\"";

/// Visits a page; what the browser needs for itself must be gone afterwards.
fn visit(shop: &Installation, url: &str, more: &[&str]) -> Ran {
    let directory = shop.path().join("tmp");
    fs::create_dir_all(&directory).unwrap();
    let mut command = shop.command(&["cookies", "check", "--json", "--settle", "1", "--url", url]);
    let ran = Ran::of(command.args(more).env("TMPDIR", &directory).stdin(Stdio::null()).output().unwrap());
    assert!(!format!("{ran:?}").contains(VALUE), "{ran:?}");
    let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(processes_with(directory.to_str().unwrap()), 0);
    ran
}

#[test]
fn a_check_that_is_killed_leaves_neither_browser_nor_profile_behind() {
    let server = Server::start(&[("/", SHOP)]);
    let shop = shop(MARKETING, BAR);
    let directory = shop.path().join("tmp");
    fs::create_dir_all(&directory).unwrap();
    let mut command = shop.command(&["cookies", "check", "--settle", "300", "--url", &server.url("/")]);
    let mut running = command.env("TMPDIR", &directory).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let text = directory.to_str().unwrap();
    // The browser, its zygotes, and a process for the page.
    until("the browser runs", || processes_with(text) > 4);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    running.kill().unwrap();
    running.wait().unwrap();
    until("all is gone", || processes_with(text) == 0 && fs::read_dir(&directory).unwrap().count() == 0);
}

/// Waits for something that must become so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// How many processes were started with that text in their arguments.
fn processes_with(text: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.filter(|arguments| String::from_utf8_lossy(arguments).contains(text)).count()
}

fn checked(ran: &Ran, code: i32) -> Value {
    assert_eq!(ran.code, code, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Names of all items that a capture has.
pub(super) fn names(checked: &Value, moment: &str) -> Vec<String> {
    let captures = checked["captures"].as_array().unwrap();
    let capture = captures.iter().find(|capture| capture["moment"] == moment).unwrap();
    let items = capture["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_visit_finds_what_was_planted_and_nothing_else() {
    let server = Server::start(&[("/", SHOP)]);
    let shop = shop(MARKETING, BAR);
    let page = server.url("/?plant=tracker&plant=early&plant=year&plant=session&plant=database");
    let checked = checked(&visit(&shop, &page, &[]), 3);
    let findings = [
        ("before-consent", "ssupp.visits"),
        ("before-consent", "ssupp_8f3c2avisits"),
        ("after-refusal", "ssupp.visits"),
        ("after-refusal", "ssupp_8f3c2avisits"),
        ("undeclared", "_tracker"),
        ("undeclared", "shop_basket"),
        ("undeclared", "shop_offline"),
        ("lives-longer", "ssupp.vid"),
    ];
    assert_eq!(said(&checked, "findings"), expected(&findings));
    assert_eq!(said(&checked, "notes"), expected(&[]));
    let what = remark(&checked, "lives-longer", "ssupp.vid")["what"].as_str().unwrap();
    assert_eq!(what, "it lives 365 days, and 6 months is declared");
}

#[test]
fn a_page_that_keeps_to_its_overview_has_no_findings() {
    let server = Server::start(&[("/", SHOP)]);
    let shop = shop(MARKETING, BAR);
    let checked = checked(&visit(&shop, &server.url("/"), &[]), 0);
    assert_eq!(said(&checked, "notes"), expected(&[]));
    // All ten declarations of Smartsupp, of which two have the same name, and the shop's own cookie.
    assert_eq!(names(&checked, "after-acceptance").len(), 10);
    assert_eq!(names(&checked, "after-refusal").len(), 8);
    assert_eq!(names(&checked, "before-consent").len(), 7);
}

#[test]
fn items_of_a_feature_that_the_site_has_switched_off_are_found() {
    let server = Server::start(&[("/", SHOP)]);
    let shop = shop(CHAT, "accept = \"#accept\"");
    let ran = visit(&shop, &server.url("/"), &[]);
    let expected = expected(&[("feature-off", "ssupp.visits"), ("feature-off", "ssupp_8f3c2avisits")]);
    assert_eq!(said(&checked(&ran, 3), "findings"), expected);
    assert!(ran.stderr.contains("not looked at after refusal: sites/shop.example.toml has no `refuse`"), "{ran:?}");
}

#[test]
fn a_question_of_the_page_is_answered_with_no() {
    let page = r#"<!doctype html><title>Asks</title><script>
        if (confirm("Cookies?")) document.cookie = "ssupp.visits=canary; path=/; max-age=3600";
        alert("Thanks"); onbeforeunload = event => event.preventDefault();
        document.cookie = "ssupp.vid=canary; path=/; max-age=3600";</script>"#;
    let server = Server::start(&[("/", page)]);
    let checked = checked(&visit(&shop(MARKETING, ""), &server.url("/"), &[]), 0);
    assert_eq!(names(&checked, "before-consent"), ["ssupp.vid"]);
}

#[test]
fn a_button_is_found_inside_a_component_where_the_first_one_is_hidden() {
    let page = r#"<!doctype html><title>Component</title><button class="no" hidden>No</button><div id="host"></div><script>
        const root = document.getElementById("host").attachShadow({ mode: "open" });
        root.innerHTML = "<button class='no'>No</button>";
        root.querySelector("button").onclick = () => { document.cookie = "cookie_bar=canary; path=/; max-age=3600"; };
        </script>"#;
    let server = Server::start(&[("/", page)]);
    let checked = checked(&visit(&shop(CHAT, "refuse = \"button.no\""), &server.url("/"), &[]), 0);
    assert_eq!(names(&checked, "after-refusal"), ["cookie_bar"]);
}

#[test]
fn what_a_frame_of_somebody_else_keeps_is_a_third_partys() {
    let frame = r#"<!doctype html><title>Frame</title><script>localStorage.setItem("widget", "canary");</script>"#;
    let server = Server::start(&[("/frame", frame), ("/", "")]);
    // Another name for the same machine is another site for the browser.
    let page = format!(
        "<!doctype html><title>Page</title><iframe src=\"http://localhost:{}/frame\"></iframe>\
         <script>document.cookie = \"ssupp.vid=canary; path=/; max-age=3600\";</script>",
        server.port()
    );
    let outer = Server::start(&[("/", &page)]);
    let checked = checked(&visit(&shop(CHAT, ""), &outer.url("/"), &[]), 3);
    assert_eq!(said(&checked, "findings"), expected(&[("third-party-undeclared", "widget")]));
    assert_eq!(remark(&checked, "third-party-undeclared", "widget")["hosts"], serde_json::json!(["localhost"]));
}

#[test]
fn a_button_that_is_not_there_or_cannot_be_looked_for_fails_the_check() {
    let server = Server::start(&[("/", "<!doctype html><title>Bare</title>")]);
    for (selector, reason) in [
        ("#nowhere", "`refuse` of `[cookie-bar]`: no button that can be seen is found by `#nowhere`"),
        ("##", "the browser does not take `##` for a CSS selector"),
    ] {
        let ran = visit(&shop(CHAT, &format!("refuse = \"{selector}\"")), &server.url("/"), &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }
}

#[test]
fn a_page_that_does_not_answer_and_a_browser_that_is_none_are_told_apart() {
    let shop = shop(CHAT, "");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = visit(&shop, &format!("http://{nobody}/"), &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cannot be visited: net::ERR_CONNECTION_REFUSED"), "{ran:?}");
    let program = shop.path().join("no-browser");
    fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (browser, reason) in [
        ("/nonexistent/chromium", "/nonexistent/chromium cannot be started: No such file"),
        (program.to_str().unwrap(), "the browser ended while it was asked for"),
    ] {
        let ran = visit(&shop, "http://127.0.0.1:9/", &["--browser", browser]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }
}

#[test]
fn an_address_that_is_no_page_is_a_mistake_of_the_caller() {
    let shop = shop(CHAT, "");
    for url in ["file:///etc/passwd", "javascript:alert(1)", "shop.example", "https://", "http://a b"] {
        let ran = shop.run(&["cookies", "check", "--url", url]);
        assert_eq!(ran.code, 2, "{url}: {ran:?}");
    }
}
