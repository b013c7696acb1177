//! A connection at arm's length: a thread waits for the server, and whoever asks waits for the thread, but only so long.
//!
//! A server that hangs (stopped, paused with its container, on a disk that is full) answers nothing and closes nothing.
//! The network sees no fault in that, the client would wait for ever, and every other rule with it. Here the connection
//! is given up instead. Its thread ends when the server answers after all, and closes what it holds: that rolls back,
//! or the server has committed, which is found out as after every lost connection.
//!
//! Some statements may take an hour, so that silence alone says nothing. Meanwhile another connection is tried now and
//! then: a server that is only busy answers it, if with a refusal; one that hangs does not.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Answers that may wait: memory stays bounded.
const WAITING: usize = 2;

/// The server ends a statement at its limit, mostly; where it says nothing for so much longer, it hangs.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How long the server may take to let the user in: longer than the network may take to reach it.
pub(super) const LOGIN: Duration = Duration::from_secs(20);

/// After so long without an answer it is asked whether the server answers anybody.
const QUIET: Duration = Duration::from_secs(30);

/// So often a server may let an attempt pass: one that has just come under load may miss the first.
const ATTEMPTS: u32 = 2;

/// Makes another connection to the same server, drops it, and tells whether the server said anything.
type Another = Arc<dyn Fn() -> bool + Send + Sync>;

/// A connection, and the thread that has it.
pub(super) struct Line<Job, Answer> {
    /// `None` once nothing can be asked any more.
    jobs: Option<Sender<Job>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    another: Another,
    /// How long another connection may take.
    login: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// It was waited for.
    #[error("the server has not answered for {} s", .0.as_secs())]
    Waited(Duration),
    /// It was waited for earlier.
    #[error("the connection was given up")]
    GivenUp,
    /// There is no thread that could wait.
    #[error("no thread can be started: {0}")]
    NoThread(#[from] io::Error),
}

impl<Job: Send + 'static, Answer: Send + 'static> Line<Job, Answer> {
    /// Lets `connect` make the connection in `patience`. From then on each job goes to `serve`. `another` comes back as
    /// soon as the server says anything to a new connection, or does not even take it.
    pub(super) fn open<Connection: 'static, Told: Send + 'static, Error: Send + 'static>(
        connect: impl FnOnce() -> Result<(Connection, Told), Error> + Send + 'static,
        serve: fn(&mut Connection, Job, &SyncSender<Answer>),
        another: impl Fn() -> bool + Send + Sync + 'static,
        patience: Duration,
    ) -> Result<Result<(Self, Told), Error>, Silence> {
        let (jobs, asked) = mpsc::channel();
        let (answer, answers) = mpsc::sync_channel(WAITING);
        let (connected, connecting) = mpsc::sync_channel(1);
        let work = move || match connect() {
            Err(error) => drop(connected.send(Err(error))),
            Ok((mut connection, told)) => {
                // Where nobody waits any more, no job comes.
                let _heard = connected.send(Ok(told));
                while let Ok(job) = asked.recv() {
                    serve(&mut connection, job, &answer);
                }
            }
        };
        let thread = Some(std::thread::Builder::new().name("server".to_owned()).spawn(work)?);
        let told = connecting.recv_timeout(patience).map_err(|error| silence(error, patience))?;
        let another = Arc::new(another);
        Ok(told.map(|told| (Line { jobs: Some(jobs), answers, thread, another, login: patience }, told)))
    }

    /// Hands a job over.
    pub(super) fn ask(&mut self, job: Job) -> Result<(), Silence> {
        let asked = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if asked { Ok(()) } else { Err(Silence::GivenUp) }
    }

    /// Waits for the next answer, for `patience`, and no longer than the server answers anybody. After that nothing can be
    /// asked any more: what is answered later would be taken for the answer to something else.
    pub(super) fn hear(&mut self, patience: Duration) -> Result<Answer, Silence> {
        self.hear_while(patience, QUIET, &mut || ())
    }

    /// The same, and calls `look` meanwhile after each `pause`.
    pub(super) fn hear_while(
        &mut self,
        patience: Duration,
        pause: Duration,
        look: &mut dyn FnMut(),
    ) -> Result<Answer, Silence> {
        let began = Instant::now();
        let mut heard = began;
        let error = loop {
            let left = patience.saturating_sub(began.elapsed());
            match self.answers.recv_timeout(left.min(pause)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if began.elapsed() < patience => look(),
                Err(error) => break error,
            }
            if heard.elapsed() >= QUIET {
                if !self.answers_another() {
                    break RecvTimeoutError::Timeout;
                }
                heard = Instant::now();
            }
        };
        // It may have come in the meantime.
        self.answers.try_recv().map_err(|_| {
            (self.jobs, self.thread) = (None, None);
            silence(error, began.elapsed())
        })
    }

    /// Whether the server says anything to another connection. An attempt that it lets pass leaves a thread behind, which
    /// ends when the server does or goes on.
    fn answers_another(&self) -> bool {
        (0..ATTEMPTS).any(|_| {
            let (say, said) = mpsc::sync_channel(1);
            let another = Arc::clone(&self.another);
            let attempt = move || {
                // Perhaps nobody waits any more.
                let _heard = say.send(another());
            };
            // Without a thread nothing is known of the server.
            let Ok(_thread) = std::thread::Builder::new().name("server alive".to_owned()).spawn(attempt) else {
                return true;
            };
            let began = Instant::now();
            let answers = said.recv_timeout(self.login) == Ok(true);
            if !answers {
                // One that is only busy has taken in some of its queue by then.
                std::thread::sleep(self.login.saturating_sub(began.elapsed()));
            }
            answers
        })
    }

    /// Whether nothing can be asked any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.jobs.is_none()
    }
}

impl<Job, Answer> Drop for Line<Job, Answer> {
    /// The farewell is said before anything else happens: locks of the session are free then. A thread that was given up
    /// is not waited for.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Whether a new connection that failed so was not taken: where a server hangs, the queue of those who wait for it fills.
pub(super) fn is_not_taken(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

fn silence(error: RecvTimeoutError, patience: Duration) -> Silence {
    match error {
        RecvTimeoutError::Timeout => Silence::Waited(patience),
        RecvTimeoutError::Disconnected => Silence::GivenUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that takes a while: so many seconds for a job.
    fn line() -> Line<u64, u64> {
        let serve = |_: &mut (), job: u64, answer: &SyncSender<u64>| {
            std::thread::sleep(Duration::from_secs(job));
            let _heard = answer.send(job);
        };
        Line::open(|| Ok::<_, ()>(((), ())), serve, || true, LOGIN).unwrap().unwrap().0
    }

    #[test]
    fn after_an_answer_that_did_not_come_nothing_is_asked_any_more() {
        let mut line = line();
        line.ask(0).unwrap();
        assert_eq!(line.hear(LOGIN).unwrap(), 0);
        line.ask(3_600).unwrap();
        assert!(matches!(line.hear(Duration::from_millis(10)), Err(Silence::Waited(_))));
        assert!(line.is_given_up());
        assert!(matches!(line.ask(0), Err(Silence::GivenUp)));
        // Nor is the thread waited for.
        drop(line);
    }

    #[test]
    fn a_server_that_lets_nobody_in_hangs_and_one_that_answers_at_once_does_not() {
        assert!(line().answers_another());
        let hangs = || {
            std::thread::sleep(LOGIN);
            true
        };
        let serve = |_: &mut (), (): (), _: &SyncSender<()>| ();
        let patience = Duration::from_millis(50);
        let line = Line::open(|| Ok::<_, ()>(((), ())), serve, hangs, patience).unwrap().unwrap().0;
        assert!(!line.answers_another());
    }

    #[test]
    fn a_server_that_takes_no_further_connection_is_given_as_long_as_one_that_lets_nobody_in() {
        let serve = |_: &mut (), (): (), _: &SyncSender<()>| ();
        let patience = Duration::from_millis(50);
        let line = Line::open(|| Ok::<_, ()>(((), ())), serve, || false, patience).unwrap().unwrap().0;
        let began = Instant::now();
        assert!(!line.answers_another());
        assert!(began.elapsed() >= patience * ATTEMPTS);
    }

    #[test]
    fn somebody_looks_while_an_answer_is_waited_for() {
        let mut line = line();
        line.ask(1).unwrap();
        let mut looks = 0;
        assert_eq!(line.hear_while(LOGIN, Duration::from_millis(10), &mut || looks += 1).unwrap(), 1);
        assert!(looks > 1);
    }

    #[test]
    fn a_login_that_takes_too_long_is_given_up() {
        let connect = || {
            std::thread::sleep(LOGIN);
            Ok::<_, ()>(((), ()))
        };
        let opened = Line::<(), ()>::open(connect, |(), (), _| {}, || true, Duration::from_millis(10));
        assert!(matches!(opened, Err(Silence::Waited(_))));
    }
}
