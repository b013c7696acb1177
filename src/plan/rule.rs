//! A retention rule: which records of a store, what happens to them, when, and because of what.
//!
//! Rules are derived, never written. A rule's definition, everything but the sentence that explains it, is what an
//! approval refers to: it serialises to JSON with a fixed field order, and its SHA-256 is the rule's digest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Period;
use crate::config::period::PeriodError;
use crate::config::site::{
    Child, ColumnAction, Consent, DatabaseKind, Directory, Log, Mask, RowTime, Scalar, SideEffect, Zone,
};

/// `site/store/table[/column][@cause]`. In the names of tables and columns a `/`, an `@`, a `⟨` and whatever cannot be
/// seen stands as `⟨U+002F⟩`, so that no two rules have one name, and a name can be read and typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleName(String);

impl RuleName {
    /// A name as `derive` builds it.
    pub(super) fn new(text: String) -> RuleName {
        RuleName(text)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `prefix`, as a command takes it, means this rule: the whole name, or whole parts from its beginning.
    pub fn is_within(&self, prefix: &str) -> bool {
        is_within(&self.0, prefix)
    }
}

/// Whether `prefix` means the rule called `name`, which may be a prefix itself. It may end with `/`, as people write
/// directories: a hold must not miss what it was meant for.
pub fn is_within(name: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One derived rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, by where it acts and for which cause.
    pub name: RuleName,
    /// The site it belongs to.
    pub site: String,
    /// What an approval refers to.
    pub definition: Definition,
    /// The sentence that says because of what.
    pub because: String,
    /// What holds may name that goes together with a row of this rule.
    pub goes_along: Vec<GoesAlong>,
    /// Other rules over the lines of the same log: who reads it counts for them too.
    pub beside: Vec<LogRule>,
}

/// Something with a name of its own below the site that is erased when a row is: a duty to keep it keeps the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoesAlong {
    /// Its name, as rules have it: `shop.example/chat/pages`.
    pub name: String,
    /// How it belongs to the row.
    pub belongs: Belongs,
}

/// How something belongs to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// It is a column of it.
    Column,
    /// It is a table that holds the row's key in this column.
    ByKey(String),
    /// It is a table that the database empties along with the row.
    Cascade,
}

/// What a rule does, exactly. Two rules with equal definitions erase the same records at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Definition {
    /// To rows of a table.
    Table(TableRule),
    /// To files of a directory.
    Directory(DirectoryRule),
    /// To lines of a log.
    Log(LogRule),
}

/// A definition that stands somewhere else.
#[derive(Debug, Clone, Copy)]
pub enum RuleRef<'a> {
    /// Over rows of a table.
    Table(&'a TableRule),
    /// Over files of a directory.
    Directory(&'a DirectoryRule),
    /// Over lines of a log.
    Log(&'a LogRule),
}

impl<'a> From<&'a Definition> for RuleRef<'a> {
    fn from(definition: &'a Definition) -> RuleRef<'a> {
        match definition {
            Definition::Table(rule) => RuleRef::Table(rule),
            Definition::Directory(rule) => RuleRef::Directory(rule),
            Definition::Log(rule) => RuleRef::Log(rule),
        }
    }
}

impl<'a> From<&'a TableRule> for RuleRef<'a> {
    fn from(rule: &'a TableRule) -> RuleRef<'a> {
        RuleRef::Table(rule)
    }
}

impl<'a> From<&'a DirectoryRule> for RuleRef<'a> {
    fn from(rule: &'a DirectoryRule) -> RuleRef<'a> {
        RuleRef::Directory(rule)
    }
}

impl<'a> From<&'a LogRule> for RuleRef<'a> {
    fn from(rule: &'a LogRule) -> RuleRef<'a> {
        RuleRef::Log(rule)
    }
}

/// A rule over the rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRule {
    /// The rule's name.
    pub rule: RuleName,
    /// The database it acts on.
    pub store: DatabaseKind,
    /// The records it may touch.
    pub target: Target,
    /// Which of them.
    pub when: When,
    /// What happens to them.
    pub action: Action,
    /// The zone in which calendar days are counted.
    pub zone: Zone,
}

/// A rule over the files of one directory: they are removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRule {
    /// The rule's name.
    pub rule: RuleName,
    /// The files it may touch.
    pub directory: Directory,
    /// Which of them.
    pub when: When,
    /// The zone in which calendar days are counted.
    pub zone: Zone,
}

/// A rule over the lines of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRule {
    /// The rule's name.
    pub rule: RuleName,
    /// The lines it may touch.
    pub log: Log,
    /// Which of them.
    pub when: When,
    /// What happens to them.
    pub action: LineAction,
    /// The zone in which calendar days are counted.
    pub zone: Zone,
}

/// What happens to lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineAction {
    /// They go.
    Drop,
    /// Every address in them goes, or keeps its network alone.
    Addresses(ColumnAction),
}

/// The records of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The table.
    pub table: String,
    /// Its unique key.
    pub key: String,
    /// What a record's age is measured by.
    pub time: RowTime,
    /// Only rows with these values.
    pub filter: std::collections::BTreeMap<String, Scalar>,
    /// Side effects that were accepted.
    pub accepts: std::collections::BTreeSet<SideEffect>,
}

/// Which records of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Those whose time lies before now minus the period.
    Older(Period),
    /// Those whose own instant of expiry has passed.
    Expired,
    /// All: what they hold must not be stored.
    NotStored,
    /// Those without the visitor's consent.
    WithoutConsent(Consent),
}

impl When {
    /// The instant before which a record is expired at `now`; `None` where age does not matter.
    fn cutoff(&self, now: Timestamp, zone: &Zone) -> Result<Option<Timestamp>, PeriodError> {
        match self {
            When::Older(period) => period.cutoff(now, &zone.zone).map(Some),
            When::Expired => Ok(Some(now)),
            When::NotStored | When::WithoutConsent(_) => Ok(None),
        }
    }
}

/// What happens to the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// The row goes, its children before it in the same transaction.
    EraseRows {
        /// Rows of other tables that go with it.
        children: Vec<Child>,
    },
    /// One column becomes NULL or the stand-in.
    EraseColumn {
        /// The column.
        column: String,
        /// Written where NULL is not allowed.
        stand_in: Option<Scalar>,
    },
    /// The IP address in one column keeps only its network.
    TruncateColumn {
        /// The column.
        column: String,
        /// How much stays.
        mask: Mask,
        /// Written for a value that is no address, where NULL is not allowed.
        stand_in: Option<Scalar>,
    },
}

impl Action {
    /// The word that `plan` prints.
    pub fn key(&self) -> &'static str {
        match self {
            Action::EraseRows { .. } => "erase-rows",
            Action::EraseColumn { .. } => "erase-column",
            Action::TruncateColumn { .. } => "truncate-column",
        }
    }

    /// The column it acts on, where it is not whole rows.
    pub fn column(&self) -> Option<&str> {
        match self {
            Action::EraseRows { .. } => None,
            Action::EraseColumn { column, .. } | Action::TruncateColumn { column, .. } => Some(column),
        }
    }
}

impl TableRule {
    /// Columns of the target that the rule names: its key, its time, and what it reads or changes.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let consent = match &self.when {
            When::WithoutConsent(consent) => Some(consent.column.as_str()),
            When::Older(_) | When::Expired | When::NotStored => None,
        };
        let TableRule { target, action, .. } = self;
        [target.key.as_str(), target.time.column.as_str()]
            .into_iter()
            .chain(consent)
            .chain(action.column())
            .chain(target.filter.keys().map(String::as_str))
    }

    /// Tables that the rule acts on, as it names them: the target first, then its children and what foreign keys may
    /// empty along with them.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let children: &[Child] = match &self.action {
            Action::EraseRows { children } => children,
            Action::EraseColumn { .. } | Action::TruncateColumn { .. } => &[],
        };
        let cascades = self.target.accepts.iter().filter_map(|accepted| match accepted {
            SideEffect::Cascade(table) => Some(table.as_str()),
            SideEffect::Trigger(_) => None,
        });
        let children = children.iter().map(|child| child.table.as_str());
        std::iter::once(self.target.table.as_str()).chain(children).chain(cascades)
    }
}

impl LogRule {
    /// As [`Definition::cutoff`].
    pub(crate) fn cutoff(&self, now: Timestamp) -> Result<Option<Timestamp>, PeriodError> {
        self.when.cutoff(now, &self.zone)
    }
}

impl Rule {
    /// SHA-256 of the definition, in hex.
    pub fn digest(&self) -> String {
        self.definition.digest()
    }
}

impl Definition {
    /// The rule's name.
    pub fn rule(&self) -> &RuleName {
        match self {
            Definition::Table(TableRule { rule, .. })
            | Definition::Directory(DirectoryRule { rule, .. })
            | Definition::Log(LogRule { rule, .. }) => rule,
        }
    }

    /// Which records of its target.
    pub fn when(&self) -> &When {
        match self {
            Definition::Table(TableRule { when, .. })
            | Definition::Directory(DirectoryRule { when, .. })
            | Definition::Log(LogRule { when, .. }) => when,
        }
    }

    /// The zone in which calendar days are counted.
    pub fn zone(&self) -> &Zone {
        match self {
            Definition::Table(TableRule { zone, .. })
            | Definition::Directory(DirectoryRule { zone, .. })
            | Definition::Log(LogRule { zone, .. }) => zone,
        }
    }

    /// Where the store is: a path or a URL. Names it in errors.
    pub fn location(&self) -> String {
        match self {
            Definition::Table(rule) => rule.store.location(),
            Definition::Directory(rule) => rule.directory.location(),
            Definition::Log(rule) => rule.log.location(),
        }
    }

    /// The word that `plan` prints for what happens to the records.
    pub fn action(&self) -> &'static str {
        match self {
            Definition::Table(rule) => rule.action.key(),
            Definition::Directory(_) => "erase-files",
            Definition::Log(LogRule { action: LineAction::Drop, .. }) => "drop-lines",
            Definition::Log(LogRule { action: LineAction::Addresses(ColumnAction::Erase), .. }) => "erase-addresses",
            Definition::Log(LogRule { action: LineAction::Addresses(ColumnAction::Truncate(_)), .. }) => {
                "truncate-addresses"
            }
        }
    }

    /// SHA-256 of the definition's JSON, in hex.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        // Serialising plain values into memory has no way to fail; an empty input would only make a digest that no
        // approval refers to.
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        crate::config::hex(hash.finalize())
    }

    /// The instant before which a record is expired at `now`; `None` where age does not matter.
    ///
    /// # Errors
    /// The period reaches beyond the calendar.
    pub fn cutoff(&self, now: Timestamp) -> Result<Option<Timestamp>, PeriodError> {
        self.when().cutoff(now, self.zone())
    }

    /// The rule, where it is over the lines of a log.
    pub fn over_a_log(&self) -> Option<&LogRule> {
        match self {
            Definition::Log(rule) => Some(rule),
            Definition::Table(_) | Definition::Directory(_) => None,
        }
    }

    /// Whether the rule concerns whole columns or tables by nature, so that a share of the table says nothing.
    pub fn concerns_all(&self) -> bool {
        matches!(self.when(), When::NotStored | When::WithoutConsent(_))
    }
}
