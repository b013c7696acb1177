//! The commands and their options. Help texts, completions and manual pages all come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

use crate::safety::approval::PlanToken;

/// As much as a sentence or two needs: the note is a pointer to a report, not the report.
const LONGEST_NOTE: usize = 200;

/// Options that every command has stand apart from its own.
const GLOBAL: &str = "Options of every command";

/// The way of a newcomer.
pub(super) const FIRST_STEPS: &[(&str, &str)] = &[
    ("forgetd demo", "shows everything on sample data"),
    ("forgetd check", "validates a configuration"),
    ("forgetd plan", "shows what would be erased, and why"),
    ("forgetd approve", "releases it"),
    ("forgetd run", "erases it on time, every time"),
];

/// How commands end, for help and manual.
pub(super) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "failed"),
    ("2", "called wrongly"),
    ("3", "needs attention: a rule waits for approval, is held, or its records are overdue"),
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

#[derive(Debug, Subcommand)]
pub(super) enum RegisterCommand {
    /// Show what is declared
    Show {
        /// What of it, such as `processors`, `categories`, `storage-items` or `sites` [default: all]
        what: Option<String>,
        /// As it was at the end of this day (UTC)
        #[arg(long, value_name = "DATE", value_parser = date)]
        as_of: Option<Date>,
    },
    /// Show how what is declared has changed
    History {
        /// What of it, as for `register show` [default: all]
        what: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List entries
    List(AuditListOptions),
    /// Show one entry
    Show {
        /// The entry's number, from 0
        entry: u64,
    },
    /// Check the log against its signed checkpoint, and against checkpoints that you kept
    Verify {
        /// A checkpoint that you kept; may be given several times
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
        /// The verifier key that you kept, a copy of `forgetd.vkey`: the log must be signed by it, or by one that it
        /// handed over to
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the signed checkpoint, for you to keep where the server's administrators cannot change it
    ///
    /// `forgetd audit verify --anchor FILE` then shows that nothing before it has changed.
    Anchor,
    /// Prove one entry to somebody who does not have the log
    ///
    /// The proof is one file in the C2SP format tlog-proof. It carries the entry, the hashes that lead from it to the
    /// root of the log, and the checkpoint that was signed for that root.
    Prove(ProveOptions),
    /// Check the proof of one entry, without the log
    ///
    /// Ends with 4 when the proof does not hold.
    CheckProof(CheckProofOptions),
    /// Record that you have reviewed the log up to an entry
    ///
    /// `forgetd status` then shows what is unreviewed. The note stands in the log for good: no personal data in it.
    Review(ReviewOptions),
    /// Replace the private key that signs checkpoints
    ///
    /// The new key is logged, and the checkpoint with which the old key hands over to it is kept beside the log for
    /// good, so that readers who have the old key can follow.
    RotateKey,
}

#[derive(Debug, Args)]
pub(super) struct ProveOptions {
    /// The entry's number, from 0
    pub(super) entry: u64,
    /// Where to write the proof [default: to standard output]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// A checkpoint that the reader kept, to prove the entry under [default: the log's own]
    #[arg(long, value_name = "FILE")]
    pub(super) anchor: Option<PathBuf>,
    /// Leave the entry out of the file, for readers who have its line
    #[arg(long)]
    pub(super) without_entry: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckProofOptions {
    /// The proof
    pub(super) file: PathBuf,
    /// The log's verifier key, a copy of its `forgetd.vkey` [default: the one beside the log, if there is a log]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Where the key was replaced since you kept it: the proof of that, from `rotations`; may be given several times
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) rotation: Vec<PathBuf>,
    /// The entry's line, where the proof does not carry it
    #[arg(long, value_name = "FILE")]
    pub(super) entry: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ReviewOptions {
    /// The last entry that you have reviewed, by its number
    #[arg(long, value_name = "N")]
    pub(super) through: u64,
    /// What you found, in at most 200 characters; it stands in the audit log for good, so no names of people and no
    /// other personal data
    #[arg(long, value_name = "TEXT", value_parser = review_note)]
    pub(super) note: String,
}

#[derive(Debug, Args)]
pub(super) struct AuditListOptions {
    /// Only entries of this site's rules
    #[arg(long)]
    pub(super) site: Option<String>,
    /// Only entries of this rule: a name or its beginning
    #[arg(long)]
    pub(super) rule: Option<String>,
    /// Only entries of this kind, such as `run.finished`, or group, such as `run`
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Only entries from this day on (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(super) since: Option<Date>,
    /// Only entries up to this day (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(super) until: Option<Date>,
    /// Only the last N of them
    #[arg(long, value_name = "N")]
    pub(super) last: Option<usize>,
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

/// A line of text: what could break the line, or show it otherwise than it is, is refused.
fn review_note(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let length = text.chars().count();
    if length <= LONGEST_NOTE && !text.trim().is_empty() && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write one line of 1 to 200 characters, without control characters, and no personal data")
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
