//! Progress with rate and remaining time, for long work that a person watches.

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;
use crate::purge::{Step, Watcher};

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
