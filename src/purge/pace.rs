//! How fast: batches that aim at a time, and rests between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{Pace, Share};

/// The first batch is small: nothing is known yet of the table or of who else uses it.
const FIRST_BATCH: u32 = 500;

/// A smaller batch costs more in commits than it spares the application.
const SMALLEST_BATCH: u32 = 50;

/// A larger one holds more keys in memory than its speed is worth.
const LARGEST_BATCH: u32 = 100_000;

/// One batch says little about the next: no more than this factor from one to the other.
const LARGEST_CHANGE: u32 = 4;

/// How long a signal may go unnoticed in a rest.
const GLANCE: Duration = Duration::from_millis(50);

/// First pause after a lock was not to be had; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause for a lock.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a lock is tried for before the run gives up: with the store's own waiting, about a minute.
const LOCK_ATTEMPTS: u32 = 8;

/// A server that crashed reads its log again before it answers, which takes a minute or so. One that is away for longer
/// needs somebody.
const LONGEST_SERVER_WAIT: Duration = Duration::from_secs(2 * 60);

/// How often the replicas are asked again.
const REPLICA_PAUSE: Duration = Duration::from_millis(500);

/// A replica that does not catch up within this will not do so tonight.
const LONGEST_REPLICA_WAIT: Duration = Duration::from_secs(15 * 60);

/// The pace of one run.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    limit: u32,
    refusals: u32,
    waited_for_server: Duration,
    waited_for_replicas: Duration,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Pacer {
        Pacer {
            pace,
            limit: FIRST_BATCH,
            refusals: 0,
            waited_for_server: Duration::ZERO,
            waited_for_replicas: Duration::ZERO,
        }
    }

    /// Records that the next batch may touch.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Learns from a batch and returns how long to rest after it.
    pub(super) fn after(&mut self, rows: u64, took: Duration) -> Duration {
        self.refusals = 0;
        self.waited_for_server = Duration::ZERO;
        self.waited_for_replicas = Duration::ZERO;
        let target = self.pace.batch_time.as_micros();
        let fitting = u128::from(rows) * target / took.as_micros().max(1);
        let (low, high) = (self.limit / LARGEST_CHANGE, self.limit.saturating_mul(LARGEST_CHANGE));
        let fitting = u32::try_from(fitting).unwrap_or(u32::MAX).clamp(low, high);
        self.limit = fitting.clamp(SMALLEST_BATCH, LARGEST_BATCH);
        rest(self.pace.duty, took)
    }

    /// A lock was not to be had: how long to wait before the next attempt; `None` when it has been tried enough.
    pub(super) fn refused(&mut self) -> Option<Duration> {
        self.refusals += 1;
        self.limit = (self.limit / 2).max(SMALLEST_BATCH);
        (self.refusals < LOCK_ATTEMPTS)
            .then(|| FIRST_PAUSE.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_PAUSE))
    }

    /// The server is away: how long to wait before the next attempt, each time for twice as long; `None` when it has
    /// been waited for enough.
    pub(super) fn away(&mut self) -> Option<Duration> {
        let pause = (self.waited_for_server + FIRST_PAUSE).min(LONGEST_PAUSE);
        self.waited_for_server += pause;
        (self.waited_for_server <= LONGEST_SERVER_WAIT).then_some(pause)
    }

    /// A replica is behind: how long to wait before asking again; `None` when it has been waited for enough.
    pub(super) fn lagging(&mut self) -> Option<Duration> {
        self.waited_for_replicas += REPLICA_PAUSE;
        (self.waited_for_replicas < LONGEST_REPLICA_WAIT).then_some(REPLICA_PAUSE)
    }
}

/// Rest after `took` so that the share of time spent working is `duty`.
fn rest(duty: Share, took: Duration) -> Duration {
    let (working, whole) = (u128::from(duty.millionths()), u128::from(Share::WHOLE.millionths()));
    let micros = took.as_micros() * (whole - working) / working.max(1);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// Waits, but not beyond a signal.
pub(super) fn sleep(duration: Duration, interrupt: &AtomicBool) {
    let until = Instant::now() + duration;
    while !interrupt.load(Ordering::Relaxed) {
        let Some(left) = until.checked_duration_since(Instant::now()) else { return };
        std::thread::sleep(left.min(GLANCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(batch_time: u64, duty: u32) -> Pace {
        Pace {
            batch_time: Duration::from_millis(batch_time),
            duty: Share::from_millionths(duty).unwrap(),
            max_lag: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_batch_that_took_half_the_target_is_followed_by_one_twice_as_large() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        pacer.after(500, Duration::from_millis(100));
        assert_eq!(pacer.limit(), 1_000);
    }

    #[test]
    fn a_slow_batch_shrinks_the_next_one_but_not_to_nothing() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        for _ in 0..10 {
            pacer.after(500, Duration::from_secs(60));
        }
        assert_eq!(pacer.limit(), SMALLEST_BATCH);
    }

    #[test]
    fn a_duty_of_a_quarter_rests_three_times_as_long_as_it_works() {
        let mut pacer = Pacer::new(pace(200, 250_000));
        assert_eq!(pacer.after(10, Duration::from_millis(100)), Duration::from_millis(300));
    }

    #[test]
    fn a_full_duty_does_not_rest() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        assert_eq!(pacer.after(10, Duration::from_millis(100)), Duration::ZERO);
    }

    #[test]
    fn a_lock_is_tried_for_a_bounded_number_of_times() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        let pauses: Vec<Duration> = std::iter::from_fn(|| pacer.refused()).collect();
        assert_eq!(pauses.len(), 7);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
    }

    #[test]
    fn a_server_that_is_away_is_waited_for_two_minutes_after_each_batch() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        let pauses = |pacer: &mut Pacer| std::iter::from_fn(|| pacer.away()).collect::<Vec<Duration>>();
        let first = pauses(&mut pacer);
        assert_eq!(first[..3], [100, 200, 400].map(Duration::from_millis));
        let whole: Duration = first.iter().sum();
        assert!(whole <= Duration::from_secs(120) && whole > Duration::from_secs(115), "{whole:?}");
        assert_eq!(pauses(&mut pacer), []);
        pacer.after(500, Duration::from_millis(100));
        assert_eq!(pauses(&mut pacer), first);
    }
}
