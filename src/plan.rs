//! From declarations to retention rules: what must be erased, when, and because of what.
//!
//! [`derive()`] is the only source of rules. A rule's [`Definition`] is everything that decides which records go, so
//! two definitions can be compared: [`Definition::keeps_at_least`] tells a rule that provably keeps more from one
//! that was loosened and must be approved again.

mod compare;
mod derive;
pub mod rule;

pub use derive::{consent_findings, derive};
pub use rule::{
    Action, Belongs, Definition, DirectoryRule, GoesAlong, LineAction, LogRule, Rule, RuleName, RuleRef, TableRule,
    Target, When,
};
