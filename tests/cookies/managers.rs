//! The configuration that is written for vanilla-cookieconsent, with the package that sites use, in a real browser.

use std::fs;

use serde_json::Value;

use super::page::Server;
use super::visits::names;
use super::{MARKETING, OWN, expected, npm, said, shop};

/// Of version 3.1.0, as npm publishes it.
const DIGEST: &str = "1d106b5f433b60d945dfed4c54f5535a8f61a30f2559b3f7548ed79e482aa4b6";

/// A page with the manager, on which Smartsupp was at work before anybody was asked: what it left must go on refusal.
const PAGE: &str = r#"<!doctype html>
<html lang="en"><title>Shop with a consent manager</title>
<link rel="stylesheet" href="/cookieconsent.css">
<p>Nothing to buy.</p>
<script>
const keep = name => { document.cookie = `${name}=canary; path=/; max-age=15552000`; };
keep("ssupp.vid");
for (const end of ["", "vid", "message", "opened", "_cards"]) localStorage.setItem(`ssupp_8f3c2a${end}`, "canary");
localStorage.setItem("_ss.enableSounds", "canary");
if (!document.cookie.includes("cc_cookie")) {
  keep("ssupp.visits");
  localStorage.setItem("ssupp_8f3c2avisits", "canary");
}
</script>
<script src="/cookieconsent.umd.js"></script>
<script src="/configuration.js"></script>
</html>"#;

const SCRIPTS: &str = "<script src=\"/cookieconsent.umd.js\"></script>\n<script src=\"/configuration.js\"></script>\n";

/// The same page with the manager in its head, before there is a body.
fn in_the_head() -> String {
    assert!(PAGE.contains(SCRIPTS));
    let (before, after) = PAGE.split_once("<p>Nothing").unwrap();
    let (visitor, end) = after.split_once(SCRIPTS).unwrap();
    let (text, script) = visitor.split_once("<script>").unwrap();
    format!("{before}<script>{script}{SCRIPTS}<p>Nothing{text}{end}")
}

#[test]
fn vanilla_cookieconsent_clears_marketing_on_refusal_and_leaves_what_is_functional() {
    let shop = shop(MARKETING, "accept = \"#cc-main [data-role=all]\"\nrefuse = \"#cc-main [data-role=necessary]\"");
    shop.write("processors/shop.toml", &OWN.replace("cookie_bar", "cc_cookie"));
    let exported = shop.run(&["register", "export", "cookieconsent"]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let dist = npm::package("vanilla-cookieconsent", "3.1.0", DIGEST).join("dist");
    let part = |name: &str| fs::read_to_string(dist.join(name)).unwrap();
    for page in [PAGE, &in_the_head()] {
        let server = Server::start(&[
            ("/", page),
            ("/cookieconsent.css", &part("cookieconsent.css")),
            ("/cookieconsent.umd.js", &part("cookieconsent.umd.js")),
            ("/configuration.js", &exported.stdout),
        ]);
        let checked: Value = shop.json(&["cookies", "check", "--settle", "2", "--url", &server.url("/")], 3);
        let planted = expected(&[("before-consent", "ssupp.visits"), ("before-consent", "ssupp_8f3c2avisits")]);
        assert_eq!(said(&checked, "findings"), planted);
        let functional = [
            "_ss.enableSounds",
            "cc_cookie",
            "ssupp.vid",
            "ssupp_8f3c2a",
            "ssupp_8f3c2a_cards",
            "ssupp_8f3c2amessage",
            "ssupp_8f3c2aopened",
            "ssupp_8f3c2avid",
        ];
        assert_eq!(names(&checked, "after-refusal"), functional);
        let accepted = names(&checked, "after-acceptance");
        assert!(
            ["ssupp.visits", "ssupp_8f3c2avisits"].iter().all(|name| accepted.iter().any(|a| a == name)),
            "{accepted:?}"
        );
    }
}
