//! `forgetd cookies check`: is the overview what browsers hold?

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::arguments::{CookiesCheckOptions, CookiesCommand};
use super::output::{Output, number_of};
use super::papers::one_site;
use super::session::Reading;
use super::{Ended, Exit, Failure};
use crate::config::Site;
use crate::cookies::{self, Capture, Level, Moment, Remark, Sandbox, Source, Visit};
use crate::report::words::visible;

pub(super) fn run(directory: &Path, command: &CookiesCommand, output: &Output) -> Ended {
    match command {
        CookiesCommand::Check(options) => check(directory, options, output),
    }
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    site: &'a str,
    captures: Vec<Looked>,
    findings: Vec<&'a Remark>,
    notes: Vec<&'a Remark>,
}

#[derive(Debug, Serialize)]
struct Looked {
    source: Source,
    moment: Moment,
    items: usize,
}

fn check(directory: &Path, options: &CookiesCheckOptions, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let config = &reading.in_force.config;
    let site = one_site(config, options.site.as_deref())?;
    let captures = match (&options.file, &options.url) {
        (Some(file), _) => vec![cookies::read(file, options.consent.map_or(Moment::NotSaid, Moment::from))?],
        (None, Some(url)) => visit(url, site, options, &reading, output)?,
        (None, None) => return Err(Failure::usage("name a file with a capture, or a page with `--url`")),
    };
    let remarks = cookies::compare(config, site, &captures, options.url.as_deref());
    let (findings, notes) = remarks.iter().partition::<Vec<&Remark>, _>(|r| r.topic.level() == Level::Finding);
    let looked =
        |capture: &Capture| Looked { source: capture.source, moment: capture.moment, items: capture.items.len() };
    let checked = Checked { site: &site.domain, captures: captures.iter().map(looked).collect(), findings, notes };
    output.result(&checked, |output| print(&checked, output));
    Ok(reading.exit(if checked.findings.is_empty() { Exit::Done } else { Exit::Attention }))
}

fn visit(
    url: &str,
    site: &Site,
    options: &CookiesCheckOptions,
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
    for remark in &checked.findings {
        tell(remark, &output.attention(remark.topic.words()), output);
    }
    for remark in &checked.notes {
        tell(remark, &format!("note: {}", remark.topic.words()), output);
    }
    let looked = |looked: &Looked| {
        let moment =
            if looked.moment == Moment::NotSaid { String::new() } else { format!(" {}", looked.moment.words()) };
        format!("{}{moment}: {}", looked.source.words(), number_of(looked.items, "item"))
    };
    for capture in &checked.captures {
        output.line(format!("Looked at {}.", looked(capture)));
    }
    output.line(match checked.findings.len() {
        0 => output.good("Nothing in it is against what the site declares."),
        many => format!("{} against what the site declares.", number_of(many, "thing")),
    });
}

fn tell(remark: &Remark, topic: &str, output: &Output) {
    let name = remark.name.as_deref().map(|name| format!(" `{}`", visible(name))).unwrap_or_default();
    let kind = remark.kind.map(|kind| format!(" ({})", kind.key())).unwrap_or_default();
    let moments: Vec<&str> = remark.moments.iter().filter(|m| **m != Moment::NotSaid).map(|m| m.words()).collect();
    let seen = if moments.is_empty() { String::new() } else { format!(", seen {}", moments.join(", ")) };
    output.line(format!("{topic}:{name}{kind}{seen}"));
    output.line(format!("  {}", visible(&remark.what)));
    output.line(format!("  {}", visible(&remark.remedy)));
}
