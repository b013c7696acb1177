//! `forgetd approve`: an operator has read a plan and releases it.

use std::path::Path;

use serde::Serialize;

use super::arguments::ApproveOptions;
use super::output::{Output, count};
use super::session::{self, Writing};
use super::{Ended, Exit, Failure};
use crate::audit::{Event, Sync};
use crate::plan::Rule;
use crate::purge::{self, Order, State, Unwatched};
use crate::register::ClockSample;
use crate::safety::approval::{PlanToken, definition_json};
use crate::safety::{self, Reason, schema};
use crate::service;
use crate::store::Shape;

#[derive(Debug, Serialize)]
struct Approved<'a> {
    rule: &'a str,
    counted: u64,
    ceiling: u64,
}

pub(super) fn run(directory: &Path, options: &ApproveOptions, output: &Output) -> Ended {
    let mut writing = Writing::begin(directory, output)?;
    match (&options.rule, &options.plan) {
        (Some(rule), Some(token)) => approve_rule(&mut writing, rule, token, output),
        _ => approve_clock(&mut writing.state, &writing.clock, output),
    }
}

fn approve_rule(writing: &mut Writing, name: &str, token: &PlanToken, output: &Output) -> Ended {
    let Some(rule) = writing.rules.iter().find(|rule| rule.name.as_str() == name) else {
        return Err(Failure::usage(format!("no rule is called `{name}`: `forgetd plan` lists them all")));
    };
    if let Some(why) = writing.in_force.suspended.get(&rule.site) {
        return Err(Failure::new(Exit::Invalid, format!("{name} is suspended: {why}")));
    }
    let (shape, found) = fresh_count(writing, rule)?;
    token.check(rule, &shape, found, writing.clock.wall)?;
    record(&mut writing.state, rule, (token, &shape), &writing.clock)?;
    service::wake(&writing.state.paths);
    let approved = Approved { rule: name, counted: token.counted(), ceiling: token.ceiling() };
    output.result(&approved, |output| {
        output.line(format!(
            "{}: {name}: its next run may touch {} records.",
            output.good("Approved"),
            count(approved.ceiling)
        ));
    });
    Ok(Exit::Done)
}

/// What the rule's tables are like and what it matches now. Anything that keeps it from being counted keeps it from
/// being approved.
fn fresh_count(writing: &Writing, rule: &Rule) -> Result<(Shape, u64), Failure> {
    let interrupt = std::sync::atomic::AtomicBool::new(false);
    let order = Order {
        safety: writing.in_force.config.daemon.safety,
        pace: writing.in_force.config.daemon.pace,
        clock: &writing.clock,
        suspended: None,
        interrupt: &interrupt,
        watcher: &Unwatched,
    };
    let circumstances = purge::circumstances(&writing.state, &order);
    let assessment = safety::assess(rule, &mut *safety::open_store(rule), &circumstances, None);
    match (assessment.shape, assessment.survey) {
        (Some(shape), Some(survey)) => Ok((shape, survey.matches)),
        _ => {
            let reasons: Vec<String> = assessment.reasons.iter().map(Reason::to_string).collect();
            Err(Failure::new(Exit::Attention, format!("{} cannot be counted: {}", rule.name, reasons.join("; "))))
        }
    }
}

/// Evidence first, then the release: for the tables as they are, and for so many records.
pub(super) fn record(
    state: &mut State,
    rule: &Rule,
    (token, shape): (&PlanToken, &Shape),
    clock: &ClockSample,
) -> Result<(), Failure> {
    let (counted, ceiling, uid) = (token.counted(), token.ceiling(), uid());
    let (digest, of_tables) = (rule.digest(), Some(shape.digest()));
    let event = Event::RuleApproved { rule: rule.name.to_string(), digest, shape: of_tables, counted, ceiling, uid };
    state.log.append(clock.wall, &event, Sync::Now)?;
    schema::accept(&mut state.register, rule, shape, clock.wall)?;
    let definition = definition_json(&rule.definition);
    state.register.approve(rule.name.as_str(), &definition, (counted, ceiling), uid, clock.wall)?;
    state.log.checkpoint()?;
    Ok(())
}

fn approve_clock(state: &mut State, clock: &ClockSample, output: &Output) -> Ended {
    let jump_seconds = match state.register.clock_sample()? {
        Some(kept) => safety::clock::jump(clock, &kept).as_secs(),
        None => 0,
    };
    state.log.append(clock.wall, &Event::ClockApproved { uid: uid(), jump_seconds }, Sync::Now)?;
    state.register.keep_clock_sample(clock)?;
    state.log.checkpoint()?;
    service::wake(&state.paths);
    output.result(&serde_json::json!({ "clock": clock.wall }), |output| {
        output.line(format!("{}: {}", output.good("The clock is approved"), super::output::instant(clock.wall)));
    });
    Ok(Exit::Done)
}

/// Who gives the order, as evidence names them: the user behind `sudo`, else the user of the process.
pub(super) fn uid() -> u32 {
    let behind_sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let own = rustix::process::getuid().as_raw();
    behind_sudo.filter(|_| own == 0).unwrap_or(own)
}

/// The state for commands that work while the configuration is invalid.
pub(super) fn open_state(directory: &Path) -> Result<(State, ClockSample), Failure> {
    let clock = session::clock()?;
    let state = State::open(session::state_paths(directory)?.dir(), clock.wall)?;
    Ok((state, clock))
}
