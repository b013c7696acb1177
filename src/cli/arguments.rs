//! The commands and their options. Help texts, completions and manual pages all come from here.

mod audit;
mod cookies;
mod register;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

pub(super) use audit::{
    AuditCommand, AuditListOptions, CheckProofOptions, ProveOptions, ReportFormat, ReportOptions, ReviewOptions,
};
pub(super) use cookies::{CaptureOptions, CheckOptions as CookiesCheckOptions, CookiesCommand};
pub(super) use register::{DiffOptions, ExportOptions, RegisterCommand};

use crate::safety::approval::PlanToken;

/// Options that every command has stand apart from its own.
const GLOBAL: &str = "Options of every command";

/// The way of a newcomer.
pub(super) const FIRST_STEPS: &[(&str, &str)] = &[
    ("forgetd demo", "shows everything on sample data"),
    ("forgetd init", "begins a configuration of your own"),
    ("forgetd check", "validates it"),
    ("forgetd plan", "shows what would be erased, and why"),
    ("forgetd approve", "releases it"),
    ("forgetd run", "erases it on time, every time"),
];

/// How commands end, for help and manual.
pub(super) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "failed"),
    ("2", "called wrongly"),
    ("3", "needs attention: a rule waits, is held or overdue, or something is not as declared"),
    ("4", "the audit log does not verify"),
    ("78", "the configuration is invalid"),
];

fn after_help() -> String {
    let list = |title: &str, entries: &[(&str, &str)]| {
        let width = entries.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        let line = |(what, meaning): &(&str, &str)| format!("  {what:<width$}  {meaning}\n");
        format!("{title}:\n{}", entries.iter().map(line).collect::<String>())
    };
    format!("{}\n{}", list("First steps", FIRST_STEPS), list("Exit codes", EXIT_CODES).trim_end())
}

/// Makes a website forget its visitors on time, and proves it.
///
/// The configuration says which processors a site uses, what its stores hold and how long that may be kept. forgetd
/// derives from it what must be erased and when, erases it on schedule, and writes an audit log that can be checked
/// without trusting the server.
#[derive(Debug, Parser)]
#[command(
    name = "forgetd",
    version,
    after_help = after_help()
)]
pub(super) struct Arguments {
    /// Configuration directory [default: /etc/forgetd, or ./config where that is absent]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(super) config: Option<PathBuf>,

    /// Print results as JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
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
    /// Begin a configuration: write what is missing, and propose a file for a site
    ///
    /// Asks on a terminal for what no option says. Looks at the databases, directories and logs that are named, and
    /// writes down what looks like visitor records, every guess with its reason. Overwrites no file and erases nothing:
    /// how long what may be kept is left to decide, and until then the configuration is not valid.
    Init(InitOptions),
    /// Validate the configuration
    Check(CheckOptions),
    /// Show what would be erased now and why; changes nothing
    ///
    /// Counts exactly what a purge would touch, by the same predicate. The token under PLAN is what `forgetd
    /// approve` asks for; it is valid for 24 hours.
    Plan {
        /// A rule's name or its beginning, such as `shop.example` or `shop.example/chat/visitors`
        rule: Option<String>,
    },
    /// Release a rule that waits or is held
    ///
    /// A new rule, or one that keeps less than before, erases nothing until somebody has read its plan. The approval
    /// lasts as long as the rule stays the same, and lets its next run touch what the plan counted and a tenth more.
    Approve(ApproveOptions),
    /// Purge once, through the same guards as the daemon
    ///
    /// Erases the records of every rule that is ready, batch by batch, and says why the others were left alone. Asks
    /// before it erases.
    Purge(PurgeOptions),
    /// Show every rule: last run, next due, waiting, held and why, overdue; and the log's health
    Status,
    /// Look whether this installation is sound, and say what to do where it is not
    ///
    /// Configuration and permissions, state and free space, register, key, audit log, clock, daemon and its sandbox,
    /// stores, what is physically left, next runs: each ok, warning or failed. Changes nothing, counts no records, and
    /// works while the configuration is invalid. Ends with 3 where anything failed.
    Doctor,
    /// Compare what is declared with what was enforced and with what the stores hold; changes nothing
    ///
    /// Opens every store and says of every rule and store whether it is ok, or what disagrees: records that are
    /// overdue, that must not be stored or cannot be judged; rules that never ran, or not in time, or do not run; columns
    /// and tables that look personal and are not declared; what was declared once and still is there. Ends with 3 where
    /// something disagrees, and with 1 where a store could not be looked at.
    Drift {
        /// Only this site
        #[arg(long, value_name = "SITE")]
        site: Option<String>,
    },
    /// Suspend erasure where there is a duty to keep
    ///
    /// Works while the configuration is invalid. A hold ends by itself after its last day.
    Hold {
        #[command(subcommand)]
        command: HoldCommand,
    },
    /// Stop all purges before their next batch
    ///
    /// Also those of the daemon, and while the configuration is invalid.
    StopPurges {
        /// Let purges go on
        #[arg(long)]
        lift: bool,
    },
    /// Read the register, and write the papers that follow from it
    Register {
        #[command(subcommand)]
        command: RegisterCommand,
    },
    /// Check what browsers hold against the register
    Cookies {
        #[command(subcommand)]
        command: CookiesCommand,
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
        /// The shell that the script is for
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a directory
    Man {
        /// Where to write the pages of all commands [default: the main page, to standard output]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Keep the sample in this directory [default: a temporary one, removed at the end]
    pub(super) directory: Option<PathBuf>,
    /// How many visitors the sample has
    #[arg(long, value_name = "N", default_value_t = super::demo::visitors::DEFAULT_VISITORS)]
    pub(super) visitors: u32,
    /// What the sample is drawn from: the same seed gives the same visitors
    #[arg(long, value_name = "N", default_value_t = super::demo::visitors::DEFAULT_SEED)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// Also open every store and check tables, columns, keys, types and permissions
    #[arg(long)]
    pub(super) stores: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitOptions {
    /// The site's domain
    #[arg(long, value_name = "DOMAIN")]
    pub(super) site: Option<String>,
    /// Its time zone, such as Europe/Prague [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<String>,
    /// Who decides on the processing (GDPR Article 4(7))
    #[arg(long, value_name = "NAME")]
    pub(super) controller: Option<String>,
    /// A database to look at: a URL, or the path of a SQLite file; may be given several times
    #[arg(long, value_name = "URL|PATH")]
    pub(super) database: Vec<String>,
    /// The file that holds the password for the database servers
    #[arg(long, value_name = "PATH", requires = "database")]
    pub(super) password_file: Option<PathBuf>,
    /// A directory of files to look at; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(super) directory: Vec<PathBuf>,
    /// A log to look at, with a pattern for its rotated files; may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub(super) log: Vec<PathBuf>,
    /// Where register and evidence are to be kept [default: /var/lib/forgetd]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ApproveOptions {
    /// The rule's whole name
    #[arg(required_unless_present = "clock")]
    pub(super) rule: Option<String>,
    /// The token that `forgetd plan` printed for it
    #[arg(long, value_name = "TOKEN", value_parser = plan_token, required_unless_present = "clock")]
    pub(super) plan: Option<PlanToken>,
    /// Confirm that the clock is right after a jump
    #[arg(long, conflicts_with_all = ["rule", "plan"])]
    pub(super) clock: bool,
}

#[derive(Debug, Args)]
pub(super) struct PurgeOptions {
    /// A rule's name or its beginning [default: every rule]
    pub(super) rule: Option<String>,
    /// Show what would be erased, and erase nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Erase without asking, for scripts
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
        /// The hold's number, as `forgetd hold list` shows it
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
    /// Last day of the hold, such as 2027-12-31
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(super) until: Date,
    /// Why, as a code of your own (letters, digits, `.`, `-`, `_`): it stands in the audit log
    #[arg(long, value_name = "CODE", value_parser = reason_code)]
    pub(super) reason_code: String,
}

fn plan_token(text: &str) -> Result<PlanToken, &'static str> {
    text.parse().map_err(|_| "this is not a plan token: run `forgetd plan RULE` and copy what stands under PLAN")
}

fn date(text: &str) -> Result<Date, &'static str> {
    let iso = text.len() == "2026-03-01".len();
    text.parse().ok().filter(|_| iso).ok_or("write a day as YEAR-MONTH-DAY, such as 2026-03-01")
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
