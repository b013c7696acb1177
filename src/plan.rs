//! From the register to retention rules.

pub mod rule;

pub use rule::{Action, Definition, Rule, RuleName, Target, When};
