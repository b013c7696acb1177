//! What commands print: tables and colour on a terminal, plain and stable text in a pipe, JSON when asked.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::table::{self, Medium};
pub(super) use crate::report::words::number as count;
use crate::visible;

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
    config: Option<PathBuf>,
}

impl Output {
    /// `config` is the configuration directory as the caller wrote it.
    pub(super) fn new(json: bool, config: Option<&Path>) -> Output {
        let form = if json { Form::Json } else { Form::Text };
        Output { form, terminal: std::io::stdout().is_terminal(), config: config.map(Path::to_owned) }
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
                let json = visible::json_lines(value).unwrap_or_default();
                self.bytes(format!("{json}\n").as_bytes());
            }
        }
    }

    /// One line of text.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        self.bytes(format!("{}\n", visible::styled(text.as_ref())).as_bytes());
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

    /// Something that failed.
    pub(super) fn bad(&self, text: &str) -> String {
        paint(text, AnsiColor::Red)
    }

    /// A table.
    pub(super) fn table(&self, header: &[&str], rows: &[Vec<String>]) {
        let width = self.terminal.then(|| comfy_table::Table::new().width()).flatten();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        for line in table::render(header, &rows, width.map_or(Medium::Pipe, Medium::Terminal)) {
            self.line(line);
        }
    }

    /// Text that names commands, which then work as printed: with the configuration that this command was given.
    pub(super) fn advice(&self, text: &str) -> String {
        match &self.config {
            Some(config) => text.replace("`forgetd ", &format!("`forgetd --config {} ", quoted(config))),
            None => text.to_owned(),
        }
    }

    /// A result that has its form already.
    pub(super) fn text(&self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Bytes as they are; colours only where a terminal shows them.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        // A reader that has seen enough closes the pipe: nothing is wrong.
        let _ = anstream::stdout().write_all(bytes);
    }

    /// A line of the log: in a pipe exactly the bytes that were signed, on a terminal the same JSON with nothing in it
    /// that a terminal obeys.
    pub(super) fn signed_json(&self, line: &[u8]) {
        match self.terminal {
            true => self.line(visible::json_text(&String::from_utf8_lossy(line))),
            false => self.bytes(&[line, b"\n"].concat()),
        }
    }

    /// A remark that is not the result.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "{}", visible::styled(text));
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        let style = AnsiColor::Red.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{style}forgetd:{style:#} {}", visible::styled(&self.advice(text)));
    }

    /// A warning.
    pub(super) fn warning(&self, text: &str) {
        let style = AnsiColor::Yellow.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{style}warning:{style:#} {}", visible::styled(&self.advice(text)));
    }

    /// Asks on standard error for a line; `None` where there is none.
    pub(super) fn asks(&self, question: &str) -> Option<String> {
        let mut stderr = anstream::stderr();
        let _ = write!(stderr, "{} ", visible::styled(question));
        let _ = stderr.flush();
        let mut answer = String::new();
        match std::io::stdin().read_line(&mut answer) {
            Ok(length) if length > 0 => Some(answer.trim().to_owned()),
            _ => None,
        }
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

/// A cell: a newline in a name would begin another row.
fn one_line(cell: &str) -> String {
    visible::styled(cell).replace('\n', "⟨U+000A⟩").replace('\t', "⟨U+0009⟩")
}

/// An instant to the second, in UTC.
pub(super) fn instant(at: jiff::Timestamp) -> String {
    format!("{at:.0}")
}

/// A number and what is counted: `1 rule`, `2 rules`.
pub(super) fn number_of(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
