//! The guards: deleting wrongly destroys a business, not deleting breaks the law, so every doubt holds the rule and
//! shows.
//!
//! [`assess`] asks all of them about one rule and keeps every answer: an operator sees the whole list, not the first
//! objection. `plan`, `status`, `approve` and a purge itself call this one function, so what is printed is what is
//! enforced.

pub mod approval;
pub mod clock;
pub mod hold;
mod overdue;
mod reason;
mod remembered;
pub mod schema;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{ApprovalMode, Safety};
use crate::plan::{LogRule, Rule, When};
use crate::register::{ClockSample, Register};
use crate::store::log::LogFiles;
use crate::store::{self, Finding, HeldValue, Kept, Selection, Severity, Shape, Store, Survey};
use approval::{PlanToken, Standing};
use hold::HoldEffect;
pub use overdue::{Expired, GRACE};
pub use reason::Reason;
pub use remembered::Remembered;

/// Everything about the moment that the guards ask for.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Limits of the configuration in force.
    pub safety: Safety,
    /// Approvals and holds; `None` where nothing was ever recorded.
    pub register: Option<&'a Register>,
    /// The clock as it is.
    pub clock: &'a ClockSample,
    /// Time of the audit log's last entry.
    pub last_entry: Option<Timestamp>,
    /// Whether the stop switch is set.
    pub stop: Stop,
}

/// The stop switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// `forgetd stop-purges` was called.
    Set,
    /// It was not, or it was lifted.
    Lifted,
}

/// Whether a rule may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum State {
    /// It may.
    Ready,
    /// It waits for an operator's approval.
    Waiting,
    /// A guard holds it.
    Held,
    /// Its configuration is in doubt.
    Suspended,
}

impl State {
    /// The word that commands print.
    pub fn key(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Waiting => "waiting",
            State::Held => "held",
            State::Suspended => "suspended",
        }
    }
}

/// What the guards found about one rule.
#[derive(Debug)]
pub struct Assessment {
    /// Every objection; empty means ready.
    pub reasons: Vec<Reason>,
    /// What the operator should know although it does not hold the rule.
    pub warnings: Vec<Finding>,
    /// The moment the counts refer to.
    pub now: Timestamp,
    /// The cutoff at that moment.
    pub cutoff: Option<Timestamp>,
    /// Rows that holds keep.
    pub holds: Vec<HeldValue>,
    /// What the rule's tables are like; `None` where they could not be read, or are not as the rule needs them.
    pub shape: Option<Shape>,
    /// Exact counts; `None` where the store could not be read.
    pub survey: Option<Survey>,
    /// Most records that a run may touch.
    pub ceiling: u64,
    /// What to approve.
    pub token: Option<PlanToken>,
    /// Since when the oldest record that matches has been expired.
    pub overdue_since: Option<Timestamp>,
}

impl Assessment {
    /// The gravest of the objections' states.
    pub fn state(&self) -> State {
        self.reasons.iter().map(Reason::state).max().unwrap_or(State::Ready)
    }

    /// Records that match, as far as they could be counted.
    pub fn matches(&self) -> u64 {
        self.survey.as_ref().map_or(0, |survey| survey.matches)
    }

    /// The reasons in one sentence, for evidence and lists.
    pub fn reason(&self) -> String {
        let reasons: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
        reasons.join("; ")
    }

    /// The reasons as words that do not change with the counts.
    pub fn reason_codes(&self) -> String {
        let codes: Vec<&str> = self.reasons.iter().map(Reason::code).collect();
        codes.join(" ")
    }
}

/// Asks every guard about `rule`. `suspended` says why its configuration is in doubt, where it is.
pub fn assess(
    rule: &Rule,
    store: &mut dyn Store,
    circumstances: &Circumstances<'_>,
    suspended: Option<&str>,
) -> Assessment {
    let mut assessment = Assessment {
        reasons: suspended.map(|why| Reason::Suspended(why.to_owned())).into_iter().collect(),
        warnings: Vec::new(),
        now: circumstances.clock.wall,
        cutoff: None,
        holds: Vec::new(),
        shape: None,
        survey: None,
        ceiling: 0,
        token: None,
        overdue_since: None,
    };
    if circumstances.stop == Stop::Set {
        assessment.reasons.push(Reason::Stopped);
    }
    guard_time(circumstances, store, &mut assessment);
    guard_holds(rule, circumstances, &mut assessment);
    match look(rule, store, &mut assessment) {
        Ok(Some(survey)) => judge(rule, survey, circumstances, &mut assessment),
        Ok(None) => {}
        Err(reason) => assessment.reasons.push(reason),
    }
    assessment
}

fn guard_time(circumstances: &Circumstances<'_>, store: &mut dyn Store, assessment: &mut Assessment) {
    let kept = match circumstances.register.map(Register::clock_sample).transpose() {
        Ok(kept) => kept.flatten(),
        Err(error) => return assessment.reasons.push(error.into()),
    };
    if let Err(doubt) = clock::check(circumstances.clock, kept.as_ref(), circumstances.last_entry) {
        assessment.reasons.push(doubt.into());
    }
    // A store that cannot be asked is reported once, by the count.
    let Ok(theirs) = store.clock() else { return };
    match clock::earlier_of(circumstances.clock.wall, theirs) {
        Ok(now) => assessment.now = now,
        Err(doubt) => assessment.reasons.push(doubt.into()),
    }
}

fn guard_holds(rule: &Rule, circumstances: &Circumstances<'_>, assessment: &mut Assessment) {
    match hold::effect(circumstances.register, rule, assessment.now) {
        Ok(HoldEffect::Rows(rows)) => assessment.holds = rows,
        Ok(HoldEffect::Whole(hold)) => assessment.reasons.push(Reason::OnHold(hold)),
        Err(error) => assessment.reasons.push(error.into()),
    }
}

/// Looks at the store as it is and counts, unless it is not as the rule needs it.
fn look(rule: &Rule, store: &mut dyn Store, assessment: &mut Assessment) -> Result<Option<Survey>, Reason> {
    assessment.cutoff = rule.definition.cutoff(assessment.now)?;
    let inspection = store.inspect(&selection(rule, assessment))?;
    assessment.shape = inspection.shape;
    let (refusals, warnings): (Vec<_>, Vec<_>) =
        inspection.findings.into_iter().partition(|finding| finding.severity == Severity::Refusal);
    assessment.warnings = warnings;
    if !refusals.is_empty() {
        assessment.reasons.extend(refusals.into_iter().map(Reason::Refused));
        return Ok(None);
    }
    Ok(Some(store.survey(&selection(rule, assessment))?))
}

/// The predicate that an assessment counted by.
pub fn selection<'a>(rule: &'a Rule, assessment: &Assessment) -> Selection<'a> {
    Selection {
        rule: (&rule.definition).into(),
        now: assessment.now,
        cutoff: assessment.cutoff,
        holds: assessment.holds.clone(),
    }
}

/// What follows from the counts.
fn judge(rule: &Rule, survey: Survey, circumstances: &Circumstances<'_>, assessment: &mut Assessment) {
    let shape = assessment.shape.clone().unwrap_or_default();
    let token = PlanToken::new(rule, &shape, survey.matches, assessment.now);
    assessment.overdue_since = overdue_since(rule, &survey, circumstances);
    if let Some((unit, count)) = survey.other_unit
        && count > survey.total / 2
    {
        assessment.reasons.push(Reason::OtherUnit { count, total: survey.total, unit });
    }
    if survey.without_zone > survey.total / 2 {
        assessment.reasons.push(Reason::WithoutZone { count: survey.without_zone, total: survey.total });
    }
    match approval::standing(circumstances.register, &rule.definition) {
        Ok(standing) => judge_approval(rule, &survey, &token, standing, circumstances, assessment),
        Err(error) => assessment.reasons.push(error.into()),
    }
    assessment.warnings.extend(survey.kept.iter().map(kept_for_now));
    assessment.survey = Some(survey);
    assessment.token = Some(token);
}

fn kept_for_now(kept: &Kept) -> Finding {
    Finding { severity: Severity::Warning, message: kept.to_string(), hint: None }
}

fn judge_approval(
    rule: &Rule,
    survey: &Survey,
    token: &PlanToken,
    standing: Standing,
    circumstances: &Circumstances<'_>,
    assessment: &mut Assessment,
) {
    let name = || rule.name.to_string();
    let approved = match standing {
        Standing::Approved(approval) => approval.ceiling.map(|ceiling| (ceiling, approval.approved_at)),
        Standing::New | Standing::Loosened if circumstances.safety.approval == ApprovalMode::Automatic => None,
        // What approving releases cannot be too much as well: one objection, one remedy.
        Standing::New => return assessment.reasons.push(Reason::New { rule: name(), token: token.clone() }),
        Standing::Loosened => return assessment.reasons.push(Reason::Loosened { rule: name(), token: token.clone() }),
    };
    match schema::changes(circumstances.register, rule, assessment.shape.as_ref()) {
        Ok(changes) if changes.is_empty() => {}
        Ok(changes) => {
            assessment.reasons.push(Reason::SchemaChanged { rule: name(), changes, token: token.clone() });
        }
        Err(error) => assessment.reasons.push(error.into()),
    }
    let mut ceiling = usual_ceiling(rule, survey.total, circumstances.safety);
    if let (Some((released, since)), Some(register)) = (approved, circumstances.register) {
        match register.erased_since(rule.name.as_str(), since) {
            Ok(erased) => ceiling = ceiling.max(released.saturating_sub(erased)),
            Err(error) => assessment.reasons.push(error.into()),
        }
    }
    assessment.ceiling = ceiling;
    if survey.matches > ceiling {
        let (matches, total) = (survey.matches, survey.total);
        let token = token.clone();
        assessment.reasons.push(Reason::BlastRadius { rule: name(), matches, total, ceiling, token });
    }
}

/// Most records that one run may touch without being asked.
fn usual_ceiling(rule: &Rule, total: u64, safety: Safety) -> u64 {
    if rule.definition.concerns_all() { safety.max_rows } else { safety.max_rows.min(safety.max_share.of(total)) }
}

fn overdue_since(rule: &Rule, survey: &Survey, circumstances: &Circumstances<'_>) -> Option<Timestamp> {
    if survey.matches == 0 {
        return None;
    }
    match rule.definition.when() {
        When::Older(period) => period.expiry(survey.oldest?, &rule.definition.zone().zone),
        When::Expired => survey.oldest,
        // Since when a setting has been off is known once the rule was first held.
        When::NotStored | When::WithoutConsent(_) => {
            circumstances.register.and_then(|register| register.held_since(rule.name.as_str()).ok().flatten())
        }
    }
}

/// Opens the rule's store, to look at it.
pub fn open_store(rule: &Rule) -> Box<dyn Store> {
    store::open(&rule.definition)
}

/// Opens the rule's store for a run, which remembers what it finds for the rules beside it.
pub fn open_store_for_run(rule: &Rule) -> Box<dyn Store> {
    match rule.definition.over_a_log() {
        Some(LogRule { log, .. }) => Box::new(LogFiles::beside(log, &rule.beside)),
        None => open_store(rule),
    }
}
