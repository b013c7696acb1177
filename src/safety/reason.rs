//! Why a rule may not run: what every guard has to say, with the remedy in the same sentence.

use super::State;
use super::approval::PlanToken;
use super::clock::ClockDoubt;
use crate::config::TimeFormat;
use crate::register::RegisterError;
use crate::store::{Finding, StoreError};

/// Most changes of a table that a reason names: an upgrade may change a hundred columns, and the command that follows
/// is to be read as well.
const MOST_CHANGES: usize = 8;

/// Why a rule may not run.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// A file the site depends on is invalid or differs from the version in force.
    #[error("its configuration is in doubt: {0}")]
    Suspended(String),
    /// It was never approved.
    #[error("it is new and has not been approved: `forgetd approve {rule} --plan {token}`")]
    New {
        /// The rule.
        rule: String,
        /// What to approve.
        token: PlanToken,
    },
    /// It was approved in a form that kept more.
    #[error("it no longer is the rule that was approved: `forgetd approve {rule} --plan {token}`")]
    Loosened {
        /// The rule.
        rule: String,
        /// What to approve.
        token: PlanToken,
    },
    /// Its tables are no longer what they were when they were accepted.
    #[error(
        "its store has changed since it was accepted: {}: look whether the rule still means the same, then `forgetd \
         approve {rule} --plan {token}`",
        in_bounds(changes)
    )]
    SchemaChanged {
        /// The rule.
        rule: String,
        /// What changed, a sentence for each.
        changes: Vec<String>,
        /// What to approve.
        token: PlanToken,
    },
    /// It would touch too much.
    #[error(
        "it would touch {matches} of {total} records, more than the {ceiling} that one run may: `forgetd approve \
         {rule} --plan {token}`"
    )]
    BlastRadius {
        /// The rule.
        rule: String,
        /// Records that match.
        matches: u64,
        /// Records of the target.
        total: u64,
        /// The limit.
        ceiling: u64,
        /// What to approve.
        token: PlanToken,
    },
    /// The clock is in doubt.
    #[error(transparent)]
    Clock(#[from] ClockDoubt),
    /// Purges are stopped.
    #[error("purges are stopped: `forgetd stop-purges --lift`")]
    Stopped,
    /// A hold covers the whole rule.
    #[error("hold {0} suspends it: `forgetd hold list`")]
    OnHold(u64),
    /// Most times in the column make sense only in another unit.
    #[error(
        "{count} of {total} values in the time column make sense only as {unit}: set `format = \"{unit}\"` or correct \
         the data"
    )]
    OtherUnit {
        /// Such values.
        count: u64,
        /// Records of the target.
        total: u64,
        /// The unit in which they make sense.
        unit: TimeFormat,
    },
    /// Most times in the column have no zone.
    #[error("{count} of {total} values in the time column have no zone: add `time-zone` to `time`")]
    WithoutZone {
        /// Such values.
        count: u64,
        /// Records of the target.
        total: u64,
    },
    /// The store is not as the rule needs it.
    #[error("{0}")]
    Refused(Finding),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The register cannot be read: holds may be in it.
    #[error("{0}: without the register no hold can be honoured")]
    Register(#[from] RegisterError),
    /// The cutoff cannot be computed.
    #[error(transparent)]
    Period(#[from] crate::config::period::PeriodError),
}

impl Reason {
    /// A word that stays the same while the reason does, whatever the counts.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Suspended(_) => "suspended",
            Reason::New { .. } => "new",
            Reason::Loosened { .. } => "loosened",
            Reason::SchemaChanged { .. } => "schema-changed",
            Reason::BlastRadius { .. } => "blast-radius",
            Reason::Clock(_) => "clock",
            Reason::Stopped => "stopped",
            Reason::OnHold(_) => "on-hold",
            Reason::OtherUnit { .. } => "other-unit",
            Reason::WithoutZone { .. } => "without-zone",
            Reason::Refused(_) => "refused",
            Reason::Store(_) => "store",
            Reason::Register(_) => "register",
            Reason::Period(_) => "period",
        }
    }

    /// Whether approving the rule answers it.
    pub fn asks_for_approval(&self) -> bool {
        matches!(
            self,
            Reason::New { .. } | Reason::Loosened { .. } | Reason::SchemaChanged { .. } | Reason::BlastRadius { .. }
        )
    }

    pub(super) fn state(&self) -> State {
        Reason::state_of_code(self.code())
    }

    /// The state that a reason with this code means.
    pub(super) fn state_of_code(code: &str) -> State {
        match code {
            "suspended" => State::Suspended,
            "new" | "loosened" => State::Waiting,
            _ => State::Held,
        }
    }
}

fn in_bounds(changes: &[String]) -> String {
    let mut named: Vec<String> = changes.iter().take(MOST_CHANGES).cloned().collect();
    if let Some(more) = changes.len().checked_sub(MOST_CHANGES).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    named.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_changes_are_named_and_more_are_counted() {
        let changes: Vec<String> = (1..=10).map(|number| format!("change {number}")).collect();
        let eight = "change 1; change 2; change 3; change 4; change 5; change 6; change 7; change 8";
        assert_eq!(in_bounds(&changes[..1]), "change 1");
        assert_eq!(in_bounds(&changes[..8]), eight);
        assert_eq!(in_bounds(&changes[..9]), format!("{eight}; and 1 more"));
        assert_eq!(in_bounds(&changes), format!("{eight}; and 2 more"));
    }
}
