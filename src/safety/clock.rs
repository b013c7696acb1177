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
    #[error("the clock says {now:.0}, before the audit log's last entry at {last:.0}: set it")]
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
    let wall = now.duration_since(kept.wall);
    if kept.boot == seen.boot {
        let boot = SignedDuration::from_micros(seen.boottime_us.saturating_sub(kept.boottime_us));
        let step = wall.saturating_sub(boot);
        if step.abs() > TOLERANCE {
            return Err(ClockDoubt::Stepped { seconds: step.as_secs() });
        }
    } else if wall > LONGEST_DOWNTIME {
        return Err(ClockDoubt::JumpedAhead { days: wall.as_hours() / 24 });
    }
    Ok(())
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
