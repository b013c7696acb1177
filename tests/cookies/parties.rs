//! In whose name an item stands: the site's own, or that of a third party.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use super::files::{check, written};
use super::{CHAT, MARKETING, expected, remark, said, shop};
use crate::installation::Installation;

/// A shop that shows videos of somebody else, with these lines for each item of theirs.
fn with_video(features: &str, items: &[&str]) -> Installation {
    let shop = shop(features, "");
    let mut file = "id = \"video\"\nproduct = \"Videos\"\nname = \"Videos Ltd\"\n".to_owned();
    for item in items {
        file.push_str(&format!("[[item]]\ndescription = \"Plays videos\"\nkind = \"cookie\"\n{item}\n"));
    }
    shop.write("processors/video.toml", &file);
    let site = fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    shop.write("sites/shop.example.toml", &site.replace("[cookie-bar]", "[[processor]]\nid = \"video\"\n[cookie-bar]"));
    shop
}

const PREF: &str = "name = \"PREF\"\nclass = \"functional\"\nlifetime = \"session\"";

/// What is said of a cookie of the session by that name and host.
fn seen(shop: &Installation, name: &str, host: &str, code: i32) -> Value {
    let line = format!("{host}\tTRUE\t/\tFALSE\t0\t{name}\tcanary\n");
    check(shop, &written(shop, "cookies.txt", line.as_bytes()), &["--consent", "none"], code)
}

#[rstest]
#[case::declared_as_the_sites_own(None, "youtube.com", Some("third-party"))]
#[case::declared_for_its_host(Some("youtube.com"), ".youtube.com", None)]
#[case::below_its_host(Some("youtube.com"), "www.youtube.com", None)]
#[case::above_its_host(Some("www.youtube.com"), "youtube.com", Some("third-party-undeclared"))]
#[case::of_a_host_that_ends_alike(Some("youtube.com"), "notyoutube.com", Some("third-party-undeclared"))]
#[case::of_the_site_itself(Some("youtube.com"), "shop.example", Some("undeclared"))]
#[case::the_sites_own_as_declared(None, "www.shop.example", None)]
#[case::declared_for_a_name_of_the_site(Some("www.shop.example"), "shop.example", None)]
fn an_item_is_the_declared_one_where_it_is_declared_to_stand(
    #[case] declared: Option<&str>,
    #[case] host: &str,
    #[case] topic: Option<&str>,
) {
    let item = format!("{PREF}\n{}", declared.map_or_else(String::new, |host| format!("host = \"{host}\"")));
    let checked = seen(&with_video(CHAT, &[&item]), "PREF", host, if topic.is_some() { 3 } else { 0 });
    let wanted: Vec<(&str, &str)> = topic.map(|topic| (topic, "PREF")).into_iter().collect();
    assert_eq!(said(&checked, "findings"), expected(&wanted));
    let is_missed = said(&checked, "notes").contains(&("not-seen".to_owned(), "PREF".to_owned()));
    assert_eq!(is_missed, topic.is_some_and(|topic| topic != "third-party"), "{checked:#}");
}

#[test]
fn what_to_add_is_told_for_an_item_of_a_third_party_that_is_declared_as_the_sites_own() {
    let checked = seen(&with_video(CHAT, &[PREF]), "PREF", "www.youtube.com", 3);
    let told = remark(&checked, "third-party", "PREF");
    assert_eq!(told["what"], "it is one of www.youtube.com, and the cookie overview calls it first party");
    let remedy = told["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("processors/video.toml: add `host = \"www.youtube.com\"`"), "{remedy}");
}

#[test]
fn a_name_that_is_declared_for_two_hosts_goes_by_the_one_it_stands_with() {
    let own = "name = \"id\"\nclass = \"functional\"\nlifetime = \"1 year\"";
    let theirs = "name = \"id\"\nclass = \"marketing\"\nlifetime = \"1 year\"\nhost = \"ads.example\"";
    let shop = with_video(MARKETING, &[own, theirs]);
    let checked = seen(&shop, "id", "ads.example", 3);
    assert_eq!(said(&checked, "findings"), expected(&[("before-consent", "id")]));
    let checked = seen(&shop, "id", "shop.example", 0);
    assert_eq!(said(&checked, "findings"), expected(&[]));
}

#[test]
fn one_name_of_several_hosts_comes_from_a_draft_once_for_each() {
    let shop = shop(CHAT, "");
    let hosts = [".google.com", ".youtube.com", "shop.example"];
    let lines: Vec<String> = hosts.iter().map(|host| format!("{host}\tTRUE\t/\tFALSE\t0\tCONSENT\tcanary\n")).collect();
    let file = written(&shop, "cookies.txt", lines.concat().as_bytes());
    let draft = shop.run(&["cookies", "draft", file.to_str().unwrap()]).stdout;
    let completed = draft.replace("TO DO: functional, analytics or marketing", "functional");
    let completed = completed.replace("TO DO: the name that sites use for the processor", "others");
    shop.write("processors/others.toml", &completed.replace("TO DO", "Something"));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let drafted: toml::Table = completed.parse().unwrap();
    let drafted = drafted["item"].as_array().unwrap().iter().map(|item| item.get("host").and_then(toml::Value::as_str));
    assert_eq!(drafted.collect::<Vec<_>>(), [None, Some("google.com"), Some("youtube.com")]);
}

/// The name of a third party's cookie does not decide what is done with the site's own.
#[test]
fn consent_managers_clear_what_is_the_sites_own_and_nothing_else() {
    let own = "name = \"id\"\nclass = \"marketing\"\nlifetime = \"1 year\"";
    let theirs = "name = \"id\"\nclass = \"functional\"\nlifetime = \"1 year\"\nhost = \"login.example\"";
    let ads = "name = \"ads\"\nclass = \"marketing\"\nlifetime = \"1 year\"\nhost = \"ads.example\"";
    let shop = with_video(MARKETING, &[own, theirs, ads]);
    let config = shop.run(&["register", "export", "cookieconsent", "--format", "json"]).stdout;
    let config: Value = serde_json::from_str(&config).unwrap();
    let cleared = config["categories"]["marketing"]["autoClear"]["cookies"].as_array().unwrap();
    let names: Vec<&str> = cleared.iter().map(|cookie| cookie["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "ssupp.visits"]);
}
