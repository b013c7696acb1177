//! What the guards found when they were last asked, without asking them again: for those who look often and must not
//! open a store.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reason, State};
use crate::config::ApprovalMode;
use crate::plan::Rule;
use crate::register::{InForce, Register, RegisterError};

/// Approvals in force and reasons remembered, of all rules.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    approved: BTreeSet<String>,
    held: BTreeMap<String, String>,
}

impl Remembered {
    /// What `register` remembers.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn read(register: &Register) -> Result<Remembered, RegisterError> {
        Ok(Remembered { approved: register.approved_rules()?.into_iter().collect(), held: register.held_rules()? })
    }

    /// The state of a rule of the configuration in force: as the guards found it, or waiting where nobody has approved
    /// it since.
    pub fn state(&self, rule: &Rule, in_force: &InForce) -> State {
        let name = rule.name.as_str();
        let codes = self.held.get(name).map(String::as_str).unwrap_or_default();
        let held = codes.split_whitespace().map(Reason::state_of_code).max().unwrap_or(State::Ready);
        let required = in_force.config.daemon.safety.approval == ApprovalMode::Required;
        let waiting = if required && !self.approved.contains(name) { State::Waiting } else { State::Ready };
        let suspended = if in_force.suspended.contains_key(&rule.site) { State::Suspended } else { State::Ready };
        held.max(waiting).max(suspended)
    }
}
