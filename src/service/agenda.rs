//! When each rule is due.
//!
//! A rule runs at its site's schedule; a run that was missed is made up once, whether the daemon was down or a guard
//! held the rule; what a setting switches off is due at once when it is new, and again as soon as it is approved.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Safety, Site};
use crate::plan::{Definition, Rule, RuleName, When};
use crate::purge::{Outcome, StatePaths};
use crate::register::{Register, RegisterError};
use crate::safety::{Assessment, Reason, Stop, hold};

/// When to try again what failed: soon enough to be done the same night, not so soon as to hammer what is broken.
const RETRY: SignedDuration = SignedDuration::from_mins(15);

/// When to look again at a rule that another process is at work on.
const BUSY_RETRY: SignedDuration = SignedDuration::from_mins(1);

/// The rules and when they are due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<RuleName, Planned>,
    /// The limits by which rules were held.
    safety: Option<Safety>,
}

#[derive(Debug)]
struct Planned {
    definition: Definition,
    schedule: (String, String),
    due: Option<Timestamp>,
    awaits: Awaits,
}

/// What would let a rule run before its next scheduled time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// It is not held.
    Nothing,
    /// An approval of this very rule.
    Approval,
    /// Anything an operator decides: the stop switch, a hold, a mistake put right.
    Decision,
}

impl Awaits {
    fn of(assessment: &Assessment) -> Awaits {
        if assessment.reasons.iter().any(Reason::asks_for_approval) { Awaits::Approval } else { Awaits::Decision }
    }
}

/// What operators have decided, as far as it can let a held rule run. Compared, it tells that something was decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decisions {
    stop: Stop,
    holds: Vec<u64>,
    latest_approval: Option<i64>,
}

impl Decisions {
    pub(super) fn now(paths: &StatePaths, register: &Register, now: Timestamp) -> Result<Decisions, RegisterError> {
        let holds = register.holds(Some(hold::day_of(now)))?.into_iter().map(|hold| hold.id).collect();
        Ok(Decisions { stop: paths.stop(), holds, latest_approval: register.latest_approval()? })
    }
}

impl Agenda {
    /// Takes over the rules now in force. One that is the same as before keeps its time, unless it was held for a
    /// reason that may be gone now.
    pub(super) fn update(
        &mut self,
        rules: &[Rule],
        sites: &BTreeMap<String, Site>,
        safety: Safety,
        register: &Register,
        now: Timestamp,
    ) -> Result<(), RegisterError> {
        let same_limits = self.safety.replace(safety) == Some(safety);
        let still_good = |planned: &Planned| match planned.awaits {
            Awaits::Nothing => true,
            Awaits::Approval => same_limits,
            Awaits::Decision => false,
        };
        let mut before = std::mem::take(&mut self.entries);
        for rule in rules {
            let Some(site) = sites.get(&rule.site) else { continue };
            let schedule = (site.schedule.to_string(), site.time_zone.name.clone());
            let kept = before
                .remove(&rule.name)
                .filter(|planned| planned.definition == rule.definition && planned.schedule == schedule)
                .filter(still_good);
            let planned = match kept {
                Some(planned) => planned,
                None => {
                    let due = first_due(rule, site, register, now)?;
                    Planned { definition: rule.definition.clone(), schedule, due, awaits: Awaits::Nothing }
                }
            };
            self.entries.insert(rule.name.clone(), planned);
        }
        Ok(())
    }

    /// Plans everything anew, by what the register knows.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
    }

    /// The earliest time at which anything is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.entries.values().filter_map(|planned| planned.due).min()
    }

    /// The rule that has been due longest at `now`; it is not due again until [`Agenda::after`].
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<RuleName> {
        let due = |planned: &Planned| planned.due.filter(|due| *due <= now);
        let (name, planned) =
            self.entries.iter_mut().filter(|(_, planned)| due(planned).is_some()).min_by_key(|(_, p)| p.due)?;
        planned.due = None;
        Some(name.clone())
    }

    /// Plans the next run after `outcome` and returns when that is.
    pub(super) fn after(&mut self, rule: &Rule, site: &Site, outcome: &Outcome, now: Timestamp) -> Option<Timestamp> {
        let scheduled = site.schedule.next_after(now, &site.time_zone.zone);
        let soon = |wait: SignedDuration| {
            let at = now.saturating_add(wait).unwrap_or(now);
            Some(scheduled.map_or(at, |scheduled| scheduled.min(at)))
        };
        let (due, awaits) = match outcome {
            Outcome::Ran(run) => match run.outcome.as_deref() {
                Some("done") => (scheduled, Awaits::Nothing),
                // The configuration changed under it: it begins anew with what is in force.
                Some("interrupted") => (Some(now), Awaits::Nothing),
                Some("held" | "stopped") => (scheduled, Awaits::Decision),
                _ => (soon(RETRY), Awaits::Nothing),
            },
            Outcome::NotReady(assessment) if cannot_be_read(assessment) => (soon(RETRY), Awaits::Nothing),
            Outcome::NotReady(assessment) => (scheduled, Awaits::of(assessment)),
            Outcome::Busy => (soon(BUSY_RETRY), Awaits::Nothing),
            Outcome::Unresolved(_) => (soon(RETRY), Awaits::Nothing),
        };
        let planned = self.entries.get_mut(&rule.name)?;
        // A rule that became another one meanwhile has its own time already.
        if planned.definition == rule.definition {
            (planned.due, planned.awaits) = (due, awaits);
        }
        planned.due
    }

    /// Something was decided: rules that this may let run are due as if they were new. Of the others nothing is
    /// counted: an operator may approve a thousand rules one by one.
    pub(super) fn reconsider(
        &mut self,
        rules: &[Rule],
        sites: &BTreeMap<String, Site>,
        register: &Register,
        now: Timestamp,
    ) -> Result<(), RegisterError> {
        for rule in rules {
            let (Some(planned), Some(site)) = (self.entries.get_mut(&rule.name), sites.get(&rule.site)) else {
                continue;
            };
            let released = match planned.awaits {
                Awaits::Nothing => false,
                Awaits::Decision => true,
                Awaits::Approval => released_at(register, rule)?.is_some(),
            };
            if released {
                planned.due = first_due(rule, site, register, now)?;
                planned.awaits = Awaits::Nothing;
            }
        }
        Ok(())
    }
}

/// Whether all that keeps a rule from running is a store that does not answer: no decision changes that, time may.
fn cannot_be_read(assessment: &Assessment) -> bool {
    assessment.reasons.iter().all(|reason| matches!(reason, Reason::Store(_)))
}

/// When the approval was given whose first run is still to come.
fn released_at(register: &Register, rule: &Rule) -> Result<Option<Timestamp>, RegisterError> {
    let approval = register.approval(rule.name.as_str())?;
    Ok(approval.filter(|approval| approval.ceiling.is_some()).map(|approval| approval.approved_at))
}

/// When a rule that has just come into force, or was just released, is due.
fn first_due(
    rule: &Rule,
    site: &Site,
    register: &Register,
    now: Timestamp,
) -> Result<Option<Timestamp>, RegisterError> {
    let last = register.last_success(rule.name.as_str())?;
    let released = released_at(register, rule)?;
    if *rule.definition.when() == When::NotStored && (last.is_none() || released > last) {
        return Ok(Some(now));
    }
    // What the schedule counts from: the last run that ended well; before the first, the approval that made the rule
    // one, or the day on which the site was declared.
    let since = match (last, released) {
        (Some(last), _) => last,
        (None, Some(released)) => released,
        (None, None) => register.site_since(&rule.site)?.unwrap_or(now),
    };
    // Written by a clock that was ahead: waiting for that day to come would keep everything until then.
    let since = since.min(now);
    Ok(site.schedule.next_after(since, &site.time_zone.zone))
}

#[cfg(test)]
mod tests;
