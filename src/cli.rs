//! The command line: each command calls the stages and presents what they say.
//!
//! Printing happens here and nowhere else, and so does the reading of the clock for one-off commands. Commands return
//! an [`Exit`]; only `main` ends the process.

mod approve;
mod arguments;
mod audit;
mod check;
mod demo;
mod holds;
mod output;
mod plan;
mod progress;
mod purge;
mod register;
mod session;
mod status;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command, HoldCommand};
use output::Output;

use crate::service;

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

/// An error and its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
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
    let output = Output::new(arguments.json);
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
        Command::Check(options) => check::run(&directory, &options, output),
        Command::Plan { rule } => plan::run(&directory, rule.as_deref(), output),
        Command::Approve(options) => approve::run(&directory, &options, output),
        Command::Purge(options) => purge::run(&directory, &options, output),
        Command::Status => status::run(&directory, output),
        Command::Hold { command } => match command {
            HoldCommand::Add(options) => holds::add(&directory, &options, output),
            HoldCommand::List => holds::list(&directory, output),
            HoldCommand::Lift { hold } => holds::lift(&directory, hold, output),
        },
        Command::StopPurges { lift } => holds::stop_purges(&directory, lift, output),
        Command::Register { command } => register::run(&directory, &command, output),
        Command::Audit { log, command } => audit::run(&directory, log, &command, output),
        Command::Completions { shell } => {
            output.bytes(&completions(shell));
            Ok(Exit::Done)
        }
        Command::Man { directory } => manual(directory.as_deref(), output),
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

fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "forgetd", &mut script);
    script
}

/// The manual page on standard output, or every command's page in a directory.
fn manual(directory: Option<&std::path::Path>, output: &Output) -> Ended {
    match directory {
        Some(directory) => clap_mangen::generate_to(Arguments::command(), directory)?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            output.bytes(&page);
        }
    }
    Ok(Exit::Done)
}
