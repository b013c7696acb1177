//! The commands of `forgetd register`.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::date;
use crate::cli::papers;
use crate::papers::{Form, Paper};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RegisterCommand {
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
    /// Write a paper of a site from the register, to standard output
    ///
    /// Records of processing activities, a fragment for the privacy policy, the notice in the chat box, the cookie
    /// overview, the annex of the processing agreement, and configuration for two consent managers. What must be said
    /// and is not declared stands in it as missing: `forgetd register check` lists it.
    Export(ExportOptions),
    /// Find what the papers must say and the register does not know
    ///
    /// Ends with 3 where something is missing.
    Check {
        /// Only this site [default: every site]
        #[arg(long)]
        site: Option<String>,
        /// The language of the papers: texts and translations of your own count
        #[arg(long, value_name = "LANGUAGE", default_value = "en")]
        lang: String,
    },
    /// Show what changed in the papers, line by line
    Diff(DiffOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportOptions {
    /// The paper
    #[arg(value_parser = PossibleValuesParser::new(Paper::ALL.map(Paper::key)).try_map(|name| papers::paper(&name)))]
    pub(in crate::cli) what: Paper,
    /// The site [default: the only one there is]
    #[arg(long)]
    pub(in crate::cli) site: Option<String>,
    /// What it is written as [default: html, or js for the consent managers]
    #[arg(long, value_parser = PossibleValuesParser::new(Form::ALL.map(Form::key)).try_map(|name| papers::form_of(&name)))]
    pub(in crate::cli) format: Option<Form>,
    /// The language of its texts: `en`, `cs`, or one of your own
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(in crate::cli) lang: String,
    /// Where the site's privacy policy stands, for papers that point to it
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(in crate::cli) policy: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffOptions {
    /// Since the beginning of this day (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(in crate::cli) since: Date,
    /// Only this site [default: every site]
    #[arg(long)]
    pub(in crate::cli) site: Option<String>,
    /// The language in which the papers are compared
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(in crate::cli) lang: String,
}

/// An address of a page: it becomes a link, and a link must not be a script.
fn url(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\'' | '`' | '\\');
    let leads = text.starts_with("https://") || text.starts_with("http://") || text.starts_with('/');
    if leads && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("write an address that begins with `https://`, `http://` or `/`, without quotes and spaces")
    }
}
