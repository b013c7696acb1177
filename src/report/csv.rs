//! A table of runs for a spreadsheet: RFC 4180, one line for every run that ended in the period, for every run
//! without an end, for every time a rule was held before it ran, and for every comparison with the stores.
//!
//! It begins with a byte order mark: without one a spreadsheet takes UTF-8 for another encoding. A text that a
//! spreadsheet would take for a formula is preceded by an apostrophe: a table may be called `=cmd()`. Instants are UTC
//! in the form that spreadsheets read and sort.

use std::io::{self, Write};

use super::gather::Line;
use super::model::{Comparison, Incident, Run};
use super::words::{self, sortable};
use crate::visible::visible;

/// What a spreadsheet knows UTF-8 by.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{FEFF}";

const COLUMNS: [&str; 19] = [
    "site",
    "rule",
    "run",
    "started_utc",
    "finished_utc",
    "outcome",
    "cutoff_utc",
    "counted",
    "erased",
    "dependent_rows",
    "left",
    "arrived",
    "undatable",
    "on_hold",
    "batches",
    "milliseconds",
    "because",
    "reason",
    "physically_pending",
];

/// The table as it is written.
#[derive(Debug)]
pub struct Csv<W> {
    to: W,
}

impl<W: Write> Csv<W> {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(mut to: W) -> io::Result<Csv<W>> {
        to.write_all(BYTE_ORDER_MARK.as_bytes())?;
        let mut csv = Csv { to };
        csv.row(&COLUMNS.map(str::to_owned))?;
        Ok(csv)
    }

    /// One line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn line(&mut self, line: Line<'_>) -> io::Result<()> {
        match line {
            Line::Run(run) => self.run(run),
            Line::Refused(incident) => self.refused(incident),
            Line::Compared(comparison) => self.compared(comparison),
        }
    }

    fn run(&mut self, run: &Run) -> io::Result<()> {
        let instant = |at: Option<jiff::Timestamp>| at.map(sortable).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.row(&[
            run.site.clone(),
            run.rule.clone(),
            run.run.clone(),
            sortable(run.started),
            instant(run.finished),
            run.outcome.map_or("no-end-recorded", |outcome| outcome.key()).to_owned(),
            instant(run.cutoff),
            run.counted.to_string(),
            run.erased.to_string(),
            run.children.to_string(),
            run.left.map(|left| left.to_string()).unwrap_or_default(),
            run.arrived.to_string(),
            run.undatable.to_string(),
            run.on_hold.to_string(),
            run.batches.to_string(),
            run.millis.to_string(),
            run.because.clone(),
            text(&run.reason),
            text(&run.pending),
        ])
    }

    fn refused(&mut self, incident: &Incident) -> io::Result<()> {
        let rule = incident.rule.clone().unwrap_or_default();
        let mut row = [const { String::new() }; COLUMNS.len()];
        row[0] = words::site_of(&rule).to_owned();
        row[1] = rule;
        row[3] = sortable(incident.time);
        row[5] = "refused".to_owned();
        row[7] = incident.records.map(|records| records.to_string()).unwrap_or_default();
        row[17].clone_from(&incident.text);
        self.row(&row)
    }

    fn compared(&mut self, comparison: &Comparison) -> io::Result<()> {
        let counts: Vec<String> = comparison.counts.iter().map(|(kind, many)| format!("{many} {kind}")).collect();
        let mut row = [const { String::new() }; COLUMNS.len()];
        row[4] = sortable(comparison.time);
        row[5] = if counts.is_empty() { "no-drift" } else { "drift" }.to_owned();
        row[17] = counts.join("; ");
        self.row(&row)
    }

    fn row(&mut self, fields: &[String]) -> io::Result<()> {
        self.to.write_all(record(fields).as_bytes())
    }

    /// What it was written to.
    pub fn into_inner(self) -> W {
        self.to
    }
}

/// One line of a table.
pub(crate) fn record(fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|text| field(text)).collect();
    fields.join(",") + "\r\n"
}

fn field(text: &str) -> String {
    let text = visible(text);
    let guard =
        if text.starts_with(['=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}']) { "'" } else { "" };
    if text.contains(['"', ',', ';', '\'']) || !guard.is_empty() {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_no_field_is_a_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("a \"b\", c", "\"a \"\"b\"\", c\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM", "\"'@SUM\""),
            ("two\r\nlines", "two⟨U+000D⟩⟨U+000A⟩lines"),
            ("\t=1", "⟨U+0009⟩=1"),
        ] {
            assert_eq!(field(text), written);
        }
    }
}
