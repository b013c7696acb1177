//! `forgetd register export`, `check` and `diff`: the papers that follow from the register, what they lack, and how
//! they changed.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::arguments::{DiffOptions, ExportOptions};
use super::output::Output;
use super::session::Reading;
use super::{Ended, Exit, Failure, report};
use crate::config::{Config, Site};
use crate::papers::{self, Form, Gap, Language, Level, Paper, PaperError, Stamp, Subject};
use crate::register::Register;
use crate::visible::visible;

/// As much of a digest as tells versions apart.
const DIGEST_SHOWN: usize = 12;

pub(super) fn export(directory: &Path, options: &ExportOptions, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let config = &reading.in_force.config;
    let site = one_site(config, options.site.as_deref())?;
    let language = Language::load(&options.lang, Some(directory)).map_err(failure)?;
    let stamp = stamp(config, reading.register.as_ref(), site, reading.clock.wall)?;
    let policy = options.policy.as_deref();
    let subject = Subject { config, site, stamp: &stamp, today: today(site, reading.clock.wall), policy };
    let form = form(options, output)?;
    let text = papers::export(subject, options.what, form, &language).map_err(failure)?;
    output.text(&text);
    Ok(reading.exit(Exit::Done))
}

/// Lines to write into a file stay lines: they are copied.
fn failure(error: PaperError) -> Failure {
    let exit = if matches!(error, PaperError::NoSuchForm { .. }) { Exit::Usage } else { Exit::Failed };
    let text = error.to_string();
    let lines: Vec<_> = text.lines().map(visible).collect();
    Failure::new(exit, lines.join("\n"))
}

/// The form that was asked for; `--json` asks for one as well.
fn form(options: &ExportOptions, output: &Output) -> Result<Form, Failure> {
    match (options.format, output.is_json()) {
        (None, false) => Ok(options.what.forms().first().copied().unwrap_or(Form::Json)),
        (None | Some(Form::Json), true) => Ok(Form::Json),
        (Some(form), false) => Ok(form),
        (Some(form), true) => {
            Err(Failure::usage(format!("--json and --format {} contradict one another: leave one out", form.key())))
        }
    }
}

/// The site that is meant; without a name, the only one there is.
pub(super) fn one_site<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Site, Failure> {
    let some = || config.sites.keys().take(10).map(|site| format!("`{site}`")).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => config
            .sites
            .get(name)
            .ok_or_else(|| Failure::usage(format!("no site is called `{name}`: there is {}", some()))),
        None if config.sites.len() == 1 => {
            config.sites.values().next().ok_or_else(|| Failure::usage("no site is declared"))
        }
        None if config.sites.is_empty() => Err(Failure::usage("no site is declared: add a file to `sites`")),
        None => Err(Failure::usage(format!("there are several sites: choose one with `--site`, such as {}", some()))),
    }
}

/// Which version of the register the configuration is; none where its files were not applied yet.
fn stamp(config: &Config, register: Option<&Register>, site: &Site, now: Timestamp) -> Result<Stamp, Failure> {
    let digest = config.digest();
    let version = register.map(|register| register.version_in_force()).transpose()?.flatten();
    let applied = version.filter(|version| version.digest == digest);
    let date = applied.as_ref().map_or(now, |version| version.applied_at);
    Ok(Stamp {
        version: applied.map(|version| version.number),
        date: today(site, date).to_string(),
        digest: digest.chars().take(DIGEST_SHOWN).collect(),
    })
}

fn today(site: &Site, now: Timestamp) -> Date {
    site.time_zone.zone.to_datetime(now).date()
}

pub(super) fn check(directory: &Path, site: Option<&str>, lang: &str, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let config = &reading.in_force.config;
    let sites: Vec<&Site> = match site {
        Some(_) => vec![one_site(config, site)?],
        None => config.sites.values().collect(),
    };
    let language = Language::load(lang, Some(directory)).map_err(failure)?;
    // What a processor's file lacks is one finding, however many sites use it.
    let mut findings: BTreeMap<Gap, Vec<&str>> = BTreeMap::new();
    for site in sites {
        let stamp = stamp(config, reading.register.as_ref(), site, reading.clock.wall)?;
        let today = today(site, reading.clock.wall);
        for gap in
            papers::gaps(Subject { config, site, stamp: &stamp, today, policy: None }, &language).map_err(failure)?
        {
            findings.entry(gap).or_default().push(&site.domain);
        }
    }
    let missing = findings.keys().filter(|gap| gap.level == Level::Missing).count();
    let told: Vec<Finding<'_>> = findings.iter().map(|(gap, sites)| Finding { gap, sites }).collect();
    output.result(&json!({ "findings": told }), |output| print_findings(&told, missing, output));
    Ok(reading.exit(if missing > 0 { Exit::Attention } else { Exit::Done }))
}

/// A gap and the sites that have it.
#[derive(Serialize)]
struct Finding<'a> {
    #[serde(flatten)]
    gap: &'a Gap,
    sites: &'a [&'a str],
}

/// As many sites as a line names.
const SITES_NAMED: usize = 3;

fn print_findings(findings: &[Finding<'_>], missing: usize, output: &Output) {
    for Finding { gap, sites } in findings {
        let word = match gap.level {
            Level::Missing => output.attention("missing"),
            Level::Note => "note".to_owned(),
        };
        let papers: Vec<&str> = gap.papers.iter().map(|paper| paper.key()).collect();
        let more = sites.len().saturating_sub(SITES_NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named: Vec<&str> = sites.iter().take(SITES_NAMED).copied().collect();
        output.line(format!("{word}: {}", gap.what));
        let concerned = if papers.is_empty() { String::new() } else { format!("; papers: {}", papers.join(", ")) };
        output.line(format!("  sites: {}{more}{concerned}", named.join(", ")));
        output.line(format!("  wanted by: {}", gap.because));
        output.line(format!("  {}", gap.remedy));
    }
    output.line(match missing {
        0 => output.good("Nothing that must be said is missing."),
        1 => "1 thing must be said and is not known.".to_owned(),
        many => format!("{many} things must be said and are not known."),
    });
}

pub(super) fn diff(directory: &Path, options: &DiffOptions, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let language = Language::load(&options.lang, Some(directory)).map_err(failure)?;
    let begin = options.since.to_zoned_datetime(TimeZone::UTC)?.timestamp();
    if begin > reading.clock.wall {
        return Err(Failure::usage(format!("--since {}: that day has not come yet", options.since)));
    }
    let known = report::config_at(reading.register.as_ref(), begin, &format!("at the beginning of {}", options.since));
    let before = match known {
        Ok(config) => Some(config),
        Err(report::NotKnown::NothingRecorded(why)) => {
            output.warning(&format!("{why}: every paper is told as new"));
            None
        }
        Err(report::NotKnown::Unreadable(why)) => return Err(Failure::new(Exit::Failed, why)),
    };
    let after = &reading.in_force.config;
    if let Some(site) = &options.site
        && !before.iter().chain([after]).any(|config| config.sites.contains_key(site))
    {
        return Err(Failure::usage(format!("no site is or was called `{site}`")));
    }
    let today = TimeZone::UTC.to_datetime(reading.clock.wall).date();
    let changes =
        papers::changes(before.as_ref(), after, options.site.as_deref(), &language, today).map_err(failure)?;
    output.result(&json!({ "since": options.since, "changes": changes }), |output| {
        for change in &changes {
            output.heading(&format!("{}: {}", change.site, change.paper));
            change.removed.iter().for_each(|line| output.line(format!("- {}", visible(line))));
            change.added.iter().for_each(|line| output.line(format!("+ {}", visible(line))));
            output.line("");
        }
        if changes.is_empty() {
            output.line(output.good("No paper has changed."));
        }
    });
    Ok(reading.exit(Exit::Done))
}

/// The paper of that name, for the command line.
pub(super) fn paper(name: &str) -> Result<Paper, String> {
    Paper::ALL.into_iter().find(|paper| paper.key() == name).ok_or_else(|| format!("there is no paper `{name}`"))
}

/// The form of that name, for the command line.
pub(super) fn form_of(name: &str) -> Result<Form, String> {
    Form::ALL.into_iter().find(|form| form.key() == name).ok_or_else(|| format!("there is no form `{name}`"))
}
