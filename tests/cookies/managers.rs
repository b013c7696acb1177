//! The configurations that are written for consent managers, with the packages that sites use, in a real browser.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use super::page::Server;
use super::visits::names;
use super::{MARKETING, OWN, expected, npm, said, shop};

/// Of version 3.1.0, as npm publishes it.
const COOKIECONSENT: &str = "1d106b5f433b60d945dfed4c54f5535a8f61a30f2559b3f7548ed79e482aa4b6";

/// Of version 0.7.22, as npm publishes it.
const KLARO: &str = "da7f3f4a9e3931da6c32c2667312736837e702316ae03835a0e726ae94eb3f2a";

/// A consent manager as a page has it.
struct Manager {
    /// What the export is called.
    paper: &'static str,
    /// The cookie in which it keeps the answer.
    answer: &'static str,
    /// What stands in that cookie when the visitor agreed.
    agreed: &'static str,
    /// Its buttons.
    bar: &'static str,
    /// Its scripts, in the order in which the page needs them.
    scripts: &'static str,
    /// Its files.
    files: Vec<(&'static str, String)>,
}

fn vanilla_cookieconsent() -> Manager {
    let dist = npm::package("vanilla-cookieconsent", "3.1.0", COOKIECONSENT).join("dist");
    let part = |name: &str| fs::read_to_string(dist.join(name)).unwrap();
    Manager {
        paper: "cookieconsent",
        answer: "cc_cookie",
        agreed: "\"marketing\"]",
        bar: "accept = \"#cc-main [data-role=all]\"\nrefuse = \"#cc-main [data-role=necessary]\"",
        scripts: "<link rel=\"stylesheet\" href=\"/cookieconsent.css\">\n\
                  <script src=\"/cookieconsent.umd.js\"></script>\n<script src=\"/configuration.js\"></script>\n",
        files: vec![
            ("/cookieconsent.css", part("cookieconsent.css")),
            ("/cookieconsent.umd.js", part("cookieconsent.umd.js")),
        ],
    }
}

fn klaro() -> Manager {
    let dist = npm::package("klaro", "0.7.22", KLARO).join("dist");
    Manager {
        paper: "klaro",
        answer: "klaro",
        agreed: "\"smartsupp-marketing\":true",
        bar: "accept = \".klaro .cookie-notice .cm-btn-success\"\nrefuse = \".klaro .cookie-notice .cn-decline\"",
        scripts: "<script src=\"/configuration.js\"></script>\n<script src=\"/klaro.js\"></script>\n",
        files: vec![("/klaro.js", fs::read_to_string(dist.join("klaro.js")).unwrap())],
    }
}

/// A page on which others are at work before anybody has answered, and when the visitor agreed.
fn page(manager: &Manager, place: Place) -> String {
    let Manager { answer, agreed, scripts, .. } = manager;
    let (head, body) = match place {
        Place::Head => (*scripts, ""),
        Place::Body => ("", *scripts),
    };
    format!(
        r#"<!doctype html>
<html lang="en"><title>Shop with a consent manager</title>
<script>
const keep = name => {{ document.cookie = `${{name}}=canary; path=/; max-age=15552000`; }};
for (const name of ["ssupp.vid", "_ga_kept"]) keep(name);
for (const end of ["", "vid", "message", "opened", "_cards"]) localStorage.setItem(`ssupp_8f3c2a${{end}}`, "canary");
for (const name of ["_ss.enableSounds", "ga.kept"]) localStorage.setItem(name, "canary");
const answered = decodeURIComponent(document.cookie);
if (!answered.includes("{answer}") || answered.includes('{agreed}')) addEventListener("load", () => setTimeout(() => {{
  for (const name of ["ssupp.visits", "_ga_8F3C"]) keep(name);
  for (const name of ["ssupp_8f3c2avisits", "ga.1"]) localStorage.setItem(name, "canary");
}}, 300));
</script>
{head}<p>Nothing to buy.</p>
{body}</html>"#
    )
}

#[derive(Clone, Copy)]
enum Place {
    Head,
    Body,
}

/// Items of others whose names end differently with every site, and two that begin like them and need no consent.
const STATISTICS: &str = r#"
[[feature]]
id = "marketing"
purpose = "Advertising"
lawful-basis = "consent"
[[item]]
name = "_ga_*"
class = "marketing"
kind = "cookie"
description = "Counts visits"
lifetime = "6 months"
[[item]]
name = "ga.*"
class = "marketing"
kind = "local-storage"
description = "Counts visits"
lifetime = "until deleted"
[[item]]
name = "_ga_kept"
class = "functional"
kind = "cookie"
description = "Remembers the language"
lifetime = "6 months"
[[item]]
name = "ga.kept"
class = "functional"
kind = "local-storage"
description = "Remembers the language"
lifetime = "until deleted"
"#;

#[rstest]
#[case::vanilla_cookieconsent(vanilla_cookieconsent())]
#[case::klaro(klaro())]
fn a_consent_manager_clears_marketing_on_refusal_and_leaves_what_is_functional(#[case] manager: Manager) {
    let shop = shop(MARKETING, manager.bar);
    shop.write("processors/shop.toml", &(OWN.replace("cookie_bar", manager.answer) + STATISTICS));
    let site = fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    let site = site.replace("id = \"shop\"", "id = \"shop\"\nfeatures = [\"marketing\"]");
    shop.write("sites/shop.example.toml", &site);
    let exported = shop.run(&["register", "export", manager.paper]);
    assert_eq!(exported.code, 0, "{exported:?}");
    for place in [Place::Head, Place::Body] {
        let page = page(&manager, place);
        let mut served = vec![("/", page.as_str()), ("/configuration.js", exported.stdout.as_str())];
        served.extend(manager.files.iter().map(|(path, text)| (*path, text.as_str())));
        let server = Server::start(&served);
        let checked: Value = shop.json(&["cookies", "check", "--settle", "2", "--url", &server.url("/")], 3);
        let planted = ["_ga_8F3C", "ga.1", "ssupp.visits", "ssupp_8f3c2avisits"].map(|name| ("before-consent", name));
        assert_eq!(said(&checked, "findings"), expected(&planted));
        let mut functional = vec![
            "_ga_kept",
            "_ss.enableSounds",
            "ga.kept",
            "ssupp.vid",
            "ssupp_8f3c2a",
            "ssupp_8f3c2a_cards",
            "ssupp_8f3c2amessage",
            "ssupp_8f3c2aopened",
            "ssupp_8f3c2avid",
            manager.answer,
        ];
        functional.sort_unstable();
        assert_eq!(names(&checked, "after-refusal"), functional);
        let accepted = names(&checked, "after-acceptance");
        for (_, name) in planted {
            assert!(accepted.iter().any(|accepted| accepted == name), "{name}: {accepted:?}");
        }
    }
}
