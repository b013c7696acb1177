//! `forgetd purge`: once, now, through the same guards as the daemon.

use std::path::Path;

use serde::Serialize;

use super::arguments::PurgeOptions;
use super::output::{Output, count};
use super::progress::Progress;
use super::session::{self, Reading, Writing};
use super::{Ended, Exit, Failure, plan};
use crate::plan::Rule;
use crate::purge::{self, Order, Outcome};
use crate::register::FinishedRun;
use crate::safety::State;
use crate::service::{Fingerprint, Interrupt};
use crate::visible::visible;

/// One rule's part of `purge --json`.
#[derive(Debug, Serialize)]
struct Purged {
    rule: String,
    outcome: String,
    erased: u64,
    children: u64,
    left: Option<u64>,
    pending: Option<String>,
    reason: Option<String>,
}

pub(super) fn run(directory: &Path, options: &PurgeOptions, output: &Output) -> Ended {
    if options.dry_run {
        return plan::run(directory, options.rule.as_deref(), output);
    }
    if !options.yes {
        confirm(directory, options, output)?;
    }
    // Looked at before it is read: a change in between is noticed.
    let as_read = Fingerprint::of(directory);
    let mut writing = Writing::begin(directory, output)?;
    for error in purge::recover_all(&mut writing.state, writing.clock.wall)? {
        output.warning(&format!("an interrupted run is not resolved yet: {}", visible(&error.to_string())));
    }
    let rules: Vec<Rule> = session::select(&writing.rules, options.rule.as_deref())?.into_iter().cloned().collect();
    let interrupt = Interrupt::on_signals()?;
    let mut purged = Vec::new();
    for rule in &rules {
        if interrupt.is_set() {
            break;
        }
        if Fingerprint::of(directory) != as_read {
            // An older, shorter rule could erase what the change is meant to keep.
            let reason = "the configuration has changed since the command began: call it again";
            purged.push(without_run(rule, "interrupted", reason.to_owned()));
            continue;
        }
        purged.push(purge_rule(&mut writing, rule, &interrupt, output)?);
    }
    output.result(&serde_json::json!({ "runs": purged }), |output| print(&purged, output));
    let needs_attention = interrupt.is_set() || purged.iter().any(|run| run.outcome != "done");
    Ok(writing.exit(if needs_attention { Exit::Attention } else { Exit::Done }))
}

/// Shows what would be erased and asks. Where nobody can be asked, `--yes` has to say it.
fn confirm(directory: &Path, options: &PurgeOptions, output: &Output) -> Result<(), Failure> {
    if !output.is_interactive() {
        return Err(Failure::usage("nobody is there to ask: add `--yes`, or `--dry-run` to look first"));
    }
    let reading = Reading::begin(directory, output)?;
    let rules = reading.select(options.rule.as_deref())?;
    let planned = reading.assess_each(rules, output);
    plan::print(&planned, output);
    let ready = planned.iter().filter(|(_, assessment)| assessment.state() == State::Ready);
    let (rules, records) = ready.fold((0, 0), |(rules, records), (_, a)| (rules + 1, records + a.matches()));
    if output.confirms(&format!("Erase {} records under {rules} rules?", count(records))) {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "nothing was erased"))
    }
}

fn purge_rule(writing: &mut Writing, rule: &Rule, interrupt: &Interrupt, output: &Output) -> Result<Purged, Failure> {
    let progress = Progress::new(rule.name.as_str(), output);
    let clock = session::clock()?;
    let Writing { in_force, state, .. } = writing;
    let paths = state.paths.clone();
    let outcome = purge::confined(rule, &paths, || {
        let order = Order {
            safety: in_force.config.daemon.safety,
            pace: in_force.config.daemon.pace,
            clock: &clock,
            suspended: in_force.suspended.get(&rule.site).map(String::as_str),
            interrupt: interrupt.flag(),
            watcher: &progress,
        };
        purge::run(rule, state, &order)
    });
    progress.finish();
    Ok(purged(rule, outcome?))
}

fn without_run(rule: &Rule, outcome: &str, reason: String) -> Purged {
    Purged {
        rule: rule.name.to_string(),
        outcome: outcome.to_owned(),
        erased: 0,
        children: 0,
        left: None,
        pending: None,
        reason: Some(reason),
    }
}

fn purged(rule: &Rule, outcome: Outcome) -> Purged {
    match outcome {
        Outcome::Ran(run) => {
            let FinishedRun { rule, outcome, erased, children, left, pending, reason, .. } = *run;
            Purged { rule, outcome: outcome.unwrap_or_default(), erased, children, left, pending, reason }
        }
        Outcome::NotReady(assessment) => without_run(rule, assessment.state().key(), assessment.reason()),
        Outcome::Busy => without_run(rule, "busy", "another process is at work on it".to_owned()),
        Outcome::Unresolved(error) => {
            let reason = format!("an interrupted run is not resolved: {error}; the next run asks again");
            without_run(rule, "held", reason)
        }
    }
}

fn print(purged: &[Purged], output: &Output) {
    let row = |run: &Purged| {
        vec![
            run.rule.clone(),
            run.outcome.clone(),
            count(run.erased),
            count(run.children),
            run.left.map_or_else(|| "-".to_owned(), count),
        ]
    };
    output.table(&["RULE", "OUTCOME", "ERASED", "CHILDREN", "LEFT"], &purged.iter().map(row).collect::<Vec<_>>());
    for run in purged {
        if let Some(reason) = &run.reason {
            output.line(format!("{}: {}", run.rule, output.advice(&visible(reason))));
        }
        if let Some(pending) = &run.pending {
            output.line(format!("{}: physically pending: {}", run.rule, visible(pending)));
        }
    }
}
