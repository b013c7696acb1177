//! How far replicas are behind.
//!
//! What a replica reports of itself says nothing while it is stuck. So the positions of the write-ahead log at our
//! own batches are kept with their times: a replica that has not replayed what was written at a moment is behind by
//! at least the time since.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connection::Session;
use super::inspect::Findings;
use super::schema::quoted;
use crate::store::StoreError;

/// Positions are kept at most so often: finer steps than a second say nothing more.
const STEP: Duration = Duration::from_millis(500);

const REPLICAS: &str = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::int8, (replay_lsn - '0/0'::pg_lsn)::int8, \
     extract(epoch FROM greatest(write_lag, flush_lag, replay_lag))::float8, \
     state IS NOT NULL AND write_lsn IS NOT NULL \
     FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'";

/// The replicas of one server during a walk.
#[derive(Debug)]
pub(super) struct Lag {
    longest: Duration,
    written: VecDeque<(Instant, i64)>,
}

impl Lag {
    /// Replicas may be behind by `longest`.
    pub(super) fn new(longest: Duration) -> Lag {
        Lag { longest, written: VecDeque::new() }
    }

    /// Fails with [`StoreError::Lagging`] while a replica is further behind.
    pub(super) fn check(&mut self, session: &mut Session) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut slowest = Duration::ZERO;
        for row in session.query(REPLICAS, &[])? {
            let written: i64 = session.get(&row, 0)?;
            let Some(replayed) = session.get::<Option<i64>>(&row, 1)? else {
                if session.get(&row, 3)? {
                    continue;
                }
                // Not to be seen by this user, or not yet known to the server.
                return Err(StoreError::Lagging { place: session.place.clone(), lag_s: None });
            };
            self.note(now, written);
            let reported: Option<f64> = session.get(&row, 2)?;
            slowest = slowest.max(self.behind(now, written, replayed, reported));
        }
        if slowest <= self.longest {
            return Ok(());
        }
        Err(StoreError::Lagging { place: session.place.clone(), lag_s: Some(slowest.as_secs()) })
    }

    fn note(&mut self, now: Instant, written: i64) {
        let is_news = self.written.back().is_none_or(|(at, last)| *last < written && now.duration_since(*at) >= STEP);
        if is_news {
            self.written.push_back((now, written));
        }
        // Twice the allowed lag tells enough.
        while self.written.len() > 2
            && self.written.front().is_some_and(|(at, _)| now.duration_since(*at) > self.longest * 2)
        {
            self.written.pop_front();
        }
    }

    fn behind(&self, now: Instant, written: i64, replayed: i64, reported: Option<f64>) -> Duration {
        if replayed >= written {
            return Duration::ZERO;
        }
        let reported = reported.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default();
        let missing = self.written.iter().find(|(_, position)| *position > replayed);
        missing.map_or(reported, |(at, _)| reported.max(now.duration_since(*at)))
    }
}

/// A rule that waits for replicas it cannot see would wait in vain.
pub(super) fn inspect(session: &mut Session, findings: &mut Findings) -> Result<(), StoreError> {
    let sql = "SELECT count(*), current_user::text FROM pg_stat_replication \
         WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE') HAVING count(*) > 0";
    if let Some(row) = session.query(sql, &[])?.first() {
        let user: String = session.get(row, 1)?;
        findings.refuse(
            format!("the server has replicas, and user {user} may not see how far they are behind"),
            format!("GRANT pg_read_all_stats TO {};", quoted(&user)),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_says_nothing_is_behind_since_what_it_has_not_replayed_was_written() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::new(Duration::from_secs(60));
        (1..=9).for_each(|second| lag.note(at(second), i64::try_from(second).unwrap() * 100));
        assert_eq!(lag.behind(at(9), 900, 900, Some(5.0)), Duration::ZERO);
        assert_eq!(lag.behind(at(9), 900, 400, None), Duration::from_secs(4));
        assert_eq!(lag.behind(at(9), 900, 400, Some(7.0)), Duration::from_secs(7));
    }
}
