//! What a browser holds against what a site declares: captures of every kind, and a real browser on a page of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "cookies/evidence.rs"]
mod evidence;
#[path = "cookies/files.rs"]
mod files;
#[path = "support/installation.rs"]
mod installation;
#[path = "cookies/managers.rs"]
mod managers;
#[path = "support/npm.rs"]
mod npm;
#[path = "cookies/page.rs"]
mod page;
#[path = "cookies/parties.rs"]
mod parties;
#[path = "cookies/visits.rs"]
mod visits;

use installation::{GUARDED, Installation};
use serde_json::Value;

/// Stands in every value of every capture, and must stand in no output.
const VALUE: &str = "canary";

const CHAT: &str = "\"chat\"";
const MARKETING: &str = "\"chat\", \"marketing\"";

/// The shop's own cookie, in which it keeps what the visitor answered.
const OWN: &str = r#"
id = "shop"
product = "The shop itself"
name = "Shop s.r.o."
[[item]]
name = "cookie_bar"
class = "functional"
kind = "cookie"
description = "Remembers what the visitor answered in the cookie bar"
lifetime = "6 months"
"#;

/// A shop that uses Smartsupp with these features, and whose cookie bar has these lines.
fn shop(features: &str, bar: &str) -> Installation {
    let shop = Installation::new(GUARDED);
    shop.write("processors/shop.toml", OWN);
    let site = format!(
        "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
         [[processor]]\nid = \"smartsupp\"\nchat-key = \"8f3c2a\"\nfeatures = [{features}]\n\
         [[processor]]\nid = \"shop\"\n[cookie-bar]\n{bar}\n\
         [retention]\nvisit = \"6 months\"\n"
    );
    shop.write("sites/shop.example.toml", &site);
    shop
}

/// What is said of a capture: `findings` or `notes`, as topics with names.
fn said(checked: &Value, level: &str) -> Vec<(String, String)> {
    let text = |remark: &Value, key: &str| remark[key].as_str().unwrap_or_default().to_owned();
    checked[level].as_array().unwrap().iter().map(|remark| (text(remark, "topic"), text(remark, "name"))).collect()
}

/// The same as a test writes it.
fn expected(topics_and_names: &[(&str, &str)]) -> Vec<(String, String)> {
    topics_and_names.iter().map(|(topic, name)| ((*topic).to_owned(), (*name).to_owned())).collect()
}

/// The remark of a topic on an item.
fn remark<'a>(checked: &'a Value, topic: &str, name: &str) -> &'a Value {
    let all = ["findings", "notes"].into_iter().flat_map(|level| checked[level].as_array().unwrap());
    let mut found =
        all.filter(|remark| remark["topic"] == topic && remark["name"].as_str().unwrap_or_default() == name);
    found.next().unwrap_or_else(|| panic!("no {topic} of {name} in {checked:#}"))
}
