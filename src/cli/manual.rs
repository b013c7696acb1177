//! Completions and manual pages, made from the description of the commands so that they cannot fall behind it.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use super::arguments::{Arguments, EXIT_CODES, FIRST_STEPS};
use super::output::Output;
use super::{Ended, Exit, Failure};

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
    clap_mangen::generate_to(Arguments::command(), directory)?;
    std::fs::write(directory.join("forgetd.1"), main_page()?)
}

/// As clap_mangen would make it, with the text behind the help in sections of its own.
fn main_page() -> std::io::Result<Vec<u8>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command);
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
