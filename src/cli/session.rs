//! What every command begins with: the directory, the clock, the configuration in force, the state.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::output::Output;
use super::progress::Looks;
use super::{Exit, Failure};
use crate::config::{Config, Trust, state_directory};
use crate::plan::{self, Rule};
use crate::purge::{State, StatePaths};
use crate::register::{ClockSample, InForce, NothingInForce, Register};
use crate::safety::{self, Assessment, Circumstances};
use crate::service;

/// Where a system service's configuration stands.
const SYSTEM_DIRECTORY: &str = "/etc/forgetd";

/// Where a developer's or a demonstration's stands.
const LOCAL_DIRECTORY: &str = "config";

/// The configuration directory.
pub(super) fn directory(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| {
        let system = Path::new(SYSTEM_DIRECTORY);
        if system.exists() { system.to_owned() } else { LOCAL_DIRECTORY.into() }
    })
}

/// The clock of this machine.
pub(super) fn clock() -> Result<ClockSample, Failure> {
    Ok(service::read_clock()?)
}

/// Paths of the state, found even while the configuration is invalid, for commands that can only keep or read.
pub(super) fn state_paths(directory: &Path) -> Result<StatePaths, Failure> {
    match state_directory(directory, Trust::NotNeeded) {
        Some(state) => Ok(StatePaths::new(&state)),
        None => {
            let file = directory.join("forgetd.toml");
            Err(Failure::new(Exit::Invalid, format!("{}: no `state-dir` can be read from it", file.display())))
        }
    }
}

/// What a command that reads works from.
pub(super) struct Reading {
    pub(super) in_force: InForce,
    pub(super) rules: Vec<Rule>,
    pub(super) register: Option<Register>,
    pub(super) paths: StatePaths,
    pub(super) clock: ClockSample,
    pub(super) last_entry: Option<Timestamp>,
}

impl Reading {
    /// Reads the files as they stand, and the state as far as there is one. Tells the problems, where there are any.
    pub(super) fn begin(directory: &Path, output: &Output) -> Result<Reading, Failure> {
        let loaded = Config::load(directory);
        let state_dir = match &loaded {
            Ok(config) => Some(config.daemon.state_dir.clone()),
            Err(_) => state_directory(directory, Trust::Required),
        };
        let register = match &state_dir {
            Some(state_dir) => StatePaths::new(state_dir).existing_register()?,
            None => None,
        };
        let in_force = determine(directory, loaded, register.as_ref(), output)?;
        let paths = StatePaths::new(&state_dir.unwrap_or_else(|| in_force.config.daemon.state_dir.clone()));
        let last = crate::audit::read::last(&paths.audit(), 1).ok().and_then(|entries| entries.last().map(|e| e.time));
        let rules = plan::derive(&in_force.config);
        Ok(Reading { in_force, rules, register, paths, clock: clock()?, last_entry: last })
    }

    /// The rules that `prefix` means.
    pub(super) fn select(&self, prefix: Option<&str>) -> Result<Vec<&Rule>, Failure> {
        select(&self.rules, prefix)
    }

    /// The moment as the guards want it.
    pub(super) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            safety: self.in_force.config.daemon.safety,
            register: self.register.as_ref(),
            clock: &self.clock,
            last_entry: self.last_entry,
            stop: self.paths.stop(),
        }
    }

    /// Asks the guards about one rule.
    pub(super) fn assess(&self, rule: &Rule) -> Assessment {
        let suspended = self.in_force.suspended.get(&rule.site).map(String::as_str);
        safety::assess(rule, &mut *safety::open_store(rule), &self.circumstances(), suspended)
    }

    /// Asks the guards about each, and shows whoever watches which one it is.
    pub(super) fn assess_each<'a>(&self, rules: Vec<&'a Rule>, output: &Output) -> Vec<(&'a Rule, Assessment)> {
        let looks = Looks::at(rules.len(), output);
        let look = |rule: &'a Rule| {
            looks.next(rule.name.as_str());
            (rule, self.assess(rule))
        };
        rules.into_iter().map(look).collect()
    }

    /// How a command ends whose own result is `exit`.
    pub(super) fn exit(&self, exit: Exit) -> Exit {
        if self.in_force.problems.is_some() { Exit::Invalid } else { exit }
    }
}

/// What a command that changes something works from: the files are recorded first.
pub(super) struct Writing {
    pub(super) in_force: InForce,
    pub(super) rules: Vec<Rule>,
    pub(super) state: State,
    pub(super) clock: ClockSample,
}

impl Writing {
    /// Records the files as they stand, or, while they are invalid, works from the version in force.
    pub(super) fn begin(directory: &Path, output: &Output) -> Result<Writing, Failure> {
        let clock = clock()?;
        let loaded = Config::load(directory);
        let known = |state_dir: &PathBuf| StatePaths::new(state_dir).register().exists();
        let state_dir = match &loaded {
            Ok(config) => config.daemon.state_dir.clone(),
            Err(problems) => match state_directory(directory, Trust::Required).filter(known) {
                Some(state_dir) => state_dir,
                // Nothing was ever applied: no state is left behind.
                None => return Err(invalid(directory, problems)),
            },
        };
        let mut state = State::open(&state_dir, clock.wall)?;
        service::notice_restored(&mut state, clock.wall)?;
        let in_force = determine(directory, loaded, Some(&state.register), output)?;
        let rules = plan::derive(&in_force.config);
        if in_force.problems.is_none() {
            state.apply(&in_force.config, &rules, clock.wall)?;
        }
        Ok(Writing { in_force, rules, state, clock })
    }

    /// As [`Reading::exit`].
    pub(super) fn exit(&self, exit: Exit) -> Exit {
        if self.in_force.problems.is_some() { Exit::Invalid } else { exit }
    }
}

fn determine(
    directory: &Path,
    loaded: Result<Config, crate::config::Problems>,
    register: Option<&Register>,
    output: &Output,
) -> Result<InForce, Failure> {
    match InForce::determine(directory, loaded, register) {
        Ok(in_force) => {
            if let Some(problems) = &in_force.problems {
                output.note(&problems.display(directory).to_string());
                output.warning(
                    "the configuration is invalid: the version in force is used, and what it covers is suspended",
                );
            }
            Ok(in_force)
        }
        Err(NothingInForce::Invalid(problems)) => Err(invalid(directory, &problems)),
        Err(NothingInForce::Register(error)) => Err(error.into()),
    }
}

/// The problems of a directory, one after the other.
pub(super) fn invalid(directory: &Path, problems: &crate::config::Problems) -> Failure {
    Failure::new(Exit::Invalid, format!("the configuration is invalid:\n{}", problems.display(directory)))
}

/// The rules that `prefix` means; none is a mistake of the caller.
pub(super) fn select<'a>(rules: &'a [Rule], prefix: Option<&str>) -> Result<Vec<&'a Rule>, Failure> {
    let Some(prefix) = prefix else { return Ok(rules.iter().collect()) };
    let selected: Vec<&Rule> = rules.iter().filter(|rule| rule.name.is_within(prefix)).collect();
    if selected.is_empty() {
        return Err(Failure::usage(format!(
            "no rule is called `{prefix}` or begins so: `forgetd plan` lists them all"
        )));
    }
    Ok(selected)
}
