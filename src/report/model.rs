//! The report as a plain value: what `--format json` prints, and what the texts are made from.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::timeline::Timeline;
pub(super) use crate::audit::DriftFinding;
use crate::audit::{Kept, RunOutcome};

/// The form of the JSON. A key is never renamed; new ones may be added.
pub(super) const FORM: u32 = 1;

/// Most items of one list that a report keeps, so that its size does not follow the log's.
const MOST_KEPT: usize = 5_000;

/// One period of the evidence, beside what was declared for it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub(super) form: u32,
    pub(super) program: &'static str,
    pub(super) written: Timestamp,
    pub(super) period: Covered,
    /// The moment that "where things stand" is about: the end of the period, or now where that is earlier.
    pub(super) as_of: Timestamp,
    pub(super) site: Option<String>,
    pub(super) controller: Option<String>,
    /// What could not be said, and why.
    pub(super) missing: Vec<String>,
    pub(super) totals: Totals,
    pub(super) sites: Vec<SiteState>,
    pub(super) drift: Drift,
    pub(super) timeline: Timeline,
    pub(super) rules: Vec<RuleTotals>,
    /// Runs that erased something or did not end well.
    pub(super) runs: Newest<Run>,
    /// Runs to the end that found nothing to erase.
    pub(super) quiet_runs: u64,
    pub(super) incidents: Newest<Incident>,
    pub(super) decisions: Newest<Decision>,
    pub(super) holds: Vec<Hold>,
    pub(super) versions: Newest<Version>,
    pub(super) pending: Vec<Pending>,
    pub(super) evidence: Evidence,
}

impl Report {
    /// What could not be said, and why.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

/// The days that are reported on.
#[derive(Debug, Clone, Serialize)]
pub struct Covered {
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) zone: String,
    /// The first instant of `from`.
    pub(super) start: Timestamp,
    /// The first instant after `to`.
    pub(super) end: Timestamp,
    #[serde(skip)]
    pub(super) tz: TimeZone,
}

impl Covered {
    /// From the beginning of one day to the end of another, both in this zone.
    ///
    /// # Errors
    /// The calendar ends before.
    pub fn new(from: Date, to: Date, name: &str, tz: TimeZone) -> Result<Covered, jiff::Error> {
        let start = from.to_zoned_datetime(tz.clone())?.timestamp();
        let end = to.tomorrow()?.to_zoned_datetime(tz.clone())?.timestamp();
        Ok(Covered { from, to, zone: name.to_owned(), start, end, tz })
    }

    pub(super) fn has(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// What the daily comparisons of declaration, runs and stores found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Drift {
    /// Comparisons of the period.
    pub(super) checks: u64,
    /// Those of them that found something.
    pub(super) disagreed: u64,
    /// The last one, of the period or before.
    pub(super) last: Option<Comparison>,
}

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub(super) time: Timestamp,
    pub(super) rules: u64,
    pub(super) stores: u64,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) accepted: u64,
    pub(super) findings: Vec<DriftFinding>,
    /// Findings, of all sites, that the entry counts and does not name.
    pub(super) unnamed: u64,
}

/// Sums over the period. Runs count by when they ended, as their entries do.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) runs: u64,
    pub(super) done: u64,
    pub(super) interrupted: u64,
    pub(super) stopped: u64,
    pub(super) held: u64,
    pub(super) failed: u64,
    /// Begun in the period or before, and no end recorded.
    pub(super) without_end: u64,
    pub(super) erased: u64,
    pub(super) children: u64,
    pub(super) refused: u64,
    pub(super) approvals: u64,
    pub(super) versions: u64,
    pub(super) rejected_versions: u64,
}

impl Totals {
    pub(super) fn not_done(&self) -> u64 {
        self.interrupted + self.stopped + self.held + self.failed
    }
}

/// One run, as far as the log tells it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub(super) run: String,
    pub(super) site: String,
    pub(super) rule: String,
    pub(super) action: String,
    pub(super) because: String,
    pub(super) started: Timestamp,
    pub(super) finished: Option<Timestamp>,
    /// `None`: no end is recorded.
    pub(super) outcome: Option<RunOutcome>,
    pub(super) cutoff: Option<Timestamp>,
    pub(super) counted: u64,
    pub(super) total: u64,
    pub(super) undatable: u64,
    pub(super) on_hold: u64,
    pub(super) erased: u64,
    pub(super) children: u64,
    pub(super) left: Option<u64>,
    pub(super) arrived: u64,
    pub(super) batches: u64,
    pub(super) millis: u64,
    pub(super) pending: Option<String>,
    pub(super) reason: Option<String>,
    /// Expired records that could not go yet.
    pub(super) kept: Vec<Kept>,
}

impl Run {
    /// To the end, with nothing to erase: what most nights are.
    pub(super) fn is_quiet(&self) -> bool {
        self.outcome == Some(RunOutcome::Done) && self.erased == 0 && self.children == 0
    }
}

/// The newest of a list, and how many came before them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Newest<T> {
    pub(super) earlier: u64,
    pub(super) newest: VecDeque<T>,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Newest { earlier: 0, newest: VecDeque::new() }
    }
}

impl<T> Newest<T> {
    pub(super) fn push(&mut self, item: T) {
        self.newest.push_back(item);
        if self.newest.len() > MOST_KEPT {
            self.newest.pop_front();
            self.earlier += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// The newest `most`, the latest first, and how many others there were.
    pub(super) fn latest(&self, most: usize) -> (impl Iterator<Item = &T>, u64) {
        let cut = u64::try_from(self.newest.len().saturating_sub(most)).unwrap_or(u64::MAX);
        (self.newest.iter().rev().take(most), self.earlier.saturating_add(cut))
    }
}

/// Sums of one rule over the period.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct RuleTotals {
    pub(super) rule: String,
    pub(super) runs: u64,
    pub(super) not_done: u64,
    pub(super) erased: u64,
    pub(super) children: u64,
}

/// Where the rules of one site stand.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SiteState {
    pub(super) site: String,
    pub(super) zone: String,
    pub(super) rules: Vec<RuleState>,
    /// Declared with a period, and no store is tagged with it.
    pub(super) without_store: Vec<String>,
}

/// Where one rule stands, in sentences with dates of the site's zone.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RuleState {
    pub(super) rule: String,
    pub(super) category: Option<String>,
    pub(super) category_name: Option<String>,
    pub(super) declared: Option<String>,
    pub(super) does: String,
    pub(super) because: Option<String>,
    pub(super) approved: Option<Approved>,
    pub(super) last_run: Option<LastRun>,
    pub(super) oldest: String,
    pub(super) overdue: Overdue,
    /// Why the whole rule does not run.
    pub(super) held: Vec<String>,
    /// Which records are kept although it runs.
    pub(super) kept: Vec<String>,
}

/// A release of a rule.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Approved {
    pub(super) time: Timestamp,
    pub(super) uid: u32,
}

/// The last run of a rule, in short.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LastRun {
    pub(super) started: Timestamp,
    pub(super) outcome: Option<RunOutcome>,
    pub(super) erased: u64,
}

/// Whether records are still there that should have gone.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Overdue {
    pub(super) standing: Standing,
    pub(super) records: Option<u64>,
    pub(super) since: Option<Timestamp>,
    pub(super) text: String,
}

/// The short answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    Nothing,
    Overdue,
    NotKnown,
}

/// Something that did not go as planned.
#[derive(Debug, Clone, Serialize)]
pub struct Incident {
    pub(super) time: Timestamp,
    pub(super) kind: &'static str,
    pub(super) rule: Option<String>,
    pub(super) text: String,
    pub(super) records: Option<u64>,
}

/// What somebody decided.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Decision {
    pub(super) time: Timestamp,
    pub(super) uid: u32,
    pub(super) kind: &'static str,
    pub(super) about: Option<String>,
    pub(super) text: String,
}

/// A duty to keep that was in force at some time of the period.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Hold {
    pub(super) hold: u64,
    pub(super) prefix: String,
    pub(super) added: Timestamp,
    pub(super) until: String,
    pub(super) reason_code: String,
    pub(super) lifted: Option<Timestamp>,
}

/// A version of the configuration that came into force.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Version {
    pub(super) time: Timestamp,
    pub(super) version: u64,
    pub(super) changes: Vec<String>,
}

/// What of the erased is physically left, and of which rules that is true.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pending {
    pub(super) text: String,
    pub(super) rules: Vec<String>,
    /// The earliest and the latest of the runs that said so.
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

/// What a verification said that was made while the report was written.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// One word or two.
    pub verdict: &'static str,
    /// The sentence behind it.
    pub explanation: String,
    /// Whether the log is what was signed.
    pub holds: bool,
    /// The log's name.
    pub origin: Option<String>,
    /// Whole entries.
    pub entries: u64,
    /// Entries that are signed for.
    pub signed: u64,
    /// Entries that the largest anchor covers.
    pub anchored: Option<u64>,
    /// Time of the first entry.
    pub first: Option<Timestamp>,
    /// Time of the last entry.
    pub last: Option<Timestamp>,
}

/// The log itself.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Evidence {
    #[serde(flatten)]
    pub(super) verified: Verified,
    pub(super) checkpoint: Option<String>,
    pub(super) verifier_key: Option<String>,
    /// Entries of the period by kind, also of kinds that this version does not know.
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) silence: Option<Silence>,
}

/// The longest time of the period without an entry, where that is longer than a day and an hour.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Silence {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}
