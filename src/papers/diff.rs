//! What changed in the papers: the lines of each, before and after, as a reader would compare them.
//!
//! The stamp is left out: it changes with every version, whether or not a paper does.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::language::Language;
use super::model::{Papers, Stamp};
use super::{Form, Paper, PaperError, Subject, article30, build, consent, template};
use crate::config::{Config, Site};

/// One paper that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The site.
    pub site: String,
    /// The paper's word.
    pub paper: &'static str,
    /// Lines that it no longer has.
    pub removed: Vec<String>,
    /// Lines that it has now.
    pub added: Vec<String>,
}

/// What changed between two configurations in the papers of `site`, or of every site.
///
/// # Errors
/// A paper cannot be written.
pub fn changes(
    before: Option<&Config>,
    after: &Config,
    site: Option<&str>,
    language: &Language,
    today: Date,
) -> Result<Vec<Change>, PaperError> {
    let known = before.into_iter().chain([after]).flat_map(|config| config.sites.keys());
    let sites: BTreeSet<&String> = known.filter(|known| site.is_none_or(|site| site == known.as_str())).collect();
    let mut changes = Vec::new();
    for site in sites {
        let before = before.and_then(|config| Some((config, config.sites.get(site)?)));
        let after = after.sites.get(site).map(|site| (after, site));
        if before.zip(after).is_some_and(|(before, after)| files(before) == files(after)) {
            continue;
        }
        let before = before.map(|side| told(side, language, today)).transpose()?;
        let after = after.map(|side| told(side, language, today)).transpose()?;
        for paper in Paper::ALL {
            changes.extend(change(site, paper, before.as_ref(), after.as_ref(), language)?);
        }
    }
    Ok(changes)
}

type Side<'a> = (&'a Config, &'a Site);

/// The files that the papers of a site are written from, by their digests.
fn files<'a>((config, site): Side<'a>) -> BTreeSet<(&'a str, &'a str)> {
    let source = |file: &'a str| Some((file, config.sources.get(file)?.sha256.as_str()));
    config.depends_on(site).filter_map(source).collect()
}

fn told((config, site): Side<'_>, language: &Language, today: Date) -> Result<Papers, PaperError> {
    let stamp = Stamp { version: None, date: String::new(), digest: String::new() };
    build::papers(Subject { config, site, stamp: &stamp, today, policy: None }, language)
}

fn change(
    site: &str,
    paper: Paper,
    before: Option<&Papers>,
    after: Option<&Papers>,
    language: &Language,
) -> Result<Option<Change>, PaperError> {
    let lines =
        |papers: Option<&Papers>| papers.map_or_else(|| Ok(Vec::new()), |papers| lines(paper, papers, language));
    let (before, after) = (lines(before)?, lines(after)?);
    let mut change = Change { site: site.to_owned(), paper: paper.key(), removed: Vec::new(), added: Vec::new() };
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.iter().map(String::as_str).collect(), after.iter().map(String::as_str).collect());
    for line in TextDiff::from_slices(&before, &after).iter_all_changes() {
        match line.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => change.removed.push(line.value().to_owned()),
            ChangeTag::Insert => change.added.push(line.value().to_owned()),
        }
    }
    Ok((!change.removed.is_empty() || !change.added.is_empty()).then_some(change))
}

/// What a reader sees of a paper, line by line.
fn lines(paper: Paper, papers: &Papers, language: &Language) -> Result<Vec<String>, PaperError> {
    let text = match paper {
        Paper::Article30 => return Ok(article30::table(papers, language).lines(language)),
        Paper::Article30Processor => return Ok(article30::processor_table(papers, language).lines(language)),
        Paper::CookieConsent => super::json(&consent::cookieconsent(papers, language))?,
        Paper::Klaro => super::json(&consent::klaro(papers, language))?,
        Paper::PrivacyNotice | Paper::VisitorNotice | Paper::Cookies | Paper::AgreementAnnex => {
            template::render(paper, Form::Markdown, papers, language)?
        }
    };
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
