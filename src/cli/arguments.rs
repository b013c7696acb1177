//! The commands and their options. Help texts, completions and manual pages all come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

use crate::safety::approval::PlanToken;

/// Makes a website forget its visitors on time, and proves it.
///
/// The configuration says which processors a site uses, what its stores hold and how long that may be kept. forgetd
/// derives from it what must be erased and when, erases it on schedule, and writes an audit log that can be checked
/// without trusting the server.
#[derive(Debug, Parser)]
#[command(
    name = "forgetd",
    version,
    after_help = "First steps: `forgetd demo` shows everything on sample data; `forgetd check` validates a configuration;\n\
                  `forgetd plan` shows what would be erased; `forgetd approve` releases it; `forgetd run` does it on time.\n\n\
                  Exit codes: 0 done, 1 failed, 2 usage, 3 needs attention (overdue, held, waiting), 4 the audit log does\n\
                  not verify, 78 configuration invalid."
)]
pub(super) struct Arguments {
    /// Configuration directory [default: /etc/forgetd, or ./config where that is absent]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) config: Option<PathBuf>,

    /// Print results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon in the foreground
    ///
    /// Purges on schedule, reloads the configuration on change and on SIGHUP, ends after the current batch on SIGTERM.
    Run,
    /// Show everything on sample data: register, plan, approval, purge, verification
    Demo(DemoOptions),
    /// Validate the configuration
    Check(CheckOptions),
    /// Show what would be erased now and why; changes nothing
    Plan {
        /// A rule's name or its beginning, such as `shop.example` or `shop.example/chat/visitors`
        rule: Option<String>,
    },
    /// Release a rule that waits or is held
    Approve(ApproveOptions),
    /// Purge once, through the same guards as the daemon
    Purge(PurgeOptions),
    /// Show every rule: last run, next due, waiting, held and why, overdue; and the log's health
    Status,
    /// Suspend erasure where there is a duty to keep
    Hold {
        #[command(subcommand)]
        command: HoldCommand,
    },
    /// Stop all purges before their next batch
    StopPurges {
        /// Let them go on
        #[arg(long)]
        lift: bool,
    },
    /// Read the register: processors, data categories, storage items, sites
    Register {
        #[command(subcommand)]
        command: RegisterCommand,
    },
    /// Read and verify the evidence
    Audit {
        /// Directory of the audit log, for a copy of it [default: `audit` in the state directory]
        #[arg(long, global = true, value_name = "DIR")]
        log: Option<PathBuf>,
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a directory
    Man {
        /// Where to write them
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Keep the sample in this directory [default: a temporary one, removed at the end]
    pub(super) directory: Option<PathBuf>,
    /// How many visitors
    #[arg(long, default_value_t = super::demo::visitors::DEFAULT_VISITORS)]
    pub(super) visitors: u32,
    /// Another seed, another sample
    #[arg(long, default_value_t = super::demo::visitors::DEFAULT_SEED)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// Also open every store and check tables, columns, keys, types and permissions
    #[arg(long)]
    pub(super) stores: bool,
}

#[derive(Debug, Args)]
pub(super) struct ApproveOptions {
    /// The rule's whole name
    #[arg(required_unless_present = "clock")]
    pub(super) rule: Option<String>,
    /// The token that `forgetd plan` printed for it
    #[arg(long, value_name = "TOKEN", required_unless_present = "clock")]
    pub(super) plan: Option<PlanToken>,
    /// Confirm that the clock is right after a jump
    #[arg(long, conflicts_with_all = ["rule", "plan"])]
    pub(super) clock: bool,
}

#[derive(Debug, Args)]
pub(super) struct PurgeOptions {
    /// A rule's name or its beginning [default: every rule]
    pub(super) rule: Option<String>,
    /// Show what would be erased and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum HoldCommand {
    /// Place a hold
    Add(HoldOptions),
    /// List the holds in force
    List,
    /// Lift a hold
    Lift {
        /// Its number
        hold: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct HoldOptions {
    /// The rules to suspend: a name or its beginning
    pub(super) rule: String,
    /// Only rows whose column has this value; it stands in the register only
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = column_and_value)]
    pub(super) rows: Option<(String, String)>,
    /// Last day of the hold
    #[arg(long, value_name = "DATE")]
    pub(super) until: Date,
    /// Why, as a code of your own (letters, digits, `.`, `-`, `_`): it stands in the audit log
    #[arg(long, value_name = "CODE", value_parser = reason_code)]
    pub(super) reason_code: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum RegisterCommand {
    /// Show what is declared
    Show {
        /// A table of the register, such as `processors` or `storage_items` [default: all]
        what: Option<String>,
        /// As it was at the end of this day (UTC)
        #[arg(long, value_name = "DATE")]
        as_of: Option<Date>,
    },
    /// Show how what is declared has changed
    History {
        /// A table of the register [default: all]
        what: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List entries
    List(AuditListOptions),
    /// Show one entry
    Show {
        /// Its number, from 0
        entry: u64,
    },
    /// Check the log against its signed checkpoint, and against checkpoints that you kept
    Verify {
        /// A checkpoint that you kept; may be given several times
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct AuditListOptions {
    /// Only this site
    #[arg(long)]
    pub(super) site: Option<String>,
    /// Only this rule: a name or its beginning
    #[arg(long)]
    pub(super) rule: Option<String>,
    /// Only this kind, such as `run.finished`, or group, such as `run`
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Only from this day on (UTC)
    #[arg(long, value_name = "DATE")]
    pub(super) since: Option<Date>,
    /// Only up to this day (UTC)
    #[arg(long, value_name = "DATE")]
    pub(super) until: Option<Date>,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    pub(super) last: Option<usize>,
}

fn column_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok((column.to_owned(), value.to_owned())),
        _ => Err("write COLUMN=VALUE"),
    }
}

/// A code, not a sentence: what stands here stands in the audit log for good.
fn reason_code(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=40).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 40 letters, digits, `.`, `-` or `_`, and no names of people")
    }
}
