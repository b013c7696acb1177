//! What happened, in sentences: incidents, decisions, and changes of the configuration.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::gather::Held;
use super::model::{Decision, Hold, Incident, Run};
use super::words::{self, count, number, sentence, utc};
use crate::audit::{Entry, Event, RestoredPart};

/// A rule was due and did not run.
pub(super) fn refused(rule: &str, held: &Held) -> Incident {
    let mut text = sentence(&words::without_commands(&held.reason));
    if let Some(since) = held.overdue_since {
        text.push_str(&format!(" The oldest of its records has been due since {}.", utc(since)));
    }
    Incident { time: held.at, kind: "refused", rule: Some(rule.to_owned()), text, records: Some(held.matches) }
}

/// A run ended before its end.
pub(super) fn not_done(time: Timestamp, run: &Run) -> Incident {
    let reason = run.reason.as_deref().map(words::without_commands).unwrap_or_default();
    let text = format!(
        "{} {} erased before. {}",
        sentence(words::outcome(run.outcome)),
        match run.erased {
            1 => "1 record was".to_owned(),
            erased => format!("{} were", count(erased, "record")),
        },
        sentence(&reason)
    );
    let kind = run.outcome.map_or("without-end", |outcome| outcome.key());
    Incident { time, kind, rule: Some(run.rule.clone()), text: text.trim_end().to_owned(), records: run.left }
}

/// A run began and nothing says how it ended.
pub(super) fn without_end(run: &Run) -> Incident {
    let text = format!(
        "It began, and no end of it is recorded: it is under way, or its process died and has not been started since. \
         Batches of {} are recorded as committed.",
        count(run.erased, "record")
    );
    Incident { time: run.started, kind: "without-end", rule: Some(run.rule.clone()), text, records: None }
}

/// A configuration with mistakes was not taken.
pub(super) fn rejected(time: Timestamp, problems: u64, suspended: &[String]) -> Incident {
    let mut text = format!(
        "A change of the configuration had {} and was not applied; the version before stayed in force.",
        count(problems, "mistake")
    );
    if !suspended.is_empty() {
        text.push_str(&format!(" Suspended meanwhile: {}.", suspended.join(", ")));
    }
    Incident { time, kind: "configuration-rejected", rule: None, text, records: None }
}

/// The end of the log was mended.
pub(super) fn repaired(time: Timestamp, bytes: u64) -> Incident {
    let text = format!(
        "An unfinished last line of {} was cut off the log after a crash. Nobody had been told that it was written.",
        count(bytes, "byte")
    );
    Incident { time, kind: "log-repaired", rule: None, text, records: None }
}

/// Register and log were not of the same moment.
pub(super) fn restored(time: Timestamp, part: RestoredPart, missing: u64) -> Incident {
    let text = match part {
        RestoredPart::Register => format!(
            "The register is an older copy, put back from a backup: {} that the log knows of missing in it.",
            count(missing, "hold")
        ),
        RestoredPart::Log => format!(
            "The audit log is an older copy, put back from a backup: the end of {} that the register knows of missing.",
            count(missing, "run")
        ),
    };
    Incident { time, kind: "state-restored", rule: None, text, records: None }
}

/// What somebody decided; `None` for an entry that is no decision. Exhaustive, so that a new kind is thought about.
pub(super) fn decision(entry: &Entry, holds: &BTreeMap<u64, Hold>) -> Option<Decision> {
    let kind = entry.event.kind();
    let told = |uid: u32, about: Option<&str>, text: String| {
        Some(Decision { time: entry.time, uid, kind, about: about.map(str::to_owned), text })
    };
    match &entry.event {
        Event::RuleApproved { rule, counted, ceiling, uid, .. } => told(
            *uid,
            Some(rule),
            format!(
                "Approved, after {} had been counted; its next run might touch up to {}.",
                count(*counted, "record"),
                number(*ceiling)
            ),
        ),
        Event::ClockApproved { uid, jump_seconds } => {
            told(*uid, None, format!("Confirmed that the clock is right after a jump of {jump_seconds} seconds."))
        }
        Event::HoldAdded { hold, prefix, until, reason_code, uid } => told(
            *uid,
            Some(prefix),
            format!("Hold {hold} placed: nothing of it may be erased until {until}. Reason code: {reason_code}."),
        ),
        Event::HoldLifted { hold, uid } => {
            let about = holds.get(hold).map(|hold| hold.prefix.as_str());
            told(*uid, about, format!("Hold {hold} lifted: it may be erased again."))
        }
        Event::LogReviewed { through, note, uid } => {
            told(*uid, None, format!("Reviewed the log up to entry {}: {note}", number(*through)))
        }
        Event::KeyRotated { uid, .. } => {
            told(*uid, None, "Replaced the key that signs the evidence; the old one handed over to it.".to_owned())
        }
        Event::CookiesChecked { site, source, items, findings, uid, .. } => {
            told(*uid, Some(site), cookies_checked(source, *items, findings))
        }
        Event::PurgesStopped { uid } => told(*uid, None, "Stopped all erasure.".to_owned()),
        Event::PurgesResumed { uid } => told(*uid, None, "Let erasure go on.".to_owned()),
        Event::LogCreated { .. }
        | Event::LogRepaired { .. }
        | Event::StateRestored { .. }
        | Event::ConfigApplied { .. }
        | Event::ConfigRejected { .. }
        | Event::RuleHeld { .. }
        | Event::RuleReleased { .. }
        | Event::RunStarted { .. }
        | Event::BatchPrepared { .. }
        | Event::BatchCommitted { .. }
        | Event::BatchRolledBack { .. }
        | Event::BatchResolved { .. }
        | Event::RunFinished(_)
        | Event::DriftChecked(_)
        | Event::DaemonStarted { .. }
        | Event::DaemonStopped {}
        | Event::Heartbeat {} => None,
    }
}

/// What a comparison of cookies with the overview found. Words of a newer version are told as they stand.
fn cookies_checked(source: &str, items: u64, findings: &BTreeMap<String, u64>) -> String {
    let looked = format!("Compared what a browser holds with the cookie overview ({source}, {})", count(items, "item"));
    if findings.is_empty() {
        return format!("{looked}: nothing against it.");
    }
    let topics: Vec<String> = findings.iter().map(|(topic, many)| format!("{} {topic}", number(*many))).collect();
    format!("{looked}. Against it: {}.", topics.join(", "))
}

/// Whether a change speaks of a site.
pub(super) fn names(change: &str, site: &str) -> bool {
    let file = format!("sites/{site}.toml");
    change.split_whitespace().any(|word| {
        let word = word.trim_end_matches(':');
        word == site || word == file
    })
}

/// The changes that decide what is kept for how long, in words, and how many others there were.
pub(super) fn changes(changes: &[String]) -> (Vec<String>, usize) {
    let told: Vec<String> = changes.iter().filter_map(|change| telling(change)).collect();
    let others = changes.len() - told.len();
    (told, others)
}

/// `setting shop.example store-ip: true → false` as a sentence; `None` where it is about something else than what is
/// kept.
fn telling(change: &str) -> Option<String> {
    if let Some(rest) = change.strip_prefix("setting ") {
        return Some(setting(rest));
    }
    if let Some(rest) = change.strip_prefix("retention period ") {
        return Some(period(rest));
    }
    if let Some(rest) = change.strip_prefix("not stored ") {
        let (what, verb) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        let (site, category) = what.split_once(' ').unwrap_or(("", what));
        let may = if verb == "removed" { "may be stored again" } else { "is not stored any longer" };
        return Some(format!("{site}: `{category}` {may}."));
    }
    let kinds = ["site ", "table ", "column ", "files ", "store ", "storage item "];
    // A storage item's lifetime is how long it is kept.
    let is_telling = kinds.iter().any(|kind| change.starts_with(kind))
        && (!change.starts_with("storage item ") || change.contains(": lifetime "));
    is_telling.then(|| sentence(change))
}

/// `shop.example store-ip: true → false`.
fn setting(rest: &str) -> String {
    let Some((subject, values)) = rest.split_once(": ") else { return sentence(&format!("setting {rest}")) };
    let (site, key) = subject.split_once(' ').unwrap_or(("", subject));
    let key = key.strip_suffix(" added").unwrap_or(key);
    let now = values.rsplit(" → ").next().unwrap_or(values);
    let meaning = match (concern_of(key), now) {
        (Some(concern), "true") => format!(" {concern} may be stored."),
        (Some(concern), "false") => format!(" {concern} are not stored."),
        _ => String::new(),
    };
    format!("{site}: `{key}`: {values}.{meaning}")
}

fn concern_of(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "store-ip" => "IP addresses",
        "store-location" => "Country and city",
        "store-device" => "Screen, device, browser and operating system",
        "store-contact" => "Names, e-mail addresses and other contacts",
        "store-page-urls" => "Addresses of visited pages",
        _ => return None,
    })
}

/// `shop.example conversation: 1 year → 6 months`.
fn period(rest: &str) -> String {
    if let Some((site, what)) = rest.strip_suffix(" removed").and_then(|rest| rest.split_once(' ')) {
        return format!("{site}: no period is declared for `{what}` any longer.");
    }
    let told = || {
        let (subject, values) = rest.split_once(": ")?;
        let (site, what) = subject.split_once(' ')?;
        Some(match values.split_once(" → ") {
            Some((before, after)) => format!("{site}: `{what}` is kept for {after} instead of {before}."),
            None => format!("{site}: `{}` is kept for {values}.", what.strip_suffix(" added").unwrap_or(what)),
        })
    };
    told().unwrap_or_else(|| sentence(&format!("retention period {rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_words_and_what_is_not_about_keeping_is_counted() {
        let given = [
            "setting shop.example store-ip: true → false",
            "setting shop.example store-location added: true",
            "retention period shop.example conversation: 1 year → 6 months",
            "retention period shop.example visit added: 6 months",
            "retention period shop.example contact removed",
            "not stored shop.example contact.phone added",
            "table shop.example chat visitors: holds visit → ssupp.vid",
            "processor smartsupp: legal_name changed",
            "file sites/shop.example.toml: sha256 changed",
        ]
        .map(str::to_owned);
        let (told, others) = changes(&given);
        assert_eq!(
            told,
            [
                "shop.example: `store-ip`: true → false. IP addresses are not stored.",
                "shop.example: `store-location`: true. Country and city may be stored.",
                "shop.example: `conversation` is kept for 6 months instead of 1 year.",
                "shop.example: `visit` is kept for 6 months.",
                "shop.example: no period is declared for `contact` any longer.",
                "shop.example: `contact.phone` is not stored any longer.",
                "Table shop.example chat visitors: holds visit → ssupp.vid.",
            ]
        );
        assert_eq!(others, 2);
    }

    #[test]
    fn a_change_names_its_site_and_no_other() {
        assert!(names("setting shop.example store-ip: true → false", "shop.example"));
        assert!(names("file sites/shop.example.toml: sha256 changed", "shop.example"));
        assert!(!names("setting shop.example.org store-ip: true → false", "shop.example"));
    }
}
