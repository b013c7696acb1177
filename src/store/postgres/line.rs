//! Statements and rows of PostgreSQL, over a [`Line`].

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{CancelToken, Client, Config, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Parameter;
use super::error::is_not_taken;
use crate::store::line::{self, LOGIN, Line, Silence};

/// How long a signal may go unnoticed while a statement runs that may be cancelled.
const GLANCE: Duration = Duration::from_millis(100);

/// A request to cancel that arrives between two statements has no effect: it is made again.
const CANCEL_AGAIN: Duration = Duration::from_secs(5);

/// What a connection, and each that goes beside it, is encrypted with; `None` within the machine.
pub(super) type Tls = Option<rustls::ClientConfig>;

/// A connection that is not waited for for ever.
pub(super) struct PostgresLine {
    line: Line<Job, Answer>,
    tls: Tls,
    token: CancelToken,
    is_closed: bool,
}

/// How a statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Statements without parameters and without results.
    Batch,
    /// All rows.
    Rows,
    /// The one row.
    OneRow,
    /// How many rows it changes.
    Count,
}

struct Job {
    sql: String,
    way: Way,
    values: Vec<Value>,
}

/// A parameter as it goes to the server.
#[derive(Debug)]
struct Value {
    /// `None` for NULL.
    bytes: Option<BytesMut>,
    of: Type,
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Its rows.
    pub(super) rows: Vec<Row>,
    /// How many it changed.
    pub(super) changed: u64,
}

struct Answer {
    given: Result<Given, postgres::Error>,
    is_closed: bool,
}

/// Why a statement gave nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What the server or the client says.
    Told(postgres::Error),
    /// Nothing was said.
    Silence(Silence),
    /// A parameter is not of its type.
    Parameter,
}

impl PostgresLine {
    /// Logs in.
    pub(super) fn open(config: Config, tls: Tls) -> Result<PostgresLine, Trouble> {
        let kept = tls.clone();
        let login = Arc::new(move || match &tls {
            None => config.connect(NoTls),
            Some(tls) => config.connect(MakeRustlsConnect::new(tls.clone())),
        });
        let again = Arc::clone(&login);
        let another = move || again().map_or_else(|error| !is_not_taken(&error), |_client| true);
        let connect = move || {
            let client = login()?;
            let token = client.cancel_token();
            Ok((client, token))
        };
        let opened = Line::open(connect, serve, another, LOGIN);
        let (line, token) = opened.map_err(Trouble::Silence)?.map_err(Trouble::Told)?;
        Ok(PostgresLine { line, tls: kept, token, is_closed: false })
    }

    /// Runs a statement that may take `limit`.
    pub(super) fn ask(
        &mut self,
        sql: &str,
        way: Way,
        parameters: &[Parameter<'_>],
        limit: Duration,
    ) -> Result<Given, Trouble> {
        let values: Option<Vec<Value>> = parameters.iter().map(Value::of).collect();
        let job = Job { sql: sql.to_owned(), way, values: values.ok_or(Trouble::Parameter)? };
        self.line.ask(job).map_err(Trouble::Silence)?;
        let answer = self.line.hear(limit + line::GRACE).map_err(Trouble::Silence)?;
        self.is_closed = answer.is_closed;
        answer.given.map_err(Trouble::Told)
    }

    /// Runs a statement without parameters and results that may take `limit`, and has it cancelled once `interrupt` is
    /// set.
    pub(super) fn ask_unless(&mut self, sql: &str, limit: Duration, interrupt: &AtomicBool) -> Result<(), Trouble> {
        let job = Job { sql: sql.to_owned(), way: Way::Batch, values: Vec::new() };
        self.line.ask(job).map_err(Trouble::Silence)?;
        let (tls, token) = (self.tls.clone(), self.token.clone());
        let mut asked: Option<Instant> = None;
        let mut look = || {
            let is_due = asked.is_none_or(|when| when.elapsed() >= CANCEL_AGAIN);
            if interrupt.load(Ordering::Relaxed) && is_due {
                asked = Some(Instant::now());
                cancel(tls.clone(), token.clone());
            }
        };
        let answer = self.line.hear_while(limit + line::GRACE, GLANCE, &mut look).map_err(Trouble::Silence)?;
        self.is_closed = answer.is_closed;
        answer.given.map(drop).map_err(Trouble::Told)
    }

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed || self.line.is_given_up()
    }
}

/// In a thread of its own: a server that hangs does not hear it.
fn cancel(tls: Tls, token: CancelToken) {
    let ask = move || {
        let asked = match tls {
            None => token.cancel_query(NoTls),
            Some(tls) => token.cancel_query(MakeRustlsConnect::new(tls)),
        };
        if asked.is_err() {
            tracing::warn!("the server could not be asked to cancel a statement: it ends at its limit");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("cancel".to_owned()).spawn(ask) {
        tracing::warn!(%error, "a statement could not be cancelled: it ends at its limit");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form of a line's jobs")]
fn serve(client: &mut Client, job: Job, answer: &SyncSender<Answer>) {
    let given = run(client, &job);
    // Where nobody waits any more, the next job does not come.
    let _heard = answer.send(Answer { given, is_closed: client.is_closed() });
}

fn run(client: &mut Client, Job { sql, way, values }: &Job) -> Result<Given, postgres::Error> {
    let values: Vec<Parameter<'_>> =
        values.iter().map(|value| (value as &(dyn ToSql + Sync), value.of.clone())).collect();
    let rows = |rows| Given { rows, changed: 0 };
    match way {
        Way::Batch => client.batch_execute(sql).map(|()| Given::default()),
        Way::Rows => client.query_typed(sql, &values).map(rows),
        Way::OneRow => client.query_typed_one(sql, &values).map(|row| rows(vec![row])),
        Way::Count => client.execute_typed(sql, &values).map(|changed| Given { rows: Vec::new(), changed }),
    }
}

impl Value {
    /// `None` for what is not of its type.
    fn of((value, of): &Parameter<'_>) -> Option<Value> {
        let mut bytes = BytesMut::new();
        let bytes = match value.to_sql_checked(of, &mut bytes).ok()? {
            IsNull::Yes => None,
            IsNull::No => Some(bytes),
        };
        Some(Value { bytes, of: of.clone() })
    }
}

impl ToSql for Value {
    fn to_sql(&self, _of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    /// It was checked before.
    fn accepts(_of: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
