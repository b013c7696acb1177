//! What was enforced: the runs that the register knows of, and what earlier versions of the declaration covered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::declared::Declared;
use super::former::{self, Former};
use crate::register::{FinishedRun, Register, RegisterError};

/// What the register says.
#[derive(Debug, Default)]
pub struct Enforced {
    runs: BTreeMap<String, Runs>,
    /// What an earlier version covered and the present one does not.
    pub former: Vec<Former>,
}

/// The runs of one rule.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// When the last one began that ended well.
    pub(super) success: Option<Timestamp>,
    /// The last one, however it ended.
    pub(super) last: Option<FinishedRun>,
}

impl Enforced {
    /// Reads it; without a register nothing was ever run.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn read(register: Option<&Register>, declared: &Declared<'_>) -> Result<Enforced, RegisterError> {
        let Some(register) = register else { return Ok(Enforced::default()) };
        let mut runs = BTreeMap::new();
        for rule in declared.rules() {
            let name = rule.name.as_str();
            let of_rule = Runs { success: register.last_success(name)?, last: register.last_run(name)? };
            runs.insert(name.to_owned(), of_rule);
        }
        Ok(Enforced { runs, former: former::read(register, declared)? })
    }

    pub(super) fn success(&self, rule: &str) -> Option<Timestamp> {
        self.runs.get(rule).and_then(|runs| runs.success)
    }

    pub(super) fn last(&self, rule: &str) -> Option<&FinishedRun> {
        self.runs.get(rule).and_then(|runs| runs.last.as_ref())
    }
}
