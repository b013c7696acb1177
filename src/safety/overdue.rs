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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_should_have_erased_is_overdue_after_an_hour_and_not_a_second_before() {
        let expired: Timestamp = "2027-03-01T00:00:00Z".parse().unwrap();
        let run: Timestamp = "2027-03-01T03:30:00Z".parse().unwrap();
        let next = |since| (since == expired).then_some(run);
        let overdue = |matches, since, last, after: SignedDuration| {
            Expired { matches, since }.are_overdue(last, next, run + after)
        };
        let hour = SignedDuration::from_hours(1);
        let more = hour + SignedDuration::from_secs(1);
        for last in [None, Some("done"), Some("held")] {
            assert!(!overdue(5, Some(expired), last, SignedDuration::ZERO));
            assert!(!overdue(5, Some(expired), last, hour));
            assert!(overdue(5, Some(expired), last, more));
            assert!(!overdue(5, None, last, more), "nobody knows since when");
        }
        assert!(overdue(5, Some(expired), Some("failed"), SignedDuration::ZERO), "the run was, and did not erase them");
        assert!(!overdue(0, Some(expired), Some("failed"), more), "there is nothing");
    }
}
