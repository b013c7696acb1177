//! Completions and manual pages, made from the description of the commands so that they cannot fall behind it.

use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

mod files;

use super::arguments::{Arguments, EXIT_CODES, FIRST_STEPS};
use super::output::Output;
use super::{Ended, Exit, Failure};

/// Where man-pages(7) has the commands of administrators.
const SECTION: &str = "8";

/// What a system's manual has of files.
const FILES: [(&str, &str); 3] = [
    ("/etc/forgetd", "The configuration."),
    ("/var/lib/forgetd", "The state as the shipped configuration places it: register, audit log, keys."),
    ("/var/lib/forgetd/stop", "Purges stop while this file exists."),
];

pub(super) fn completions(shell: clap_complete::Shell, output: &Output) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "forgetd", &mut script);
    output.bytes(&script);
    Ok(Exit::Done)
}

/// The main page on standard output, or every command's page in a directory.
pub(super) fn pages(directory: Option<&Path>, output: &Output) -> Ended {
    match directory {
        Some(directory) => write_pages(directory)
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", directory.display())))?,
        None => output.bytes(&main_page()?),
    }
    Ok(Exit::Done)
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let main = described();
    for command in main.get_subcommands() {
        write_page(command, directory)?;
    }
    std::fs::write(directory.join(format!("forgetd.{SECTION}")), main_page()?)?;
    for (name, page) in files::pages()? {
        std::fs::write(directory.join(name), page)?;
    }
    Ok(())
}

/// The page of a command, and those of the commands below it.
fn write_page(command: &Command, directory: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands() {
        write_page(below, directory)?;
    }
    Man::new(command.clone()).section(SECTION).generate_to(directory).map(|_path| ())
}

/// The commands, each with its whole name.
fn described() -> Command {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    command
}

/// As clap_mangen would make it, with the text behind the help in sections of its own.
fn main_page() -> std::io::Result<Vec<u8>> {
    let man = Man::new(described()).section(SECTION);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    section(&mut page, "FIRST STEPS", FIRST_STEPS)?;
    section(&mut page, "EXIT STATUS", EXIT_CODES)?;
    section(&mut page, "FILES", &FILES)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

fn section(page: &mut Vec<u8>, title: &str, entries: &[(&str, &str)]) -> std::io::Result<()> {
    writeln!(page, ".SH \"{title}\"")?;
    for (what, meaning) in entries {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", what, meaning)?;
    }
    Ok(())
}
