//! What commands print: tables and colour on a terminal, plain and stable text in a pipe, JSON when asked.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// Standard output and standard error of one command.
#[derive(Debug)]
pub(super) struct Output {
    form: Form,
    terminal: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Output {
        let form = if json { Form::Json } else { Form::Text };
        Output { form, terminal: std::io::stdout().is_terminal() }
    }

    /// Whether a person is watching: progress and questions make sense.
    pub(super) fn is_interactive(&self) -> bool {
        self.form == Form::Text && std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
    }

    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Prints `value` as JSON, or runs `text`.
    pub(super) fn result(&self, value: &impl Serialize, text: impl FnOnce(&Output)) {
        match self.form {
            Form::Text => text(self),
            Form::Json => {
                // Values of our own into memory.
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                self.bytes(format!("{json}\n").as_bytes());
            }
        }
    }

    /// One line of text.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// A heading.
    pub(super) fn heading(&self, text: &str) {
        let bold = Style::new().bold();
        self.line(format!("{bold}{text}{bold:#}"));
    }

    /// Something good, said with a colour that the text does not depend on.
    pub(super) fn good(&self, text: &str) -> String {
        paint(text, AnsiColor::Green)
    }

    /// Something that needs attention.
    pub(super) fn attention(&self, text: &str) -> String {
        paint(text, AnsiColor::Yellow)
    }

    /// A table with aligned columns; the last column takes what width is left on a terminal.
    pub(super) fn table(&self, header: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        if self.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(comfy_table::Attribute::Bold)));
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(header);
        }
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end());
        }
    }

    /// Bytes as they are; colours only where a terminal shows them.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        // A reader that has seen enough closes the pipe: nothing is wrong.
        let _ = anstream::stdout().write_all(bytes);
    }

    /// A remark that is not the result.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        let style = AnsiColor::Red.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{style}forgetd:{style:#} {text}");
    }

    /// A warning.
    pub(super) fn warning(&self, text: &str) {
        let style = AnsiColor::Yellow.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{style}warning:{style:#} {text}");
    }

    /// Asks on standard error; only "y" and "yes" mean yes.
    pub(super) fn confirms(&self, question: &str) -> bool {
        let mut stderr = anstream::stderr();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok()
            && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }
}

fn paint(text: &str, color: AnsiColor) -> String {
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

/// An instant to the second, in UTC.
pub(super) fn instant(at: jiff::Timestamp) -> String {
    format!("{at:.0}")
}

/// A count with its digits in groups.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
