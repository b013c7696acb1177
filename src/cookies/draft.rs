//! The draft of a processor's file, of what a browser holds and nobody declares.
//!
//! What a capture cannot tell (whose an item is, what for, of which class) is left to the operator, by words that
//! `forgetd check` refuses: a draft that is taken as it stands must not become an overview.

use super::compare::{self, words};
use super::host::Party;
use super::{Capture, Life};
use crate::config::{Config, Site};

/// What an operator must replace.
const TO_DO: &str = "TO DO";

/// The draft, or nothing where nothing is undeclared.
pub fn draft(config: &Config, site: &Site, captures: &[Capture], visited: Option<&str>) -> Option<String> {
    let undeclared = compare::undeclared_items(config, site, captures, visited);
    if undeclared.is_empty() {
        return None;
    }
    let mut file = format!(
        "# A draft: what {} sets and no processor declares. Find out whose each item is; items of several processors\n\
         # belong into several files. `forgetd check` refuses the file until every \"{TO_DO}\" is replaced.\n\n\
         id = \"{TO_DO}: the name that sites use for the processor\"\nproduct = \"{TO_DO}\"\nname = \"{TO_DO}\"\n",
        site.domain
    );
    for item in undeclared {
        let hosts: Vec<&str> = item.hosts.iter().copied().collect();
        let of = if hosts.is_empty() { String::new() } else { format!(" of {}", plain(&hosts.join(", "))) };
        file.push_str(&format!(
            "\n# {}{of}\n[[item]]\nname = {}\nclass = \"{TO_DO}: functional, analytics or marketing\"\nkind = \"{}\"\n\
             description = \"{TO_DO}\"\nlifetime = \"{}\"\n",
            words(item.kind),
            quoted(item.name),
            item.kind.key(),
            lifetime(item.life)
        ));
        if let Party::Third(host) = item.party {
            file.push_str(&format!("host = {}\n", quoted(host)));
        }
    }
    Some(file)
}

/// A lifetime as a processor's file has it, not shorter than the one that was seen.
fn lifetime(life: Life) -> String {
    const DAY: u64 = 24 * 3600;
    match life {
        Life::NotSaid => format!("{TO_DO}: a period, session or until deleted"),
        Life::Session => "session".to_owned(),
        Life::UntilDeleted => "until deleted".to_owned(),
        Life::Seconds(seconds) => match seconds.div_ceil(DAY) {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
    }
}

/// A name as a string of TOML in which everything can be seen.
fn quoted(name: &str) -> String {
    let mut string = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            seen if is_plain(seen) => string.push(seen),
            other => string.push_str(&format!("\\U{:08X}", u32::from(other))),
        }
    }
    string.push('"');
    string
}

/// A comment must end where its line does.
fn plain(text: &str) -> String {
    text.chars().filter(|character| is_plain(*character)).collect()
}

fn is_plain(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric()
}
