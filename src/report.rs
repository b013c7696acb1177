//! What a data protection officer reads: one period of the evidence, beside what was declared for it.
//!
//! [`gather()`] streams the audit log once and makes a [`Report`] of it, a plain value whose size is bounded whatever
//! the log's: of long lists the newest are kept and the others counted. What the register and the configuration know
//! is laid beside it as far as they are there; of a copy of the log alone the report says what it lacks.
//!
//! The text is written once, as a `document` of sections, sentences and tables, and put down as HTML or as Markdown.
//! JSON is the value itself. CSV is a table of runs, every one of them, written while they are read.
//!
//! Nothing in it is about a visitor: it repeats what stands in the log and in the declaration, where nothing is.

pub(crate) mod csv;
mod document;
mod gather;
pub(crate) mod html;
pub(crate) mod markdown;
mod model;
mod state;
mod tell;
mod timeline;
pub(crate) mod words;

use std::io;

use crate::visible;

pub use csv::Csv;
pub use gather::{Declared, Line, Question, gather};
pub use model::{Comparison, Covered, Incident, Report, Run, Verified};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The log cannot be read.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// Neither the log nor the declaration has such a site.
    #[error("no site is called `{0}`: neither the configuration nor the audit log has rules of it")]
    UnknownSite(String),
    /// The calendar has no such days.
    #[error("the period reaches beyond the calendar")]
    OutOfRange(#[from] jiff::Error),
    /// The report cannot be written.
    #[error("the report cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// One self-contained page.
pub fn html(report: &Report) -> String {
    html::render(report, &document::of(report))
}

/// The same text for a wiki or a ticket.
pub fn markdown(report: &Report) -> String {
    markdown::render(report, &document::of(report))
}

/// The value itself.
///
/// # Errors
/// None that plain values into memory could have.
pub fn json(report: &Report) -> serde_json::Result<String> {
    visible::json_lines(report).map(|json| json + "\n")
}
