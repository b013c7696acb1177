//! The figures: from the register and the audit log, without opening a store.
//!
//! They are asked for every few seconds, so what was read before is kept: runs that ended do not change, and the log
//! only grows. The rest is a handful of queries, whatever the number of rules.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Known, KnownRule};
use crate::audit::{AuditError, Follower};
use crate::purge::{StateError, StatePaths};
use crate::register::{FinishedRun, LastCount, Register, RegisterError};
use crate::safety::{Expired, Remembered, State, Stop};

/// The figures cannot be read. What can be said without the state is said all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum FiguresError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Everything that is told at one moment.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) purges_stopped: bool,
    pub(super) entries: u64,
    pub(super) unreviewed: u64,
    pub(super) unreviewed_since: Option<Timestamp>,
    pub(super) last_entry: Option<Timestamp>,
    pub(super) rules: Vec<RuleFigures>,
}

/// What is told of one rule.
#[derive(Debug)]
pub(super) struct RuleFigures {
    pub(super) rule: String,
    pub(super) site: String,
    pub(super) state: State,
    pub(super) runs: Runs,
    pub(super) due: Option<Timestamp>,
    pub(super) count: Option<LastCount>,
    pub(super) overdue: u64,
}

/// The runs of one rule, summed up.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    pub(super) erased: u64,
    /// When the last one that ended well began, and when it ended.
    pub(super) success: Option<(Timestamp, Timestamp)>,
    /// When the last one ended, and how long it took.
    pub(super) last: Option<(Timestamp, SignedDuration)>,
    pub(super) last_outcome: Option<String>,
}

impl Runs {
    fn add(&mut self, run: &FinishedRun) {
        self.erased = self.erased.saturating_add(run.erased);
        let Some(ended) = run.finished_at else { return };
        if run.outcome.as_deref() == Some("done") {
            self.success = Some((run.started_at, ended));
        }
        self.last = Some((ended, ended.duration_since(run.started_at)));
        self.last_outcome.clone_from(&run.outcome);
    }
}

/// What was read already.
#[derive(Debug)]
pub(super) struct Reader {
    paths: StatePaths,
    register: Option<Register>,
    log: Follower,
    runs: BTreeMap<String, Runs>,
    /// Every run up to this number has ended and is in `runs`.
    through: i64,
    /// When each rule is due, counted from its last success, for this version of what is known.
    due: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    due_of: u64,
    declared: BTreeMap<String, Option<Timestamp>>,
}

impl Reader {
    pub(super) fn new(paths: StatePaths) -> Reader {
        Reader {
            paths,
            register: None,
            log: Follower::default(),
            runs: BTreeMap::new(),
            through: 0,
            due: BTreeMap::new(),
            due_of: 0,
            declared: BTreeMap::new(),
        }
    }

    /// The figures at `now`.
    pub(super) fn read(&mut self, known: &Known, now: Timestamp) -> Result<Figures, FiguresError> {
        self.log.follow(&self.paths.audit())?;
        let register = match self.register.take() {
            Some(register) => Some(register),
            None => self.paths.existing_register()?,
        };
        let rules = match &register {
            Some(register) => self.rules(register, known, now)?,
            None => Vec::new(),
        };
        // After an error it is opened anew.
        self.register = register;
        Ok(Figures {
            purges_stopped: self.paths.stop() == Stop::Set,
            entries: self.log.entries(),
            unreviewed: self.log.unreviewed(),
            unreviewed_since: self.log.unreviewed_since(),
            last_entry: self.log.last(),
            rules,
        })
    }

    fn rules(&mut self, register: &Register, known: &Known, now: Timestamp) -> Result<Vec<RuleFigures>, FiguresError> {
        let under_way = self.take_in(register)?;
        if self.due_of != known.version {
            (self.due, self.declared, self.due_of) = (BTreeMap::new(), BTreeMap::new(), known.version);
        }
        let remembered = Remembered::read(register)?;
        let mut counts = register.last_counts()?;
        let mut figures = Vec::with_capacity(known.rules.len());
        for rule in &known.rules {
            let runs = under_way.get(&rule.name).or_else(|| self.runs.get(&rule.name)).cloned().unwrap_or_default();
            let count = counts.remove(&rule.name);
            let next = |after| known.next_run(&rule.site, after);
            let expired =
                Expired { matches: count.map_or(0, |count| count.expired), since: count.and_then(|count| count.since) };
            let overdue = expired.are_overdue(runs.last_outcome.as_deref(), next, now);
            figures.push(RuleFigures {
                rule: rule.name.clone(),
                site: rule.site.clone(),
                state: remembered.state(&rule.name, known.approval, rule.suspended),
                due: self.due(register, known, rule, &runs, remembered.approved_at(&rule.name))?,
                runs,
                count,
                overdue: if overdue { expired.matches } else { 0 },
            });
        }
        Ok(figures)
    }

    /// Takes in the runs that have ended since; those under way, and rules that have one, are returned apart.
    fn take_in(&mut self, register: &Register) -> Result<BTreeMap<String, Runs>, RegisterError> {
        let mut apart: BTreeMap<String, Runs> = BTreeMap::new();
        let (mut after, mut all_ended) = (self.through, true);
        loop {
            let found = register.runs_after(after)?;
            let Some((last, _)) = found.last() else { return Ok(apart) };
            after = *last;
            for (number, run) in found {
                all_ended &= run.finished_at.is_some();
                if all_ended {
                    self.runs.entry(run.rule.clone()).or_default().add(&run);
                    self.through = number;
                } else {
                    let so_far = || self.runs.get(&run.rule).cloned().unwrap_or_default();
                    apart.entry(run.rule.clone()).or_insert_with(so_far).add(&run);
                }
            }
        }
    }

    /// When the rule should have run again, by its schedule. It counts from where the daemon's agenda does: from the last
    /// success; before the first, from the approval, or the day on which the site was declared.
    fn due(
        &mut self,
        register: &Register,
        known: &Known,
        KnownRule { name, site, .. }: &KnownRule,
        runs: &Runs,
        approved_at: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, RegisterError> {
        let since = match (runs.success, approved_at) {
            (Some((began, _)), _) => Some(began),
            (None, Some(approved_at)) => Some(approved_at),
            (None, None) => self.declared(register, site)?,
        };
        let Some(since) = since else { return Ok(None) };
        if let Some((of, due)) = self.due.get(name)
            && *of == since
        {
            return Ok(*due);
        }
        let due = known.next_run(site, since);
        self.due.insert(name.clone(), (since, due));
        Ok(due)
    }

    fn declared(&mut self, register: &Register, site: &str) -> Result<Option<Timestamp>, RegisterError> {
        if let Some(since) = self.declared.get(site) {
            return Ok(*since);
        }
        let since = register.site_since(site)?;
        self.declared.insert(site.to_owned(), since);
        Ok(since)
    }
}
