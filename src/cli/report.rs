//! `forgetd audit report`: one period of the evidence for a data protection officer, in a file.
//!
//! An existing file is never replaced, unless it is empty, as one that `mktemp` made: a report that somebody kept is
//! a record. The file is written aside and takes its name when it is whole.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tempfile::NamedTempFile;

use super::arguments::{ReportFormat, ReportOptions};
use super::output::Output;
use super::session::{self, Reading};
use super::{Ended, Exit, Failure, audit};
use crate::audit::{Verdict, Verification};
use crate::config::{Config, Source};
use crate::register::{Moment, Register};
use crate::report::{self, Covered, Csv, Declared, Question, ReportError, Verified};

/// For its owner and group, as the log itself.
const FILE_MODE: u32 = 0o640;

/// Whose log it is.
pub(super) enum Whose {
    /// This installation's, whose configuration and register are at hand.
    Installation(PathBuf),
    /// A copy, of which nothing else is known.
    Copy,
}

pub(super) fn run(whose: &Whose, log: &Path, options: &ReportOptions, output: &Output) -> Ended {
    if options.from > options.to {
        return Err(Failure::usage(format!("--from {} is after --to {}", options.from, options.to)));
    }
    free(&options.out)?;
    let now = session::clock()?.wall;
    let known = match whose {
        Whose::Installation(directory) => Known::of(directory, options, now, output),
        Whose::Copy => Known::nothing(
            "the log was read alone, without the register and the configuration: declared periods, data categories and \
             the schedule are not known to this report",
        ),
    };
    let (zone, tz) = known.zone.clone();
    let period = Covered::new(options.from, options.to, &zone, tz).map_err(ReportError::from)?;
    let question = Question { log, period, site: options.site.as_deref(), now };
    let verification = audit::verification(log, &options.anchor, None)?;
    let (verdict, verified) = verified(&verification, &options.anchor);
    let mut file = Aside::beside(&options.out)?;
    let report = write(&mut file, &question, &known.declared(), verified, options.format)?;
    file.take_its_place(&options.out)?;
    for missing in report.missing() {
        output.warning(missing);
    }
    let told = json!({
        "out": options.out, "format": options.format, "verdict": verdict, "missing": report.missing(),
    });
    output.result(&told, |output| {
        output.line(format!("{}: {}", output.good("Written"), options.out.display()));
        output.line(format!("The audit log is {verdict}."));
    });
    Ok(known.exit.max(exit(&verification)))
}

/// An unsigned tail is what a log has while a run is under way: no fault of the report's.
fn exit(verification: &Verification) -> Exit {
    match &verification.verdict {
        Verdict::UnsignedTail { .. } => Exit::Done,
        verdict => audit::verdict(verdict).1,
    }
}

fn verified(verification: &Verification, anchors: &[PathBuf]) -> (&'static str, Verified) {
    let (verdict, _) = audit::verdict(&verification.verdict);
    let Verification { origin, entries, signed, anchored, first, last, .. } = verification.clone();
    let explanation = audit::explanation(verification, anchors);
    let holds = exit(verification) == Exit::Done;
    (verdict, Verified { verdict, explanation, holds, origin, entries, signed, anchored, first, last })
}

fn write(
    file: &mut Aside,
    question: &Question<'_>,
    declared: &Declared<'_>,
    verified: Verified,
    format: ReportFormat,
) -> Result<report::Report, Failure> {
    if format == ReportFormat::Csv {
        let mut csv = Csv::begin(&mut file.buffer)?;
        return report::gather(question, declared, verified, &mut |line| csv.line(line)).map_err(no_report);
    }
    let report = report::gather(question, declared, verified, &mut |_| Ok(())).map_err(no_report)?;
    let text = match format {
        ReportFormat::Html | ReportFormat::Csv => report::html(&report),
        ReportFormat::Json => report::json(&report)?,
        ReportFormat::Md => report::markdown(&report),
    };
    file.buffer.write_all(text.as_bytes())?;
    Ok(report)
}

/// A site that does not exist is a mistake of the caller.
fn no_report(error: ReportError) -> Failure {
    match error {
        ReportError::UnknownSite(_) => Failure::usage(error.to_string()),
        error => error.into(),
    }
}

/// What an installation knows besides its log.
struct Known {
    /// In which days are counted.
    zone: (String, TimeZone),
    config: Option<Config>,
    suspended: BTreeMap<String, String>,
    missing: Vec<String>,
    exit: Exit,
}

impl Known {
    fn nothing(why: &str) -> Known {
        Known { zone: utc(), config: None, suspended: BTreeMap::new(), missing: vec![why.to_owned()], exit: Exit::Done }
    }

    /// The configuration as it stands, or, for a period that is over, as the register has it for that time.
    fn of(directory: &Path, options: &ReportOptions, now: Timestamp, output: &Output) -> Known {
        let reading = match Reading::begin(directory, output) {
            Ok(reading) => reading,
            // The log can be read all the same, and is needed now if ever.
            Err(failure) => {
                let why = format!("neither configuration nor register could be read: {}", failure.message);
                return Known { exit: failure.exit, ..Known::nothing(&why) };
            }
        };
        let exit = reading.exit(Exit::Done);
        let current = reading.in_force.config;
        let zone = common_zone(&current, options.site.as_deref());
        let end = options.to.tomorrow().and_then(|day| day.to_zoned_datetime(zone.1.clone()));
        let end = end.map(|end| end.timestamp());
        let mut known = Known { zone, config: None, suspended: reading.in_force.suspended, missing: Vec::new(), exit };
        match end {
            Ok(end) if end <= now => {
                known.suspended.clear();
                match config_at(reading.register.as_ref(), end, "at the end of the period") {
                    Ok(config) => known.config = Some(config),
                    Err(NotKnown::NothingRecorded(why) | NotKnown::Unreadable(why)) => known.missing.push(why),
                }
            }
            _ => known.config = Some(current),
        }
        known
    }

    fn declared(&self) -> Declared<'_> {
        let Known { config, suspended, missing, .. } = self;
        Declared { config: config.as_ref(), suspended: suspended.clone(), missing: missing.clone() }
    }
}

fn utc() -> (String, TimeZone) {
    ("UTC".to_owned(), TimeZone::UTC)
}

/// The zone of the site, or the one that all sites share; days of sites in several zones are those of UTC.
fn common_zone(config: &Config, site: Option<&str>) -> (String, TimeZone) {
    let mut zones = config.sites.values().filter(|known| site.is_none_or(|site| site == known.domain));
    let Some(first) = zones.next().map(|site| &site.time_zone) else { return utc() };
    let same = zones.all(|site| site.time_zone.name == first.name);
    if same { (first.name.clone(), first.zone.clone()) } else { utc() }
}

/// Why it is not known what was declared at some instant, in words.
pub(super) enum NotKnown {
    /// Nothing was recorded by then.
    NothingRecorded(String),
    /// What was recorded cannot be read.
    Unreadable(String),
}

/// The configuration that was in force at an instant; `when` is how a sentence calls it.
pub(super) fn config_at(register: Option<&Register>, at: Timestamp, when: &str) -> Result<Config, NotKnown> {
    let nothing =
        || NotKnown::NothingRecorded(format!("what was declared {when} is not known: nothing was recorded by then"));
    let (Some(register), Some(table)) = (register, Register::fact_table("configuration_files")) else {
        return Err(nothing());
    };
    let rows = register.facts(table, Moment::At(at)).map_err(|error| NotKnown::Unreadable(error.to_string()))?;
    let source = |row: &crate::register::FactRow| {
        let value = |name| row.values.iter().find(|(column, _)| *column == name).and_then(|(_, value)| value.clone());
        Some(Source::new(value("path")?, value("content")?))
    };
    let sources: BTreeMap<String, Source> =
        rows.iter().filter_map(source).map(|source| (source.path.clone(), source)).collect();
    if sources.is_empty() {
        return Err(nothing());
    }
    Config::parse(sources).map_err(|_| {
        NotKnown::Unreadable(format!(
            "what was declared {when} cannot be read by this version of forgetd: `forgetd register show --as-of` has it"
        ))
    })
}

/// A file that has no name yet. It is gone if it never takes its place.
struct Aside {
    buffer: BufWriter<NamedTempFile>,
}

/// Refuses a file that holds something.
fn free(out: &Path) -> Result<(), Failure> {
    match std::fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(Exit::Failed, format!("{}: {error}", out.display()))),
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => Ok(()),
        Ok(_) => {
            let what =
                format!("{} is there already and is left as it is: name another file, or move it", out.display());
            Err(Failure::new(Exit::Failed, what))
        }
    }
}

fn parent(out: &Path) -> &Path {
    out.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

impl Aside {
    fn beside(out: &Path) -> Result<Aside, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".forgetd-report-").permissions(Permissions::from_mode(FILE_MODE));
        let file = builder.tempfile_in(parent(out)).map_err(|error| failed(out, &error))?;
        Ok(Aside { buffer: BufWriter::new(file) })
    }

    fn take_its_place(self, out: &Path) -> Result<(), Failure> {
        let file = self.buffer.into_inner().map_err(|error| failed(out, error.error()))?;
        file.as_file().sync_all().map_err(|error| failed(out, &error))?;
        // Somebody may have written to it meanwhile.
        free(out)?;
        let placed = if out.exists() { file.persist(out) } else { file.persist_noclobber(out) };
        placed.map_err(|error| failed(out, &error.error))?;
        File::open(parent(out)).and_then(|directory| directory.sync_all()).map_err(|error| failed(out, &error))
    }
}

fn failed(out: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", out.display()))
}
