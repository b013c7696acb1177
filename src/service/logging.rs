//! Where the daemon's events go, by who reads there: with their fields to the journal, as lines for people to a
//! terminal, as JSON to everything else.
//!
//! An event is one line wherever it goes: it repeats names of tables, files and rules, and what databases answer, and
//! none of them may begin a line of its own, or move the cursor of a terminal. What is told is decided by `RUST_LOG`, or by `[log]` of the configuration in
//! force, which may change while the daemon runs.

mod journal;

use std::io::{IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::systemd;
use crate::config::LogLevel;
use crate::visible;
use journal::Journal;

/// Whoever sets it wants no colour (no-color.org).
const NO_COLOR: &str = "NO_COLOR";

/// Who decides what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// `RUST_LOG`, from the start to the end.
    Environment,
    /// The configuration in force.
    Configuration,
}

/// Logging under way.
#[derive(Debug)]
pub(super) struct Logging {
    filter: Handle<EnvFilter, Registry>,
    authority: Authority,
}

impl Logging {
    /// Begins, with what can be decided before any configuration is read.
    pub(super) fn start() -> Logging {
        let environment = std::env::var(EnvFilter::DEFAULT_ENV).is_ok_and(|directives| !directives.is_empty());
        let (filter, authority) = if environment {
            let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
            (filter, Authority::Environment)
        } else {
            (filter_of(LogLevel::Info), Authority::Configuration)
        };
        let (filter, handle) = reload::Layer::new(filter);
        // Already set when a test runs two daemons in one process: the first one serves both.
        let _ = tracing_subscriber::registry().with(filter).with(destination()).try_init();
        Logging { filter: handle, authority }
    }

    /// From now on tells what the configuration says, unless the environment has decided.
    pub(super) fn set_level(&self, level: LogLevel) {
        if self.authority == Authority::Configuration {
            // Fails only where the subscriber is gone, and then nothing is told anyway.
            let _ = self.filter.reload(filter_of(level));
        }
    }
}

/// Libraries are heard only by who wants to hear everything.
fn filter_of(level: LogLevel) -> EnvFilter {
    EnvFilter::new(match level {
        LogLevel::Debug => "info,forgetd=debug",
        level => level.key(),
    })
}

fn destination<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let stderr = || OneLine { stream: std::io::stderr(), shown: visible::styled };
    if systemd::logs_to_journal() {
        match Journal::open() {
            Ok(journal) => journal.boxed(),
            // The stream is the journal's as well: it adds the time itself.
            Err(_) => fmt::layer().with_writer(stderr).with_ansi(false).with_target(false).without_time().boxed(),
        }
    } else if std::io::stderr().is_terminal() {
        let colour = std::env::var_os(NO_COLOR).is_none_or(|value| value.is_empty());
        fmt::layer().with_writer(stderr).with_ansi(colour).with_target(false).boxed()
    } else {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(|| OneLine { stream: std::io::stderr(), shown: visible::json_text })
            .boxed()
    }
}

/// A line for each event, whatever names it repeats.
struct OneLine<W> {
    stream: W,
    /// Shows what would act unseen.
    shown: fn(&str) -> String,
}

impl<W: Write> Write for OneLine<W> {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = (self.shown)(text.strip_suffix('\n').unwrap_or(&text)).replace('\n', "⟨U+000A⟩");
        self.stream.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_begins_a_second_line_or_moves_a_cursor() {
        let mut said = OneLine { stream: Vec::new(), shown: visible::styled };
        said.write_all("\u{1b}[33m WARN\u{1b}[0m not run rule=a\n INFO forged\u{1b}[2J\u{202e}\n".as_bytes()).unwrap();
        let expected = "\u{1b}[33m WARN\u{1b}[0m not run rule=a⟨U+000A⟩ INFO forged⟨U+001B⟩[2J⟨U+202E⟩\n";
        assert_eq!(String::from_utf8(said.stream).unwrap(), expected);
    }
}
