//! Statements and rows of MySQL, over a [`Line`].

use std::io::{self, ErrorKind};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, DriverError, Error, Opts, Row};

use crate::store::line::{self, LOGIN, Line, Silence};

/// Rows that are handed over at a time.
const ROWS: usize = 1_000;

/// A connection that is not waited for for ever.
pub(super) struct MysqlLine(Line<String, Answer>);

/// What comes back for a statement: rows, perhaps, and one of the others.
enum Answer {
    Rows(Vec<Row>),
    /// How many rows it changed.
    Done(u64),
    Failed(Error),
}

impl MysqlLine {
    /// Logs in, and lets `begin` set the session up.
    pub(super) fn open<T: Send + 'static>(
        options: Opts,
        begin: fn(&mut Conn) -> mysql::Result<T>,
    ) -> mysql::Result<(MysqlLine, T)> {
        let same = options.clone();
        let another = move || Conn::new(same.clone()).map_or_else(|error| !is_not_taken(&error), |_connection| true);
        let connect = move || {
            let mut connection = Conn::new(options)?;
            begin(&mut connection).map(|told| (connection, told))
        };
        let (line, told) = Line::open(connect, serve, another, LOGIN).map_err(as_error)??;
        Ok((MysqlLine(line), told))
    }

    /// Runs a statement that may take `limit`, gives each of its rows to `take`, and says how many it changed.
    pub(super) fn ask(&mut self, sql: &str, limit: Duration, mut take: impl FnMut(Row)) -> mysql::Result<u64> {
        self.0.ask(sql.to_owned()).map_err(as_error)?;
        loop {
            match self.0.hear(limit + line::GRACE).map_err(as_error)? {
                Answer::Rows(rows) => rows.into_iter().for_each(&mut take),
                Answer::Done(changed) => return Ok(changed),
                Answer::Failed(error) => return Err(error),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form of a line's jobs")]
fn serve(connection: &mut Conn, sql: String, answer: &SyncSender<Answer>) {
    let last = run(connection, &sql, answer).map_or_else(Answer::Failed, Answer::Done);
    // Where nobody waits any more, the next job does not come.
    let _heard = answer.send(last);
}

fn run(connection: &mut Conn, sql: &str, answer: &SyncSender<Answer>) -> mysql::Result<u64> {
    let give = |rows| answer.send(Answer::Rows(rows)).map_err(|_| Error::from(io::Error::from(ErrorKind::BrokenPipe)));
    let mut rows = Vec::new();
    for row in connection.query_iter(sql)? {
        rows.push(row?);
        if rows.len() == ROWS {
            give(std::mem::take(&mut rows))?;
        }
    }
    if !rows.is_empty() {
        give(rows)?;
    }
    Ok(connection.affected_rows())
}

/// Whether nobody took a connection, and nobody refused it.
fn is_not_taken(error: &Error) -> bool {
    match error {
        Error::DriverError(DriverError::ConnectTimeout) => true,
        Error::DriverError(DriverError::CouldNotConnect(Some((_, _, kind)))) => line::is_not_taken(*kind),
        Error::IoError(error) => line::is_not_taken(error.kind()),
        _ => false,
    }
}

/// As the client tells a connection that broke.
fn as_error(silence: Silence) -> Error {
    Error::from(match silence {
        Silence::NoThread(error) => error,
        silence => io::Error::new(ErrorKind::TimedOut, silence.to_string()),
    })
}
