//! What an entry says. The order of the fields here is the order of the keys in the line: it is part of the public
//! format, as are the names. A new kind of event is added; a field of an existing one is never renamed or moved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::AuditError;
use super::line::MAX_LINE;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log, from 0: the index of the leaf.
    pub seq: u64,
    /// When it was written, to the microsecond.
    #[serde(serialize_with = "instant::serialize")]
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// The canonical line, without a newline. Nothing in it acts on whoever looks at it with `cat`.
    ///
    /// # Errors
    /// [`AuditError::EntryTooLong`].
    pub fn to_line(&self) -> Result<Vec<u8>, AuditError> {
        let line =
            crate::visible::json_line(self).map_err(|source| AuditError::Encode { kind: self.event.kind(), source })?;
        if line.len() > MAX_LINE {
            return Err(AuditError::EntryTooLong { kind: self.event.kind(), length: line.len() });
        }
        Ok(line.into_bytes())
    }

    /// The entry in a line without its newline.
    ///
    /// # Errors
    /// When the line is not JSON, or of a kind that this version does not know.
    pub fn from_line(line: &[u8]) -> Result<Entry, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// What happened. Texts name rules, actions and reasons, never a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[expect(missing_docs, reason = "the fields are the keys of the public format, described at each event")]
pub enum Event {
    /// The first entry: the log's name and the version that began it.
    #[serde(rename = "log.created")]
    LogCreated { origin: String, version: String },
    /// An unfinished last line of so many bytes, which nobody was told of, was cut off.
    #[serde(rename = "log.repaired")]
    LogRepaired { bytes: u64 },
    /// Somebody has reviewed every entry up to and with this one.
    #[serde(rename = "log.reviewed")]
    LogReviewed { through: u64, note: String, uid: u32 },
    /// The key that signs checkpoints was replaced: both in the C2SP form of verifier keys.
    #[serde(rename = "key.rotated")]
    KeyRotated { from: String, to: String, uid: u32 },
    /// Register and log were not of the same moment: this one is from an older copy, and so much of it is missing.
    #[serde(rename = "state.restored")]
    StateRestored { part: RestoredPart, missing: u64 },
    /// A version of the configuration came into force.
    #[serde(rename = "config.applied")]
    ConfigApplied { version: u64, digest: String, files: u64, changes: Vec<String> },
    /// A change of the configuration has mistakes; what it covers is suspended.
    #[serde(rename = "config.rejected")]
    ConfigRejected { problems: u64, suspended: Vec<String> },
    /// An operator released a rule for its tables as they were, after a count, up to a ceiling.
    #[serde(rename = "rule.approved")]
    RuleApproved {
        rule: String,
        digest: String,
        /// Digest of the shape of the rule's tables.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shape: Option<String>,
        counted: u64,
        ceiling: u64,
        uid: u32,
    },
    /// A rule does not run, why, and since when its records are overdue.
    #[serde(rename = "rule.held")]
    RuleHeld {
        rule: String,
        reason: String,
        matches: u64,
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "instant::serialize_option", default)]
        overdue_since: Option<Timestamp>,
    },
    /// What held a rule is gone.
    #[serde(rename = "rule.released")]
    RuleReleased { rule: String },
    /// An operator said that a jump of the clock is right.
    #[serde(rename = "clock.approved")]
    ClockApproved { uid: u32, jump_seconds: i64 },
    /// A duty to keep, for rules of a prefix, until a date.
    #[serde(rename = "hold.added")]
    HoldAdded { hold: u64, prefix: String, until: String, reason_code: String, uid: u32 },
    /// The duty ended.
    #[serde(rename = "hold.lifted")]
    HoldLifted { hold: u64, uid: u32 },
    /// An operator stopped all purging.
    #[serde(rename = "purges.stopped")]
    PurgesStopped { uid: u32 },
    /// An operator let purging go on.
    #[serde(rename = "purges.resumed")]
    PurgesResumed { uid: u32 },
    /// Somebody compared what a browser holds with what a site declares: by which captures, of so many items, with so
    /// many findings of each topic.
    #[serde(rename = "cookies.checked")]
    CookiesChecked {
        site: String,
        source: String,
        moments: Vec<String>,
        items: u64,
        findings: BTreeMap<String, u64>,
        notes: u64,
        uid: u32,
    },
    /// A run begins: the rule as it is, the cutoff, and what was counted beforehand.
    #[serde(rename = "run.started")]
    RunStarted {
        run: String,
        rule: String,
        digest: String,
        /// Digest of the shape of the rule's tables.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shape: Option<String>,
        action: String,
        because: String,
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "instant::serialize_option", default)]
        cutoff: Option<Timestamp>,
        counted: u64,
        total: u64,
        undatable: u64,
        on_hold: u64,
    },
    /// A transaction is about to commit: rows of the table, rows of its children.
    #[serde(rename = "batch.prepared")]
    BatchPrepared {
        run: String,
        batch: u64,
        rows: u64,
        children: u64,
        /// The database's own number of the transaction, where it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        transaction: Option<String>,
    },
    /// It committed, and so many rows are gone: of files fewer than prepared, where some changed in between.
    #[serde(rename = "batch.committed")]
    BatchCommitted { run: String, batch: u64, rows: u64 },
    /// It was taken back.
    #[serde(rename = "batch.rolled-back")]
    BatchRolledBack { run: String, batch: u64, reason: String },
    /// What became of a batch whose outcome was not recorded.
    #[serde(rename = "batch.resolved")]
    BatchResolved { run: String, batch: u64, outcome: BatchOutcome, rows: u64, children: u64 },
    /// A run ended: what it erased, the negative proof (`left`, and `arrived` since), what is physically pending.
    #[serde(rename = "run.finished")]
    RunFinished(RunFinished),
    /// What is declared was compared with what was enforced and with what the stores hold.
    #[serde(rename = "drift.checked")]
    DriftChecked(DriftChecked),
    /// The daemon runs.
    #[serde(rename = "daemon.started")]
    DaemonStarted { version: String },
    /// The daemon ended in order.
    #[serde(rename = "daemon.stopped")]
    DaemonStopped {},
    /// Nothing happened, and that is recorded: silence would look like removal.
    #[serde(rename = "heartbeat")]
    Heartbeat {},
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFinished {
    /// The run.
    pub run: String,
    /// Its rule.
    pub rule: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Records erased or changed.
    pub erased: u64,
    /// Rows of child tables erased with them.
    pub children: u64,
    /// Negative proof: records that matched at the start and still do.
    pub left: u64,
    /// Records that match, but arrived since.
    pub arrived: u64,
    /// Transactions.
    pub batches: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What is physically left, and what ends that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending: Option<String>,
    /// Why it did not end with `done`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Expired records that stay for now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kept: Vec<Kept>,
}

/// What a comparison of declaration, runs and stores found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftChecked {
    /// Rules that were compared.
    pub rules: u64,
    /// Stores that were looked at.
    pub stores: u64,
    /// How many findings there are of each kind; only kinds that occur.
    pub counts: BTreeMap<String, u64>,
    /// Findings that the configuration accepts.
    pub accepted: u64,
    /// The first of the findings, the gravest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub findings: Vec<DriftFinding>,
}

/// One of its findings: names of rules, stores, tables and columns, and counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftFinding {
    /// Its kind.
    pub finding: String,
    /// Where, as rules are named.
    pub place: String,
    /// How many records it concerns, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub records: Option<u64>,
    /// The time of the oldest of them, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "instant::serialize_option", default)]
    pub oldest: Option<Timestamp>,
}

/// Expired records that a run left, because they could not go then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How many.
    pub records: u64,
    /// Why.
    pub because: String,
    /// The time of the oldest of them, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "instant::serialize_option", default)]
    pub oldest: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchOutcome {
    /// Its rows are gone.
    Committed,
    /// Its rows are still there.
    RolledBack,
}

/// Which half of the state was restored from an older copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoredPart {
    /// The register: holds that the log knows of are missing.
    Register,
    /// The audit log: the end of a run that the register knows of is missing.
    Log,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// To the end.
    Done,
    /// By a signal or a crash.
    Interrupted,
    /// By the stop switch.
    Stopped,
    /// By a guard.
    Held,
    /// By an error.
    Failed,
}

impl Event {
    pub(super) const LOG_REVIEWED: &str = "log.reviewed";
    pub(super) const KEY_ROTATED: &str = "key.rotated";
    pub(super) const DRIFT_CHECKED: &str = "drift.checked";

    /// The kind, as the line spells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Event::LogCreated { .. } => "log.created",
            Event::LogRepaired { .. } => "log.repaired",
            Event::LogReviewed { .. } => Event::LOG_REVIEWED,
            Event::KeyRotated { .. } => Event::KEY_ROTATED,
            Event::StateRestored { .. } => "state.restored",
            Event::ConfigApplied { .. } => "config.applied",
            Event::ConfigRejected { .. } => "config.rejected",
            Event::RuleApproved { .. } => "rule.approved",
            Event::RuleHeld { .. } => "rule.held",
            Event::RuleReleased { .. } => "rule.released",
            Event::ClockApproved { .. } => "clock.approved",
            Event::HoldAdded { .. } => "hold.added",
            Event::HoldLifted { .. } => "hold.lifted",
            Event::PurgesStopped { .. } => "purges.stopped",
            Event::PurgesResumed { .. } => "purges.resumed",
            Event::CookiesChecked { .. } => "cookies.checked",
            Event::RunStarted { .. } => "run.started",
            Event::BatchPrepared { .. } => "batch.prepared",
            Event::BatchCommitted { .. } => "batch.committed",
            Event::BatchRolledBack { .. } => "batch.rolled-back",
            Event::BatchResolved { .. } => "batch.resolved",
            Event::RunFinished(_) => "run.finished",
            Event::DriftChecked(_) => Event::DRIFT_CHECKED,
            Event::DaemonStarted { .. } => "daemon.started",
            Event::DaemonStopped {} => "daemon.stopped",
            Event::Heartbeat {} => "heartbeat",
        }
    }

    /// The rule it concerns, or the prefix of rules that a hold is on. Batches name their run only.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Event::RuleApproved { rule, .. }
            | Event::RuleHeld { rule, .. }
            | Event::RuleReleased { rule }
            | Event::RunStarted { rule, .. }
            | Event::RunFinished(RunFinished { rule, .. })
            | Event::HoldAdded { prefix: rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// The run it belongs to.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        match self {
            Event::RunStarted { run, .. }
            | Event::BatchPrepared { run, .. }
            | Event::BatchCommitted { run, .. }
            | Event::BatchRolledBack { run, .. }
            | Event::BatchResolved { run, .. }
            | Event::RunFinished(RunFinished { run, .. }) => Some(run),
            _ => None,
        }
    }
}

/// RFC 3339 in UTC with six digits always, so that an instant has one spelling.
mod instant {
    use jiff::Timestamp;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{time:.6}"))
    }

    pub(super) fn serialize_option<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serialize(time, to),
            None => to.serialize_none(),
        }
    }
}

impl RunOutcome {
    /// The word, as the line spells it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            RunOutcome::Done => "done",
            RunOutcome::Interrupted => "interrupted",
            RunOutcome::Stopped => "stopped",
            RunOutcome::Held => "held",
            RunOutcome::Failed => "failed",
        }
    }
}
