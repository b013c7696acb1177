//! A session on the server: how it is opened, what is set for it, and how statements run in it.
//!
//! The session's settings decide what SQL means, so none is left to the server's defaults: UTC, strict mode,
//! `utf8mb4`, and an isolation in which a DELETE locks the rows that it erases and no gaps between them.

use std::time::Duration;

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, Error, Opts, Row};

use super::error::{self, Failure};
use super::grants;
use super::line::MysqlLine;
use super::options::{Address, Replicas};
use super::server_facts::{ServerFacts, VARIABLES};
use crate::config::site::Server;
use crate::store::server as login;
use crate::store::{LONGEST_GLANCE, StoreError, Unknown};

/// How long a row or table lock is waited for. Meanwhile the batch keeps its own locks, and the application waits for
/// those: it gives up early, and tries again with a smaller batch.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// A statement of a batch that takes longer is given up: its batch is far too large.
const BATCH_STATEMENT: Duration = Duration::from_secs(60);

/// Counting a large table takes as long as it takes, but not for ever.
const LONGEST_STATEMENT: Duration = Duration::from_secs(3_600);

/// How long the server keeps a session that rests between batches. A client whose host is gone says no farewell, and
/// until then its lock keeps other purgers out.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How long the server keeps a transaction in which nothing happens, with the locks of its rows (MariaDB). In between
/// a batch only writes its evidence.
const IDLE_TRANSACTION: Duration = Duration::from_secs(60);

/// A session on the server, in one database.
pub(super) struct Database {
    line: MysqlLine,
    /// How long a statement may take here.
    limit: Duration,
    /// The server, as errors name it.
    pub(super) place: String,
    /// The database's name.
    pub(super) name: String,
    /// What the server says of itself.
    pub(super) server: ServerFacts,
    /// How replicas are reached.
    pub(super) address: Address,
    is_lost: bool,
}

const UNEXPECTED: &str = "the server answers in an unexpected form";

/// What an error means at the moment when a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The store was not open yet: without a server nothing can be done.
    First,
    /// The server was there a moment ago and may come back.
    Again,
}

impl Database {
    /// Logs in and sets the session up.
    pub(super) fn open(server: &Server, attempt: Attempt) -> Result<Database, StoreError> {
        let place = server.url.clone();
        let unavailable = |reason: String| StoreError::Unavailable { place: place.clone(), reason };
        let password = login::password(server).map_err(|error| unavailable(error.to_string()))?;
        let password = password.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
        let address = Address::new(server, password).map_err(|mistake| unavailable(mistake.to_string()))?;
        let options = Opts::from(address.options.clone());
        let name = options.get_db_name().unwrap_or_default().to_owned();
        let told = |error: Error| match (attempt, Failure::of(&error)) {
            (Attempt::Again, failure) if failure != Failure::Failed || error::is_crowded(&error) => {
                StoreError::Lost { place: place.clone(), reason: error::describe(&error) }
            }
            _ if error::code(&error) == Some(error::NO_DATABASE_PRIVILEGE) => {
                let entrance = grants::entrance(&address.options).map(|grant| format!("; {grant}"));
                unavailable(error::describe(&error) + &entrance.unwrap_or_default())
            }
            _ => unavailable(error::with_hint(&error)),
        };
        let (line, facts) = MysqlLine::open(options, configure).map_err(told)?;
        let limit = StatementLimit::Batch.duration();
        Ok(Database { line, limit, place: place.clone(), name, server: facts, address, is_lost: false })
    }

    /// Whether the connection is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Runs a statement, gives each of its rows to `take`, and says how many it changed.
    fn ask(&mut self, sql: &str, take: impl FnMut(Row)) -> mysql::Result<u64> {
        self.line.ask(sql, self.limit, take)
    }

    /// An error in terms of the contract. Remembers a lost connection.
    fn error(&mut self, error: &Error) -> StoreError {
        self.is_lost |= Failure::of(error) == Failure::Lost;
        error::store_error(&self.place, millis(LOCK_WAIT), error)
    }

    /// A statement whose result does not matter; how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str) -> Result<u64, StoreError> {
        self.ask(sql, drop).map_err(|error| self.error(&error))
    }

    /// All rows of a query.
    pub(super) fn rows<T: FromRow>(&mut self, sql: &str) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        self.each(sql, |row| rows.push(T::from_row_opt(row)))?;
        let rows: Result<_, _> = rows.into_iter().collect();
        rows.map_err(|_| self.failed(UNEXPECTED))
    }

    /// The first row of a query that always gives one.
    pub(super) fn row<T: FromRow>(&mut self, sql: &str) -> Result<T, StoreError> {
        let mut row = None;
        self.each(sql, |another| row = row.take().or_else(|| T::from_row_opt(another).ok()))?;
        row.ok_or_else(|| self.failed(UNEXPECTED))
    }

    /// Every row of a query in turn, so that memory stays bounded.
    pub(super) fn each(&mut self, sql: &str, take: impl FnMut(Row)) -> Result<(), StoreError> {
        self.ask(sql, take).map(drop).map_err(|error| self.error(&error))
    }

    /// A failure that is not the server's.
    pub(super) fn failed(&self, reason: &str) -> StoreError {
        StoreError::Failed { place: self.place.clone(), reason: reason.to_owned() }
    }

    /// Somebody else is at work.
    pub(super) fn busy(&self, waited: Duration) -> StoreError {
        StoreError::Busy { place: self.place.clone(), waited_ms: millis(waited) }
    }

    /// Commits. Only where the server itself says that it rolled back is that known.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.decide("COMMIT")
    }

    /// A statement after which something is done or not, whatever else the server says.
    pub(super) fn decide(&mut self, sql: &str) -> Result<(), StoreError> {
        let Err(error) = self.ask(sql, drop) else { return Ok(()) };
        let told = self.error(&error);
        if Failure::rolls_back(&error) {
            return Err(told);
        }
        // Closing the connection ends whatever is still open on it.
        self.is_lost = true;
        let (place, reason) = (self.place.clone(), error::describe(&error));
        Err(StoreError::CommitUnknown { place, reason, because: Unknown::ConnectionLost })
    }

    /// Rolls back as far as there is a connection to do it on; without one the server does it itself.
    pub(super) fn roll_back(&mut self) {
        if !self.is_lost
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::warn!(store = %self.place, %error, "ROLLBACK failed");
            self.is_lost = true;
        }
    }

    /// The limit on a statement's time from here on.
    pub(super) fn limit_statements(&mut self, limit: StatementLimit) -> Result<(), StoreError> {
        let sql = self.server.flavour.statement_limit(limit.duration());
        self.line.ask(&sql, LONGEST_GLANCE, drop).map_err(|error| self.error(&error))?;
        self.limit = limit.duration();
        Ok(())
    }

    /// Whether the user has the privilege PROCESS. What it shows is asked for, since roles may grant it as well; and
    /// really asked for, since a query that can give no row is not checked.
    pub(super) fn may_see_processes(&mut self) -> Result<bool, StoreError> {
        let asked = self.asked("SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1")?;
        Ok(matches!(asked, Asked::Rows(_)))
    }

    /// The rows of a query for which the user may lack a privilege over the whole server.
    pub(super) fn asked(&mut self, sql: &str) -> Result<Asked, StoreError> {
        let mut rows = Vec::new();
        match self.ask(sql, |row| rows.push(row)) {
            Ok(_) => Ok(Asked::Rows(rows)),
            Err(error) if error::code(&error) == Some(error::NO_PRIVILEGE) => Ok(Asked::Forbidden),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Whether the user may run a statement on the tables that it names. It is only explained, as a table: newer servers
    /// of MySQL would draw a tree.
    pub(super) fn may_run(&mut self, sql: &str) -> Result<bool, StoreError> {
        match self.ask(&format!("EXPLAIN FORMAT=TRADITIONAL {sql}"), drop) {
            Ok(_) => Ok(true),
            Err(error) if error::code(&error).is_some_and(|code| error::NO_TABLE_PRIVILEGE.contains(&code)) => {
                Ok(false)
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    /// What the operator says of the replicas.
    pub(super) fn replicas(&self) -> &Replicas {
        &self.address.replicas
    }
}

/// What became of a question that not everybody may ask.
#[derive(Debug)]
pub(super) enum Asked {
    /// It was answered.
    Rows(Vec<Row>),
    /// The user lacks the privilege.
    Forbidden,
}

/// For what statements are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementLimit {
    /// Parts of a batch.
    Batch,
    /// Counts over a whole table.
    Counting,
    /// A look at a few rows.
    Glance,
}

impl StatementLimit {
    fn duration(self) -> Duration {
        match self {
            StatementLimit::Batch => BATCH_STATEMENT,
            StatementLimit::Counting => LONGEST_STATEMENT,
            StatementLimit::Glance => LONGEST_GLANCE,
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("place", &self.place).field("server", &self.server).finish_non_exhaustive()
    }
}

fn configure(connection: &mut Conn) -> mysql::Result<ServerFacts> {
    // One without a value is as good as none.
    let variables: Vec<_> = connection.query_opt(VARIABLES)?.into_iter().filter_map(Result::ok).collect();
    let facts = ServerFacts::of(&variables);
    let lock_wait = LOCK_WAIT.as_secs();
    connection.query_drop("SET NAMES utf8mb4")?;
    connection.query_drop(format!(
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}, wait_timeout = {}, \
         autocommit = 1, foreign_key_checks = 1, unique_checks = 1",
        IDLE.as_secs()
    ))?;
    connection.query_drop(facts.flavour.statement_limit(BATCH_STATEMENT))?;
    if let Some(settings) = facts.flavour.session(IDLE_TRANSACTION) {
        connection.query_drop(settings)?;
    }
    // A log of statements cannot repeat what READ COMMITTED does, and the server refuses the two together.
    let isolation = match facts.log_bin && facts.binlog_format.eq_ignore_ascii_case("STATEMENT") {
        true => "REPEATABLE READ",
        false => "READ COMMITTED",
    };
    connection.query_drop(format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"))?;
    Ok(facts)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
