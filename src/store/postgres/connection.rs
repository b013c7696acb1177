//! A session on the server: how it is opened, how it is set up, and what its errors mean for the caller.
//!
//! Nothing the server says is passed on as it is: a message may quote a record. What remains is the SQLSTATE, its
//! meaning, and names of the schema.
//!
//! What the session's settings are decides what SQL means, so they travel with the request for the connection: they
//! outrank those of the database and the user, and nobody else ever gets a session that was set up for forgetd. A
//! pooler that hands one server connection to many clients cannot pass them on; it refuses them, or drops them, which
//! is noticed.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Config, Row};

use super::super::server::{self, ServerError};
use super::super::{StoreError, Unknown};
use super::error::{clients_trouble, describe, ends_the_connection, is_of_the_value};
use super::line::{Given, PostgresLine, Trouble, Way};
use super::mask::Charset;
use crate::config::site::Server;

/// The oldest release with ranges over physical positions, and whose makers still mend it.
const OLDEST_VERSION: i32 = 140_000;

/// How long the server may take to answer a new connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// A peer that is silent for so long on TCP is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a lock of the application is waited for: longer than any transaction of a website should take, short
/// enough that a run stuck behind one is noticed.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Counting may read a whole table, and does not stand in anybody's way; but something must end it.
pub(super) const LONGEST_READ: Duration = Duration::from_secs(3_600);

/// One statement of a batch, which holds locks.
pub(super) const LONGEST_STATEMENT: Duration = Duration::from_secs(30);

/// Between the statements of a batch evidence is written, which takes milliseconds: a process that is stopped for
/// longer must not keep its locks.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How the server reads and writes values, whatever the user's own settings are; `row_security` makes hidden rows an
/// error instead of a smaller count. Compiling a predicate to machine code (`jit`) takes longer than evaluating it for
/// a whole batch.
const SETTINGS: [(&str, &str); 10] = [
    ("search_path", ""),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO,YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("standard_conforming_strings", "on"),
    ("row_security", "off"),
    ("jit", "off"),
    ("default_transaction_isolation", "read\\ committed"),
];

/// What the evidence says is gone must not come back with a server that crashes. A shop that waits for the disk alone,
/// or for more, has its reasons, and keeps them.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

const NOT_OF_ITS_TYPE: &str = "a value does not fit its type";

/// What a pooler's refusal means.
const POOLED: &str = "a connection pooler stands in between, which cannot keep the settings of a session: name the \
     server itself in `url`";

/// A standby that COMMIT waits for may be started anew meanwhile.
const LONGEST_COMMIT: Duration = Duration::from_secs(2 * 60);

/// A parameter with its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An open connection.
pub(super) struct Session {
    line: PostgresLine,
    /// How long the server lets a statement take.
    limit: Duration,
    /// The server, as errors name it.
    pub(super) place: String,
    /// `server_version_num`.
    pub(super) version: i32,
    /// The characters that the database can hold.
    pub(super) charset: Charset,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens one and sets it up.
    pub(super) fn connect(server: &Server) -> Result<Session, StoreError> {
        let place = server.url.clone();
        let unavailable = |reason: String| StoreError::Unavailable { place: place.clone(), reason };
        let config = config(server).map_err(unavailable)?;
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(server::tls(server).map_err(|error| unavailable(error.to_string()))?),
        };
        let line = PostgresLine::open(config, tls).map_err(|trouble| match trouble {
            Trouble::Told(error) => connect_error(&place, &error),
            Trouble::Silence(silence) => {
                let reason = server::with_hint_of_network(silence.to_string());
                StoreError::Lost { place: place.clone(), reason }
            }
            Trouble::Parameter => unavailable(NOT_OF_ITS_TYPE.to_owned()),
        })?;
        let mut session = Session { line, limit: LONGEST_READ, place, version: 0, charset: Charset::Other };
        session.set_up()?;
        Ok(session)
    }

    /// Compiling a predicate to machine code takes longer than evaluating it for a whole batch.
    fn set_up(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT current_setting('search_path') = '' AND current_setting('row_security') = 'off', \
             current_setting('server_version_num')::int4, pg_is_in_recovery(), \
             current_setting('server_encoding') = 'UTF8'";
        let row = self.one(sql, &[])?;
        let (as_asked, in_recovery): (bool, bool) = (self.get(&row, 0)?, self.get(&row, 2)?);
        self.version = self.get(&row, 1)?;
        self.charset = if self.get(&row, 3)? { Charset::Unicode } else { Charset::Other };
        let unusable = |reason: &str| StoreError::Unavailable { place: self.place.clone(), reason: reason.to_owned() };
        if !as_asked {
            return Err(unusable(POOLED));
        }
        if self.version < OLDEST_VERSION {
            return Err(unusable("PostgreSQL 14 or later is needed"));
        }
        if in_recovery {
            return Err(unusable("this server is a replica: name the primary in `url`"));
        }
        self.query(DURABLE, &[]).map(drop)
    }

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.line.is_closed()
    }

    /// From here on the server lets a statement take so long.
    pub(super) fn limited_to(&mut self, limit: Duration) {
        self.limit = limit;
    }

    fn ask(&mut self, sql: &str, way: Way, parameters: &[Parameter<'_>]) -> Result<Given, StoreError> {
        self.line.ask(sql, way, parameters, self.limit).map_err(|trouble| self.told(trouble))
    }

    /// Statements without parameters and without results.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.ask(sql, Way::Batch, &[]).map(drop)
    }

    /// The same, but cancelled once `interrupt` is set, which is told as [`StoreError::Slow`].
    pub(super) fn batch_unless(
        &mut self,
        sql: &str,
        limit: Duration,
        interrupt: &AtomicBool,
    ) -> Result<(), StoreError> {
        self.line.ask_unless(sql, limit, interrupt).map_err(|trouble| self.told(trouble))
    }

    /// Rows of a query.
    pub(super) fn query(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        self.ask(sql, Way::Rows, parameters).map(|given| given.rows)
    }

    /// The one row of a query.
    pub(super) fn one(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row, StoreError> {
        let given = self.ask(sql, Way::OneRow, parameters)?;
        let row = given.rows.into_iter().next();
        row.ok_or_else(|| StoreError::Failed { place: self.place.clone(), reason: "there is no row".to_owned() })
    }

    /// How many rows a statement changed.
    pub(super) fn execute(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        self.ask(sql, Way::Count, parameters).map(|given| given.changed)
    }

    /// A value in a row.
    pub(super) fn get<'r, T: postgres::types::FromSql<'r>>(&self, row: &'r Row, index: usize) -> Result<T, StoreError> {
        row.try_get(index).map_err(|error| self.error(&error))
    }

    /// A count in a row: the server's are never negative.
    pub(super) fn count(&self, row: &Row, index: usize) -> Result<u64, StoreError> {
        self.get::<i64>(row, index).map(i64::unsigned_abs)
    }

    /// Whether `value` can be read as the type called `type_name`, which is quoted.
    pub(super) fn can_cast(&mut self, value: &str, type_name: &str) -> Result<bool, StoreError> {
        let sql = format!("SELECT $1::{type_name} IS NULL");
        match self.line.ask(&sql, Way::Rows, &[(&value, Type::TEXT)], self.limit) {
            Ok(_) => Ok(true),
            Err(Trouble::Told(error)) if error.code().is_some_and(|code| is_of_the_value(code.code())) => Ok(false),
            Err(trouble) => Err(self.told(trouble)),
        }
    }

    /// COMMIT. Whatever ends the connection here leaves its outcome open.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.limit = LONGEST_COMMIT;
        let committed = self.batch("COMMIT");
        self.limit = LONGEST_READ;
        let Err(error) = committed else { return Ok(()) };
        match error {
            StoreError::Lost { place, reason } => {
                Err(StoreError::CommitUnknown { place, reason, because: Unknown::ConnectionLost })
            }
            other => Err(other),
        }
    }

    /// Ends a transaction that is not to be. Closing the connection rolls back as well.
    pub(super) fn roll_back(&mut self) {
        if !self.is_closed()
            && let Err(error) = self.batch("ROLLBACK")
        {
            tracing::warn!(store = %self.place, %error, "ROLLBACK failed");
        }
        self.limit = LONGEST_READ;
    }

    fn told(&self, trouble: Trouble) -> StoreError {
        let place = self.place.clone();
        match trouble {
            Trouble::Told(error) => self.error(&error),
            Trouble::Silence(silence) => StoreError::Lost { place, reason: silence.to_string() },
            Trouble::Parameter => StoreError::Failed { place, reason: NOT_OF_ITS_TYPE.to_owned() },
        }
    }

    /// An error by what the caller does next.
    fn error(&self, error: &postgres::Error) -> StoreError {
        let (place, reason) = (self.place.clone(), describe(error));
        let Some(code) = error.code() else {
            // Without a word from the server it is the connection, or what we make of its answer.
            return match self.is_closed() || error.is_closed() {
                true => StoreError::Lost { place, reason },
                false => StoreError::Failed { place, reason },
            };
        };
        match code.code() {
            "57014" => StoreError::Slow { place },
            "40001" | "40P01" | "55P03" => {
                let waited_ms = u64::try_from(LOCK_WAIT.as_millis()).unwrap_or(u64::MAX);
                StoreError::Busy { place, waited_ms }
            }
            code if ends_the_connection(code) => StoreError::Lost { place, reason },
            _ => StoreError::Failed { place, reason },
        }
    }
}

fn config(server: &Server) -> Result<Config, String> {
    let (url, asked) = without_verification_words(&server.url)?;
    let mut config: Config = url.parse().map_err(|_| {
        "the URL cannot be read; of libpq's parameters take host, port, user, dbname, sslmode, connect_timeout \
         and `ca-file` instead of sslrootcert"
            .to_owned()
    })?;
    let mode = asked.unwrap_or_else(|| ssl_mode(&config));
    let options = [config.get_options().map(str::to_owned), Some(settings())];
    let options: Vec<String> = options.into_iter().flatten().collect();
    config
        .options(&options.join(" "))
        .application_name("forgetd")
        .connect_timeout(CONNECT_WAIT)
        .tcp_user_timeout(SILENCE)
        .keepalives_idle(SILENCE)
        .ssl_mode(mode);
    if let Some(secret) = server::password(server).map_err(|error: ServerError| error.to_string())? {
        config.password(secret.expose());
    }
    Ok(config)
}

/// libpq has more words for `sslmode` than the client, which always verifies: `disable` is the only one that is not
/// `require` then. Without a word it is decided by the host.
fn without_verification_words(url: &str) -> Result<(String, Option<SslMode>), String> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (modes, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("sslmode="));
    let mode = match modes.first().map(|pair| pair.trim_start_matches("sslmode=")) {
        None => None,
        Some("disable") => Some(SslMode::Disable),
        Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => Some(SslMode::Require),
        Some(_) => {
            return Err("sslmode is `verify-full` (the server's certificate is verified) or `disable`".to_owned());
        }
    };
    Ok((format!("{base}?{}", rest.join("&")), mode))
}

/// The settings as the server reads them from a request; those of the URL go before and lose.
fn settings() -> String {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let limits = [
        ("default_transaction_read_only", "off".to_owned()),
        ("lock_timeout", millis(LOCK_WAIT)),
        ("statement_timeout", millis(LONGEST_READ)),
        ("idle_in_transaction_session_timeout", millis(LONGEST_PAUSE)),
    ];
    let fixed = SETTINGS.into_iter().map(|(name, value)| (name, value.to_owned()));
    let settings: Vec<String> = fixed.chain(limits).map(|(name, value)| format!("-c {name}={value}")).collect();
    settings.join(" ")
}

/// Within the machine nobody listens; beyond it TLS is required. Where an address is given beside a host, it is the
/// address that is connected to.
fn ssl_mode(config: &Config) -> SslMode {
    let is_local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    };
    let addresses = config.get_hostaddrs();
    let local = match addresses.is_empty() {
        true => config.get_hosts().iter().all(is_local),
        false => addresses.iter().all(IpAddr::is_loopback),
    };
    if local { SslMode::Disable } else { SslMode::Require }
}

/// The server may only be restarting; anything that it says itself needs the operator.
fn connect_error(place: &str, error: &postgres::Error) -> StoreError {
    let (place, reason) = (place.to_owned(), describe(error));
    let hint = match error.code().map(SqlState::code) {
        Some(code) if ends_the_connection(code) && code != "08P01" => return StoreError::Lost { place, reason },
        Some("28P01") => "is the password the right one?",
        Some("28000") => {
            "does pg_hba.conf let this user in? over a Unix socket with `peer` the process must run as the user of the \
             same name, or one mapped to it in pg_ident.conf"
        }
        Some("3D000") => "is the database's name the last part of the URL?",
        // What PgBouncer says of `options`.
        Some("08P01") => POOLED,
        Some(_) => "see the server's log",
        None => match clients_trouble(error) {
            Some((reason, hint)) => return StoreError::Unavailable { place, reason: format!("{reason}; {hint}") },
            None => return StoreError::Lost { place, reason: server::with_hint_of_network(reason) },
        },
    };
    StoreError::Unavailable { place, reason: format!("{reason}; {hint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server { url: url.to_owned(), password: None, ca_file: None }
    }

    #[test]
    fn beyond_this_machine_tls_is_required() {
        let mode = |url: &str| config(&server(url)).unwrap().get_ssl_mode();
        assert_eq!(mode("postgresql://forgetd@/shop?host=/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("postgresql://forgetd@127.0.0.1/shop"), SslMode::Disable);
        assert_eq!(mode("postgresql://forgetd@db.shop.example/shop"), SslMode::Require);
        assert_eq!(mode("postgresql://forgetd@/shop?hostaddr=203.0.113.5"), SslMode::Require);
        assert_eq!(mode("postgresql://forgetd@localhost/shop?hostaddr=203.0.113.5"), SslMode::Require);
        assert_eq!(mode("postgresql://forgetd@db.shop.example/shop?hostaddr=127.0.0.1"), SslMode::Disable);
        assert_eq!(mode("postgresql://forgetd@db.shop.example/shop?sslmode=disable"), SslMode::Disable);
        for word in ["verify-full", "verify-ca", "require", "prefer"] {
            assert_eq!(mode(&format!("postgresql://forgetd@127.0.0.1/shop?sslmode={word}")), SslMode::Require);
        }
    }

    #[test]
    fn the_connection_names_its_program() {
        let config = config(&server("postgresql://forgetd@/shop?host=/run/postgresql&port=5433")).unwrap();
        assert_eq!(config.get_application_name(), Some("forgetd"));
        assert_eq!(config.get_ports(), [5433]);
    }
}
