//! The work: the stores as the rules need them, what runs left behind, and when the next ones are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::{Finding, Installation, error};
use crate::cli::check::{StoreFinding, look_at_stores};
use crate::cli::output::{Output, instant, number_of};
use crate::config::site::DatabaseKind;
use crate::plan::{Definition, Rule};
use crate::register::{InForce, Register, RegisterError};
use crate::safety::{self, Remembered, State};
use crate::store::Physical;

/// A line names so many sites or rules; the rest are counted.
const MOST_NAMED: usize = 5;

const RUNS: &str = "runs";

pub(super) fn check(installation: &Installation, output: &Output, checks: &mut Vec<Finding>) {
    let Some(in_force) = &installation.in_force else { return };
    stores(installation, output, checks);
    remnants(installation, checks);
    if let Some(register) = &installation.register
        && let Err(found) = runs(register, in_force, &installation.rules, checks)
    {
        checks.push(error(RUNS, &found));
    }
    let sites = in_force.config.sites.values();
    let after = installation.clock.wall;
    let mut next: Vec<(Timestamp, &str)> = sites
        .filter_map(|site| Some((site.schedule.next_after(after, &site.time_zone.zone)?, site.domain.as_str())))
        .collect();
    next.sort_unstable();
    let told = next.iter().map(|(at, site)| format!("{site} {}", instant(*at)));
    match next.len() {
        0 => checks.push(Finding::warning("next runs", "none: no site is declared")),
        _ => checks.push(Finding::ok("next runs", some_of(told, next.len()))),
    }
}

/// What `check --stores` finds, each once for all rules of which it is true.
fn stores(installation: &Installation, output: &Output, checks: &mut Vec<Finding>) {
    const ABOUT: &str = "stores";
    let mut found: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    let looked = look_at_stores(&installation.rules, installation.register.as_ref(), installation.clock.wall, output);
    for StoreFinding { rule, severity, finding } in looked {
        found.entry((severity, finding)).or_default().push(rule);
    }
    if found.is_empty() && !installation.rules.is_empty() {
        let places: BTreeSet<String> = installation.rules.iter().map(|rule| rule.definition.location()).collect();
        let stores = number_of(places.len(), "store");
        checks.push(Finding::ok(ABOUT, format!("{stores}: reachable, and as the rules need them")));
    }
    for ((severity, finding), rules) in found {
        let refused = severity == "refused";
        let finding = format!("{}: {finding}", some_of(rules.iter().cloned(), rules.len()));
        checks.push(if refused { Finding::failed(ABOUT, finding) } else { Finding::warning(ABOUT, finding) });
    }
}

/// What is physically left of erased records: as the last run found it, or as a server says it will be.
fn remnants(installation: &Installation, checks: &mut Vec<Finding>) {
    const ABOUT: &str = "physical remnants";
    let mut left: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in &installation.rules {
        match left_by(rule, installation.register.as_ref()) {
            Ok(Some(what)) => drop(left.entry(what).or_default().insert(rule.definition.location())),
            Ok(None) => {}
            Err(found) => return checks.push(error(ABOUT, &found)),
        }
    }
    if left.is_empty() && !installation.rules.is_empty() {
        checks.push(Finding::ok(ABOUT, "none known: what is erased is overwritten where it stood"));
    }
    for (what, places) in left {
        let places = some_of(places.iter().cloned(), places.len());
        checks.push(Finding::warning(ABOUT, format!("{places}: {what}")));
    }
}

fn left_by(rule: &Rule, register: Option<&Register>) -> Result<Option<String>, RegisterError> {
    let last = register.map(|register| register.last_run(rule.name.as_str())).transpose()?.flatten();
    if let Some(run) = last {
        return Ok(run.pending);
    }
    // Before the first run a server says what it keeps; a file would have to be written to, and is left alone.
    let says = match &rule.definition {
        Definition::Table(rule) => !matches!(rule.store, DatabaseKind::Sqlite { .. }),
        Definition::Directory(_) => true,
        Definition::Log(_) => false,
    };
    // A store that does not answer is told by `stores`.
    Ok(says.then(|| safety::open_store(rule).settle(&AtomicBool::new(false)).ok()).flatten().and_then(|physical| {
        match physical {
            Physical::Gone => None,
            Physical::Pending(what) => Some(what),
        }
    }))
}

/// How the last runs ended, and which rules do not run.
fn runs(
    register: &Register,
    in_force: &InForce,
    rules: &[Rule],
    checks: &mut Vec<Finding>,
) -> Result<(), RegisterError> {
    for rule in rules {
        let last = register.last_run(rule.name.as_str())?;
        if let Some(run) = last.filter(|run| run.outcome.as_deref() == Some("failed")) {
            let reason = run.reason.unwrap_or_default();
            checks.push(Finding::failed(RUNS, format!("{}: its last run failed: {reason}", rule.name)));
        }
    }
    let remembered = Remembered::read(register)?;
    let mut of_state: BTreeMap<State, Vec<&str>> = BTreeMap::new();
    for rule in rules {
        let (name, approval) = (rule.name.as_str(), in_force.config.daemon.safety.approval);
        let state = remembered.state(name, approval, in_force.suspended.contains_key(&rule.site));
        of_state.entry(state).or_default().push(name);
    }
    for (state, names) in of_state {
        let some = some_of(names.iter().map(ToString::to_string), names.len());
        let what = format!("{} {}: {some}", number_of(names.len(), "rule"), state.key());
        checks.push(match state {
            State::Ready => Finding::ok(RUNS, what),
            State::Waiting => Finding::warning(RUNS, what)
                .advising("`forgetd plan` shows what they would erase, and how to approve it"),
            State::Held | State::Suspended => Finding::warning(RUNS, what).advising("`forgetd status` says why"),
        });
    }
    Ok(())
}

/// The first few, and how many more there are.
fn some_of(names: impl Iterator<Item = String>, number: usize) -> String {
    let mut some: Vec<String> = names.take(MOST_NAMED).collect();
    if let Some(more) = number.checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        some.push(format!("and {more} more"));
    }
    some.join(", ")
}
