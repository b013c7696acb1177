//! `forgetd status`: does everything that should go, go?

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::output::{Output, count, instant};
use super::session::Reading;
use super::{Ended, Exit};
use crate::audit::{self, Compared, DriftChecked, Verdict};
use crate::drift;
use crate::plan::Rule;
use crate::register::FinishedRun;
use crate::safety::{Assessment, State, Stop};
use crate::service;
use crate::visible::visible;

#[derive(Debug, Serialize)]
struct Status {
    daemon: &'static str,
    purges: &'static str,
    audit_log: LogHealth,
    drift: Option<LastDrift>,
    rules: Vec<RuleStatus>,
}

#[derive(Debug, Serialize)]
struct LogHealth {
    verdict: String,
    entries: u64,
    signed: u64,
    last_entry: Option<Timestamp>,
    reviewed_through: Option<u64>,
    reviewed_at: Option<Timestamp>,
    unreviewed: u64,
}

/// What the daily comparison with the stores found.
#[derive(Debug, Serialize)]
struct LastDrift {
    checked: Timestamp,
    ok: bool,
    counts: BTreeMap<String, u64>,
    accepted: u64,
}

#[derive(Debug, Serialize)]
struct RuleStatus {
    rule: String,
    state: State,
    matches: Option<u64>,
    undatable: Option<u64>,
    on_hold: Option<u64>,
    overdue: bool,
    overdue_since: Option<Timestamp>,
    next_due: Option<Timestamp>,
    last_run: Option<FinishedRun>,
    reasons: Vec<String>,
    kept: Vec<String>,
}

pub(super) fn run(directory: &Path, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let (audit_log, drift, log_exit) = log_health(&reading);
    let assessed = reading.assess_each(reading.rules.iter().collect(), output);
    let rules = assessed.into_iter().map(|(rule, found)| rule_status(rule, found, &reading));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let status = Status {
        daemon: if service::is_running(&reading.paths) { "running" } else { "not running" },
        purges: if reading.paths.stop() == Stop::Set { "stopped" } else { "allowed" },
        audit_log,
        drift,
        rules,
    };
    output.result(&status, |output| print(&status, output));
    let attention = status.rules.iter().any(|rule| rule.state != State::Ready || rule.overdue);
    let exit = if attention { Exit::Attention } else { Exit::Done };
    Ok(reading.exit(exit.max(log_exit)))
}

/// What the evidence looks like, as far as it can be told without an anchor, and what it says of the last comparison.
fn log_health(reading: &Reading) -> (LogHealth, Option<LastDrift>, Exit) {
    let health = |verdict: String, verification: Option<&audit::Verification>| LogHealth {
        verdict,
        entries: verification.map_or(0, |v| v.entries),
        signed: verification.map_or(0, |v| v.signed),
        last_entry: verification.and_then(|v| v.last),
        reviewed_through: verification.and_then(|v| v.review).map(|review| review.through),
        reviewed_at: verification.and_then(|v| v.review).map(|review| review.at),
        unreviewed: verification.map_or(0, |v| v.unreviewed),
    };
    if !reading.paths.audit().exists() {
        return (health("none yet".to_owned(), None), None, Exit::Done);
    }
    match audit::verify(&reading.paths.audit(), &[]) {
        Ok(verification) => {
            let (verdict, exit) = super::audit::verdict(&verification.verdict);
            // While a run is under way its entries are not signed yet: that alone is no alarm.
            let unsigned = matches!(verification.verdict, Verdict::UnsignedTail { .. });
            let health = health(verdict.to_owned(), Some(&verification));
            (health, verification.drift.map(last_drift), if unsigned { Exit::Done } else { exit })
        }
        Err(error) => (health(super::chain(&error), None), None, Exit::NotVerified),
    }
}

fn rule_status(rule: &Rule, assessment: Assessment, reading: &Reading) -> Result<RuleStatus, super::Failure> {
    let last_run = match &reading.register {
        Some(register) => register.last_run(rule.name.as_str())?,
        None => None,
    };
    let site = reading.in_force.config.sites.get(&rule.site);
    let next = |after: Timestamp| site.and_then(|site| site.schedule.next_after(after, &site.time_zone.zone));
    let overdue = drift::is_overdue(&assessment, last_run.as_ref(), next, reading.clock.wall);
    let survey = assessment.survey.as_ref();
    Ok(RuleStatus {
        rule: rule.name.to_string(),
        state: assessment.state(),
        matches: survey.map(|survey| survey.matches),
        undatable: survey.map(|survey| survey.undatable),
        on_hold: survey.map(|survey| survey.on_hold),
        overdue,
        overdue_since: assessment.overdue_since.filter(|_| overdue),
        next_due: next(reading.clock.wall),
        last_run,
        reasons: assessment.reasons.iter().map(ToString::to_string).collect(),
        kept: survey.map_or_else(Vec::new, |survey| survey.kept.iter().map(ToString::to_string).collect()),
    })
}

fn print(status: &Status, output: &Output) {
    output.line(format!("Daemon: {}. Purges: {}.", status.daemon, status.purges));
    output.line(log_line(&status.audit_log));
    output.line(output.advice(&drift_line(status.drift.as_ref())));
    if status.rules.is_empty() {
        return output.line("No rules: no site declares a store with tables.");
    }
    output.line("");
    let header =
        ["RULE", "STATE", "MATCHES", "UNDATABLE", "ON HOLD", "OVERDUE SINCE", "LAST RUN", "ERASED", "NEXT DUE"];
    output.table(&header, &status.rules.iter().map(row).collect::<Vec<_>>());
    let reasons = status.rules.iter().flat_map(|rule| rule.reasons.iter().map(move |reason| (rule, reason)));
    let reasons = reasons.map(|(rule, reason)| {
        format!("{}: {}: {}", rule.rule, output.attention(rule.state.key()), output.advice(&visible(reason)))
    });
    let waits = status.rules.iter().filter_map(|rule| {
        let reason = rule.last_run.as_ref().filter(|run| run.finished_at.is_none())?.reason.as_deref()?;
        Some(format!("{}: under way, and waits: {}", rule.rule, output.advice(&visible(reason))))
    });
    let kept = status
        .rules
        .iter()
        .flat_map(|rule| rule.kept.iter().map(move |kept| format!("{}: {}", rule.rule, visible(kept))));
    for (position, line) in reasons.chain(waits).chain(kept).enumerate() {
        if position == 0 {
            output.line("");
        }
        output.line(line);
    }
    print_pending(&status.rules, output);
}

/// What the last runs left, once for all rules of which the same is true.
fn print_pending(rules: &[RuleStatus], output: &Output) {
    let mut pending: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in rules {
        if let Some(what) = rule.last_run.as_ref().and_then(|run| run.pending.as_deref()) {
            pending.entry(what).or_default().push(&rule.rule);
        }
    }
    for (position, (what, rules)) in pending.iter().enumerate() {
        if position == 0 {
            output.line("");
        }
        let others = match rules.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        let first = rules.first().copied().unwrap_or_default();
        output.line(format!(
            "{first}{others}: physically pending at the end of the last run: {}",
            output.advice(&visible(what))
        ));
    }
}

fn log_line(log: &LogHealth) -> String {
    let LogHealth { verdict, entries, signed, last_entry, .. } = log;
    match last_entry {
        Some(last) => format!(
            "Audit log: {verdict}; {} entries, {} signed; the last of {}. {}",
            count(*entries),
            count(*signed),
            instant(*last),
            reviewed(log)
        ),
        None => format!("Audit log: {verdict}."),
    }
}

fn last_drift(compared: Compared) -> LastDrift {
    let DriftChecked { counts, accepted, .. } = compared.found;
    LastDrift { checked: compared.at, ok: counts.is_empty(), counts, accepted }
}

fn drift_line(drift: Option<&LastDrift>) -> String {
    let Some(LastDrift { checked, counts, .. }) = drift else {
        return "Drift: never looked for; `forgetd drift` does.".to_owned();
    };
    let at = instant(*checked);
    if counts.is_empty() {
        return format!("Drift: none at {at}: what was declared was what was enforced, and the stores agreed.");
    }
    let counts: Vec<String> = counts.iter().map(|(kind, many)| format!("{many} {kind}")).collect();
    format!("Drift: at {at} {}; `forgetd drift` says where.", counts.join(", "))
}

fn reviewed(log: &LogHealth) -> String {
    match (log.reviewed_through, log.reviewed_at, log.unreviewed) {
        (Some(through), Some(at), 0) => format!("Reviewed through entry {through} ({}): all of it.", instant(at)),
        (Some(through), Some(at), rest) => {
            format!("Reviewed through entry {through} ({}); {} since are not.", instant(at), count(rest))
        }
        _ => "Never reviewed.".to_owned(),
    }
}

fn row(rule: &RuleStatus) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let counted = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), count);
    let last = rule.last_run.as_ref();
    let outcome =
        |run: &FinishedRun| format!("{} {}", instant(run.started_at), run.outcome.as_deref().unwrap_or("under way"));
    vec![
        rule.rule.clone(),
        rule.state.key().to_owned(),
        counted(rule.matches),
        counted(rule.undatable),
        counted(rule.on_hold),
        or_dash(rule.overdue_since.map(instant)),
        last.map_or_else(|| "never".to_owned(), outcome),
        or_dash(last.map(|run| count(run.erased))),
        or_dash(rule.next_due.map(instant)),
    ]
}
