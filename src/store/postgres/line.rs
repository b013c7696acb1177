//! Statements and rows of PostgreSQL, over a [`Line`].

use std::error::Error;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Row};

use super::connection::Parameter;
use crate::store::line::{self, LOGIN, Line, Silence};

/// A connection that is not waited for for ever.
pub(super) struct PostgresLine {
    line: Line<Job, Answer>,
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
    /// Logs in by `connect`.
    pub(super) fn open(
        connect: impl FnOnce() -> Result<Client, postgres::Error> + Send + 'static,
    ) -> Result<PostgresLine, Trouble> {
        let connect = move || connect().map(|client| (client, ()));
        let (line, ()) = Line::open(connect, serve, LOGIN).map_err(Trouble::Silence)?.map_err(Trouble::Told)?;
        Ok(PostgresLine { line, is_closed: false })
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

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed || self.line.is_given_up()
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
