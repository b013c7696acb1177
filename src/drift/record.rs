//! A comparison as an entry of the audit log: counts, and names as far as they are names.
//!
//! An entry is bounded, and it is for good. A schema may be anybody's: a table that is called after a person is counted
//! and not named.

use super::finding::{Drift, Finding};
use super::likeness::of_value;
use crate::audit::{DriftChecked, DriftFinding, Event};

/// Most findings that an entry names, and the length of a name in bytes: together they stay well within an entry, even
/// if every character has to be escaped.
const MOST_NAMED: usize = 60;
const LONGEST_NAME: usize = 200;

/// What stands for a name that must not stand there.
const NOT_NAMED: &str = "(not named: it looks like personal data itself)";

/// The entry.
pub fn entry(drift: &Drift) -> Event {
    let many = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let mut findings: Vec<&Finding> = drift.findings.iter().collect();
    findings.sort_by_key(|finding| finding.kind);
    Event::DriftChecked(DriftChecked {
        rules: many(drift.rules.len()),
        stores: many(drift.stores.len()),
        counts: drift.counts.iter().map(|(kind, count)| (kind.key().to_owned(), *count)).collect(),
        accepted: drift.accepted,
        findings: findings.into_iter().take(MOST_NAMED).map(named).collect(),
    })
}

fn named(finding: &Finding) -> DriftFinding {
    DriftFinding {
        finding: finding.kind.key().to_owned(),
        place: place(&finding.place),
        records: finding.records,
        oldest: finding.oldest,
    }
}

/// Site and store are the configuration's. What follows may be the schema's.
fn place(place: &str) -> String {
    let parts: Vec<&str> = place.splitn(3, '/').collect();
    let told = match parts.as_slice() {
        [site, store, schema] if schema.split(['/', ' ', '_']).any(|part| of_value(part).is_some()) => {
            format!("{site}/{store}/{NOT_NAMED}")
        }
        _ => place.to_owned(),
    };
    in_bounds(&told)
}

fn in_bounds(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut length = 0;
    plain
        .take_while(|c| {
            length += c.len_utf8();
            length <= LONGEST_NAME
        })
        .collect()
}
