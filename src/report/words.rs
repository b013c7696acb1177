//! Instants, numbers and the log's terms in plain words.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::audit::RunOutcome;

/// `24 May 2026`.
pub(super) fn date(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

/// `24 May 2026, 03:30`, as clocks in that zone show it.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%-d %B %Y, %H:%M").to_string()
}

/// `24 May 2026, 03:30 UTC`.
pub(super) fn utc(at: Timestamp) -> String {
    format!("{} UTC", moment(at, &TimeZone::UTC))
}

/// `24 May 2026, 03:30` in UTC, for a table that says so.
pub(super) fn short(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%-d %b %Y, %H:%M").to_string()
}

/// `2026-05-24 03:30:12`, as a spreadsheet reads it.
pub(super) fn sortable(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A count with its digits in groups.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 record`, `2,000 records`.
pub(super) fn count(many: u64, one: &str) -> String {
    let plural = match one.strip_suffix('y') {
        _ if many == 1 => one.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{one}s"),
    };
    format!("{} {plural}", number(many))
}

/// How a run ended.
pub(super) fn outcome(outcome: Option<RunOutcome>) -> &'static str {
    match outcome {
        Some(RunOutcome::Done) => "Complete",
        Some(RunOutcome::Interrupted) => "Interrupted",
        Some(RunOutcome::Stopped) => "Stopped by an operator",
        Some(RunOutcome::Held) => "Held by a guard",
        Some(RunOutcome::Failed) => "Failed",
        None => "No end recorded",
    }
}

/// What happens to the records of a rule, by the word that the log has for it.
pub(super) fn action(key: &str) -> String {
    match key {
        "erase-rows" => "Whole records are erased".to_owned(),
        "erase-column" => "One field is emptied".to_owned(),
        "truncate-column" => "The address keeps its network only".to_owned(),
        "erase-files" => "Files are removed".to_owned(),
        "drop-lines" => "Lines are removed".to_owned(),
        "erase-addresses" => "Addresses in lines are removed".to_owned(),
        "truncate-addresses" => "Addresses in lines keep their network only".to_owned(),
        other => other.to_owned(),
    }
}

/// Who gave an order: no names, and what the number means.
pub(super) fn role(uid: u32) -> String {
    match uid {
        0 => "administrator (root, user 0)".to_owned(),
        other => format!("user {other} of the server"),
    }
}

/// A reason without the command that answers it: who reads the report is not who types it.
pub(super) fn without_commands(reason: &str) -> String {
    let mut told = String::new();
    let mut rest = reason;
    while let Some((before, command)) =
        [": `forgetd ", ", then `forgetd "].iter().find_map(|mark| rest.split_once(mark))
    {
        told.push_str(before);
        rest = command.split_once('`').map_or("", |(_, behind)| behind);
    }
    told + rest
}

/// A reason without the stop switch, which is told on its own as long as it is set.
pub(super) fn without_the_stop(reason: &str) -> String {
    let others = reason.split("; ").filter(|part| *part != "purges are stopped");
    others.collect::<Vec<_>>().join("; ")
}

/// A sentence: begins with a capital, ends with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.trim().chars();
    let Some(first) = characters.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(characters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// The site of a rule, or of a prefix of rules.
pub(super) fn site_of(rule: &str) -> &str {
    rule.split('/').next().unwrap_or(rule)
}

/// A name between backticks, as the texts of the report mark names.
pub(super) fn named(text: &str) -> String {
    format!("`{}`", text.replace('`', "⟨U+0060⟩"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_loses_the_commands_and_nothing_else() {
        let reason = "it is new and has not been approved: `forgetd approve a/b --plan 1f-2-3`; hold 3 suspends it: \
                      `forgetd hold list`";
        assert_eq!(without_commands(reason), "it is new and has not been approved; hold 3 suspends it");
        let changed = "its table has changed: `a` is new: look at it, then `forgetd approve a --plan 1`";
        assert_eq!(without_commands(changed), "its table has changed: `a` is new: look at it");
        assert_eq!(without_the_stop("purges are stopped"), "");
        assert_eq!(without_the_stop("purges are stopped; it is new"), "it is new");
        assert_eq!(without_commands("the server did not answer"), "the server did not answer");
    }

    #[test]
    fn counts_are_grouped_and_agree_with_their_noun() {
        let told = [count(0, "record"), count(1, "entry"), count(1_234_567, "entry"), count(2, "run")];
        assert_eq!(told, ["0 records", "1 entry", "1,234,567 entries", "2 runs"]);
    }
}
