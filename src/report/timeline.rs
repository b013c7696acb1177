//! Erasures over time: days, weeks, months or years, whichever make a plot that can be read.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::model::Covered;

/// Bars that fit beside one another, also on paper.
const MOST_BARS: i32 = 62;

/// How long one bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unit {
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// The finest of which not too many are needed.
    fn for_days(days: i32) -> Unit {
        match days {
            days if days <= MOST_BARS => Unit::Day,
            days if days <= 7 * MOST_BARS => Unit::Week,
            days if days <= 28 * MOST_BARS => Unit::Month,
            _ => Unit::Year,
        }
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
            Unit::Year => "year",
        }
    }

    /// The first day of the unit that `day` is in. Weeks begin on Monday.
    fn first_of(self, day: Date) -> Date {
        match self {
            Unit::Day => day,
            Unit::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Unit::Month => day.first_of_month(),
            Unit::Year => day.first_of_year(),
        }
    }

    fn next(self, first: Date) -> Date {
        first.saturating_add(match self {
            Unit::Day => 1.day(),
            Unit::Week => 1.week(),
            Unit::Month => 1.month(),
            Unit::Year => 1.year(),
        })
    }
}

/// What happened in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Bar {
    pub(super) runs: u64,
    pub(super) not_done: u64,
    pub(super) erased: u64,
    pub(super) children: u64,
}

/// The period, or the part of it that the log covers, cut into bars. All of them are there, also the empty ones.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Timeline {
    pub(super) unit: Unit,
    pub(super) bars: BTreeMap<Date, Bar>,
}

impl Timeline {
    /// Of what the period and the log, which has entries from `first` to `last`, have in common.
    pub(super) fn over(period: &Covered, first: Option<Timestamp>, last: Timestamp) -> Timeline {
        let day = |at: Timestamp| at.to_zoned_datetime(period.tz.clone()).date();
        let from = first.map_or(period.from, |first| day(first).max(period.from));
        let to = day(last).min(period.to);
        let days = (to - from).get_days().max(0).saturating_add(1);
        let unit = Unit::for_days(days);
        let mut bars = BTreeMap::new();
        let mut next = unit.first_of(from);
        while next <= to {
            bars.insert(next, Bar::default());
            next = match unit.next(next) {
                after if after > next => after,
                // The calendar ends here.
                _ => break,
            };
        }
        Timeline { unit, bars }
    }

    pub(super) fn add(&mut self, period: &Covered, at: Timestamp, run: Bar) {
        let first = self.unit.first_of(at.to_zoned_datetime(period.tz.clone()).date());
        let bar = self.bars.entry(first).or_default();
        bar.runs += run.runs;
        bar.not_done += run.not_done;
        bar.erased += run.erased;
        bar.children += run.children;
    }

    pub(super) fn most(&self) -> u64 {
        self.bars.values().map(|bar| bar.erased).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;

    fn unit_of(from: Date, to: Date) -> (Unit, usize) {
        let period = Covered::new(from, to, "UTC", TimeZone::UTC).unwrap();
        let timeline = Timeline::over(&period, None, period.end);
        (timeline.unit, timeline.bars.len())
    }

    #[test]
    fn every_period_is_cut_into_bars_that_fit() {
        assert_eq!(unit_of(date(2026, 3, 1), date(2026, 3, 1)), (Unit::Day, 1));
        assert_eq!(unit_of(date(2026, 3, 1), date(2026, 3, 31)), (Unit::Day, 31));
        assert_eq!(unit_of(date(2026, 1, 1), date(2026, 12, 31)), (Unit::Week, 53));
        assert_eq!(unit_of(date(2024, 1, 1), date(2026, 12, 31)), (Unit::Month, 36));
        assert_eq!(unit_of(date(2000, 1, 1), date(2026, 12, 31)), (Unit::Year, 27));
    }

    #[test]
    fn days_before_the_log_and_after_its_end_are_not_drawn() {
        let period = Covered::new(date(1970, 1, 1), date(2026, 12, 31), "UTC", TimeZone::UTC).unwrap();
        let at = |text: &str| text.parse().unwrap();
        let timeline = Timeline::over(&period, Some(at("2026-11-20T10:00:00Z")), at("2026-11-24T10:00:00Z"));
        assert_eq!(timeline.bars.keys().next(), Some(&date(2026, 11, 20)));
        assert_eq!((timeline.unit, timeline.bars.len()), (Unit::Day, 5));
    }
}
