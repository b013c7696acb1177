//! One pass over the log: sums, lists and the last that is known of every rule.
//!
//! Memory follows the number of rules, of holds and of runs under way, and the bounds of [`Newest`]; never the length
//! of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ReportError;
use super::model::{
    Approved, Covered, Evidence, FORM, Hold, Incident, Newest, Pending, Report, RuleTotals, Run, Silence, Totals,
    Verified, Version,
};
use super::timeline::{Bar, Timeline};
use super::{state, tell, words};
use crate::audit::{AuditError, BatchOutcome, Entry, Event, Paths, RunFinished, RunOutcome, read};
use crate::config::Config;
use crate::plan::rule::is_within;

/// The daemon writes an entry at least once a day; an hour more is not yet silence.
const SILENCE: SignedDuration = SignedDuration::from_hours(25);

/// A checkpoint and a key have some hundred bytes: what is longer is neither.
const LONGEST_NOTE: u64 = 16 * 1024;

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

/// A run without an end so far, and its batches without an outcome: number, rows, children.
struct Open {
    run: Run,
    batches: Vec<(u64, u64, u64)>,
}

impl Open {
    fn settle(&mut self, batch: u64, outcome: BatchOutcome) {
        let Some(at) = self.batches.iter().position(|(number, ..)| *number == batch) else { return };
        let (_, rows, children) = self.batches.remove(at);
        if outcome == BatchOutcome::Committed {
            self.run.erased += rows;
            self.run.children += children;
        }
    }
}

/// What the pass has seen so far.
pub(super) struct Seen<'a> {
    question: &'a Question<'a>,
    totals: Totals,
    timeline: Timeline,
    rules: BTreeMap<String, RuleTotals>,
    runs: Newest<Run>,
    quiet_runs: u64,
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
            Event::BatchPrepared { run, batch, rows, children, .. } => {
                if let Some(open) = self.open.get_mut(run) {
                    open.run.batches += 1;
                    open.batches.push((*batch, *rows, *children));
                }
            }
            Event::BatchCommitted { run, batch } => self.settle(run, *batch, BatchOutcome::Committed),
            Event::BatchRolledBack { run, batch, .. } => self.settle(run, *batch, BatchOutcome::RolledBack),
            Event::BatchResolved { run, batch, outcome, .. } => self.settle(run, *batch, *outcome),
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
            Event::LogRepaired { bytes } if within => self.incidents.push(tell::repaired(time, *bytes)),
            _ => {}
        }
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

    fn begin(&mut self, id: &str, entry: &Entry) {
        let Event::RunStarted { rule, action, because, cutoff, counted, total, undatable, on_hold, .. } = &entry.event
        else {
            return;
        };
        let run = Run {
            action: action.clone(),
            because: because.clone(),
            cutoff: *cutoff,
            counted: *counted,
            total: *total,
            undatable: *undatable,
            on_hold: *on_hold,
            ..empty_run(id, rule, entry.time)
        };
        self.known.entry(rule.clone()).or_default().held = None;
        self.open.insert(id.to_owned(), Open { run, batches: Vec::new() });
    }

    fn settle(&mut self, run: &str, batch: u64, outcome: BatchOutcome) {
        if let Some(open) = self.open.get_mut(run) {
            open.settle(batch, outcome);
        }
    }

    fn finish(
        &mut self,
        time: Timestamp,
        finished: &RunFinished,
        each: &mut dyn FnMut(Line<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begun = self.open.remove(&finished.run).map(|open| open.run);
        let run = Run {
            finished: Some(time),
            outcome: Some(finished.outcome),
            erased: finished.erased,
            children: finished.children,
            left: Some(finished.left),
            arrived: finished.arrived,
            batches: finished.batches,
            millis: finished.millis,
            pending: finished.pending.clone(),
            reason: finished.reason.clone(),
            ..begun.unwrap_or_else(|| empty_run(&finished.run, &finished.rule, time))
        };
        if self.question.period.has(time) && self.question.is_about(&run.rule) {
            self.add(time, &run);
            each(Line::Run(&run))?;
        }
        let known = self.known.entry(run.rule.clone()).or_default();
        known.pending = run.pending.clone().map(|text| (text, time));
        if run.outcome == Some(RunOutcome::Done) {
            known.last_done = Some(run.clone());
        }
        known.last = Some(run);
        Ok(())
    }

    /// A run that ended in the period.
    fn add(&mut self, time: Timestamp, run: &Run) {
        let Totals { runs, done, interrupted, stopped, held, failed, erased, children, .. } = &mut self.totals;
        *runs += 1;
        *erased += run.erased;
        *children += run.children;
        let not_done = u64::from(run.outcome != Some(RunOutcome::Done));
        match run.outcome {
            Some(RunOutcome::Done) => *done += 1,
            Some(RunOutcome::Interrupted) => *interrupted += 1,
            Some(RunOutcome::Stopped) => *stopped += 1,
            Some(RunOutcome::Held) => *held += 1,
            Some(RunOutcome::Failed) | None => *failed += 1,
        }
        let bar = Bar { runs: 1, not_done, erased: run.erased, children: run.children };
        self.timeline.add(&self.question.period, time, bar);
        let of_rule = self.rules.entry(run.rule.clone()).or_default();
        of_rule.rule.clone_from(&run.rule);
        of_rule.runs += 1;
        of_rule.not_done += not_done;
        of_rule.erased += run.erased;
        of_rule.children += run.children;
        if not_done > 0 {
            self.incidents.push(tell::not_done(time, run));
        }
        if run.is_quiet() {
            self.quiet_runs += 1;
        } else {
            self.runs.push(run.clone());
        }
    }

    /// What is still open at the end of the reading.
    fn end(&mut self, each: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let now = self.question.as_of();
        if now >= self.question.period.start {
            self.note_silence(now);
        }
        for open in std::mem::take(&mut self.open).into_values() {
            let run = open.run;
            if self.question.is_about(&run.rule) {
                self.totals.without_end += 1;
                self.incidents.push(tell::without_end(&run));
                each(Line::Run(&run))?;
                self.runs.push(run.clone());
            }
            let known = self.known.entry(run.rule.clone()).or_default();
            if known.last.as_ref().is_none_or(|last| last.started <= run.started) {
                known.last = Some(run);
            }
        }
        Ok(())
    }

    fn report(mut self, declared: &Declared<'_>, verified: Verified) -> Report {
        let sites = state::sites(self.question, declared, &self);
        let pending = self.pending();
        let missing = declared.missing.iter().cloned().chain(self.not_understood()).collect();
        if let Some(site) = self.question.site {
            let others: BTreeSet<&str> = declared
                .config
                .into_iter()
                .flat_map(|config| config.sites.keys())
                .chain(&self.sites)
                .map(String::as_str)
                .filter(|other| *other != site)
                .collect();
            for version in &mut self.versions.newest {
                version.changes.retain(|change| !others.iter().any(|other| tell::names(change, other)));
            }
        }
        let Question { log, period, site, now } = self.question;
        let paths = Paths::new(log);
        let holds = self.holds.into_values().filter(|hold| {
            // Dates of this form compare as text.
            let ended = hold.until < period.from.to_string();
            self.question.is_about(&hold.prefix) && !ended && hold.lifted.is_none_or(|lifted| lifted >= period.start)
        });
        Report {
            form: FORM,
            program: env!("CARGO_PKG_VERSION"),
            written: *now,
            period: period.clone(),
            as_of: self.question.as_of(),
            site: site.map(str::to_owned),
            controller: declared.config.map(|config| state::controller(config, *site)),
            missing,
            totals: self.totals,
            sites,
            timeline: self.timeline,
            rules: self.rules.into_values().collect(),
            runs: self.runs,
            quiet_runs: self.quiet_runs,
            incidents: self.incidents,
            decisions: self.decisions,
            holds: holds.collect(),
            versions: self.versions,
            pending,
            evidence: Evidence {
                verified,
                checkpoint: note(&paths.checkpoint),
                verifier_key: note(&paths.verifier_key),
                kinds: self.kinds,
                silence: self.silence,
            },
        }
    }

    /// What stands in the log and is not told.
    fn not_understood(&self) -> Vec<String> {
        let told = |many: u64, one: &str, what: &str| (many > 0).then(|| format!("{} {what}", words::count(many, one)));
        [
            told(self.unknown, "entry", "of the period could be counted only: this version does not know their kind"),
            told(self.unreadable, "line", "of the log could not be read as entries, nor what may follow them"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What the last runs left physically, once for all rules of which the same is true.
    fn pending(&self) -> Vec<Pending> {
        let mut by_text: BTreeMap<&str, Pending> = BTreeMap::new();
        for (rule, known) in self.known.iter().filter(|(rule, _)| self.question.is_about(rule)) {
            let Some((text, at)) = &known.pending else { continue };
            let pending = by_text.entry(text).or_insert_with(|| Pending {
                text: text.clone(),
                rules: Vec::new(),
                since: *at,
                until: *at,
            });
            pending.rules.push(rule.clone());
            pending.since = pending.since.min(*at);
            pending.until = pending.until.max(*at);
        }
        by_text.into_values().collect()
    }
}

fn empty_run(id: &str, rule: &str, started: Timestamp) -> Run {
    Run {
        run: id.to_owned(),
        site: words::site_of(rule).to_owned(),
        rule: rule.to_owned(),
        action: String::new(),
        because: String::new(),
        started,
        finished: None,
        outcome: None,
        cutoff: None,
        counted: 0,
        total: 0,
        undatable: 0,
        on_hold: 0,
        erased: 0,
        children: 0,
        left: None,
        arrived: 0,
        batches: 0,
        millis: 0,
        pending: None,
        reason: None,
    }
}

/// A signed note or a key, to be shown; the verification has already judged it.
fn note(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST_NOTE).read_to_string(&mut text).ok()?;
    Some(text)
}
