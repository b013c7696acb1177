//! The clock guard: a wrong clock erases everything at once, so a clock in doubt erases nothing.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::register::ClockSample;

/// The day this version was released: no honest clock is before it.
pub const RELEASED: Date = date(2026, 11, 24);

/// Two clocks, or one clock at two times, may differ so much before it is a doubt: more than a leap second or a
/// correction by NTP, less than anything that moves a cutoff by a day.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How far a database's own clock may be away.
pub const DATABASE_TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// A machine that was off longer than this is rare enough to be asked about; a clock that comes up years ahead is not.
pub const LONGEST_DOWNTIME: SignedDuration = SignedDuration::from_hours(35 * 24);

/// Why the clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// It is before the release of this version.
    #[error("the clock says {now:.0}, before this version was released ({RELEASED}): set it")]
    BeforeRelease {
        /// The wall clock.
        now: Timestamp,
    },
    /// It is before the last entry of the audit log.
    #[error(
        "the clock says {now:.0}, before the audit log's last entry at {last:.0}: set it, or, if it is right now, run \
         `forgetd approve --clock`"
    )]
    BeforeLastEntry {
        /// The wall clock.
        now: Timestamp,
        /// Time of the last entry.
        last: Timestamp,
    },
    /// It was stepped since this boot.
    #[error(
        "the clock was moved by {seconds} s since it was last seen: if it is right now, run `forgetd approve --clock`"
    )]
    Stepped {
        /// How far, forward or back.
        seconds: i64,
    },
    /// It is far ahead after a boot.
    #[error(
        "{days} days have passed while the machine was off, or the clock is wrong: if it is right, run `forgetd \
         approve --clock`"
    )]
    JumpedAhead {
        /// Whole days.
        days: i64,
    },
    /// A database does not agree.
    #[error("the database's clock is {seconds} s away from this machine's: set the one that is wrong")]
    DatabaseDiffers {
        /// How far, forward or back.
        seconds: i64,
    },
}

/// Compares the clock with everything that is known about time.
///
/// # Errors
/// The first doubt.
pub fn check(seen: &ClockSample, kept: Option<&ClockSample>, last_entry: Option<Timestamp>) -> Result<(), ClockDoubt> {
    let now = seen.wall;
    let released = RELEASED.to_zoned_datetime(TimeZone::UTC).map(|midnight| midnight.timestamp());
    if released.is_ok_and(|released| now < released) {
        return Err(ClockDoubt::BeforeRelease { now });
    }
    if let Some(last) = last_entry
        && last.duration_since(now) > TOLERANCE
    {
        return Err(ClockDoubt::BeforeLastEntry { now, last });
    }
    let Some(kept) = kept else { return Ok(()) };
    let jump = jump(seen, kept);
    if kept.boot == seen.boot {
        if jump.abs() > TOLERANCE {
            return Err(ClockDoubt::Stepped { seconds: jump.as_secs() });
        }
    } else if jump > LONGEST_DOWNTIME {
        return Err(ClockDoubt::JumpedAhead { days: jump.as_hours() / 24 });
    }
    Ok(())
}

/// How far the clock went beyond what is known to have passed: within a boot, what the boot clock counted; across
/// boots nothing is known.
pub fn jump(seen: &ClockSample, kept: &ClockSample) -> SignedDuration {
    let wall = seen.wall.duration_since(kept.wall);
    if kept.boot != seen.boot {
        return wall;
    }
    wall.saturating_sub(SignedDuration::from_micros(seen.boottime_us.saturating_sub(kept.boottime_us)))
}

/// Compares a database's clock with ours and returns the earlier of the two: the one that erases less.
///
/// # Errors
/// They differ by more than [`DATABASE_TOLERANCE`].
pub fn earlier_of(now: Timestamp, database: Option<Timestamp>) -> Result<Timestamp, ClockDoubt> {
    let Some(database) = database else { return Ok(now) };
    let difference = database.duration_since(now);
    if difference.abs() > DATABASE_TOLERANCE {
        return Err(ClockDoubt::DatabaseDiffers { seconds: difference.as_secs() });
    }
    Ok(now.min(database))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn seen(boot: &str, wall: &str, boottime: SignedDuration) -> ClockSample {
        let boottime_us = i64::try_from(boottime.as_micros()).unwrap();
        ClockSample { boot: boot.to_owned(), boottime_us, wall: wall.parse().unwrap() }
    }

    fn later(sample: &ClockSample, wall: SignedDuration, boottime: SignedDuration) -> ClockSample {
        let boottime_us = sample.boottime_us + i64::try_from(boottime.as_micros()).unwrap();
        ClockSample { boot: sample.boot.clone(), boottime_us, wall: sample.wall + wall }
    }

    fn kept() -> ClockSample {
        seen("one boot", "2027-03-01T12:00:00Z", SignedDuration::from_hours(48))
    }

    #[test]
    fn the_day_of_the_release_is_believed_from_its_first_moment_and_no_moment_before_it() {
        let midnight = RELEASED.to_zoned_datetime(TimeZone::UTC).unwrap().timestamp();
        let at = |wall| check(&ClockSample { wall, ..kept() }, None, None);
        assert_eq!(at(midnight), Ok(()));
        for before in [SignedDuration::from_nanos(1), SECOND, SignedDuration::from_hours(24 * 365)] {
            let now = midnight - before;
            assert_eq!(at(now), Err(ClockDoubt::BeforeRelease { now }));
        }
    }

    #[test]
    fn a_clock_may_be_five_minutes_behind_the_last_entry_and_not_a_second_more() {
        let last = kept().wall + TOLERANCE;
        assert_eq!(check(&kept(), None, Some(last)), Ok(()));
        let doubt = ClockDoubt::BeforeLastEntry { now: kept().wall, last: last + SECOND };
        assert_eq!(check(&kept(), None, Some(last + SECOND)), Err(doubt));
    }

    #[test]
    fn within_a_boot_both_clocks_may_drift_five_minutes_apart_and_not_a_second_more() {
        let day = SignedDuration::from_hours(24);
        for (wall, boottime) in [(day + TOLERANCE, day), (day, day + TOLERANCE), (day, day)] {
            assert_eq!(check(&later(&kept(), wall, boottime), Some(&kept()), None), Ok(()));
        }
        let ahead = later(&kept(), day + TOLERANCE + SECOND, day);
        assert_eq!(check(&ahead, Some(&kept()), None), Err(ClockDoubt::Stepped { seconds: 301 }));
        let behind = later(&kept(), day, day + TOLERANCE + SECOND);
        assert_eq!(check(&behind, Some(&kept()), None), Err(ClockDoubt::Stepped { seconds: -301 }));
    }

    #[test]
    fn a_machine_that_ran_for_a_year_is_not_taken_for_one_whose_clock_jumped() {
        let year = SignedDuration::from_hours(365 * 24);
        assert_eq!(check(&later(&kept(), year, year), Some(&kept()), None), Ok(()));
    }

    #[test]
    fn after_a_boot_a_clock_may_be_35_days_ahead_and_not_a_second_more() {
        let after = |ahead| ClockSample { boot: "another".to_owned(), ..later(&kept(), ahead, SignedDuration::ZERO) };
        assert_eq!(check(&after(LONGEST_DOWNTIME), Some(&kept()), None), Ok(()));
        let doubt = Err(ClockDoubt::JumpedAhead { days: 35 });
        assert_eq!(check(&after(LONGEST_DOWNTIME + SECOND), Some(&kept()), None), doubt);
    }

    #[test]
    fn the_earlier_of_two_clocks_counts_and_two_minutes_are_the_most_they_may_differ() {
        let now = kept().wall;
        assert_eq!(earlier_of(now, None), Ok(now));
        assert_eq!(earlier_of(now, Some(now + DATABASE_TOLERANCE)), Ok(now));
        assert_eq!(earlier_of(now, Some(now - DATABASE_TOLERANCE)), Ok(now - DATABASE_TOLERANCE));
        for seconds in [121, -121] {
            let theirs = now + SignedDuration::from_secs(seconds);
            assert_eq!(earlier_of(now, Some(theirs)), Err(ClockDoubt::DatabaseDiffers { seconds }));
        }
    }
}
