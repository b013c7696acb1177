//! Progress, for long work that a person watches: of a purge with rate and remaining time, of looking at stores by what
//! is being looked at and since when, because nobody knows how long a count will take.

use std::cell::Cell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;
use crate::purge::{Step, Watcher};
use crate::visible::visible;

/// A bar on standard error, or nothing where nobody watches.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(rule: &str, output: &Output) -> Progress {
        if !output.is_interactive() {
            return Progress { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(0);
        let template = "{msg} {wide_bar} {human_pos}/{human_len} ({per_sec}, {eta} left)";
        // A template of our own that does not parse would only look plain.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(rule.to_owned());
        Progress { bar }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for Progress {
    fn reached(&self, step: Step) {
        match step {
            Step::Started { counted } => self.bar.set_length(counted),
            Step::Recorded { erased } => self.bar.set_position(erased),
            _ => {}
        }
    }
}

/// How often the time is shown anew while one store is at work.
const TICK: Duration = Duration::from_millis(500);

/// Which rule or store is being looked at, on standard error; nothing where nobody watches.
pub(super) struct Looks {
    bar: ProgressBar,
    number: usize,
    at: Cell<usize>,
}

impl Looks {
    pub(super) fn at(number: usize, output: &Output) -> Looks {
        let looks = |bar| Looks { bar, number, at: Cell::new(0) };
        if !output.is_interactive() {
            return looks(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        let template = "{spinner} {elapsed}, {wide_msg}";
        // A template of our own that does not parse would only look plain.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        looks(bar)
    }

    /// The next one begins.
    pub(super) fn next(&self, name: &str) {
        self.at.set(self.at.get() + 1);
        self.bar.set_message(format!("{} of {}: {}", self.at.get(), self.number, visible(name)));
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
