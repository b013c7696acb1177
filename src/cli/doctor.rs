//! `forgetd doctor`: is this installation sound?
//!
//! One page, a line for each thing that can be wrong, and what to do about it. Everything is looked at that can be,
//! whatever else is broken: an invalid configuration does not hide a full disk. Nothing is changed, and no records are
//! counted: that is `status`.

mod machine;
mod metrics;
mod state;
mod work;

use std::path::Path;

use serde::Serialize;

use super::output::{Output, number_of};
use super::{Ended, Exit, chain, session};
use crate::config::{Config, Problems, Trust, read_directory, state_directory};
use crate::plan::{self, Rule};
use crate::purge::StatePaths;
use crate::register::{ClockSample, InForce, Register};
use state::Access;

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Condition {
    Ok,
    /// It works, and somebody should know; or it could not be told.
    Warning,
    /// Something is not erased, not proven or not kept because of it, or soon will not be.
    Failed,
}

/// One line of the page.
#[derive(Debug, Serialize)]
struct Finding {
    about: &'static str,
    condition: Condition,
    finding: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, finding: impl Into<String>) -> Finding {
        Finding { about, condition: Condition::Ok, finding: finding.into(), advice: None }
    }

    fn warning(about: &'static str, finding: impl Into<String>) -> Finding {
        Finding { about, condition: Condition::Warning, finding: finding.into(), advice: None }
    }

    /// An error of a stage says itself what to do.
    fn failed(about: &'static str, finding: impl Into<String>) -> Finding {
        Finding { about, condition: Condition::Failed, finding: finding.into(), advice: None }
    }

    fn advising(self, advice: impl Into<String>) -> Finding {
        Finding { advice: Some(advice.into()), ..self }
    }
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    sound: bool,
    checks: Vec<Finding>,
}

/// What the checks look at, as far as it could be found.
struct Installation {
    paths: StatePaths,
    register: Option<Register>,
    rules: Vec<Rule>,
    in_force: Option<InForce>,
    clock: ClockSample,
}

pub(super) fn run(directory: &Path, output: &Output) -> Ended {
    let mut checks = Vec::new();
    let loaded = configuration(directory, &mut checks);
    let state_dir = match &loaded {
        Ok(config) => Some(config.daemon.state_dir.clone()),
        Err(_) => state_directory(directory, Trust::NotNeeded),
    };
    let clock = session::clock()?;
    match state_dir {
        Some(state_dir) => examine(directory, loaded, (StatePaths::new(&state_dir), clock), output, &mut checks),
        None => checks.push(
            Finding::failed("state directory", "it is not known where the state is: nothing else can be looked at")
                .advising("write `state-dir` in forgetd.toml, or name the configuration with `--config DIR`"),
        ),
    }
    let sound = checks.iter().all(|check| check.condition != Condition::Failed);
    let diagnosis = Diagnosis { sound, checks };
    output.result(&diagnosis, |output| print(&diagnosis, output));
    Ok(if sound { Exit::Done } else { Exit::Attention })
}

/// Reads the directory in two steps: whom the files belong to, and what they say.
fn configuration(directory: &Path, checks: &mut Vec<Finding>) -> Result<Config, Problems> {
    let sources = match read_directory(directory) {
        Ok(sources) => sources,
        Err(problems) => {
            told("permissions", directory, &problems, checks);
            return Err(problems);
        }
    };
    let files = number_of(sources.len(), "file");
    let owned = format!("{files} of {}: only root and the user forgetd runs as can write there", directory.display());
    checks.push(Finding::ok("permissions", owned));
    let config = Config::parse(sources).inspect_err(|problems| told("configuration", directory, problems, checks))?;
    let rules = plan::derive(&config);
    let (sites, number) = (number_of(config.sites.len(), "site"), number_of(rules.len(), "rule"));
    checks.push(Finding::ok("configuration", format!("valid: {sites}, {number}")));
    for finding in plan::consent_findings(&config) {
        checks.push(Finding::warning("configuration", finding));
    }
    Ok(config)
}

fn told(about: &'static str, directory: &Path, problems: &Problems, checks: &mut Vec<Finding>) {
    for problem in &problems.0 {
        let place = directory.join(&problem.file);
        let at = format!("{}:{}:{}: {}", place.display(), problem.line, problem.column, problem.message);
        let advice = problem.hint.clone();
        checks.push(Finding { advice, ..Finding::failed(about, at) });
    }
}

fn examine(
    directory: &Path,
    loaded: Result<Config, Problems>,
    (paths, clock): (StatePaths, ClockSample),
    output: &Output,
    checks: &mut Vec<Finding>,
) {
    let Access::Open(register) = state::check(&paths, clock.wall, checks) else { return };
    // What is wrong with the files, or with the register, stands there already.
    let in_force = InForce::determine(directory, loaded, register.as_ref()).ok();
    let rules = in_force.as_ref().map(|in_force| plan::derive(&in_force.config)).unwrap_or_default();
    let installation = Installation { paths, register, rules, in_force, clock };
    machine::check(&installation, checks);
    metrics::check(&installation, checks);
    work::check(&installation, output, checks);
}

fn print(diagnosis: &Diagnosis, output: &Output) {
    let width = diagnosis.checks.iter().map(|check| check.about.len()).max().unwrap_or(0);
    for Finding { about, condition, finding, advice } in &diagnosis.checks {
        let word = match condition {
            Condition::Ok => output.good("ok     "),
            Condition::Warning => output.attention("warning"),
            Condition::Failed => output.bad("failed "),
        };
        output.line(format!("{word}  {about:<width$}  {}", output.advice(finding)));
        if let Some(advice) = advice {
            output.line(format!("{:7}  {:<width$}  > {}", "", "", output.advice(advice)));
        }
    }
    let of = |wanted| diagnosis.checks.iter().filter(|check| check.condition == wanted).count();
    let counts = format!("{}, {}", number_of(of(Condition::Warning), "warning"), failures(of(Condition::Failed)));
    output.line("");
    output.line(if diagnosis.sound {
        format!("{}: {counts}.", output.good("This installation is sound"))
    } else {
        format!("{}: {counts}.", output.bad("This installation needs attention"))
    });
}

fn failures(number: usize) -> String {
    match number {
        0 => "nothing failed".to_owned(),
        number => format!("{number} failed"),
    }
}

/// An error of a stage with its causes, as a finding.
fn error(about: &'static str, error: &dyn std::error::Error) -> Finding {
    Finding::failed(about, chain(error))
}
