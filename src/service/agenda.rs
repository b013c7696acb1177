//! When each rule is due.
//!
//! A rule runs at its site's schedule; a run that was missed is made up once; what a setting switches off is due at
//! once when it is new, and again as soon as it is approved.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::config::Site;
use crate::plan::{Definition, Rule, RuleName, When};
use crate::purge::Outcome;
use crate::register::{Register, RegisterError};

/// When to try again what failed: soon enough to be done the same night, not so soon as to hammer what is broken.
const RETRY: SignedDuration = SignedDuration::from_mins(15);

/// When to look again at a rule that another process is at work on.
const BUSY_RETRY: SignedDuration = SignedDuration::from_mins(1);

/// The rules and when they are due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<RuleName, Planned>,
}

#[derive(Debug)]
struct Planned {
    definition: Definition,
    schedule: (String, String),
    due: Option<Timestamp>,
    /// The guards did not let it run: an approval may change that.
    held: bool,
}

impl Agenda {
    /// Takes over the rules now in force. One that is the same as before keeps its time.
    pub(super) fn update(
        &mut self,
        rules: &[Rule],
        sites: &BTreeMap<String, Site>,
        register: &Register,
        now: Timestamp,
    ) -> Result<(), RegisterError> {
        let mut before = std::mem::take(&mut self.entries);
        for rule in rules {
            let Some(site) = sites.get(&rule.site) else { continue };
            let schedule = (site.schedule.to_string(), site.time_zone.name.clone());
            let kept = before
                .remove(&rule.name)
                .filter(|planned| planned.definition == rule.definition && planned.schedule == schedule);
            let planned = match kept {
                Some(planned) => planned,
                None => {
                    let due = first_due(rule, site, register, now)?;
                    Planned { definition: rule.definition.clone(), schedule, due, held: false }
                }
            };
            self.entries.insert(rule.name.clone(), planned);
        }
        Ok(())
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
        let (due, held) = match outcome {
            Outcome::Ran(run) => match run.outcome.as_deref() {
                Some("done") => (scheduled, false),
                // The configuration changed under it: it begins anew with what is in force.
                Some("interrupted") => (Some(now), false),
                Some("held" | "stopped") => (scheduled, true),
                _ => (soon(RETRY), false),
            },
            Outcome::NotReady(_) => (scheduled, true),
            Outcome::Busy => (soon(BUSY_RETRY), false),
            Outcome::Unresolved(_) => (soon(RETRY), false),
        };
        let planned = self.entries.get_mut(&rule.name)?;
        // A rule that became another one meanwhile has its own time already.
        if planned.definition == rule.definition {
            (planned.due, planned.held) = (due, held);
        }
        planned.due
    }

    /// Something may have been approved or lifted: rules that were held are due as if they were new.
    pub(super) fn reconsider(
        &mut self,
        rules: &[Rule],
        sites: &BTreeMap<String, Site>,
        register: &Register,
        now: Timestamp,
    ) -> Result<(), RegisterError> {
        for rule in rules {
            let Some(planned) = self.entries.get_mut(&rule.name).filter(|planned| planned.held) else { continue };
            let Some(site) = sites.get(&rule.site) else { continue };
            // Held rules are looked at again at their schedule anyway: only what was released is due before.
            let approved = register.approval(rule.name.as_str())?.filter(|approval| approval.ceiling.is_some());
            if approved.is_some() {
                planned.due = first_due(rule, site, register, now)?;
                planned.held = false;
            }
        }
        Ok(())
    }
}

/// When a rule that has just come into force, or was just released, is due.
fn first_due(
    rule: &Rule,
    site: &Site,
    register: &Register,
    now: Timestamp,
) -> Result<Option<Timestamp>, RegisterError> {
    let name = rule.name.as_str();
    let last = register.last_success(name)?;
    let approval = register.approval(name)?;
    let released = approval.filter(|approval| approval.ceiling.is_some()).map(|approval| approval.approved_at);
    if rule.definition.when == When::NotStored && (last.is_none() || released > last) {
        return Ok(Some(now));
    }
    // What the schedule counts from: the last run that ended well; before the first, the approval that made the rule
    // one, or the day on which the site was declared.
    let since = match (last, released) {
        (Some(last), _) => last,
        (None, Some(released)) => released,
        (None, None) => register.site_since(&rule.site)?.unwrap_or(now),
    };
    Ok(site.schedule.next_after(since, &site.time_zone.zone))
}
