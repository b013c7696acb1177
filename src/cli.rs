//! The command line: each command calls the stages and presents what they say.
//!
//! Printing happens here and nowhere else, and so does the reading of the clock for one-off commands. Commands return
//! an [`Exit`]; only `main` ends the process.

mod approve;
mod arguments;
mod audit;
mod check;
mod cookies;
mod demo;
mod doctor;
mod drift;
mod holds;
mod init;
mod manual;
mod output;
mod papers;
mod plan;
mod progress;
mod purge;
mod register;
mod report;
mod session;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use arguments::{Arguments, Command, HoldCommand};
use output::Output;

use crate::service;
use crate::visible::visible;

/// How a command ended. The numbers are part of the public interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything asked for was done.
    Done,
    /// It failed.
    Failed,
    /// It was called wrongly.
    Usage,
    /// Something waits, is held or is overdue.
    Attention,
    /// The audit log does not verify.
    NotVerified,
    /// The configuration is invalid.
    Invalid,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Attention => 3,
            Exit::NotVerified => 4,
            Exit::Invalid => 78,
        })
    }
}

/// Why a command could not do its work: what to say, and how to end.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }
}

/// Any error of a stage ends a command with 1, told with all its causes.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(Exit::Failed, chain(&error))
    }
}

/// An error and its causes, each said once, on one line: a database repeats names as they are.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = visible(&error.to_string()).into_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = visible(&error.to_string()).into_owned();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// What a command returns.
pub(crate) type Ended = Result<Exit, Failure>;

/// Parses the arguments, runs the command, tells what went wrong.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Done } else { Exit::Usage }.into();
        }
    };
    let output = Output::new(arguments.json, arguments.config.as_deref());
    match run(arguments, &output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.error(&failure.message);
            failure.exit.into()
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Ended {
    let directory = session::directory(arguments.config);
    match arguments.command {
        Command::Run => run_daemon(&directory, output),
        Command::Demo(options) => demo::run(&options, output),
        Command::Init(options) => init::run(&directory, &options, output),
        Command::Check(options) => check::run(&directory, &options, output),
        Command::Plan { rule } => plan::run(&directory, rule.as_deref(), output),
        Command::Approve(options) => approve::run(&directory, &options, output),
        Command::Purge(options) => purge::run(&directory, &options, output),
        Command::Doctor => doctor::run(&directory, output),
        Command::Status => status::run(&directory, output),
        Command::Drift { site } => drift::run(&directory, site.as_deref(), output),
        Command::Hold { command } => match command {
            HoldCommand::Add(options) => holds::add(&directory, &options, output),
            HoldCommand::List => holds::list(&directory, output),
            HoldCommand::Lift { hold } => holds::lift(&directory, hold, output),
        },
        Command::StopPurges { lift } => holds::stop_purges(&directory, lift, output),
        Command::Register { command } => register::run(&directory, &command, output),
        Command::Cookies { command } => cookies::run(&directory, &command, output),
        Command::Audit { log, command } => audit::run(&directory, log, &command, output),
        Command::Completions { shell } => manual::completions(shell, output),
        Command::Man { directory } => manual::pages(directory.as_deref(), output),
    }
}

fn run_daemon(directory: &std::path::Path, output: &Output) -> Ended {
    match service::run(directory) {
        Ok(()) => Ok(Exit::Done),
        Err(service::ServiceError::Invalid(problems)) => {
            output.error(&problems.display(directory).to_string());
            Err(Failure::new(Exit::Invalid, "the configuration is invalid and none was ever applied: nothing to run"))
        }
        Err(error) => Err(error.into()),
    }
}
