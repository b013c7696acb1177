//! The register speaks: the papers that the law and the visitors want, written from what is declared.
//!
//! A record of processing activities, a fragment of the privacy policy, the notice in the chat box, the cookie
//! overview, the annex of the processing agreement, and the configuration of two consent managers all say the same
//! things of a site. So those are put together once, as a `model` in the reader's language, and every paper is a
//! view of it: a table, a value, or a template.
//!
//! Nothing is invented. What a paper must say and the register does not know is a gap: it stands in the paper as
//! missing, and [`gaps`] lists it with what to write where. What the settings of a site do not store is not told as
//! stored. A text without a translation is an error: half a page in another language informs nobody.

mod article30;
mod build;
mod consent;
mod cookies;
mod diff;
mod embedded;
pub mod items;
mod language;
mod model;
mod periods;
mod table;
mod template;

use std::path::PathBuf;

use jiff::civil::Date;

use crate::config::{Config, Site};

pub use diff::{Change, changes};
pub use language::Language;
pub use model::{Gap, Level, Stamp};

/// A paper that is written from the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paper {
    /// The controller's record of processing activities (GDPR Article 30(1)).
    Article30,
    /// The record of who processes on behalf of a site's controller (Article 30(2)).
    Article30Processor,
    /// A fragment for the site's privacy policy (Article 13).
    PrivacyNotice,
    /// The message in the chat box.
    VisitorNotice,
    /// The overview of cookies and other storage items.
    Cookies,
    /// The annex of the data processing agreement (Article 28(3)).
    AgreementAnnex,
    /// Configuration of vanilla-cookieconsent, version 3.
    CookieConsent,
    /// Configuration of Klaro, version 0.7.
    Klaro,
}

impl Paper {
    /// Every paper there is.
    pub const ALL: [Paper; 8] = [
        Paper::Article30,
        Paper::Article30Processor,
        Paper::PrivacyNotice,
        Paper::VisitorNotice,
        Paper::Cookies,
        Paper::AgreementAnnex,
        Paper::CookieConsent,
        Paper::Klaro,
    ];

    /// The word that the command takes.
    pub fn key(self) -> &'static str {
        match self {
            Paper::Article30 => "article30",
            Paper::Article30Processor => "article30-processor",
            Paper::PrivacyNotice => "privacy-notice",
            Paper::VisitorNotice => "visitor-notice",
            Paper::Cookies => "cookies",
            Paper::AgreementAnnex => "agreement-annex",
            Paper::CookieConsent => "cookieconsent",
            Paper::Klaro => "klaro",
        }
    }

    /// The forms it is written in, the usual one first.
    pub fn forms(self) -> &'static [Form] {
        match self {
            Paper::Article30 | Paper::Article30Processor => &[Form::Html, Form::Csv, Form::Json],
            Paper::PrivacyNotice | Paper::VisitorNotice => &[Form::Html, Form::Markdown, Form::Page],
            Paper::Cookies => &[Form::Html, Form::Markdown, Form::Csv, Form::Json, Form::Page],
            Paper::AgreementAnnex => &[Form::Html, Form::Markdown],
            Paper::CookieConsent | Paper::Klaro => &[Form::Script, Form::Json],
        }
    }
}

/// What a paper is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HTML: a fragment where the paper becomes part of a page, else a page.
    Html,
    /// HTML: such a fragment as a page of its own.
    Page,
    /// Markdown.
    Markdown,
    /// A table for a spreadsheet.
    Csv,
    /// A value for programs.
    Json,
    /// JavaScript that a page loads.
    Script,
}

impl Form {
    /// Every form there is.
    pub const ALL: [Form; 6] = [Form::Html, Form::Page, Form::Markdown, Form::Csv, Form::Json, Form::Script];

    /// The word that the command takes.
    pub fn key(self) -> &'static str {
        match self {
            Form::Html => "html",
            Form::Page => "page",
            Form::Markdown => "md",
            Form::Csv => "csv",
            Form::Json => "json",
            Form::Script => "js",
        }
    }
}

/// Why a paper cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// There are no texts in that language.
    #[error(
        "no texts in the language `{language}`: there are {known}; add `templates/{language}/texts.toml` to the configuration"
    )]
    UnknownLanguage {
        /// The language.
        language: String,
        /// Those that there are.
        known: String,
    },
    /// Some texts of the papers are not translated.
    #[error(
        "templates/{language}/texts.toml: {count} texts are missing, such as {examples}: a paper in two languages informs nobody"
    )]
    MissingTexts {
        /// The language.
        language: String,
        /// How many.
        count: usize,
        /// The keys of some of them.
        examples: String,
    },
    /// Some declared texts are not translated.
    #[error(
        "these declared texts have no translation:\n{texts}\nadd them under `[facts]` in `templates/{language}/facts.toml` of the configuration directory, or `as-written = true` at its top if the declarations are in this language"
    )]
    MissingFacts {
        /// The language.
        language: String,
        /// The texts as lines of that file, to be completed.
        texts: String,
    },
    /// An operator's file cannot be read.
    #[error("{path}: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A template does not work.
    #[error("template {name}: {problem}")]
    Template {
        /// The template.
        name: String,
        /// Where and why.
        problem: String,
    },
    /// The paper is not written in that form.
    #[error("{paper} is written as {forms}, not as {form}")]
    NoSuchForm {
        /// The paper.
        paper: &'static str,
        /// The form that was asked for.
        form: &'static str,
        /// The forms that there are.
        forms: String,
    },
    /// A value cannot be written as JSON.
    #[error("the value cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is written about: one site, as its files say.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The site.
    pub site: &'a Site,
    /// The version of the register.
    pub stamp: &'a Stamp,
    /// The day on which safeguards and agreements are looked at.
    pub today: Date,
    /// Where the site's privacy policy stands, for papers that point to it.
    pub policy: Option<&'a str>,
}

/// Writes one paper.
///
/// # Errors
/// A translation is missing, an operator's template does not work, or the paper has no such form.
pub fn export(subject: Subject<'_>, paper: Paper, form: Form, language: &Language) -> Result<String, PaperError> {
    if !paper.forms().contains(&form) {
        let forms: Vec<&str> = paper.forms().iter().map(|form| form.key()).collect();
        return Err(PaperError::NoSuchForm { paper: paper.key(), form: form.key(), forms: forms.join(", ") });
    }
    let papers = build::papers(subject, language)?;
    match (paper, form) {
        (Paper::Article30, Form::Csv) => Ok(article30::table(&papers, language).csv(language)),
        (Paper::Article30, Form::Json) => json(&article30::record(&papers)),
        (Paper::Article30Processor, Form::Csv) => Ok(article30::processor_table(&papers, language).csv(language)),
        (Paper::Article30Processor, Form::Json) => json(&article30::processor_record(&papers)),
        (Paper::Cookies, Form::Csv) => Ok(cookies::table(&papers).csv(language)),
        (Paper::Cookies, Form::Json) => json(&cookies::overview(&papers)),
        (Paper::CookieConsent, Form::Json) => json(&consent::cookieconsent(&papers, language)),
        (Paper::CookieConsent, _) => consent::cookieconsent_script(&papers, language),
        (Paper::Klaro, Form::Json) => json(&consent::klaro(&papers, language)),
        (Paper::Klaro, _) => consent::klaro_script(&papers, language),
        (paper, form) => template::render(paper, form, &papers, language),
    }
}

/// What a site's papers must say and the register does not know. The operator's texts are those of `language`.
///
/// # Errors
/// A translation is missing.
pub fn gaps(subject: Subject<'_>, language: &Language) -> Result<Vec<Gap>, PaperError> {
    Ok(build::papers(subject, language)?.gaps)
}

fn json(value: &impl serde::Serialize) -> Result<String, PaperError> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

#[cfg(test)]
mod tests;
