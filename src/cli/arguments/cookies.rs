//! The commands of `forgetd cookies`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cookies::Moment;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CookiesCommand {
    /// Compare what a browser holds with what the site declares
    ///
    /// Reads a HAR file, `inspection.json` of the EDPS Website Evidence Collector, a cookies.txt, a storage state of
    /// Playwright or a list of cookies in JSON, or visits the page with an installed Chromium: before consent, after
    /// refusal and after acceptance, by the buttons under `[cookie-bar]` of the site. Ends with 3 where the overview is
    /// not true, or where something is kept against the visitor's answer. Values are never printed. The result is an entry
    /// of the audit log; who may not write there leaves it out with `--no-record`.
    Check(CheckOptions),
    /// Draft a processor's file of what no processor declares
    ///
    /// To standard output. What a capture cannot tell is marked, and `forgetd check` refuses the file until it is
    /// filled in.
    Draft(CaptureOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckOptions {
    #[command(flatten)]
    pub(in crate::cli) capture: CaptureOptions,
    /// Leave the result out of the audit log, which else has counts and no names of items
    #[arg(long)]
    pub(in crate::cli) no_record: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CaptureOptions {
    /// The site [default: the only one there is]
    #[arg(long)]
    pub(in crate::cli) site: Option<String>,
    /// The capture; what it is shows in its contents
    #[arg(required_unless_present = "url", conflicts_with = "url")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// What the visitor had answered when the capture was taken [default: not said]
    #[arg(long, value_name = "ANSWER", conflicts_with = "url")]
    pub(in crate::cli) consent: Option<Consent>,
    /// Visit this page instead
    #[arg(long, value_parser = page)]
    pub(in crate::cli) url: Option<String>,
    /// The browser [default: the first of chromium, chromium-browser, google-chrome that is installed]
    #[arg(long, value_name = "PATH", requires = "url")]
    pub(in crate::cli) browser: Option<PathBuf>,
    /// Seconds for the page to work after it was loaded, and after an answer
    #[arg(long, value_name = "SECONDS", requires = "url", default_value_t = 3, value_parser = clap::value_parser!(u64).range(..=300))]
    pub(in crate::cli) settle: u64,
}

/// What the visitor had answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Consent {
    /// Nothing yet
    None,
    /// That nothing may be kept that needs consent
    Refused,
    /// That everything may
    Given,
}

impl From<Consent> for Moment {
    fn from(consent: Consent) -> Moment {
        match consent {
            Consent::None => Moment::BeforeConsent,
            Consent::Refused => Moment::AfterRefusal,
            Consent::Given => Moment::AfterAcceptance,
        }
    }
}

fn page(text: &str) -> Result<String, &'static str> {
    let leads =
        ["https://", "http://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
    if leads && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("write an address that begins with `https://` or `http://`, other letters than ASCII as `%…` or Punycode")
    }
}
