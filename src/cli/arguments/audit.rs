//! The commands of `forgetd audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;

use super::date;

/// As much as a sentence or two needs: the note is a pointer to a report, not the report.
const LONGEST_NOTE: usize = 200;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// List entries
    List(AuditListOptions),
    /// Show one entry
    Show {
        /// The entry's number, from 0
        entry: u64,
    },
    /// Write a report for the data protection officer into a file
    ///
    /// One period of the evidence beside what was declared for it, in sentences that a lawyer understands: what may be
    /// kept and what is, every run, what was refused, who decided what, what is physically left, and how to check it.
    /// Of a copy of the log (`--log DIR`) it says what the log alone can say. An existing file is left as it is, unless
    /// it is empty.
    Report(ReportOptions),
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
pub(in crate::cli) struct ReportOptions {
    /// First day of the period, in the zone of the site, or UTC where sites have several
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(in crate::cli) from: Date,
    /// Last day of the period
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(in crate::cli) to: Date,
    /// Only this site
    #[arg(long)]
    pub(in crate::cli) site: Option<String>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: PathBuf,
    /// What the file is
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(in crate::cli) format: ReportFormat,
    /// A checkpoint that you kept, for the verification in the report; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) anchor: Vec<PathBuf>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum ReportFormat {
    /// One page that needs nothing else, for reading and printing
    Html,
    /// A table of all runs, for a spreadsheet
    Csv,
    /// Everything as a value, for programs
    Json,
    /// Text with tables, for a wiki or a ticket
    Md,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ProveOptions {
    /// The entry's number, from 0
    pub(in crate::cli) entry: u64,
    /// Where to write the proof [default: to standard output]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// A checkpoint that the reader kept, to prove the entry under [default: the log's own]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) anchor: Option<PathBuf>,
    /// Leave the entry out of the file, for readers who have its line
    #[arg(long)]
    pub(in crate::cli) without_entry: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckProofOptions {
    /// The proof
    pub(in crate::cli) file: PathBuf,
    /// The log's verifier key, a copy of its `forgetd.vkey` [default: the one beside the log, if there is a log]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// Where the key was replaced since you kept it: the proof of that, from `rotations`; may be given several times
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(in crate::cli) rotation: Vec<PathBuf>,
    /// The entry's line, where the proof does not carry it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) entry: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewOptions {
    /// The last entry that you have reviewed, by its number
    #[arg(long, value_name = "N")]
    pub(in crate::cli) through: u64,
    /// What you found, in at most 200 characters; it stands in the audit log for good, so no names of people and no
    /// other personal data
    #[arg(long, value_name = "TEXT", value_parser = review_note)]
    pub(in crate::cli) note: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditListOptions {
    /// Only entries of this site's rules
    #[arg(long)]
    pub(in crate::cli) site: Option<String>,
    /// Only entries of this rule: a name or its beginning
    #[arg(long)]
    pub(in crate::cli) rule: Option<String>,
    /// Only entries of this kind, such as `run.finished`, or group, such as `run`
    #[arg(long)]
    pub(in crate::cli) kind: Option<String>,
    /// Only entries from this day on (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(in crate::cli) since: Option<Date>,
    /// Only entries up to this day (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(in crate::cli) until: Option<Date>,
    /// Only the last N of them
    #[arg(long, value_name = "N")]
    pub(in crate::cli) last: Option<usize>,
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
