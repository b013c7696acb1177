//! What the guards found when they were last asked, without asking them again: for those who look often and must not
//! open a store.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Reason, State};
use crate::config::ApprovalMode;
use crate::register::{Register, RegisterError};

/// Approvals in force and reasons remembered, of all rules.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    approved: BTreeMap<String, Timestamp>,
    held: BTreeMap<String, String>,
}

impl Remembered {
    /// What `register` remembers.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn read(register: &Register) -> Result<Remembered, RegisterError> {
        Ok(Remembered { approved: register.approvals_in_force()?, held: register.held_rules()? })
    }

    /// The state of a rule of the configuration in force: as the guards found it, or waiting where nobody has approved
    /// it since. `suspended` is whether its site is in doubt.
    pub fn state(&self, rule: &str, approval: ApprovalMode, suspended: bool) -> State {
        let codes = self.held.get(rule).map(String::as_str).unwrap_or_default();
        let held = codes.split_whitespace().map(Reason::state_of_code).max().unwrap_or(State::Ready);
        let waiting = approval == ApprovalMode::Required && !self.approved.contains_key(rule);
        let other = if suspended {
            State::Suspended
        } else if waiting {
            State::Waiting
        } else {
            State::Ready
        };
        held.max(other)
    }

    /// When the approval in force was given.
    pub fn approved_at(&self, rule: &str) -> Option<Timestamp> {
        self.approved.get(rule).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_when_a_rule_was_approved() {
        let mut register = Register::in_memory().unwrap();
        let at: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
        register.approve("shop.example/chat", "{}", (7, 7), 0, at).unwrap();
        let remembered = Remembered::read(&register).unwrap();
        assert_eq!(remembered.approved_at("shop.example/chat"), Some(at));
        assert_eq!(remembered.approved_at("shop.example/other"), None);
    }
}
