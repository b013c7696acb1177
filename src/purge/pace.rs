//! How fast: batches that aim at a time, and rests between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{Pace, Share};

/// The first batch is small: nothing is known yet of the table or of who else uses it.
const FIRST_BATCH: u32 = 500;

/// A smaller batch costs more in commits than it spares the application.
const SMALLEST_BATCH: u32 = 50;

/// A larger one gains nothing, and loses more where it is rolled back.
const LARGEST_BATCH: u32 = 250_000;

/// One batch says little about the next: no more than this factor from one to the other.
const LARGEST_CHANGE: u32 = 4;

/// How long a signal may go unnoticed in a rest.
const GLANCE: Duration = Duration::from_millis(50);

/// First pause after an attempt failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who keeps others from a table for longer, with the waiting of the store itself, keeps it for the night.
const LONGEST_LOCK_WAIT: Duration = Duration::from_secs(60);

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
    /// Since when nothing succeeds, and how often it was tried.
    refused: Option<(Instant, u32)>,
    waited_for_replicas: Duration,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Pacer {
        Pacer { pace, limit: FIRST_BATCH, refused: None, waited_for_replicas: Duration::ZERO }
    }

    /// Records that the next batch may touch.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Learns from a batch and returns how long to rest after it.
    pub(super) fn after(&mut self, rows: u64, took: Duration) -> Duration {
        self.refused = None;
        self.waited_for_replicas = Duration::ZERO;
        let target = self.pace.batch_time.as_micros();
        let fitting = u128::from(rows) * target / took.as_micros().max(1);
        let (low, high) = (self.limit / LARGEST_CHANGE, self.limit.saturating_mul(LARGEST_CHANGE));
        let fitting = u32::try_from(fitting).unwrap_or(u32::MAX).clamp(low, high);
        self.limit = fitting.clamp(SMALLEST_BATCH, LARGEST_BATCH);
        rest(self.pace.duty, took)
    }

    /// At `now` a lock was not to be had: how long to wait before the next attempt; `None` when it was waited for enough.
    pub(super) fn locked(&mut self, now: Instant) -> Option<Duration> {
        self.limit = (self.limit / 2).max(SMALLEST_BATCH);
        self.again(now, LONGEST_LOCK_WAIT)
    }

    /// At `now` the server is away: how long to wait before the next attempt; `None` when it was waited for enough.
    pub(super) fn away(&mut self, now: Instant) -> Option<Duration> {
        self.again(now, LONGEST_SERVER_WAIT)
    }

    fn again(&mut self, now: Instant, longest: Duration) -> Option<Duration> {
        let (since, attempts) = self.refused.get_or_insert((now, 0));
        let pause = FIRST_PAUSE.saturating_mul(1 << (*attempts).min(10)).min(LONGEST_PAUSE);
        *attempts += 1;
        (now.duration_since(*since) < longest).then(|| jittered(pause))
    }

    /// A replica is behind: how long to wait before asking again; `None` when it has been waited for enough.
    pub(super) fn lagging(&mut self) -> Option<Duration> {
        self.waited_for_replicas += REPLICA_PAUSE;
        (self.waited_for_replicas < LONGEST_REPLICA_WAIT).then_some(REPLICA_PAUSE)
    }
}

/// Between half of the pause and the whole: two that stood in each other's way must not meet again.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8];
    // Without a random number it is the shortest.
    let _none = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
    pause / 2 + pause / 2 * u32::from(random[0]) / u32::from(u8::MAX)
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
    fn from_one_batch_to_the_next_it_is_a_quarter_at_least_and_four_times_at_most() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        for smaller in [125, 50, 50] {
            pacer.after(500, Duration::from_secs(60));
            assert_eq!(pacer.limit(), smaller);
        }
        for larger in [200, 800, 3_200] {
            pacer.after(500, Duration::from_micros(1));
            assert_eq!(pacer.limit(), larger);
        }
    }

    #[test]
    fn who_is_in_the_way_of_others_tries_again_with_half_as_much() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        for half in [250, 125, 62, 50, 50] {
            assert!(pacer.locked(Instant::now()).is_some());
            assert_eq!(pacer.limit(), half);
        }
    }

    #[test]
    fn replicas_are_waited_for_a_quarter_of_an_hour_after_each_batch() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        for _ in 0..2 {
            let pauses: Vec<Duration> = std::iter::from_fn(|| pacer.lagging()).collect();
            let whole: Duration = pauses.iter().sum();
            assert!(whole >= Duration::from_secs(899) && whole < Duration::from_secs(900), "{whole:?}");
            pacer.after(500, Duration::from_millis(100));
        }
    }

    #[test]
    fn the_wait_is_over_when_its_time_is() {
        let (mut pacer, since) = (Pacer::new(pace(200, 1_000_000)), Instant::now());
        assert!(pacer.locked(since).is_some());
        assert!(pacer.locked(since + LONGEST_LOCK_WAIT - Duration::from_nanos(1)).is_some());
        assert_eq!(pacer.locked(since + LONGEST_LOCK_WAIT), None);
    }

    #[test]
    fn a_rest_takes_its_time_and_ends_with_a_signal() {
        let (quiet, signal) = (AtomicBool::new(false), AtomicBool::new(true));
        let (began, rest) = (Instant::now(), Duration::from_millis(60));
        sleep(rest, &quiet);
        assert!(began.elapsed() >= rest);
        sleep(Duration::from_secs(100_000), &signal);
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

    /// Attempts that fail at once, each after the pause before: the pauses.
    fn pauses(mut next: impl FnMut(Instant) -> Option<Duration>) -> Vec<Duration> {
        let mut now = Instant::now();
        std::iter::from_fn(|| {
            let pause = next(now)?;
            now += pause;
            Some(pause)
        })
        .collect()
    }

    #[test]
    fn a_lock_is_waited_for_a_minute_and_a_server_for_two_after_each_batch() {
        let mut pacer = Pacer::new(pace(200, 1_000_000));
        for (longest, next) in [(60, Pacer::locked as fn(&mut Pacer, Instant) -> _), (120, Pacer::away)] {
            let pauses = pauses(|now| next(&mut pacer, now));
            let whole: Duration = pauses.iter().sum();
            assert!(whole >= Duration::from_secs(longest) && whole <= Duration::from_secs(longest + 5), "{whole:?}");
            for (pause, nominal) in pauses.iter().zip([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]) {
                let nominal = Duration::from_millis(nominal);
                assert!(*pause >= nominal / 2 && *pause <= nominal, "{pause:?} for {nominal:?}");
            }
            assert_eq!(next(&mut pacer, Instant::now() + 2 * LONGEST_SERVER_WAIT), None);
            pacer.after(500, Duration::from_millis(100));
        }
    }

    #[test]
    fn two_that_meet_do_not_wait_equally_long() {
        let first: Vec<Duration> = (0..20).map(|_| jittered(LONGEST_PAUSE)).collect();
        let second: Vec<Duration> = (0..20).map(|_| jittered(LONGEST_PAUSE)).collect();
        assert_ne!(first, second);
    }
}
