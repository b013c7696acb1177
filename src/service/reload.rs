//! Applying a change of the configuration: whole, or not at all.
//!
//! What is in force comes from the register's last version; a directory that cannot be applied leaves it there, says
//! why, and suspends the sites that the mistakes concern, a run under way among them.

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::watch::Fingerprint;
use super::{Daemon, ServiceError, read_clock};
use crate::audit::{Event, Sync};
use crate::config::{Config, Problem, Problems};
use crate::plan;
use crate::register::InForce;

/// An entry is bounded: a mistake in `forgetd.toml` suspends every site there is.
const MOST_SITES_NAMED: usize = 500;

/// Why the directory is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something changed in it, or may have.
    Noticed,
    /// Somebody asked for it, and wants to hear what is wrong even if that was said before.
    Asked,
}

impl Daemon {
    /// Looks at the whole directory again.
    pub(super) fn reload(&mut self, cause: Cause) -> Result<(), ServiceError> {
        self.reload = None;
        self.systemd.reloading();
        // In this order, a change made meanwhile is either read now or noticed later.
        self.watch.renew();
        self.fingerprint = Fingerprint::of(&self.directory);
        let now = read_clock()?.wall;
        match self.load() {
            Ok(config) => self.apply(config, now)?,
            Err(problems) => self.refuse(problems, cause, now)?,
        }
        self.systemd.ready(&self.state_of_affairs());
        self.systemd.feed_watchdog(Instant::now());
        Ok(())
    }

    /// The configuration as the directory has it, if this daemon can take it.
    fn load(&self) -> Result<Config, Problems> {
        let config = Config::load(&self.directory)?;
        if config.daemon.state_dir == self.in_force.config.daemon.state_dir {
            return Ok(config);
        }
        // Approvals, holds and evidence stand in the old one; the daemon's lock does, too.
        Err(Problems(vec![Problem {
            file: "forgetd.toml".to_owned(),
            line: 1,
            column: 1,
            message: "`state-dir` is not the one that the running daemon works with".to_owned(),
            excerpt: None,
            width: 0,
            hint: Some("restart forgetd to move to another state, or write the old one".to_owned()),
        }]))
    }

    fn apply(&mut self, config: Config, now: Timestamp) -> Result<(), ServiceError> {
        let was_invalid = self.in_force.problems.is_some();
        if !was_invalid && config.digest() == self.in_force.config.digest() {
            return Ok(());
        }
        self.in_force = InForce { config, suspended: Default::default(), problems: None };
        if was_invalid {
            info!("the configuration is valid again");
        }
        self.come_into_force(now)
    }

    fn refuse(&mut self, problems: Problems, cause: Cause, now: Timestamp) -> Result<(), ServiceError> {
        let config = self.in_force.config.clone();
        let refused = InForce::while_invalid(&self.directory, config, problems);
        let before = std::mem::replace(&mut self.in_force, refused);
        let known =
            (before.problems, before.suspended) == (self.in_force.problems.clone(), self.in_force.suspended.clone());
        self.interrupt_what_changed();
        self.exporter.update(&self.in_force, &self.rules);
        if !known || cause == Cause::Asked {
            self.tell_problems();
        }
        if !known {
            self.record_problems(now)?;
        }
        Ok(())
    }

    /// Applies what is in force now: record, derive, plan the next runs.
    pub(super) fn come_into_force(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        self.logging.set_level(self.in_force.config.daemon.log);
        self.rules = plan::derive(&self.in_force.config);
        self.watchman.begin_anew();
        if self.in_force.problems.is_some() {
            self.tell_problems();
            self.record_problems(now)?;
        } else {
            let recorded = self.control.apply(&self.in_force.config, &self.rules, now)?;
            for change in &recorded.changes {
                debug!(%change, "configuration");
            }
            if recorded.new_version {
                let (version, changes) = (recorded.version, recorded.changes.len());
                info!(version, changes, rules = self.rules.len(), "configuration applied");
            }
        }
        self.interrupt_what_changed();
        self.exporter.update(&self.in_force, &self.rules);
        let Config { daemon, sites, .. } = &self.in_force.config;
        Ok(self.agenda.update(&self.rules, sites, daemon.safety, &self.control.register, now)?)
    }

    /// A run whose rule is no longer what it was, or whose site is in doubt, ends after its batch.
    fn interrupt_what_changed(&self) {
        let Some(job) = &self.job else { return };
        let unchanged = self.rules.iter().any(|rule| rule.definition == job.rule().definition);
        if !unchanged || self.in_force.suspended.contains_key(&job.rule().site) {
            job.interrupt();
        }
    }

    fn tell_problems(&self) {
        let Some(problems) = &self.in_force.problems else { return };
        for Problem { file, line, column, message, hint, .. } in &problems.0 {
            let path = self.directory.join(file);
            error!(hint, "{}:{line}:{column}: {message}", path.display());
        }
        let sites = self.in_force.suspended.len();
        warn!(sites, "the configuration is invalid: nothing new is applied, the sites it concerns are suspended");
    }

    fn record_problems(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        let Some(problems) = &self.in_force.problems else { return Ok(()) };
        let event = Event::ConfigRejected {
            problems: u64::try_from(problems.0.len()).unwrap_or(u64::MAX),
            suspended: self.in_force.suspended.keys().take(MOST_SITES_NAMED).cloned().collect(),
        };
        self.control.log.append(now, &event, Sync::Later)?;
        self.control.log.checkpoint()?;
        Ok(())
    }
}
