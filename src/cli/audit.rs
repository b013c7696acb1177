//! `forgetd audit`: the evidence, read, verified and handed out. What reads works on a copy of the log, without
//! configuration or private key.

mod proof;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::arguments::{AuditCommand, AuditListOptions};
use super::output::{Output, count, instant};
use super::report::{self, Whose};
use super::session;
use super::{Ended, Exit, Failure};
use crate::audit::{self, Entry, Fault, Trusted, Verdict, Verification, VerifierKey, VerifyError, read};
use crate::visible::{json_lines, visible};

pub(super) fn run(directory: &Path, log: Option<PathBuf>, command: &AuditCommand, output: &Output) -> Ended {
    match command {
        AuditCommand::CheckProof(options) => proof::check(directory, log, options, output),
        AuditCommand::Review(_) | AuditCommand::RotateKey if log.is_some() => {
            Err(Failure::usage("this is recorded in the log of the state directory: leave `--log` away"))
        }
        AuditCommand::Review(options) => record::review(directory, options, output),
        AuditCommand::RotateKey => record::rotate_key(directory, output),
        reading => read_log(directory, log, reading, output),
    }
}

fn read_log(directory: &Path, log: Option<PathBuf>, command: &AuditCommand, output: &Output) -> Ended {
    let (log, whose) = match log {
        Some(log) => (log, Whose::Copy),
        None => (session::state_paths(directory)?.audit(), Whose::Installation(directory.to_owned())),
    };
    if !log.exists() {
        let hint = "name the directory of the log with `--log DIR`, or let `forgetd run` begin one";
        return Err(Failure::new(Exit::Failed, format!("{}: there is no audit log: {hint}", log.display())));
    }
    match command {
        AuditCommand::List(options) => list(&log, options, output),
        AuditCommand::Show { entry } => show(&log, *entry, output),
        AuditCommand::Report(options) => report::run(&whose, &log, options, output),
        AuditCommand::Verify { anchor, key } => verify(&log, anchor, key.as_deref(), output),
        AuditCommand::Anchor => proof::anchor(&log, output),
        AuditCommand::Prove(options) => proof::prove(&log, options, output),
        AuditCommand::CheckProof(_) | AuditCommand::Review(_) | AuditCommand::RotateKey => Ok(Exit::Usage),
    }
}

/// A file that the reader names.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    read::short_file(path).map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))
}

/// A verifier key that the reader kept.
fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    let key = audit::parse_verifier_key(&read_file(path)?);
    key.map_err(|error| Failure::new(Exit::NotVerified, format!("{}: {error}", path.display())))
}

fn list(log: &Path, options: &AuditListOptions, output: &Output) -> Ended {
    let mut selected = Vec::new();
    let mut runs = BTreeMap::new();
    for entry in read::entries(log, 0)? {
        let entry = entry?;
        if let (Some(run), Some(rule)) = (entry.event.run(), entry.event.rule()) {
            runs.entry(run.to_owned()).or_insert_with(|| rule.to_owned());
        }
        if is_selected(&entry, &runs, options) {
            selected.push(entry);
        }
    }
    if let Some(last) = options.last {
        selected.drain(..selected.len().saturating_sub(last));
    }
    output.result(&serde_json::json!({ "entries": selected }), |output| {
        output.table(&["ENTRY", "TIME", "KIND", "WHAT"], &selected.iter().map(row).collect::<Vec<_>>());
    });
    Ok(Exit::Done)
}

/// Batches name their run only: the rule is that of the run.
fn is_selected(entry: &Entry, runs: &BTreeMap<String, String>, options: &AuditListOptions) -> bool {
    let rule = entry.event.rule().or_else(|| runs.get(entry.event.run()?).map(String::as_str));
    let within = |prefix: &String| rule.is_some_and(|rule| crate::plan::rule::is_within(rule, prefix));
    let kind = |wanted: &String| {
        entry.event.kind().strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    // In UTC, as the entries are.
    let day = entry.time.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    options.site.as_ref().is_none_or(within)
        && options.rule.as_ref().is_none_or(within)
        && options.kind.as_ref().is_none_or(kind)
        && options.since.is_none_or(|since| day >= since)
        && options.until.is_none_or(|until| day <= until)
}

fn row(entry: &Entry) -> Vec<String> {
    vec![entry.seq.to_string(), instant(entry.time), entry.event.kind().to_owned(), fields(entry)]
}

/// The fields of an entry behind those that every entry has.
fn fields(entry: &Entry) -> String {
    let Ok(Value::Object(object)) = serde_json::to_value(entry) else { return String::new() };
    let told = object.iter().filter(|(key, _)| !matches!(key.as_str(), "seq" | "time" | "kind"));
    let field = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key}={}", visible(text)),
        // Names of what changed can be many: `audit show` has them all.
        Value::Array(items) => format!("{key}={}", items.len()),
        other => format!("{key}={other}"),
    };
    told.map(field).collect::<Vec<_>>().join(" ")
}

fn show(log: &Path, number: u64, output: &Output) -> Ended {
    let Some(line) = read::line(log, number)? else {
        return Err(Failure::usage(format!("the log has no entry {number}: `forgetd audit list --last 10`")));
    };
    if output.is_json() {
        output.signed_json(&line);
        return Ok(Exit::Done);
    }
    let value: Value = serde_json::from_slice(&line)?;
    output.line(json_lines(&value)?);
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct Verified {
    verdict: &'static str,
    explanation: String,
    line: Option<u64>,
    origin: Option<String>,
    entries: u64,
    signed: u64,
    anchored: Option<u64>,
    first_entry: Option<Timestamp>,
    last_entry: Option<Timestamp>,
}

fn verify(log: &Path, anchors: &[PathBuf], key: Option<&Path>, output: &Output) -> Ended {
    let verification = verification(log, anchors, key)?;
    let (verdict, exit) = verdict(&verification.verdict);
    let verified = Verified {
        verdict,
        explanation: explanation(&verification, anchors),
        line: verification.verdict.line(),
        origin: verification.origin.clone(),
        entries: verification.entries,
        signed: verification.signed,
        anchored: verification.anchored,
        first_entry: verification.first,
        last_entry: verification.last,
    };
    output.result(&verified, |output| {
        let painted = if exit == Exit::Done { output.good(verdict) } else { output.attention(verdict) };
        output.line(format!("{painted}: {}", verified.explanation));
        if let Some(origin) = &verified.origin {
            output.line(format!("log {origin}, {} entries", count(verified.entries)));
        }
        if let (Some(first), Some(last)) = (verified.first_entry, verified.last_entry) {
            output.line(format!("from {} to {}", instant(first), instant(last)));
        }
    });
    Ok(exit)
}

/// What can be said of the log, with checkpoints and a verifier key that the reader kept in these files.
pub(super) fn verification(log: &Path, anchors: &[PathBuf], key: Option<&Path>) -> Result<Verification, Failure> {
    let contents = anchors.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
    let key = key.map(read_key).transpose()?;
    let kept = Trusted { anchors: &contents, key: key.as_ref() };
    audit::verify_with(log, kept).map_err(|error| no_verdict(&error, anchors))
}

/// Why there is no verdict.
fn no_verdict(error: &VerifyError, anchors: &[PathBuf]) -> Failure {
    let message = super::chain(error);
    match error {
        VerifyError::NotReadable { .. } => Failure::new(Exit::Failed, message),
        VerifyError::ForeignKey { .. } => Failure::new(Exit::NotVerified, message),
        VerifyError::Anchor { anchor, .. } | VerifyError::ForeignAnchor { anchor, .. } => {
            Failure::new(Exit::NotVerified, about(anchors.get(*anchor), message))
        }
    }
}

/// An anchor is named by its file: its number says nothing to whoever gave several.
fn about(anchor: Option<&PathBuf>, message: String) -> String {
    match anchor {
        Some(file) => format!("{}: {message}", file.display()),
        None => message,
    }
}

/// The word for a verdict, and how a command ends with it.
pub(super) fn verdict(verdict: &Verdict) -> (&'static str, Exit) {
    match verdict {
        Verdict::Anchored { .. } => ("anchored", Exit::Done),
        Verdict::SelfConsistent { .. } => ("self-consistent", Exit::Done),
        Verdict::UnsignedTail { .. } => ("unsigned tail", Exit::Attention),
        Verdict::Truncated { .. } => ("truncated", Exit::NotVerified),
        Verdict::Tampered { .. } => ("tampered", Exit::NotVerified),
    }
}

/// What a verdict means for whoever reads it.
pub(super) fn explanation(verification: &Verification, anchors: &[PathBuf]) -> String {
    match &verification.verdict {
        Verdict::Anchored { anchor, .. } => {
            format!("signed, and nothing before entry {anchor} has changed since you kept the checkpoint")
        }
        Verdict::SelfConsistent { .. } => {
            "signed throughout; whoever holds the key could have written all of it anew: \
             keep a copy of the checkpoint and give it with --anchor"
                .to_owned()
        }
        Verdict::UnsignedTail { signed, size } => {
            format!("{} entries are signed, {} after them are not (yet)", count(*signed), count(size - signed))
        }
        Verdict::Truncated { size, signed } => {
            format!("{} entries were signed for and only {} are there", count(*signed), count(*size))
        }
        Verdict::Tampered { fault, .. } => match (verification.verdict.line(), fault) {
            (Some(line), _) => format!("line {line}: {fault}"),
            (None, Fault::Rewritten(anchor)) => about(anchors.get(*anchor), fault.to_string()),
            (None, _) => fault.to_string(),
        },
    }
}
