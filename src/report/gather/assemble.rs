//! From what the pass has seen, and what is declared, to the report.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::{Declared, Question, Seen};
use crate::audit::Paths;
use crate::report::model::{Evidence, FORM, Pending, Report, Verified};
use crate::report::{state, tell, words};

/// A checkpoint and a key have some hundred bytes: what is longer is neither.
const LONGEST_NOTE: u64 = 16 * 1024;

impl Seen<'_> {
    pub(super) fn report(mut self, declared: &Declared<'_>, verified: Verified) -> Report {
        let sites = state::sites(self.question, declared, &self);
        let pending = self.pending();
        let missing = declared.missing.iter().cloned().chain(self.not_understood()).collect();
        if let Some(site) = self.question.site {
            let others: BTreeSet<&str> = declared
                .config
                .into_iter()
                .flat_map(|config| config.sites.keys())
                .chain(&self.sites)
                .map(String::as_str)
                .filter(|other| *other != site)
                .collect();
            for version in &mut self.versions.newest {
                version.changes.retain(|change| !others.iter().any(|other| tell::names(change, other)));
            }
        }
        let Question { log, period, site, now } = self.question;
        let paths = Paths::new(log);
        let holds = self.holds.into_values().filter(|hold| {
            // Dates of this form compare as text.
            let ended = hold.until < period.from.to_string();
            self.question.is_about(&hold.prefix) && !ended && hold.lifted.is_none_or(|lifted| lifted >= period.start)
        });
        Report {
            form: FORM,
            program: env!("CARGO_PKG_VERSION"),
            written: *now,
            period: period.clone(),
            as_of: self.question.as_of(),
            site: site.map(str::to_owned),
            controller: declared.config.map(|config| state::controller(config, *site)),
            missing,
            totals: self.totals,
            sites,
            drift: self.drift,
            timeline: self.timeline,
            rules: self.rules.into_values().collect(),
            runs: self.runs,
            quiet_runs: self.quiet_runs,
            incidents: self.incidents,
            decisions: self.decisions,
            holds: holds.collect(),
            versions: self.versions,
            pending,
            evidence: Evidence {
                verified,
                checkpoint: note(&paths.checkpoint),
                verifier_key: note(&paths.verifier_key),
                kinds: self.kinds,
                silence: self.silence,
            },
        }
    }

    /// What stands in the log and is not told.
    fn not_understood(&self) -> Vec<String> {
        let told = |many: u64, one: &str, what: &str| (many > 0).then(|| format!("{} {what}", words::count(many, one)));
        [
            told(self.unknown, "entry", "of the period could be counted only: this version does not know their kind"),
            told(self.unreadable, "line", "of the log could not be read as entries, nor what may follow them"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What the last runs left physically, once for all rules of which the same is true.
    fn pending(&self) -> Vec<Pending> {
        let mut by_text: BTreeMap<&str, Pending> = BTreeMap::new();
        for (rule, known) in self.known.iter().filter(|(rule, _)| self.question.is_about(rule)) {
            let Some((text, at)) = &known.pending else { continue };
            let pending = by_text.entry(text).or_insert_with(|| Pending {
                text: text.clone(),
                rules: Vec::new(),
                since: *at,
                until: *at,
            });
            pending.rules.push(rule.clone());
            pending.since = pending.since.min(*at);
            pending.until = pending.until.max(*at);
        }
        by_text.into_values().collect()
    }
}

/// A signed note or a key, to be shown; the verification has already judged it.
fn note(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST_NOTE).read_to_string(&mut text).ok()?;
    Some(text)
}
