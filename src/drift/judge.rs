//! Declared, enforced and observed, side by side: what is said of each rule here, of each store in `stores`.

mod stores;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::declared::Declared;
use super::enforced::Enforced;
use super::finding::{Drift, FORM, Finding, Kind, RuleDrift};
use super::observed::{Observed, Presence, SeenRule};
use crate::config::site::Site;
use crate::plan::{Rule, When};
use crate::register::FinishedRun;
pub use crate::safety::GRACE;
use crate::safety::{Assessment, Expired};
use crate::store::Survey;

/// Past the cutoff, and still there after the run that should have erased it.
pub fn is_overdue(
    assessment: &Assessment,
    last_run: Option<&FinishedRun>,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
) -> bool {
    are_overdue(assessment.matches(), assessment.overdue_since, last_run, next, now)
}

fn are_overdue(
    matches: u64,
    since: Option<Timestamp>,
    last_run: Option<&FinishedRun>,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
) -> bool {
    Expired { matches, since }.are_overdue(last_run.and_then(|run| run.outcome.as_deref()), next, now)
}

/// Whether the first run after `since` is over.
fn should_have_gone(since: Option<Timestamp>, next: impl Fn(Timestamp) -> Option<Timestamp>, now: Timestamp) -> bool {
    since.and_then(next).is_some_and(|due| now.duration_since(due) > GRACE)
}

/// Compares.
pub fn judge(declared: &Declared<'_>, enforced: &Enforced, observed: &Observed, now: Timestamp) -> Drift {
    let (findings, notes, told) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut judged = Judged { declared, enforced, now, findings, notes, told, accepted: 0 };
    let rules: Vec<RuleDrift> = declared
        .rules()
        .filter_map(|rule| {
            let seen = observed.rules.get(rule.name.as_str())?;
            Some(judged.rule(rule, seen))
        })
        .collect();
    let stores = declared.stores().map(|(place, store)| judged.store(place, store, observed)).collect();
    for (former, still) in &observed.former {
        judged.former(former, still);
    }
    let Judged { findings, notes, accepted, .. } = judged;
    let mut counts = BTreeMap::new();
    for finding in &findings {
        *counts.entry(finding.kind).or_default() += 1;
    }
    Drift { form: FORM, checked: now, ok: findings.is_empty(), rules, stores, findings, counts, notes, accepted }
}

/// What was found so far.
struct Judged<'a> {
    declared: &'a Declared<'a>,
    enforced: &'a Enforced,
    now: Timestamp,
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// Locations of databases that were spoken of: several stores may name one.
    told: BTreeSet<String>,
    accepted: u64,
}

impl Judged<'_> {
    fn rule(&mut self, rule: &Rule, seen: &SeenRule) -> RuleDrift {
        let before = self.findings.len();
        let survey = seen.survey.as_ref();
        let is_unreadable = seen.unreadable.is_some();
        let overdue = match survey {
            Some(_) if let Some(hold) = seen.hold => {
                self.notes.push(format!("{}: hold {hold} suspends it: nothing of it has to go", rule.name));
                Some(0)
            }
            Some(survey) => Some(self.records(rule, survey, seen.overdue_since)),
            None => None,
        };
        if seen.hold.is_none() && !is_unreadable {
            self.runs(rule, seen.stopped.as_deref());
        }
        let answer = match (is_unreadable, seen.presence) {
            (true, Presence::Gone) => Kind::Gone.key().to_owned(),
            (true, Presence::There) => Kind::Unreadable.key().to_owned(),
            (false, _) => self.answer(before),
        };
        RuleDrift {
            rule: rule.name.to_string(),
            answer,
            records: survey.map(|survey| survey.total),
            matches: survey.map(|survey| survey.matches),
            overdue,
            oldest: survey.and_then(|survey| survey.oldest),
            undatable: survey.map(|survey| survey.undatable),
            on_hold: survey.map(|survey| survey.on_hold),
            last_success: self.enforced.success(rule.name.as_str()),
        }
    }

    /// The kinds of the findings since `before`.
    fn answer(&self, before: usize) -> String {
        let mut kinds: Vec<Kind> = self.findings.iter().skip(before).map(|finding| finding.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let keys: Vec<&str> = kinds.into_iter().map(Kind::key).collect();
        if keys.is_empty() { "ok".to_owned() } else { keys.join(", ") }
    }

    /// What the counts say; returns how many records are overdue.
    fn records(&mut self, rule: &Rule, survey: &Survey, since: Option<Timestamp>) -> u64 {
        let matches = survey.matches;
        let mut overdue = 0;
        if *rule.definition.when() == When::NotStored {
            if matches > 0 {
                let text = format!("{} what must not be stored: {}", counted(matches, "holds", "hold"), rule.because);
                self.of_records(Kind::NotStored, rule, matches, survey.oldest, text);
            }
        } else if are_overdue(matches, since, self.enforced.last(rule.name.as_str()), self.next(rule), self.now) {
            overdue = matches;
            let text = format!("{} overdue{}", counted(matches, "is", "are"), of(survey.oldest));
            self.of_records(Kind::Overdue, rule, matches, survey.oldest, text);
        }
        for kept in &survey.kept {
            let since = match rule.definition.when() {
                When::Older(period) => kept.oldest.and_then(|at| period.expiry(at, &rule.definition.zone().zone)),
                When::Expired => kept.oldest,
                When::NotStored | When::WithoutConsent(_) => None,
            };
            if should_have_gone(since, self.next(rule), self.now) {
                overdue += kept.records;
                let are = counted(kept.records, "is", "are");
                let text = format!("{are} overdue{}, and cannot go: {}", of(kept.oldest), kept.because);
                self.of_records(Kind::Overdue, rule, kept.records, kept.oldest, text);
            } else {
                self.notes.push(format!("{}: {kept}", rule.name));
            }
        }
        if survey.undatable > 0 {
            let text =
                format!("{} in a form that cannot be judged, and never go", counted(survey.undatable, "is", "are"));
            self.of_records(Kind::Undatable, rule, survey.undatable, None, text);
        }
        overdue
    }

    fn of_records(&mut self, kind: Kind, rule: &Rule, records: u64, oldest: Option<Timestamp>, text: String) {
        let finding = Finding::new(kind, rule.name.as_str(), text);
        self.findings.push(Finding { records: Some(records), oldest, ..finding });
    }

    /// What the register and the guards say of its runs.
    fn runs(&mut self, rule: &Rule, stopped: Option<&str>) {
        let name = rule.name.as_str();
        if let Some(why) = stopped {
            let text = format!("it does not run: {why}");
            self.findings.push(Finding::new(Kind::NotEnforced, name, text));
        }
        match self.enforced.success(name) {
            None => self.findings.push(Finding::new(Kind::NeverRun, name, "no run of it has ever ended well")),
            Some(last) => {
                let due = self.next(rule)(last).filter(|due| self.now.duration_since(*due) > GRACE);
                if let Some(due) = due {
                    let text = format!("its last good run was on {last:.0}; the one due on {due:.0} did not end well");
                    self.findings.push(Finding::new(Kind::Stale, name, text));
                }
            }
        }
    }

    /// The schedule of the rule's site.
    fn next(&self, rule: &Rule) -> impl Fn(Timestamp) -> Option<Timestamp> + use<'_> {
        let site: Option<&Site> = self.declared.config.sites.get(&rule.site);
        move |after| site.and_then(|site| site.schedule.next_after(after, &site.time_zone.zone))
    }

    /// The operator may have said that nothing is wrong with a place.
    fn unless_accepted(&mut self, finding: Finding) {
        if self.declared.accepts(&finding.place) {
            self.accepted += 1;
        } else {
            self.findings.push(finding);
        }
    }
}

/// `1 record is`, `2,000 records are`.
fn counted(many: u64, one: &str, several: &str) -> String {
    if many == 1 { format!("1 record {one}") } else { format!("{many} records {several}") }
}

fn of(oldest: Option<Timestamp>) -> String {
    oldest.map_or_else(String::new, |oldest| format!(", the oldest of {oldest:.0}"))
}
