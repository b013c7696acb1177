//! What follows from a declaration: which rules, what they do when, because of what, and what goes along with a row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/shop.rs"]
mod shop;

use std::collections::BTreeSet;

use forgetd::plan::{Belongs, Definition, Rule, consent_findings, derive};
use shop::{Shop, noon};

const SITE: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"

[settings]
store-location = false
not-stored = ["contact.phone"]

[[processor]]
id = "smartsupp"
chat-key = "k"
features = ["chat"]

[retention]
visit = "6 months"
contact = "2 years"

[store.chat]
kind = "sqlite"
path = "DATABASE"

[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "ssupp.vid"
consent = { column = "agreed", given = 1 }
accepts = ["trigger:note", "cascade:orders"]
children = [{ table = "pages", column = "visitor_id" }]
[store.chat.table.columns]
city = "visit.location"
phone = "contact.phone"
ip = "visit.ip-address"
visits = "ssupp.visits"

[[store.chat.table]]
name = "pages"
key = "id"
time = { column = "at", format = "unix-seconds" }
holds = "ssupp.visits"
consent = { column = "agreed", given = "yes" }

[[store.chat.table]]
name = "logins"
key = "id"
time = { column = "at", format = "unix-seconds" }
holds = "contact"
[store.chat.table.columns]
page = "visit.page-urls"
last = { category = "visit.time", steps = [{ after = "7 days", do = "erase" }] }
ip = { category = "visit.ip-address", steps = [{ after = "7 days", do = "truncate" }] }
name = "contact.name"

[[store.chat.table]]
name = "carts"
key = "id"
expires = { column = "expire_date", format = "unix-seconds" }
holds = "visit"
[store.chat.table.columns]
page = "visit.page-urls"

[[store.chat.table]]
name = "places"
key = "id"
time = { column = "at", format = "unix-seconds" }
holds = "visit.location"

[store.sessions]
kind = "directory"
path = "/srv/shop/sessions"
pattern = "sess_*"
holds = "visit"

[store.access]
kind = "log"
path = "/srv/shop/logs/access.log*"
format = "combined"
holds = "visit"
address = { category = "visit.ip-address", do = "truncate" }
"#;

fn rules_of(site: &str) -> Vec<Rule> {
    derive(&Shop::new(site, "").config())
}

fn named<'a>(rules: &'a [Rule], name: &str) -> &'a Rule {
    rules.iter().find(|rule| rule.name.as_str() == format!("shop.example/{name}")).unwrap()
}

#[test]
fn every_rule_has_a_name_an_action_and_a_sentence_that_says_because_of_what() {
    let rules = rules_of(SITE);
    let told: Vec<(&str, &str, &str)> = rules
        .iter()
        .map(|rule| {
            let name = rule.name.as_str().strip_prefix("shop.example/").unwrap();
            assert_eq!((rule.definition.rule(), rule.site.as_str()), (&rule.name, "shop.example"));
            (name, rule.definition.action(), rule.because.as_str())
        })
        .collect();
    let file = "sites/shop.example.toml";
    let visit = format!("{file} keeps `visit` for 6 months");
    let no_ip = "`store-ip` is off by default: `visit.ip-address` is not stored";
    let no_place = format!("`store-location` is off in {file}: `visit.location` is not stored");
    let no_phone = format!("{file} lists `contact.phone` under `not-stored`");
    let contact = format!("{file} keeps `contact` for 2 years");
    let page = format!("{file} keeps `visit`, of which `visit.page-urls` is part, for 6 months");
    let needs = |is: &str| format!("`ssupp.visits` is a marketing item and needs consent: column `agreed` is not {is}");
    let visits = "`ssupp.visits` of processor smartsupp lives 6 months";
    assert_eq!(
        told,
        [
            ("access", "drop-lines", visit.as_str()),
            ("access/address@setting", "truncate-addresses", no_ip),
            ("chat/visitors", "erase-rows", "`ssupp.vid` of processor smartsupp lives 6 months"),
            ("chat/visitors/city@setting", "erase-column", no_place.as_str()),
            ("chat/visitors/ip@setting", "erase-column", no_ip),
            ("chat/visitors/phone@setting", "erase-column", no_phone.as_str()),
            ("chat/visitors/visits@consent", "erase-column", needs("1").as_str()),
            ("chat/pages", "erase-rows", visits),
            ("chat/pages@consent", "erase-rows", needs("\"yes\"").as_str()),
            ("chat/logins", "erase-rows", contact.as_str()),
            ("chat/logins/ip@setting", "truncate-column", no_ip),
            ("chat/logins/ip@7-days", "truncate-column", "a step of the ladder for `visit.ip-address`: after 7 days"),
            ("chat/logins/last@7-days", "erase-column", "a step of the ladder for `visit.time`: after 7 days"),
            ("chat/logins/page", "erase-column", page.as_str()),
            ("chat/carts", "erase-rows", "`visit` expires at the instant in column `expire_date`"),
            ("chat/places@setting", "erase-rows", no_place.as_str()),
            ("sessions", "erase-files", visit.as_str()),
        ]
    );
}

#[test]
fn age_counts_by_a_period_or_by_the_instant_of_expiry_and_not_at_all_for_what_must_not_be_there() {
    let rules = rules_of(SITE);
    let cutoff = |name: &str| {
        let cutoff = named(&rules, name).definition.cutoff(noon()).unwrap();
        cutoff.map(|cutoff| cutoff.to_string())
    };
    // Midnight in Prague, where it is one o'clock more than in UTC in winter and two in summer.
    assert_eq!(cutoff("chat/visitors").as_deref(), Some("2026-08-31T22:00:00Z"));
    assert_eq!(cutoff("chat/logins").as_deref(), Some("2025-02-28T23:00:00Z"));
    assert_eq!(cutoff("chat/carts"), Some(noon().to_string()));
    for whole in ["chat/visitors/ip@setting", "chat/visitors/visits@consent", "chat/places@setting"] {
        assert_eq!(cutoff(whole), None);
    }
    let whole = rules.iter().filter(|rule| rule.definition.concerns_all()).map(|rule| rule.name.as_str());
    assert!(whole.into_iter().all(|name| name.ends_with("@setting") || name.ends_with("@consent")));
    assert_eq!(rules.iter().filter(|rule| rule.definition.concerns_all()).count(), 8);
}

#[test]
fn a_rule_is_told_by_its_place_and_its_digest_by_what_it_does() {
    let rules = rules_of(SITE);
    assert_eq!(named(&rules, "sessions").definition.location(), "/srv/shop/sessions/sess_*");
    assert_eq!(named(&rules, "access").definition.location(), "/srv/shop/logs/access.log*");
    let digests: BTreeSet<String> = rules.iter().map(Rule::digest).collect();
    assert_eq!(digests.len(), rules.len());
    assert!(digests.iter().all(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit())));
    let again: BTreeSet<String> = rules_of(SITE).iter().map(Rule::digest).collect();
    assert_ne!(digests, again, "it acts on another database");
}

#[test]
fn a_row_takes_its_columns_its_children_and_what_was_accepted_along() {
    let rules = rules_of(SITE);
    let along = |name: &str| -> Vec<(String, Belongs)> {
        let rule = named(&rules, name);
        rule.goes_along.iter().map(|along| (along.name.clone(), along.belongs.clone())).collect()
    };
    let of = |name: &str, belongs| (format!("shop.example/chat/{name}"), belongs);
    assert_eq!(
        along("chat/visitors"),
        [
            of("visitors/city", Belongs::Column),
            of("visitors/ip", Belongs::Column),
            of("visitors/phone", Belongs::Column),
            of("visitors/visits", Belongs::Column),
            of("pages", Belongs::ByKey("visitor_id".to_owned())),
            of("orders", Belongs::Cascade),
        ]
    );
    assert_eq!(along("access"), [("shop.example/access/address".to_owned(), Belongs::Column)]);
    for nothing in ["chat/visitors/city@setting", "chat/places@setting", "sessions", "access/address@setting"] {
        assert_eq!(along(nothing), []);
    }
    let Definition::Table(visitors) = &named(&rules, "chat/visitors").definition else { panic!("a table") };
    assert_eq!(visitors.tables().collect::<Vec<_>>(), ["visitors", "pages", "orders"]);
    let Definition::Table(city) = &named(&rules, "chat/visitors/city@setting").definition else { panic!("a table") };
    assert_eq!(city.tables().collect::<Vec<_>>(), ["visitors", "orders"]);
}

#[test]
fn a_column_goes_by_its_own_period_unless_its_row_goes_first_or_its_ladder_has_erased_it_by_then() {
    let columns = |further: &str| -> Vec<(String, &str)> {
        let site = SITE.replace("[settings]\n", "[settings]\nstore-ip = true\n");
        let rules = rules_of(&site.replace("visit = \"6 months\"\ncontact = \"2 years\"", further));
        let columns =
            rules.iter().filter(|rule| ["logins/", "carts/"].iter().any(|at| rule.name.as_str().contains(at)));
        columns
            .map(|rule| (rule.name.as_str()["shop.example/chat/".len()..].to_owned(), rule.definition.action()))
            .collect()
    };
    let ip_step = ("logins/ip@7-days".to_owned(), "truncate-column");
    let last_step = ("logins/last@7-days".to_owned(), "erase-column");
    let erased = |name: &str| (name.to_owned(), "erase-column");
    assert_eq!(
        columns("visit = \"6 months\"\ncontact = \"2 years\"\n\"contact.name\" = \"1 year\""),
        [ip_step.clone(), erased("logins/ip"), last_step.clone(), erased("logins/name"), erased("logins/page")]
    );
    // With the row, and not before it.
    assert_eq!(columns("visit = \"6 months\"\ncontact = \"6 months\""), [ip_step, last_step]);
}

#[test]
fn items_that_need_consent_where_no_column_says_that_it_was_given_are_a_finding() {
    let config = Shop::new(SITE, "").config();
    assert_eq!(consent_findings(&config), [""; 0]);
    let without = SITE.replace("consent = { column = \"agreed\", given = 1 }\n", "");
    let findings = consent_findings(&Shop::new(&without, "").config());
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(
        finding.starts_with("shop.example/chat/visitors: `ssupp.visits` may be kept only with consent"),
        "{finding}"
    );
}

#[test]
fn where_lines_must_not_be_stored_nothing_is_left_for_a_rule_of_their_addresses() {
    let rules = rules_of(&SITE.replace("[\"contact.phone\"]", "[\"contact.phone\", \"visit\"]"));
    let of_the_log: Vec<&str> =
        rules.iter().map(|rule| rule.name.as_str()).filter(|name| name.contains("/access")).collect();
    assert_eq!(of_the_log, ["shop.example/access@setting"]);
}
