//! When records count as overdue: past the cutoff, and still there after the run that should have erased them.

use jiff::{SignedDuration, Timestamp};

/// How long after its scheduled time a run may still be at work before its records count as overdue.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// The expired records of a rule, as they were last counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// How many.
    pub matches: u64,
    /// Since when the oldest of them has been expired, where it is known.
    pub since: Option<Timestamp>,
}

impl Expired {
    /// Whether they should have gone by now: the rule's last run failed, or the run that was due after they expired
    /// is too long ago. `next` is the rule's schedule.
    pub fn are_overdue(
        self,
        last_outcome: Option<&str>,
        next: impl Fn(Timestamp) -> Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        if self.matches == 0 {
            return false;
        }
        if last_outcome == Some("failed") {
            return true;
        }
        let should_have_gone = self.since.and_then(next);
        should_have_gone.is_some_and(|due| now.duration_since(due) > GRACE)
    }
}
