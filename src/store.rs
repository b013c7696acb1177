//! A store: a place on the server that holds visitor records. This is the contract that every kind keeps.
//!
//! A store knows nothing of approvals, limits or evidence. It is handed a [`Selection`], the whole predicate as
//! values, and builds its own query from it **once**, so that what is counted is what is erased. The contract suite
//! in `tests/` runs over every kind, on the real thing.

pub mod address;
pub mod catalog;
pub mod directory;
mod line;
pub mod log;
pub mod mysql;
pub mod outline;
pub(crate) mod outside;
pub mod postgres;
mod read_only;
pub mod server;
mod shape;
pub mod sqlite;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::TimeFormat;
use crate::config::site::DatabaseKind;
use crate::plan::{DirectoryRule, LogRule, RuleRef, TableRule};

pub use catalog::Catalog;
pub use outline::Outline;
pub use shape::Shape;

/// Rows that [`Store::glance`] looks at: enough to tell what a column holds, and few enough for any table.
const GLANCE_ROWS: u32 = 100;

/// Characters of a value that it looks at: an address is shorter.
const GLANCE_LENGTH: u32 = 256;

/// How long it may take: it runs beside the application, and whatever it finds can wait for tomorrow.
const LONGEST_GLANCE: Duration = Duration::from_secs(2);

/// What a rule selects at one moment: everything a store needs to build its predicate.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The rule.
    pub rule: RuleRef<'a>,
    /// The moment of the run. Times after it are not plausible.
    pub now: Timestamp,
    /// Records before it (strictly) are expired; `None` where age does not matter.
    pub cutoff: Option<Timestamp>,
    /// Rows that a hold keeps. Only a table has them.
    pub holds: Vec<HeldValue>,
}

/// A selection of rows of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableSelection<'a> {
    /// The rule.
    pub(crate) rule: &'a TableRule,
    /// As in [`Selection`].
    pub(crate) now: Timestamp,
    /// As in [`Selection`].
    pub(crate) cutoff: Option<Timestamp>,
    /// As in [`Selection`].
    pub(crate) holds: Vec<HeldValue>,
}

impl<'a> Selection<'a> {
    /// The same of a table's rows.
    fn of_table(&self) -> Result<TableSelection<'a>, StoreError> {
        let Selection { rule, now, cutoff, holds } = self;
        match *rule {
            RuleRef::Table(rule) => Ok(TableSelection { rule, now: *now, cutoff: *cutoff, holds: holds.clone() }),
            RuleRef::Directory(DirectoryRule { rule, .. }) | RuleRef::Log(LogRule { rule, .. }) => {
                Err(StoreError::Failed { place: rule.to_string(), reason: "the rule is not about a table".to_owned() })
            }
        }
    }
}

/// Rows whose column has this value are kept, compared as text so that the type of the column cannot let one slip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldValue {
    /// The column.
    pub column: String,
    /// The value, as the operator wrote it.
    pub value: String,
}

impl HeldValue {
    /// Why a column of whole numbers, of this table and type, cannot have the value; `None` where it can. A slip of the
    /// pen would keep nothing, and so would a number in a form that not every server reads (`1e3`).
    pub(crate) fn objection(&self, table: &str, of_type: &str) -> Option<(String, &'static str)> {
        (!is_whole(self.value.trim())).then(|| {
            let message = format!(
                "a hold on column {} of table {table} keeps nothing: the column has type {of_type}, and what is held is \
                 no whole number",
                self.column
            );
            (message, "find it with `forgetd hold list`, hold what is meant, and lift it")
        })
    }
}

/// `7`, `-7`, `7.00`.
fn is_whole(number: &str) -> bool {
    let Some((whole, fraction)) = number.split_once('.') else { return number.parse::<i128>().is_ok() };
    let is_zeros = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    is_zeros && !whole.starts_with('+') && whole.parse::<i128>().is_ok()
}

/// Exact counts of one selection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Records of the target (those that the filter lets through).
    pub total: u64,
    /// Records that a purge would touch now.
    pub matches: u64,
    /// Records that would match but for a hold.
    pub on_hold: u64,
    /// Records that cannot be judged and are therefore kept: no plausible time or, for a consent rule, a consent
    /// value of another type than the one that means "given".
    pub undatable: u64,
    /// Of the undatable, those whose number makes sense only in another unit, and which.
    pub other_unit: Option<(TimeFormat, u64)>,
    /// Of the undatable, those whose text makes sense but has no zone.
    pub without_zone: u64,
    /// The time of the oldest record that matches, where age matters.
    pub oldest: Option<Timestamp>,
    /// Records that are expired, but do not match for now; sorted by why.
    pub kept: Vec<Kept>,
}

/// Expired records that a purge leaves for now: a file that somebody has open, a line in a log still being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// How many.
    pub records: u64,
    /// Why, as a clause that says nothing of any one record: `somebody has them open`.
    pub because: &'static str,
    /// The time of the oldest of them, where it is known.
    pub oldest: Option<Timestamp>,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Kept { records, because, oldest } = self;
        write!(f, "{records} expired records stay for now: {because}")?;
        match oldest {
            Some(oldest) => write!(f, "; the oldest is of {oldest:.0}"),
            None => Ok(()),
        }
    }
}

/// What is still there after a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remainder {
    /// Records that matched when the walk began and still do: 0 unless something went wrong.
    pub left: u64,
    /// Records that match now but arrived since the walk began. Of those that were there, and were young, a store may
    /// leave it to the next walk to find out that they match by now.
    pub arrived: u64,
    /// As in [`Survey`].
    pub kept: Vec<Kept>,
}

/// Something about a store that an operator must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the rule may run.
    pub severity: Severity,
    /// What was found, without any record's contents.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.hint {
            Some(hint) => write!(f, "{} ({hint})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Whether a rule may run in spite of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may; the operator should know.
    Warning,
    /// It may not.
    Refusal,
}

/// What looking at the real thing gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What an operator must know.
    pub findings: Vec<Finding>,
    /// What the tables of the rule are like; `None` where a finding refuses the rule.
    pub shape: Option<Shape>,
}

impl Inspection {
    /// What was found, and the shape of the tables as far as it could be read.
    fn new(findings: Vec<Finding>, shape: Option<Shape>) -> Inspection {
        let refused = findings.iter().any(|finding| finding.severity == Severity::Refusal);
        Inspection { findings, shape: shape.filter(|_| !refused) }
    }
}

/// Errors by what the caller does next. None of them carries a record's contents.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be opened as it is: nothing was touched; the rule fails until the operator acts.
    #[error("{place}: {reason}")]
    Unavailable {
        /// Which store.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Somebody else holds the store's lock beyond the bound: nothing was changed; trying later may succeed.
    #[error("{place}: locked by another process for longer than {waited_ms} ms")]
    Busy {
        /// Which store.
        place: String,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A statement took longer than it may, or was cancelled: nothing was changed; a smaller batch may succeed.
    #[error("{place}: a statement took longer than it may, or somebody cancelled it")]
    Slow {
        /// Which store.
        place: String,
    },
    /// A statement failed and its transaction was rolled back.
    #[error("{place}: {reason}")]
    Failed {
        /// Which store.
        place: String,
        /// What the store says, reduced to its code.
        reason: String,
    },
    /// A replica is further behind than allowed, or it is not known how far: nothing was changed; trying later may
    /// succeed.
    #[error("{place}: {}", match lag_s { Some(lag) => format!("a replica lags {lag} s behind"), None => "it is not known how far the replicas lag behind".to_owned() })]
    Lagging {
        /// Which store.
        place: String,
        /// How far the slowest is behind, in seconds.
        lag_s: Option<u64>,
    },
    /// The connection to the server was lost before a COMMIT: nothing was changed; a new walk may succeed.
    #[error("{place}: there is no connection: {reason}")]
    Lost {
        /// Which store.
        place: String,
        /// What the client says.
        reason: String,
    },
    /// It is not known whether a COMMIT took effect: resolve it, never repeat it.
    #[error("{place}: the outcome of a commit is unknown: {reason}")]
    CommitUnknown {
        /// Which store.
        place: String,
        /// What the store says.
        reason: String,
        /// What keeps it from being known.
        because: Unknown,
    },
}

/// What keeps the outcome of a COMMIT from being known, told apart by what waiting is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The connection is gone: the server may come back.
    ConnectionLost,
    /// Somebody has a file in use: he may let it go.
    InUse,
    /// The store's own disk is full or broken: it does not get better by waiting.
    DiskFailed,
}

/// What a batch did, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// Records erased or changed. In a store without transactions it may be fewer than were prepared: what changed in
    /// between is kept.
    pub rows: u64,
    /// Rows of child tables erased with them.
    pub children: u64,
}

/// How a batch whose outcome is unknown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Its records are gone.
    Committed,
    /// So many of its records are gone, in a store without transactions; the others are as they were.
    Part(u64),
    /// Its records are as they were.
    RolledBack,
}

/// What is physically left of erased records after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Physical {
    /// Nothing that the store knows of.
    Gone,
    /// The bytes are still somewhere; the text says where and what ends it.
    Pending(String),
}

/// Access to one store. Opening is [`open`].
pub trait Store {
    /// Looks at the real thing: does the target exist, with every column that the rule or a hold names; is its key
    /// unique and not null; would a deletion reach further than declared? A rule with a [`Severity::Refusal`] must not
    /// run. The [`Shape`] is the same as long as nothing changes that the rule relies on, whatever the holds and the
    /// moment of the selection.
    ///
    /// # Errors
    /// The store cannot be read.
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError>;

    /// Counts, with the same predicate that [`Store::walk`] erases by. Reads only.
    ///
    /// # Errors
    /// The store cannot be read.
    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError>;

    /// Begins to erase what `selection` matches, in bounded batches by key range. No record is visited twice, none
    /// that is already dead is scanned again, and memory is bounded whatever the table's size. A batch waits for a
    /// replica that is further behind than `max_lag`.
    ///
    /// # Errors
    /// The store cannot be opened for writing.
    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError>;

    /// Opens a store anew for the next walk after [`StoreError::Lost`]. A store without a connection has nothing to do.
    fn reconnect(&mut self) {}

    /// Finds out how a batch ended whose process died between `prepared` and its outcome, from what
    /// [`Prepared::in_flight`] gave. Waits, with a bound, for a COMMIT that is still under way.
    ///
    /// # Errors
    /// The store cannot be read, or `in_flight` is not what this kind writes.
    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError>;

    /// Removes what the store itself still keeps of erased records, as far as that is possible without making
    /// anybody wait, and says what is left. Called once after a run. What takes long is given up once `interrupt` is set.
    ///
    /// # Errors
    /// The store cannot be read.
    fn settle(&mut self, interrupt: &AtomicBool) -> Result<Physical, StoreError>;

    /// The store's own clock, where it has one.
    ///
    /// # Errors
    /// The store cannot be read.
    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Everything that is in a database, declared or not; `None` where a store holds nothing but what it is declared
    /// for. Reads no record.
    ///
    /// # Errors
    /// The store cannot be read.
    fn catalog(&mut self) -> Result<Option<Catalog>, StoreError> {
        Ok(None)
    }

    /// What a declaration of `table`, as [`Store::catalog`] names it, would have to name; `None` where there is no such
    /// table. Reads no record.
    ///
    /// # Errors
    /// The store cannot be read.
    fn outline(&mut self, _table: &str) -> Result<Option<Outline>, StoreError> {
        Ok(None)
    }

    /// Shows `see` the texts and whole numbers in some `columns` of a few rows of `table`, as [`Store::catalog`] names
    /// them, each with the position of its column. Keeps none, is bounded in rows and in time, and waits for nobody.
    ///
    /// # Errors
    /// The table cannot be read, or not so quickly.
    fn glance(&mut self, _table: &str, _columns: &[&str], _see: &mut dyn FnMut(usize, &str)) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A walk over the records of one selection.
pub trait Walk {
    /// Opens a transaction and erases the next records in it, at most about `limit`, **re-checking the whole
    /// predicate inside the statement**. `None` when the walk is at its end. Dropping the result rolls back.
    ///
    /// # Errors
    /// Nothing was changed. After [`StoreError::Busy`], [`StoreError::Slow`] and [`StoreError::Lagging`] the same records
    /// are offered again.
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError>;

    /// A fresh count, after the last batch, of what still matches: the negative proof.
    ///
    /// # Errors
    /// The store cannot be read.
    fn remainder(&mut self) -> Result<Remainder, StoreError>;
}

/// A batch whose records are erased in an open transaction. Dropped without [`Prepared::commit`], it rolls back. A store
/// without transactions has only looked at them so far, and erases in `commit`.
pub trait Prepared {
    /// Records erased or changed, exactly; without transactions, at most. May be 0 when others were faster; then there
    /// is nothing to prove.
    fn rows(&self) -> u64;

    /// Rows of child tables erased with them.
    fn children(&self) -> u64;

    /// What [`Store::resolve`] needs to find out whether this batch was committed. Holds keys of records: it belongs
    /// in a private file, never into evidence.
    fn in_flight(&self) -> &[u8];

    /// The database's own number of the transaction, for the evidence, where it has one.
    fn transaction(&self) -> Option<&str> {
        None
    }

    /// Commits. Without transactions every record is looked at once more, and what changed since is kept.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Failed`]: rolled back. [`StoreError::CommitUnknown`]: resolve it.
    fn commit(self: Box<Self>) -> Result<Committed, StoreError>;
}

/// Opens the store that a rule acts on. Nothing is read or locked yet.
pub fn open<'a>(rule: impl Into<RuleRef<'a>>) -> Box<dyn Store> {
    match rule.into() {
        RuleRef::Table(rule) => open_database(&rule.store),
        RuleRef::Directory(rule) => Box::new(directory::FileTree::new(&rule.directory)),
        RuleRef::Log(rule) => Box::new(log::LogFiles::new(&rule.log)),
    }
}

/// Opens a database. Nothing is read or locked yet.
pub fn open_database(kind: &DatabaseKind) -> Box<dyn Store> {
    match kind {
        DatabaseKind::Sqlite { path } => Box::new(sqlite::Sqlite::new(path)),
        DatabaseKind::Postgres { server, after } => Box::new(postgres::Postgres::new(server, *after)),
        DatabaseKind::Mysql { server } => Box::new(mysql::Mysql::new(server)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_on_whole_numbers_names_one_in_a_form_that_every_server_reads() {
        let objection = |value: &str| {
            let hold = HeldValue { column: "client".to_owned(), value: value.to_owned() };
            hold.objection("visitors", "bigint").is_some()
        };
        for value in ["7", " -7 ", "+7", "007", "7.00", "18446744073709551615"] {
            assert!(!objection(value), "{value}");
        }
        for value in ["", "seven", "1e3", "NaN", "inf", "7.5", "7.", ".0", "+7.0", "0x7", "1_000"] {
            assert!(objection(value), "{value}");
        }
    }
}
