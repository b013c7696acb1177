//! The daemon: it waits, for schedules, changes and signals, and has the work done.
//!
//! A current-thread tokio runtime is the shell that waits. One purge at a time runs in a blocking thread with a state
//! of its own (register and audit log can be open several times), so that a reload is never behind a long run. The
//! configuration of a run is taken by value when it begins; a change that touches its rule ends it after the batch
//! under way.

mod agenda;
mod clock;
mod interrupt;
mod job;
mod logging;
mod metrics;
mod observe;
mod reload;
mod restored;
mod systemd;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tracing::{info, warn};

pub use clock::{ClockError, read_clock};
pub use interrupt::Interrupt;
pub use restored::notice_restored;
pub use watch::{Fingerprint, is_running, running_process, wake};

use crate::audit::{AuditError, Event, Sync};
use crate::config::{Config, Problems, Trust, state_directory};
use crate::plan::Rule;
use crate::purge::{self, PurgeError, State, StateError, StatePaths};
use crate::register::{InForce, NothingInForce, RegisterError};
use crate::safety;
use agenda::{Agenda, Decisions};
use job::{Job, Report};
use logging::Logging;
use metrics::Exporter;
use observe::Watchman;
use reload::Cause;
use systemd::Systemd;
use watch::{Change, DaemonLock, Watch};

/// A change is looked at when its writer has been quiet for so long: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// However busily a directory changes, it is looked at after this: a change is in force within a second.
const LONGEST_SETTLE: Duration = Duration::from_millis(400);

/// The net under the watch: file systems that tell nothing, clocks that were set, approvals that nobody announced.
const POLL: Duration = Duration::from_secs(60);

/// Silence would look like removal: the log says at least so often that there is nothing to say.
pub const HEARTBEAT: SignedDuration = SignedDuration::from_hours(24);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration is invalid and none was ever applied.
    #[error("the configuration is invalid, and none was ever applied")]
    Invalid(Problems),
    /// Another daemon works on the same state.
    #[error("another forgetd is running on {0}")]
    AlreadyRunning(PathBuf),
    /// State or evidence cannot be written: every job stops.
    #[error("every purge is stopped: {0}")]
    State(#[from] StateError),
    /// The clock cannot be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The runtime or a signal could not be set up.
    #[error("{0}")]
    Runtime(#[from] std::io::Error),
}

impl From<PurgeError> for ServiceError {
    fn from(error: PurgeError) -> ServiceError {
        match error {
            PurgeError::State(error) => ServiceError::State(error),
        }
    }
}

impl From<RegisterError> for ServiceError {
    fn from(error: RegisterError) -> ServiceError {
        ServiceError::State(error.into())
    }
}

impl From<AuditError> for ServiceError {
    fn from(error: AuditError) -> ServiceError {
        ServiceError::State(error.into())
    }
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// See [`ServiceError`].
pub fn run(directory: &Path) -> Result<(), ServiceError> {
    let logging = Logging::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A signal during a long start is heard when it is over.
        let signals = Signals::receive()?;
        let (daemon, changes) = Daemon::start(directory, logging)?;
        daemon.serve(signals, changes).await
    })
}

/// The signals that mean something to the daemon.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn receive() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The daemon between two events.
struct Daemon {
    directory: PathBuf,
    in_force: InForce,
    rules: Vec<Rule>,
    agenda: Agenda,
    /// For everything but purges.
    control: State,
    /// For purges and looks at the stores; away while one is under way.
    worker: Option<State>,
    job: Option<Job>,
    watchman: Watchman,
    fingerprint: Fingerprint,
    /// When a change was first noticed, and when it will be looked at.
    reload: Option<(Instant, Instant)>,
    /// What operators had decided when last looked at.
    decisions: Decisions,
    /// How often something was decided since the start: a job that began before was judged by less.
    decided: u64,
    poll_at: Instant,
    /// The wall clock at the last poll.
    polled: Timestamp,
    heartbeat_at: Timestamp,
    logging: Logging,
    exporter: Exporter,
    systemd: Systemd,
    watch: Watch,
    _lock: DaemonLock,
}

impl Daemon {
    fn start(directory: &Path, logging: Logging) -> Result<(Daemon, UnboundedReceiver<Change>), ServiceError> {
        let clock = read_clock()?;
        // Watched before it is read: a change in between is noticed.
        let (mut watch, changes) = Watch::begin(directory);
        let fingerprint = Fingerprint::of(directory);
        let loaded = Config::load(directory);
        let known = |state_dir: &Path| StatePaths::new(state_dir).register().exists();
        let state_dir = match &loaded {
            Ok(config) => config.daemon.state_dir.clone(),
            Err(problems) => match state_directory(directory, Trust::Required).filter(|state| known(state)) {
                Some(state_dir) => state_dir,
                None => return Err(ServiceError::Invalid(problems.clone())),
            },
        };
        let mut control = State::open(&state_dir, clock.wall)?;
        let lock = DaemonLock::acquire(&control.paths)?;
        watch.listen_for_commands(&control.paths);
        let worker = State::open(&state_dir, clock.wall)?;
        let in_force = match InForce::determine(directory, loaded, Some(&control.register)) {
            Ok(in_force) => in_force,
            Err(NothingInForce::Invalid(problems)) => return Err(ServiceError::Invalid(problems)),
            Err(NothingInForce::Register(error)) => return Err(error.into()),
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        control.log.append(clock.wall, &Event::DaemonStarted { version }, Sync::Later)?;
        control.log.checkpoint()?;
        notice_restored(&mut control, clock.wall)?;
        for error in purge::recover_all(&mut control, clock.wall)? {
            warn!(%error, "an interrupted run is not resolved yet");
        }
        let decisions = Decisions::now(&control.paths, &control.register, clock.wall)?;
        let exporter = Exporter::new(&control.paths);
        let watchman = Watchman::new(&control.paths.audit(), clock.wall);
        let mut daemon = Daemon {
            directory: directory.to_owned(),
            in_force,
            rules: Vec::new(),
            agenda: Agenda::default(),
            control,
            worker: Some(worker),
            job: None,
            watchman,
            fingerprint,
            reload: None,
            decisions,
            decided: 0,
            poll_at: Instant::now() + POLL,
            polled: clock.wall,
            heartbeat_at: clock.wall.saturating_add(HEARTBEAT).unwrap_or(clock.wall),
            logging,
            exporter,
            systemd: Systemd::from_environment(),
            watch,
            _lock: lock,
        };
        daemon.come_into_force(clock.wall)?;
        Ok((daemon, changes))
    }

    async fn serve(mut self, mut signals: Signals, mut changes: UnboundedReceiver<Change>) -> Result<(), ServiceError> {
        self.systemd.ready(&self.state_of_affairs());
        info!(sites = self.in_force.config.sites.len(), rules = self.rules.len(), "ready");
        loop {
            self.begin_what_is_due()?;
            self.look_around()?;
            let wake_at = self.wake_at()?;
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hangup.recv() => self.reload(Cause::Asked)?,
                Some(change) = changes.recv() => self.notice(change)?,
                report = job::finished(&mut self.job) => self.job_ended(report)?,
                looked = observe::finished(&mut self.watchman) => self.looked(looked)?,
                () = tokio::time::sleep_until(wake_at) => self.tick()?,
            }
        }
        self.end().await
    }

    /// Ends after the batch under way.
    async fn end(mut self) -> Result<(), ServiceError> {
        self.systemd.stopping();
        info!("ending after the current batch");
        while let Some(job) = &self.job {
            job.interrupt();
            let watchdog_at = self.systemd.watchdog_at().unwrap_or_else(|| Instant::now() + POLL);
            tokio::select! {
                report = job::finished(&mut self.job) => self.job_ended(report)?,
                () = tokio::time::sleep_until(watchdog_at) => self.systemd.feed_watchdog(Instant::now()),
            }
        }
        self.control.log.append(read_clock()?.wall, &Event::DaemonStopped {}, Sync::Later)?;
        self.control.log.checkpoint()?;
        Ok(())
    }

    /// The next moment at which something must be looked at.
    fn wake_at(&self) -> Result<Instant, ServiceError> {
        let mut at = self.poll_at;
        if let Some((_, reload_at)) = self.reload {
            at = at.min(reload_at);
        }
        if let Some(watchdog_at) = self.systemd.watchdog_at() {
            at = at.min(watchdog_at);
        }
        if self.worker.is_none() {
            return Ok(at);
        }
        let now = read_clock()?.wall;
        if let Some(due) = self.agenda.next_due() {
            let wait = due.duration_since(now);
            at = at.min(Instant::now() + Duration::try_from(wait).unwrap_or(Duration::ZERO));
        }
        Ok(self.watchman.wake_at(now).map_or(at, |look_at| at.min(look_at)))
    }

    fn tick(&mut self) -> Result<(), ServiceError> {
        let now = Instant::now();
        self.systemd.feed_watchdog(now);
        if self.reload.is_some_and(|(_, at)| at <= now) {
            self.reload(Cause::Noticed)?;
        }
        if self.poll_at <= now {
            self.poll_at = now + POLL;
            if Fingerprint::of(&self.directory) != self.fingerprint {
                self.reload(Cause::Noticed)?;
            }
            self.notice_clock_set_back()?;
            self.look_for_decisions()?;
            self.heartbeat()?;
            self.tell_checkpoints_of_others()?;
            self.exporter.refresh();
        }
        Ok(())
    }

    /// Other commands sign checkpoints too, and whatever they would tell goes to a terminal: the journal knows them
    /// from here. While a purge is under way, what it signs is told by the purge.
    fn tell_checkpoints_of_others(&mut self) -> Result<(), ServiceError> {
        let Some(worker) = &self.worker else { return Ok(()) };
        Ok(self.control.log.tell_of_others(worker.log.told())?)
    }

    /// What was planned by a clock that was ahead would come too late by as much.
    fn notice_clock_set_back(&mut self) -> Result<(), ServiceError> {
        let now = read_clock()?.wall;
        let before = std::mem::replace(&mut self.polled, now);
        if now >= before {
            return Ok(());
        }
        warn!(seconds = before.duration_since(now).as_secs(), "the clock was set back: all runs are planned anew");
        self.heartbeat_at = self.heartbeat_at.min(now.saturating_add(HEARTBEAT).unwrap_or(now));
        self.watchman.clock_set_back(now);
        self.agenda.forget();
        let Config { daemon, sites, .. } = &self.in_force.config;
        Ok(self.agenda.update(&self.rules, sites, daemon.safety, &self.control.register, now)?)
    }

    fn notice(&mut self, change: Change) -> Result<(), ServiceError> {
        match change {
            Change::Configuration => {
                let now = Instant::now();
                let first = self.reload.map_or(now, |(first, _)| first);
                self.reload = Some((first, (now + SETTLE).min(first + LONGEST_SETTLE)));
                Ok(())
            }
            Change::Woken => {
                self.tell_checkpoints_of_others()?;
                self.something_was_decided(read_clock()?.wall)
            }
        }
    }

    fn begin_what_is_due(&mut self) -> Result<(), ServiceError> {
        if self.worker.is_none() {
            return Ok(());
        }
        let clock = read_clock()?;
        while let Some(name) = self.agenda.take_due(clock.wall) {
            let Some(rule) = self.rules.iter().find(|rule| rule.name == name) else { continue };
            let Some(state) = self.worker.take() else { return Ok(()) };
            let daemon = &self.in_force.config.daemon;
            let suspended = self.in_force.suspended.get(&rule.site).cloned();
            self.job =
                Some(Job::begin(rule.clone(), state, (daemon.safety, daemon.pace), clock, suspended, self.decided));
            return Ok(());
        }
        Ok(())
    }

    fn job_ended(&mut self, report: Report) -> Result<(), ServiceError> {
        self.job = None;
        let Report { rule, decided, state, outcome } = report;
        self.worker = Some(match state {
            Some(state) => state,
            None => State::open(self.control.paths.dir(), read_clock()?.wall)?,
        });
        let outcome = outcome?;
        let now = read_clock()?.wall;
        let next = match self.in_force.config.sites.get(&rule.site) {
            Some(site) if self.rules.iter().any(|known| known.name == rule.name) => {
                self.agenda.after(&rule, site, &outcome, now)
            }
            _ => None,
        };
        job::tell(&rule, &outcome, next);
        self.exporter.refresh();
        if decided != self.decided {
            // What was decided while the guards were asked may be just what they asked for.
            self.reconsider(now)?;
        }
        Ok(())
    }

    /// An operator may have decided something without telling: by removing the stop switch, say.
    fn look_for_decisions(&mut self) -> Result<(), ServiceError> {
        let now = read_clock()?.wall;
        let decisions = Decisions::now(&self.control.paths, &self.control.register, now)?;
        if decisions == self.decisions { Ok(()) } else { self.something_was_decided(now) }
    }

    fn something_was_decided(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        self.decisions = Decisions::now(&self.control.paths, &self.control.register, now)?;
        self.decided += 1;
        self.exporter.refresh();
        self.reconsider(now)
    }

    /// What waits for nothing else any more is due again.
    fn reconsider(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        Ok(self.agenda.reconsider(&self.rules, &self.in_force.config.sites, &self.control.register, now)?)
    }

    /// In one line, for whoever asks the service manager.
    fn state_of_affairs(&self) -> String {
        let (sites, rules) = (self.in_force.config.sites.len(), self.rules.len());
        match (&self.in_force.problems, self.in_force.suspended.len()) {
            (None, _) => format!("{sites} sites, {rules} rules"),
            (Some(_), suspended) => format!("the configuration is invalid; {suspended} of {sites} sites suspended"),
        }
    }

    fn heartbeat(&mut self) -> Result<(), ServiceError> {
        let clock = read_clock()?;
        if clock.wall < self.heartbeat_at {
            return Ok(());
        }
        self.heartbeat_at = clock.wall.saturating_add(HEARTBEAT).unwrap_or(clock.wall);
        let (kept, last) = (self.control.register.clock_sample()?, self.control.log.last_time());
        if safety::clock::check(&clock, kept.as_ref(), last).is_ok() {
            self.control.register.keep_clock_sample(&clock)?;
        }
        self.control.log.append(clock.wall, &Event::Heartbeat {}, Sync::Later)?;
        self.control.log.checkpoint()?;
        Ok(())
    }
}
