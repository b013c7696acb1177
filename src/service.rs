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
mod systemd;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tracing::{error, info, warn};

pub use clock::{ClockError, read_clock};
pub use interrupt::Interrupt;
pub use watch::{is_running, wake};

use crate::audit::{AuditError, Event, Sync};
use crate::config::{Config, Problems, Trust, state_directory};
use crate::plan::{self, Rule};
use crate::purge::{self, PurgeError, State, StateError, StatePaths};
use crate::register::{InForce, NothingInForce, RegisterError};
use crate::safety;
use agenda::Agenda;
use job::{Job, Report};
use systemd::Systemd;
use watch::{DaemonLock, Fingerprint, Watch};

/// A change is looked at when its writer has been quiet for so long: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(150);

/// However busily a directory changes, it is looked at after this: a change is in force within a second.
const LONGEST_SETTLE: Duration = Duration::from_millis(600);

/// The net under the watch: file systems that tell nothing, clocks that were set, approvals that nobody announced.
const POLL: Duration = Duration::from_secs(60);

/// Silence would look like removal: the log says at least so often that there is nothing to say.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(24);

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
    /// The directory cannot be watched.
    #[error("the configuration directory cannot be watched: {0}")]
    Watch(#[from] notify::Error),
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
    start_logging();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (daemon, changes) = Daemon::start(directory)?;
        daemon.serve(changes).await
    })
}

/// Events go to standard error: as lines for people on a terminal and in the journal.
fn start_logging() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Already set when a test runs two daemons in one process: the first one serves both.
    let _ = subscriber.try_init();
}

/// The daemon between two events.
struct Daemon {
    directory: PathBuf,
    in_force: InForce,
    rules: Vec<Rule>,
    agenda: Agenda,
    /// For everything but purges.
    control: State,
    /// For purges; away while one is under way.
    worker: Option<State>,
    job: Option<Job>,
    fingerprint: Fingerprint,
    /// When a change was first noticed, and when it will be looked at.
    reload: Option<(Instant, Instant)>,
    poll_at: Instant,
    heartbeat_at: Timestamp,
    systemd: Systemd,
    _watch: Watch,
    _lock: DaemonLock,
}

impl Daemon {
    fn start(directory: &Path) -> Result<(Daemon, UnboundedReceiver<watch::Change>), ServiceError> {
        let clock = read_clock()?;
        let loaded = Config::load(directory);
        let known = |state_dir: &Path| StatePaths::new(state_dir).register().exists();
        let state_dir = match &loaded {
            Ok(config) => config.daemon.state_dir.clone(),
            Err(problems) => match state_directory(directory, Trust::Required).filter(|state| known(state)) {
                Some(state_dir) => state_dir,
                None => return Err(ServiceError::Invalid(problems.clone())),
            },
        };
        let fingerprint = Fingerprint::of(directory);
        let mut control = State::open(&state_dir, clock.wall)?;
        let lock = DaemonLock::acquire(&control.paths)?;
        let worker = State::open(&state_dir, clock.wall)?;
        let in_force = match InForce::determine(directory, loaded, Some(&control.register)) {
            Ok(in_force) => in_force,
            Err(NothingInForce::Invalid(problems)) => return Err(ServiceError::Invalid(problems)),
            Err(NothingInForce::Register(error)) => return Err(error.into()),
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        control.log.append(clock.wall, &Event::DaemonStarted { version }, Sync::Later)?;
        control.log.checkpoint()?;
        for error in purge::recover_all(&mut control, clock.wall)? {
            warn!(%error, "an interrupted run is not resolved yet");
        }
        let (watch, changes) = Watch::begin(directory, &control.paths)?;
        let mut daemon = Daemon {
            directory: directory.to_owned(),
            in_force,
            rules: Vec::new(),
            agenda: Agenda::default(),
            control,
            worker: Some(worker),
            job: None,
            fingerprint,
            reload: None,
            poll_at: Instant::now() + POLL,
            heartbeat_at: clock.wall.saturating_add(HEARTBEAT).unwrap_or(clock.wall),
            systemd: Systemd::from_environment(),
            _watch: watch,
            _lock: lock,
        };
        daemon.come_into_force(clock.wall)?;
        Ok((daemon, changes))
    }

    async fn serve(mut self, mut changes: UnboundedReceiver<watch::Change>) -> Result<(), ServiceError> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (mut terminate, mut interrupt): (Signal, Signal) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        self.systemd.ready();
        info!(sites = self.in_force.config.sites.len(), rules = self.rules.len(), "ready");
        loop {
            self.begin_what_is_due()?;
            let wake_at = self.wake_at()?;
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => self.reload()?,
                Some(change) = changes.recv() => self.notice(change)?,
                report = job::finished(&mut self.job) => self.job_ended(report)?,
                () = tokio::time::sleep_until(wake_at) => self.tick()?,
            }
        }
        self.end().await
    }

    /// Ends after the batch under way.
    async fn end(mut self) -> Result<(), ServiceError> {
        self.systemd.stopping();
        info!("ending after the current batch");
        if let Some(job) = &self.job {
            job.interrupt();
            let report = job::finished(&mut self.job).await;
            self.job_ended(report)?;
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
        if self.job.is_none()
            && let Some(due) = self.agenda.next_due()
        {
            let wait = due.duration_since(read_clock()?.wall);
            at = at.min(Instant::now() + Duration::try_from(wait).unwrap_or(Duration::ZERO));
        }
        Ok(at)
    }

    fn tick(&mut self) -> Result<(), ServiceError> {
        let now = Instant::now();
        self.systemd.feed_watchdog(now);
        if self.reload.is_some_and(|(_, at)| at <= now) {
            self.reload()?;
        }
        if self.poll_at <= now {
            self.poll_at = now + POLL;
            if Fingerprint::of(&self.directory) != self.fingerprint {
                self.reload()?;
            }
            self.look_for_approvals()?;
            self.heartbeat()?;
        }
        Ok(())
    }

    fn notice(&mut self, change: watch::Change) -> Result<(), ServiceError> {
        match change {
            watch::Change::Configuration => {
                let now = Instant::now();
                let first = self.reload.map_or(now, |(first, _)| first);
                self.reload = Some((first, (now + SETTLE).min(first + LONGEST_SETTLE)));
            }
            watch::Change::Woken => self.look_for_approvals()?,
        }
        Ok(())
    }

    /// Looks at the whole directory again.
    fn reload(&mut self) -> Result<(), ServiceError> {
        self.reload = None;
        self.systemd.reloading();
        self.fingerprint = Fingerprint::of(&self.directory);
        let now = read_clock()?.wall;
        match Config::load(&self.directory) {
            Ok(config) if config.daemon.state_dir != self.in_force.config.daemon.state_dir => {
                // Approvals, holds and evidence stand in the old one.
                error!("`state-dir` has changed: restart forgetd to move to another state; nothing was applied");
            }
            Ok(config) => {
                let news = self.in_force.problems.is_some() || config.digest() != self.in_force.config.digest();
                if news {
                    self.in_force = InForce { config, suspended: Default::default(), problems: None };
                    self.come_into_force(now)?;
                }
            }
            Err(problems) => {
                let known = self.in_force.problems.as_ref() == Some(&problems);
                let config = self.in_force.config.clone();
                self.in_force = InForce::while_invalid(&self.directory, config, problems);
                if !known {
                    self.tell_problems(now)?;
                }
                self.interrupt_what_changed();
            }
        }
        self.systemd.ready();
        Ok(())
    }

    /// Applies what is in force now: record, derive, plan the next runs.
    fn come_into_force(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        self.rules = plan::derive(&self.in_force.config);
        if self.in_force.problems.is_some() {
            self.tell_problems(now)?;
        } else {
            let recorded = self.control.apply(&self.in_force.config, &self.rules, now)?;
            for change in &recorded.changes {
                tracing::debug!(%change, "configuration");
            }
            if recorded.new_version {
                let (version, changes) = (recorded.version, recorded.changes.len());
                info!(version, changes, rules = self.rules.len(), "configuration applied");
            }
        }
        self.interrupt_what_changed();
        let sites = &self.in_force.config.sites;
        Ok(self.agenda.update(&self.rules, sites, &self.control.register, now)?)
    }

    fn tell_problems(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        let Some(problems) = &self.in_force.problems else { return Ok(()) };
        for problem in &problems.0 {
            error!(file = %problem.file, line = problem.line, column = problem.column, "{}", problem.message);
        }
        let suspended: Vec<String> = self.in_force.suspended.keys().cloned().collect();
        warn!(
            sites = suspended.len(),
            "the configuration is invalid: nothing new is applied, these sites are suspended"
        );
        let event = Event::ConfigRejected {
            problems: u64::try_from(problems.0.len()).unwrap_or(u64::MAX),
            suspended: suspended.into_iter().take(MOST_SITES_NAMED).collect(),
        };
        self.control.log.append(now, &event, Sync::Later)?;
        self.control.log.checkpoint()?;
        Ok(())
    }

    /// A run whose rule is no longer what it was, or whose site is in doubt, ends after its batch.
    fn interrupt_what_changed(&self) {
        let Some(job) = &self.job else { return };
        let unchanged = self.rules.iter().any(|rule| rule.definition == job.rule().definition);
        if !unchanged || self.in_force.suspended.contains_key(&job.rule().site) {
            job.interrupt();
        }
    }

    fn begin_what_is_due(&mut self) -> Result<(), ServiceError> {
        if self.job.is_some() {
            return Ok(());
        }
        let clock = read_clock()?;
        while let Some(name) = self.agenda.take_due(clock.wall) {
            let Some(rule) = self.rules.iter().find(|rule| rule.name == name) else { continue };
            let Some(state) = self.worker.take() else { return Ok(()) };
            let daemon = &self.in_force.config.daemon;
            let suspended = self.in_force.suspended.get(&rule.site).cloned();
            self.job = Some(Job::begin(rule.clone(), state, (daemon.safety, daemon.pace), clock, suspended));
            return Ok(());
        }
        Ok(())
    }

    fn job_ended(&mut self, report: Report) -> Result<(), ServiceError> {
        self.job = None;
        let Report { rule, state, outcome } = report;
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
        Ok(())
    }

    /// An operator may have approved something: what waits for nothing else is due again.
    fn look_for_approvals(&mut self) -> Result<(), ServiceError> {
        let now = read_clock()?.wall;
        Ok(self.agenda.reconsider(&self.rules, &self.in_force.config.sites, &self.control.register, now)?)
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

/// An entry is bounded: a mistake in `forgetd.toml` suspends every site there is.
const MOST_SITES_NAMED: usize = 500;
