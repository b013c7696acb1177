//! `forgetd plan`: what would be erased now, and why.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::output::{Output, count, instant};
use super::session::Reading;
use super::{Ended, Exit};
use crate::plan::Rule;
use crate::safety::{Assessment, State};
use crate::visible::visible;

/// One rule of `plan --json`. The first keys are a stable interface.
#[derive(Debug, Serialize)]
pub(super) struct PlannedRule<'a> {
    rule: &'a str,
    action: &'static str,
    because: &'a str,
    cutoff: Option<Timestamp>,
    matches: Option<u64>,
    total: Option<u64>,
    undatable: Option<u64>,
    on_hold: Option<u64>,
    state: State,
    plan: Option<String>,
    reasons: Vec<String>,
    warnings: Vec<String>,
    overdue_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Plan<'a> {
    rules: Vec<PlannedRule<'a>>,
}

pub(super) fn run(directory: &Path, prefix: Option<&str>, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let rules = reading.select(prefix)?;
    let planned = reading.assess_each(rules, output);
    let json = Plan { rules: planned.iter().map(|(rule, assessment)| planned_rule(rule, assessment)).collect() };
    output.result(&json, |output| print(&planned, output));
    Ok(reading.exit(exit(planned.iter().map(|(_, assessment)| assessment))))
}

/// Needs attention as soon as one rule is not ready.
pub(super) fn exit<'a>(mut assessments: impl Iterator<Item = &'a Assessment>) -> Exit {
    if assessments.all(|assessment| assessment.state() == State::Ready) { Exit::Done } else { Exit::Attention }
}

fn planned_rule<'a>(rule: &'a Rule, assessment: &Assessment) -> PlannedRule<'a> {
    let survey = assessment.survey.as_ref();
    PlannedRule {
        rule: rule.name.as_str(),
        action: rule.definition.action(),
        because: &rule.because,
        cutoff: assessment.cutoff,
        matches: survey.map(|survey| survey.matches),
        total: survey.map(|survey| survey.total),
        undatable: survey.map(|survey| survey.undatable),
        on_hold: survey.map(|survey| survey.on_hold),
        state: assessment.state(),
        plan: assessment.token.as_ref().map(ToString::to_string),
        reasons: assessment.reasons.iter().map(ToString::to_string).collect(),
        warnings: assessment.warnings.iter().map(ToString::to_string).collect(),
        overdue_since: assessment.overdue_since,
    }
}

/// The table, then for each rule because of what, and what holds it.
pub(super) fn print(planned: &[(&Rule, Assessment)], output: &Output) {
    if planned.is_empty() {
        output.line("No rules: no site declares a store with tables.");
        return;
    }
    let header = ["RULE", "ACTION", "CUTOFF", "MATCHES", "TOTAL", "UNDATABLE", "ON HOLD", "STATE", "PLAN"];
    output.table(&header, &planned.iter().map(|(rule, assessment)| row(rule, assessment)).collect::<Vec<_>>());
    output.line("");
    for (rule, assessment) in planned {
        output.line(format!("{}: {}", rule.name, visible(&rule.because)));
        for reason in &assessment.reasons {
            let reason = output.advice(&visible(&reason.to_string()));
            output.line(format!("  {}: {reason}", output.attention(assessment.state().key())));
        }
        for warning in &assessment.warnings {
            let warning = warning.to_string();
            output.line(format!("  {}: {}", output.attention("warning"), visible(&warning)));
        }
    }
}

fn row(rule: &Rule, assessment: &Assessment) -> Vec<String> {
    let survey = assessment.survey.as_ref();
    let counted = |pick: fn(&crate::store::Survey) -> u64| survey.map_or_else(|| "?".to_owned(), |s| count(pick(s)));
    vec![
        rule.name.to_string(),
        rule.definition.action().to_owned(),
        assessment.cutoff.map_or_else(|| "-".to_owned(), instant),
        counted(|survey| survey.matches),
        counted(|survey| survey.total),
        counted(|survey| survey.undatable),
        counted(|survey| survey.on_hold),
        assessment.state().key().to_owned(),
        assessment.token.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]
}
