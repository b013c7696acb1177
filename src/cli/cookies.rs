//! `forgetd cookies`: is the overview what browsers hold, and if not, how would it be?

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::approve::{open_state, uid};
use super::arguments::{CaptureOptions, CookiesCheckOptions, CookiesCommand};
use super::output::{Output, number_of};
use super::papers::one_site;
use super::session::Reading;
use super::{Ended, Exit, Failure};
use crate::audit::{Event, Sync};
use crate::config::Site;
use crate::cookies::{self, Capture, Level, Moment, Remark, Sandbox, Topic, Visit};
use crate::service;
use crate::visible::visible;

pub(super) fn run(directory: &Path, command: &CookiesCommand, output: &Output) -> Ended {
    match command {
        CookiesCommand::Check(options) => check(directory, options, output),
        CookiesCommand::Draft(options) => draft(directory, options, output),
    }
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    site: &'a str,
    captures: &'a [Capture],
    findings: Vec<&'a Remark>,
    notes: Vec<&'a Remark>,
}

fn check(directory: &Path, options: &CookiesCheckOptions, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let config = &reading.in_force.config;
    let site = one_site(config, options.capture.site.as_deref())?;
    let captures = captures(&reading, site, &options.capture, output)?;
    let remarks = cookies::compare(config, site, &captures, options.capture.url.as_deref());
    let (findings, notes) = remarks.iter().partition::<Vec<&Remark>, _>(|r| r.topic.level() == Level::Finding);
    let checked = Checked { site: &site.domain, captures: &captures, findings, notes };
    output.result(&checked, |output| print(&checked, output));
    if !options.no_record {
        match &reading.register {
            Some(_) => record(directory, &checked).map_err(not_recorded)?,
            None => output.note(
                "The result is not in the audit log: there is none before `forgetd run` or `forgetd purge` begins it.",
            ),
        }
    }
    Ok(reading.exit(if checked.findings.is_empty() { Exit::Done } else { Exit::Attention }))
}

fn draft(directory: &Path, options: &CaptureOptions, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let config = &reading.in_force.config;
    let site = one_site(config, options.site.as_deref())?;
    let captures = captures(&reading, site, options, output)?;
    match cookies::draft(config, site, &captures, options.url.as_deref()) {
        Some(draft) => output.text(&draft),
        None => output.note("Nothing is undeclared: there is nothing to draft."),
    }
    Ok(reading.exit(Exit::Done))
}

fn captures(
    reading: &Reading,
    site: &Site,
    options: &CaptureOptions,
    output: &Output,
) -> Result<Vec<Capture>, Failure> {
    match (&options.file, &options.url) {
        (Some(file), _) => Ok(vec![cookies::read(file, options.consent.map_or(Moment::NotSaid, Moment::from))?]),
        (None, Some(url)) => visit(url, site, options, reading, output),
        (None, None) => Err(Failure::usage("name a file with a capture, or a page with `--url`")),
    }
}

fn not_recorded(failure: Failure) -> Failure {
    let what = "the result is not in the audit log";
    let remedy = "run it as the user of the service, or leave the log alone with `--no-record`";
    Failure { message: format!("{what}: {}; {remedy}", failure.message), ..failure }
}

/// Names of items may be made of what a visitor is known by: the log has their number.
fn record(directory: &Path, checked: &Checked<'_>) -> Result<(), Failure> {
    let mut findings = BTreeMap::new();
    for finding in &checked.findings {
        *findings.entry(finding.topic.key().to_owned()).or_insert(0) += 1;
    }
    let items: usize = checked.captures.iter().map(|capture| capture.items.len()).sum();
    let event = Event::CookiesChecked {
        site: checked.site.to_owned(),
        source: checked.captures.first().map_or("", |capture| capture.source.key()).to_owned(),
        moments: checked.captures.iter().map(|capture| capture.moment.key().to_owned()).collect(),
        items: u64::try_from(items)?,
        findings,
        notes: u64::try_from(checked.notes.len())?,
        uid: uid(),
    };
    let (mut state, clock) = open_state(directory)?;
    state.log.append(clock.wall, &event, Sync::Now)?;
    state.log.checkpoint()?;
    service::wake(&state.paths);
    Ok(())
}

fn visit(
    url: &str,
    site: &Site,
    options: &CaptureOptions,
    reading: &Reading,
    output: &Output,
) -> Result<Vec<Capture>, Failure> {
    if cookies::sandbox() == Sandbox::OffForRoot {
        output
            .warning("as root the browser runs without its sandbox: visit pages that you do not trust as another user");
    }
    for (button, key, when) in
        [(&site.cookie_bar.refuse, "refuse", "refusal"), (&site.cookie_bar.accept, "accept", "acceptance")]
    {
        if button.is_none() {
            let file = &site.file;
            output.warning(&format!("not looked at after {when}: {file} has no `{key}` under `[cookie-bar]`"));
        }
    }
    let settle = Duration::from_secs(options.settle);
    let now = reading.clock.wall;
    let browser = options.browser.as_deref();
    Ok(cookies::visit(&Visit { url, browser, bar: &site.cookie_bar, settle, now })?)
}

fn print(checked: &Checked<'_>, output: &Output) {
    // What is said of several items alike is said once.
    let are_alike = |one: &&Remark, next: &&Remark| {
        (one.topic, &one.what, &one.remedy, &one.moments) == (next.topic, &next.what, &next.remedy, &next.moments)
    };
    for alike in checked.findings.chunk_by(are_alike) {
        tell(alike, |topic| output.attention(topic.words()), output);
    }
    for alike in checked.notes.chunk_by(are_alike) {
        tell(alike, |topic| format!("note: {}", topic.words()), output);
    }
    for Capture { source, moment, items } in checked.captures {
        let moment = if *moment == Moment::NotSaid { String::new() } else { format!(" {}", moment.words()) };
        output.line(format!("Looked at {}{moment}: {}.", source.words(), number_of(items.len(), "item")));
    }
    output.line(match checked.findings.len() {
        0 => output.good("Nothing in it is against what the site declares."),
        many => format!("{} against what the site declares.", number_of(many, "thing")),
    });
}

fn tell(alike: &[&Remark], topic: impl Fn(Topic) -> String, output: &Output) {
    let Some(first) = alike.first() else { return };
    let kind = |remark: &Remark| remark.kind.map(|kind| format!(" ({})", kind.key())).unwrap_or_default();
    let named = |remark: &&Remark| Some(format!("`{}`{}", visible(remark.name.as_deref()?), kind(remark)));
    let names: Vec<String> = alike.iter().filter_map(named).collect();
    let names = if names.is_empty() { String::new() } else { format!(" {}", names.join(", ")) };
    let moments: Vec<&str> = first.moments.iter().filter(|m| **m != Moment::NotSaid).map(|m| m.words()).collect();
    let seen = if moments.is_empty() { String::new() } else { format!(", seen {}", moments.join(", ")) };
    output.line(format!("{}:{names}{seen}", topic(first.topic)));
    output.line(format!("  {}", visible(&first.what)));
    output.line(format!("  {}", visible(&first.remedy)));
}
