//! A connection at arm's length: a thread waits for the server, and whoever asks waits for the thread, but only so long.
//!
//! A server that hangs (stopped, paused with its container, on a disk that is full) answers nothing and closes nothing.
//! The network sees no fault in that, the client would wait for ever, and every other rule with it. Here the connection
//! is given up instead. Its thread ends when the server answers after all, and closes what it holds: that rolls back,
//! or the server has committed, which is found out as after every lost connection.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, Error, Opts, Row};

/// Rows that are handed over at a time.
const ROWS: usize = 1_000;

/// How many such heaps may wait: memory stays bounded.
const HEAPS: usize = 2;

/// A connection, and the thread that has it.
pub(super) struct Line {
    /// `None` once nothing can be asked any more.
    statements: Option<Sender<String>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

/// What comes back for a statement: rows, perhaps, and one of the others.
enum Answer {
    Rows(Vec<Row>),
    /// How many rows it changed.
    Done(u64),
    Failed(Error),
}

impl Line {
    /// Logs in, and lets `begin` set the session up; all of it in `patience`.
    pub(super) fn open<T: Send + 'static>(
        options: Opts,
        begin: impl FnOnce(&mut Conn) -> mysql::Result<T> + Send + 'static,
        patience: Duration,
    ) -> mysql::Result<(Line, T)> {
        let (statements, asked) = mpsc::channel();
        let (answer, answers) = mpsc::sync_channel(HEAPS);
        let (begun, beginning) = mpsc::sync_channel(1);
        let work = move || match Conn::new(options).and_then(|mut connection| Ok((begin(&mut connection)?, connection)))
        {
            Err(error) => drop(begun.send(Err(error))),
            Ok((told, connection)) => {
                if begun.send(Ok(told)).is_ok() {
                    serve(connection, &asked, &answer);
                }
            }
        };
        let thread = std::thread::Builder::new().name("mysql".to_owned()).spawn(work)?;
        let told = beginning.recv_timeout(patience).map_err(|error| silence(error, patience))??;
        Ok((Line { statements: Some(statements), answers, thread: Some(thread) }, told))
    }

    /// Runs a statement, gives each of its rows to `take`, and says how many it changed. Waits for `patience`, from one
    /// heap of rows to the next; after that nothing can be asked any more.
    pub(super) fn ask(&mut self, sql: &str, patience: Duration, mut take: impl FnMut(Row)) -> mysql::Result<u64> {
        let sent = self.statements.as_ref().is_some_and(|statements| statements.send(sql.to_owned()).is_ok());
        if !sent {
            return Err(silence(RecvTimeoutError::Disconnected, patience));
        }
        loop {
            match self.answers.recv_timeout(patience) {
                Ok(Answer::Rows(rows)) => rows.into_iter().for_each(&mut take),
                Ok(Answer::Done(changed)) => return Ok(changed),
                Ok(Answer::Failed(error)) => return Err(error),
                // Whatever is answered later would be taken for the answer to something else.
                Err(error) => {
                    (self.statements, self.thread) = (None, None);
                    return Err(silence(error, patience));
                }
            }
        }
    }
}

impl Drop for Line {
    /// The farewell is said before anything else happens: locks of the session are free then. A thread that was given up
    /// is not waited for.
    fn drop(&mut self) {
        self.statements = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn serve(mut connection: Conn, asked: &Receiver<String>, answer: &SyncSender<Answer>) {
    while let Ok(sql) = asked.recv() {
        let done = match run(&mut connection, &sql, answer) {
            Ok(changed) => Answer::Done(changed),
            Err(error) => Answer::Failed(error),
        };
        if answer.send(done).is_err() {
            // Nobody waits any more.
            return;
        }
    }
}

fn run(connection: &mut Conn, sql: &str, answer: &SyncSender<Answer>) -> mysql::Result<u64> {
    let gone = || Error::from(io::Error::from(ErrorKind::BrokenPipe));
    let mut rows = Vec::new();
    for row in connection.query_iter(sql)? {
        rows.push(row?);
        if rows.len() == ROWS {
            answer.send(Answer::Rows(std::mem::take(&mut rows))).map_err(|_| gone())?;
        }
    }
    if !rows.is_empty() {
        answer.send(Answer::Rows(rows)).map_err(|_| gone())?;
    }
    Ok(connection.affected_rows())
}

/// The server's silence, as the client tells a connection that broke.
fn silence(error: RecvTimeoutError, patience: Duration) -> Error {
    Error::from(match error {
        RecvTimeoutError::Timeout => {
            let told = format!("the server has not answered for {} s", patience.as_secs());
            io::Error::new(ErrorKind::TimedOut, told)
        }
        RecvTimeoutError::Disconnected => io::Error::new(ErrorKind::BrokenPipe, "the connection was given up"),
    })
}
