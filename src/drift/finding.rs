//! What disagrees, as a plain value: what `--json` prints, and what lists, evidence and reports are made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::likeness::Likeness;

/// The form of the JSON. A key is never renamed; new ones may be added.
pub(super) const FORM: u32 = 1;

/// Everything that was compared.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    pub(super) form: u32,
    /// When.
    pub checked: Timestamp,
    /// Whether everything agrees.
    pub ok: bool,
    /// Each rule.
    pub rules: Vec<RuleDrift>,
    /// Each store.
    pub stores: Vec<StoreDrift>,
    /// What disagrees, by rules and then by stores.
    pub findings: Vec<Finding>,
    /// How many findings there are of each kind; only kinds that occur.
    pub counts: BTreeMap<Kind, u64>,
    /// What is no finding, and worth knowing.
    pub notes: Vec<String>,
    /// Findings that the configuration accepts.
    pub accepted: u64,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleDrift {
    /// Its name.
    pub rule: String,
    /// `ok`, or the kinds of its findings.
    pub answer: String,
    /// Records of its target; `None`, here and below, where they could not be counted.
    pub records: Option<u64>,
    /// Records that it would erase or change now.
    pub matches: Option<u64>,
    /// Those of them that should have gone already.
    pub overdue: Option<u64>,
    /// The time of the oldest that matches.
    pub oldest: Option<Timestamp>,
    /// Records that cannot be judged.
    pub undatable: Option<u64>,
    /// Records that a hold keeps.
    pub on_hold: Option<u64>,
    /// When it last began a run that ended well.
    pub last_success: Option<Timestamp>,
}

/// One store.
#[derive(Debug, Clone, Serialize)]
pub struct StoreDrift {
    /// Its name: `shop.example/chat`.
    pub store: String,
    /// Its kind.
    pub kind: &'static str,
    /// `ok`, or the kinds of its findings.
    pub answer: String,
    /// Tables that were looked at: all that forgetd's user may see. `None` where there are none, or where another store
    /// names the same database.
    pub tables: Option<u64>,
}

/// One disagreement.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What kind it is of.
    pub kind: Kind,
    /// The rule, store, table or column, as rules are named.
    pub place: String,
    /// How many records it concerns, where that is known.
    pub records: Option<u64>,
    /// The time of the oldest of them, where that is known.
    pub oldest: Option<Timestamp>,
    /// The columns that look personal.
    pub columns: Vec<PersonalColumn>,
    /// The sentence.
    pub text: String,
}

/// A column that looks personal.
#[derive(Debug, Clone, Serialize)]
pub struct PersonalColumn {
    /// Its name.
    pub column: String,
    /// What it looks like.
    pub looks_like: Likeness,
    /// By what.
    pub by: By,
}

/// By what a column looks personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// By its name.
    Name,
    /// By its type.
    Type,
    /// By most of the values that were glanced at.
    Values,
}

/// Kinds of disagreement, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The store could not be looked at.
    Unreadable,
    /// The directory, the file or the table is not there any more.
    Gone,
    /// Records are there that should have gone.
    Overdue,
    /// What must not be stored is.
    NotStored,
    /// A guard or an operator keeps the rule from running.
    NotEnforced,
    /// No run of the rule ever ended well.
    NeverRun,
    /// No run ended well since the schedule asked for one.
    Stale,
    /// Records cannot be judged, and stay for ever.
    Undatable,
    /// What was once covered is covered by nothing now.
    Uncovered,
    /// A column of a declared table looks personal and is not declared.
    UndeclaredColumn,
    /// A table looks personal and is not declared.
    UndeclaredTable,
}

impl Kind {
    /// The word, as JSON and evidence spell it.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Unreadable => "unreadable",
            Kind::Gone => "gone",
            Kind::Overdue => "overdue",
            Kind::NotStored => "not-stored",
            Kind::NotEnforced => "not-enforced",
            Kind::NeverRun => "never-run",
            Kind::Stale => "stale",
            Kind::Undatable => "undatable",
            Kind::Uncovered => "uncovered",
            Kind::UndeclaredColumn => "undeclared-column",
            Kind::UndeclaredTable => "undeclared-table",
        }
    }
}

impl Finding {
    pub(super) fn new(kind: Kind, place: impl Into<String>, text: impl Into<String>) -> Finding {
        let (place, text) = (place.into(), text.into());
        Finding { kind, place, records: None, oldest: None, columns: Vec::new(), text }
    }
}

impl Drift {
    /// Whether every store could be looked at: else what is not said here may be wrong as well.
    pub fn is_complete(&self) -> bool {
        !self.findings.iter().any(|finding| finding.kind == Kind::Unreadable)
    }
}

impl By {
    /// The word in a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            By::Name => "name",
            By::Type => "type",
            By::Values => "values",
        }
    }
}

/// A name of a schema in a sentence: whatever stands in it, it is one name, and short enough to be read.
pub(super) fn told(name: &str) -> String {
    /// More of it nobody reads.
    const LONGEST: usize = 100;
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    if name.chars().all(is_word) && name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    let shown: String = name.chars().take(LONGEST).collect();
    let more = if name.chars().count() > LONGEST { "…" } else { "" };
    format!("`{shown}{more}`")
}
