//! One pass over the log: sums, lists and the last that is known of every rule.
//!
//! Memory follows the number of rules, of holds and of runs under way, and the bounds of [`Newest`]; never the length
//! of the log.

mod assemble;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ReportError;
use super::model::{
    Approved, Comparison, Covered, Drift, Hold, Incident, Newest, Report, RuleTotals, Run, Silence, Totals, Verified,
    Version,
};
use super::timeline::Timeline;
use super::{tell, words};
use crate::audit::{AuditError, BatchOutcome, DriftChecked, Entry, Event, read};
use crate::config::Config;
use crate::plan::rule::is_within;
use runs::Open;

/// The daemon writes an entry at least once a day; an hour more is not yet silence.
const SILENCE: SignedDuration = SignedDuration::from_hours(25);

/// Kinds of entries that are told apart, whatever a newer version may have written.
const MOST_KINDS: usize = 64;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Directory of the log.
    pub log: &'a Path,
    /// The days.
    pub period: Covered,
    /// Only this site.
    pub site: Option<&'a str>,
    /// When it is asked.
    pub now: Timestamp,
}

impl Question<'_> {
    /// The moment that "where things stand" is about.
    pub(super) fn as_of(&self) -> Timestamp {
        self.period.end.min(self.now)
    }

    /// Whether a rule, or a prefix of rules, is asked about.
    pub(super) fn is_about(&self, rule: &str) -> bool {
        self.site.is_none_or(|site| is_within(rule, site))
    }
}

/// What is declared, as far as it is known.
#[derive(Debug, Default)]
pub struct Declared<'a> {
    /// The configuration at the moment that the report is about.
    pub config: Option<&'a Config>,
    /// Sites whose rules are suspended, and why.
    pub suspended: BTreeMap<String, String>,
    /// What is not known, and why.
    pub missing: Vec<String>,
}

/// What a table of runs has a line for.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// A run that ended in the period, or has no end.
    Run(&'a Run),
    /// A run that was refused before it began.
    Refused(&'a Incident),
    /// A comparison of declaration, runs and stores.
    Compared(&'a Comparison),
}

/// Reads the log and lays what is declared beside it. Every run is shown to `each` as it is read.
///
/// # Errors
/// The log cannot be read, `each` fails, or nothing is known of the site.
pub fn gather(
    question: &Question<'_>,
    declared: &Declared<'_>,
    verified: Verified,
    each: &mut dyn FnMut(Line<'_>) -> io::Result<()>,
) -> Result<Report, ReportError> {
    let timeline = Timeline::over(&question.period, verified.first, question.now);
    let mut seen = Seen::new(question, timeline);
    for line in read::lines(question.log, 0)? {
        let line = match line {
            Ok((_, line)) => line,
            // The rest of a log that was tampered with: the verification names the line.
            Err(AuditError::BadLine { .. }) => {
                seen.unreadable += 1;
                break;
            }
            Err(error) => return Err(error.into()),
        };
        match Entry::from_line(&line) {
            Ok(entry) => seen.take(&entry, each)?,
            Err(_) => seen.take_unknown(&line),
        }
    }
    seen.end(each)?;
    if let Some(site) = question.site
        && !seen.sites.contains(site)
        && !declared.config.is_some_and(|config| config.sites.contains_key(site))
    {
        return Err(ReportError::UnknownSite(site.to_owned()));
    }
    Ok(seen.report(declared, verified))
}

/// What is known of one rule at the moment that the report is about.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) last: Option<Run>,
    pub(super) last_done: Option<Run>,
    pub(super) held: Option<Held>,
    pub(super) approved: Option<Approved>,
    pending: Option<(String, Timestamp)>,
}

/// Why a rule does not run, as it was last written.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) at: Timestamp,
    pub(super) reason: String,
    pub(super) matches: u64,
    pub(super) overdue_since: Option<Timestamp>,
}

/// What the pass has seen so far.
pub(super) struct Seen<'a> {
    question: &'a Question<'a>,
    totals: Totals,
    timeline: Timeline,
    rules: BTreeMap<String, RuleTotals>,
    runs: Newest<Run>,
    quiet_runs: u64,
    drift: Drift,
    incidents: Newest<Incident>,
    decisions: Newest<super::model::Decision>,
    versions: Newest<Version>,
    kinds: BTreeMap<String, u64>,
    silence: Option<Silence>,
    last_entry: Option<Timestamp>,
    open: BTreeMap<String, Open>,
    /// Entries of the period that only a newer version understands.
    unknown: u64,
    /// Lines that are no entries.
    unreadable: u64,
    pub(super) holds: BTreeMap<u64, Hold>,
    pub(super) known: BTreeMap<String, Known>,
    pub(super) sites: BTreeSet<String>,
    pub(super) stopped: Option<Timestamp>,
}

impl<'a> Seen<'a> {
    fn new(question: &'a Question<'a>, timeline: Timeline) -> Seen<'a> {
        Seen {
            question,
            totals: Totals::default(),
            timeline,
            rules: BTreeMap::new(),
            runs: Newest::default(),
            quiet_runs: 0,
            drift: Drift::default(),
            incidents: Newest::default(),
            decisions: Newest::default(),
            versions: Newest::default(),
            kinds: BTreeMap::new(),
            silence: None,
            last_entry: None,
            open: BTreeMap::new(),
            unknown: 0,
            unreadable: 0,
            holds: BTreeMap::new(),
            known: BTreeMap::new(),
            sites: BTreeSet::new(),
            stopped: None,
        }
    }

    fn take(&mut self, entry: &Entry, each: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        // What came after the period is no part of how things stood at its end.
        if entry.time >= self.question.period.end {
            return Ok(());
        }
        self.count(entry.time, entry.event.kind());
        if let Some(rule) = entry.event.rule()
            && !matches!(entry.event, Event::HoldAdded { .. })
        {
            self.sites.insert(words::site_of(rule).to_owned());
        }
        self.take_decision(entry);
        let (time, within) = (entry.time, self.question.period.has(entry.time));
        match &entry.event {
            Event::RunStarted { run, .. } => self.begin(run, entry),
            Event::BatchPrepared { run, batch, children, .. } => {
                if let Some(open) = self.open.get_mut(run) {
                    open.run.batches += 1;
                    open.batches.push((*batch, *children));
                }
            }
            Event::BatchCommitted { run, batch, rows } => self.settle(run, *batch, BatchOutcome::Committed, *rows),
            Event::BatchRolledBack { run, batch, .. } => self.settle(run, *batch, BatchOutcome::RolledBack, 0),
            Event::BatchResolved { run, batch, outcome, rows, .. } => self.settle(run, *batch, *outcome, *rows),
            Event::RunFinished(finished) => self.finish(time, finished, each)?,
            Event::RuleHeld { rule, reason, matches, overdue_since } => {
                let held = Held { at: time, reason: reason.clone(), matches: *matches, overdue_since: *overdue_since };
                let incident = tell::refused(rule, &held);
                self.known.entry(rule.clone()).or_default().held = Some(held);
                if within && self.question.is_about(rule) {
                    self.totals.refused += 1;
                    each(Line::Refused(&incident))?;
                    self.incidents.push(incident);
                }
            }
            Event::RuleReleased { rule } => self.known.entry(rule.clone()).or_default().held = None,
            Event::ConfigApplied { version, changes, .. } if within => {
                self.totals.versions += 1;
                self.versions.push(Version { time, version: *version, changes: changes.clone() });
            }
            Event::ConfigRejected { problems, suspended } if within => {
                self.totals.rejected_versions += 1;
                self.incidents.push(tell::rejected(time, *problems, suspended));
            }
            Event::StateRestored { part, missing } if within => {
                self.incidents.push(tell::restored(time, *part, *missing));
            }
            Event::DriftChecked(checked) => self.compare(time, checked, each)?,
            Event::LogRepaired { bytes } if within => self.incidents.push(tell::repaired(time, *bytes)),
            _ => {}
        }
        Ok(())
    }

    /// Of one site, as far as the findings are named.
    fn compare(
        &mut self,
        time: Timestamp,
        checked: &DriftChecked,
        each: &mut dyn FnMut(Line<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let DriftChecked { rules, stores, counts, accepted, findings } = checked.clone();
        let named = u64::try_from(findings.len()).unwrap_or(u64::MAX);
        let unnamed = counts.values().sum::<u64>().saturating_sub(named);
        let mut compared = Comparison { time, rules, stores, counts, accepted, findings, unnamed };
        if self.question.site.is_some() {
            compared.findings.retain(|finding| self.question.is_about(&finding.place));
            compared.counts.clear();
            for finding in &compared.findings {
                *compared.counts.entry(finding.finding.clone()).or_default() += 1;
            }
        }
        if self.question.period.has(time) {
            self.drift.checks += 1;
            self.drift.disagreed += u64::from(!compared.counts.is_empty());
            each(Line::Compared(&compared))?;
        }
        self.drift.last = Some(compared);
        Ok(())
    }

    /// Of an entry that a newer version wrote, its time and its kind.
    fn take_unknown(&mut self, line: &[u8]) {
        let entry = serde_json::from_slice::<Value>(line).unwrap_or_default();
        let text = |key| entry.get(key).and_then(Value::as_str);
        let time = text("time").and_then(|time| time.parse::<Timestamp>().ok());
        match (time, text("kind")) {
            (Some(time), Some(kind)) if time < self.question.period.end => {
                self.unknown += u64::from(self.question.period.has(time));
                self.count(time, kind);
            }
            (Some(_), Some(_)) => {}
            _ => self.unreadable += 1,
        }
    }

    fn count(&mut self, time: Timestamp, kind: &str) {
        if self.question.period.has(time) {
            self.totals.entries += 1;
            let kind = if self.kinds.contains_key(kind) || self.kinds.len() < MOST_KINDS { kind } else { "other" };
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
            self.note_silence(time);
        }
        self.last_entry = Some(time);
    }

    /// Without an entry from the last one, or from the beginning of the period, until `to`.
    fn note_silence(&mut self, to: Timestamp) {
        let Some(from) = self.last_entry.map(|last| last.max(self.question.period.start)) else { return };
        let silent = to.duration_since(from);
        let longest = self.silence.as_ref().map_or(SILENCE, |silence| silence.to.duration_since(silence.from));
        if silent > longest {
            self.silence = Some(Silence { from, to });
        }
    }

    fn take_decision(&mut self, entry: &Entry) {
        let time = entry.time;
        match &entry.event {
            Event::RuleApproved { rule, uid, .. } => {
                self.known.entry(rule.clone()).or_default().approved = Some(Approved { time, uid: *uid });
            }
            Event::HoldAdded { hold, prefix, until, reason_code, .. } => {
                let (prefix, until, reason_code) = (prefix.clone(), until.clone(), reason_code.clone());
                let hold = Hold { hold: *hold, prefix, added: time, until, reason_code, lifted: None };
                self.holds.insert(hold.hold, hold);
            }
            Event::HoldLifted { hold, .. } => {
                if let Some(hold) = self.holds.get_mut(hold) {
                    hold.lifted = Some(time);
                }
            }
            Event::PurgesStopped { .. } => self.stopped = self.stopped.or(Some(time)),
            Event::PurgesResumed { .. } => self.stopped = None,
            _ => {}
        }
        let Some(decision) = tell::decision(entry, &self.holds) else { return };
        let is_about = decision.about.as_deref().is_none_or(|about| self.question.is_about(about));
        if self.question.period.has(time) && is_about {
            self.totals.approvals += u64::from(matches!(entry.event, Event::RuleApproved { .. }));
            self.decisions.push(decision);
        }
    }
}
