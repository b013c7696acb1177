//! One file of a good configuration replaced by any text: it is refused with a bounded number of problems that no
//! terminal obeys, or every rule that follows has a name of its own that can be read.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use forgetd::config::{Config, Source};
use forgetd::plan;
use libfuzzer_sys::fuzz_target;

/// A configuration with one of everything that files refer to in each other, as small as it goes: the fuzzer's time is for
/// the file that is replaced.
const FILES: [(&str, &str); 4] = [
    ("sites/shop.example.toml", SITE),
    ("forgetd.toml", "state-dir = \"/var/lib/forgetd\"\n[controller]\nname = \"Shop\"\n"),
    ("processors/chat.toml", PROCESSOR),
    ("categories.toml", CATEGORIES),
];

const SITE: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[settings]
store-ip = false
[[processor]]
id = "smartsupp"
chat-key = "8f3c2a"
features = ["chat"]
[retention]
visit = "6 months"
"#;

const PROCESSOR: &str = r#"
id = "smartsupp"
product = "Chat"
name = "Chat Ltd"
[[feature]]
id = "chat"
purpose = "Support"
lawful-basis = "legitimate-interest"
[[data]]
name = "Visits"
categories = ["visit"]
[[item]]
name = "chat_<CHAT_KEY>"
class = "functional"
kind = "cookie"
description = "Recognises visitors"
lifetime = "6 months"
"#;

const CATEGORIES: &str = r#"
[[category]]
id = "visit"
name = "Visits to the website"
[[category]]
id = "visit.ip-address"
name = "IP address"
setting = "store-ip"
"#;

/// One file is told up to a hundred; the others follow from it in a few.
const MOST_PROBLEMS: usize = 400;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let replaced = usize::from(*choice) % FILES.len();
    let files = FILES.iter().enumerate().map(|(index, (path, own))| {
        let text = if index == replaced { text } else { own };
        ((*path).to_owned(), Source::new(*path, text))
    });
    match Config::parse(files.collect::<BTreeMap<_, _>>()) {
        Err(problems) => {
            assert!(!problems.0.is_empty() && problems.0.len() <= MOST_PROBLEMS);
            let told = problems.to_string();
            assert!(!told.chars().any(|character| character.is_control() && character != '\n'), "{told:?}");
        }
        Ok(config) => {
            let mut names = BTreeSet::new();
            for rule in plan::derive(&config) {
                assert!(!rule.name.as_str().chars().any(char::is_control), "{:?}", rule.name);
                assert!(names.insert(rule.name.clone()), "two rules are called {}", rule.name);
            }
        }
    }
});
