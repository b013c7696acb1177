//! Which metrics there are: names, units and what each of them says.
//!
//! Instants are seconds of Unix time and ages are left to whoever asks, as Prometheus has it: a value that only changes
//! when something happened can be compared with any clock.

use jiff::Timestamp;

use super::Known;
use super::figures::{Figures, RuleFigures};
use super::text::{Kind, Page};
use crate::safety::State;

/// One metric of every rule: its name, kind and help, and the value where there is one.
type OfRule = ((&'static str, Kind, &'static str), fn(&RuleFigures) -> Option<f64>);

const OF_RULES: &[OfRule] = &[
    (
        ("forgetd_rule_last_success_timestamp_seconds", Kind::Gauge, "When the last run that ended well ended."),
        |rule| rule.runs.success.map(|(_, ended)| seconds(ended)),
    ),
    (("forgetd_rule_last_run_timestamp_seconds", Kind::Gauge, "When the last run ended, however it ended."), |rule| {
        rule.runs.last.map(|(ended, _)| seconds(ended))
    }),
    (("forgetd_rule_last_run_duration_seconds", Kind::Gauge, "How long the last run took."), |rule| {
        rule.runs.last.map(|(_, took)| took.as_secs_f64())
    }),
    (("forgetd_rule_last_run_failed", Kind::Gauge, "1 where the last run failed, else 0."), |rule| {
        rule.runs.last.map(|_| flag(rule.runs.last_outcome.as_deref() == Some("failed")))
    }),
    (
        (
            "forgetd_rule_due_timestamp_seconds",
            Kind::Gauge,
            "When the rule should run by its schedule, counted from its last success. In the past: it has not.",
        ),
        |rule| rule.due.map(seconds),
    ),
    (("forgetd_rule_erased_records_total", Kind::Counter, "Records erased or masked by all runs."), |rule| {
        Some(number(rule.runs.erased))
    }),
    (
        (
            "forgetd_rule_overdue_records",
            Kind::Gauge,
            "Records that should have gone by now and were still there when last counted.",
        ),
        |rule| Some(number(rule.overdue)),
    ),
    (
        (
            "forgetd_rule_oldest_expired_timestamp_seconds",
            Kind::Gauge,
            "The time of the oldest expired record that was still there when last counted; absent where there was none.",
        ),
        |rule| rule.count.and_then(|count| count.oldest).map(seconds),
    ),
    (
        (
            "forgetd_rule_last_count_timestamp_seconds",
            Kind::Gauge,
            "When records were last counted: at the end of the last run, or when it was not let begin.",
        ),
        |rule| rule.count.map(|count| seconds(count.counted_at)),
    ),
    (("forgetd_rule_held", Kind::Gauge, "1 where a guard holds the rule, else 0."), |rule| {
        Some(flag(rule.state == State::Held))
    }),
    (("forgetd_rule_waiting", Kind::Gauge, "1 where the rule waits for an approval, else 0."), |rule| {
        Some(flag(rule.state == State::Waiting))
    }),
    (("forgetd_rule_suspended", Kind::Gauge, "1 where the rule's configuration is in doubt, else 0."), |rule| {
        Some(flag(rule.state == State::Suspended))
    }),
];

/// The page of these figures; without any, what the daemon knows by itself.
pub(super) fn page(known: &Known, figures: Option<&Figures>) -> String {
    let mut page = Page::default();
    let mut one = |name, help, value: f64| page.metric((name, Kind::Gauge, help), [(vec![], value)]);
    let valid = "1 where the configuration directory is valid, 0 where an earlier version stays in force.";
    one("forgetd_configuration_valid", valid, flag(known.valid));
    one(
        "forgetd_state_readable",
        "1 where register and audit log could be read for this page.",
        flag(figures.is_some()),
    );
    if let Some(figures) = figures {
        one("forgetd_purges_stopped", "1 while the stop switch is set.", flag(figures.purges_stopped));
        one("forgetd_audit_entries", "Entries of the audit log.", number(figures.entries));
        let unreviewed = "Entries of the audit log since the review that reached furthest.";
        one("forgetd_audit_unreviewed_entries", unreviewed, number(figures.unreviewed));
        if let Some(since) = figures.unreviewed_since {
            let help = "The time of the first of those entries; absent where all were reviewed.";
            one("forgetd_audit_unreviewed_since_timestamp_seconds", help, seconds(since));
        }
        if let Some(last) = figures.last_entry {
            let help = "The time of the audit log's last entry: at least one a day while the daemon runs.";
            one("forgetd_audit_last_entry_timestamp_seconds", help, seconds(last));
        }
    }
    let build = ("forgetd_build_info", Kind::Gauge, "1, with the version that runs.");
    page.metric(build, [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)]);
    for (metric, value) in OF_RULES {
        let rules = figures.map(|figures| figures.rules.as_slice()).unwrap_or_default();
        let samples = rules.iter().filter_map(|rule| Some((labels(rule), value(rule)?)));
        page.metric(*metric, samples);
    }
    page.into_text()
}

fn labels(rule: &RuleFigures) -> Vec<(&str, &str)> {
    vec![("rule", &rule.rule), ("site", &rule.site)]
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// Metrics are floating point: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn number(count: u64) -> f64 {
    count as f64
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
