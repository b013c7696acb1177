//! What the daemon says to whoever watches: one line for each event, on standard error, for people and for the journal.
//!
//! An event repeats names of tables, files and rules, and what databases answer. None of them may begin a line of its
//! own there, or move the cursor of a terminal.

use std::io::{IsTerminal, Write};

use super::systemd;
use crate::visible;

/// Says events from now on.
pub(super) fn start() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Visible(std::io::stderr()))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Already set when a test runs two daemons in one process: the first one serves both.
    let _ = if systemd::logs_to_journal() { subscriber.without_time().try_init() } else { subscriber.try_init() };
}

/// A line for each event, whatever names it repeats.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = visible::styled(text.strip_suffix('\n').unwrap_or(&text)).replace('\n', "⟨U+000A⟩");
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_begins_a_second_line_or_moves_a_cursor() {
        let mut said = Visible(Vec::new());
        said.write_all("\u{1b}[33m WARN\u{1b}[0m not run rule=a\n INFO forged\u{1b}[2J\u{202e}\n".as_bytes()).unwrap();
        let expected = "\u{1b}[33m WARN\u{1b}[0m not run rule=a⟨U+000A⟩ INFO forged⟨U+001B⟩[2J⟨U+202E⟩\n";
        assert_eq!(String::from_utf8(said.0).unwrap(), expected);
    }
}
