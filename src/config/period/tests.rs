use jiff::civil::date;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn period(text: &str) -> Period {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cutoff(text: &str, now: &str, zone_name: &str) -> Timestamp {
    period(text).cutoff(at(now), &zone(zone_name)).unwrap()
}

#[test]
fn every_form_of_the_grammar_is_read_and_written_canonically() {
    for (text, canonical) in [
        ("6 months", "6 months"),
        ("1 month", "1 month"),
        ("1 months", "1 month"),
        ("6 month", "6 months"),
        ("90 days", "90 days"),
        ("1 day", "1 day"),
        ("2 weeks", "2 weeks"),
        ("2 years", "2 years"),
        ("100 years", "100 years"),
        ("36 hours", "36 hours"),
        ("24 hours", "24 hours"),
    ] {
        assert_eq!(period(text).to_string(), canonical);
        assert_eq!(serde_json::to_string(&period(text)).unwrap(), format!("\"{canonical}\""));
    }
}

#[test]
fn what_is_not_of_the_grammar_is_refused_with_what_was_probably_meant() {
    const GENERAL: &str =
        "write one number, one space and one unit: `6 months`, `90 days`, `2 weeks`, `2 years`, `36 hours`";
    for (text, hint) in [
        ("6m", "write `6 months` if months were meant; minutes are too short a period"),
        ("6 M", "write `6 months` if months were meant; minutes are too short a period"),
        ("6 Months", "write `6 months`"),
        ("P6M", "write `6 months`"),
        ("P1Y", "write `1 year`"),
        ("90d", "write `90 days`"),
        ("48h", "write `48 hours`"),
        ("6months", "write `6 months`"),
        (" 6 months", "write `6 months`"),
        ("6 months ", "write `6 months`"),
        ("6  months", "write `6 months`"),
        ("6\tmonths", "write `6 months`"),
        ("06 months", "write `6 months`"),
        ("6 months ago", "write `6 months`"),
        ("6 mo", "write `6 months`"),
        ("", GENERAL),
        ("6", GENERAL),
        ("months", GENERAL),
        (" months", GENERAL),
        ("half a year", GENERAL),
        ("1 year 6 months", GENERAL),
        ("-6 months", GENERAL),
        ("+6 months", GENERAL),
        ("1.5 years", GENERAL),
        ("1_000 days", GENERAL),
        ("PT36H", GENERAL),
        ("forever", GENERAL),
        ("6 fortnights", GENERAL),
        ("٦ months", GENERAL),
    ] {
        let error = text.parse::<Period>().expect_err(text);
        assert!(matches!(error, PeriodError::Malformed { .. }), "{text}: {error:?}");
        assert_eq!(error.to_string(), format!("`{text}` is not a period"));
        assert_eq!(error.hint(), hint, "{text}");
    }
}

#[test]
fn less_than_a_day_is_an_error_of_its_own() {
    for text in ["23 hours", "1 hour", "0 hours", "0 days", "0 months", "6 minutes", "86400 seconds"] {
        assert_eq!(text.parse::<Period>(), Err(PeriodError::TooShort { text: text.into() }));
    }
}

#[test]
fn more_than_a_hundred_years_is_refused_however_large() {
    for text in [
        "101 years",
        "1201 months",
        "36526 days",
        "5218 weeks",
        "876601 hours",
        "4294967296 days",
        "99999999999999999999999999 years",
    ] {
        assert_eq!(text.parse::<Period>(), Err(PeriodError::TooLong { text: text.into() }));
    }
    for text in ["1200 months", "36525 days", "5217 weeks", "876600 hours"] {
        assert_eq!(period(text).to_string(), text);
    }
}

#[test]
fn a_month_that_is_too_short_gives_its_last_day() {
    for (text, now, expected) in [
        ("6 months", "2023-08-31T12:00:00Z", "2023-02-28T00:00:00Z"),
        ("6 months", "2024-08-31T12:00:00Z", "2024-02-29T00:00:00Z"),
        ("1 month", "2025-03-31T23:59:59Z", "2025-02-28T00:00:00Z"),
        ("1 year", "2024-02-29T00:00:00Z", "2023-02-28T00:00:00Z"),
        ("12 months", "2024-02-29T00:00:00Z", "2023-02-28T00:00:00Z"),
        ("90 days", "2025-03-31T00:00:00Z", "2024-12-31T00:00:00Z"),
        ("2 weeks", "2025-01-15T09:30:00Z", "2025-01-01T00:00:00Z"),
        ("36 hours", "2025-01-15T09:30:00.5Z", "2025-01-13T21:30:00.5Z"),
    ] {
        assert_eq!(cutoff(text, now, "UTC"), at(expected), "{text} before {now}");
    }
}

#[test]
fn the_cutoff_is_midnight_of_the_zone_on_both_sides_of_a_clock_change() {
    // Prague: UTC+1 in winter, UTC+2 in summer. 22:30Z on 30 July is 31 July there.
    assert_eq!(cutoff("6 months", "2025-07-30T22:30:00Z", "Europe/Prague"), at("2025-01-30T23:00:00Z"));
    assert_eq!(cutoff("1 day", "2025-03-31T10:00:00Z", "Europe/Prague"), at("2025-03-29T23:00:00Z"));
    assert_eq!(cutoff("1 day", "2025-03-30T21:59:59Z", "Europe/Prague"), at("2025-03-28T23:00:00Z"));
    assert_eq!(cutoff("1 day", "2025-01-02T00:00:00+05:45", "Asia/Kathmandu"), at("2024-12-31T18:15:00Z"));
}

#[test]
fn a_midnight_that_is_missing_or_repeated_counts_at_its_earlier_instant() {
    // Santiago, 8 September 2024: 00:00 (-04) becomes 01:00 (-03). Read with -03, midnight is 03:00Z.
    assert_eq!(cutoff("1 day", "2024-09-09T12:00:00Z", "America/Santiago"), at("2024-09-08T03:00:00Z"));
    // Havana, 3 November 2024: 01:00 (-04) becomes 00:00 (-05). The first midnight is 04:00Z.
    assert_eq!(cutoff("1 day", "2024-11-04T12:00:00Z", "America/Havana"), at("2024-11-03T04:00:00Z"));
    // Apia had no 30 December 2011: read with +14 it begins with 29 December.
    assert_eq!(cutoff("1 day", "2011-12-31T12:00:00+14:00", "Pacific/Apia"), at("2011-12-29T10:00:00Z"));
}

#[test]
fn a_day_begins_when_its_midnight_is_over_for_good() {
    // Newfoundland, 7 November 2010: 00:01 (-02:30) became 23:01 (-03:30) of the day before.
    let name = "America/St_Johns";
    let before = at("2010-11-05T02:30:00Z");
    assert_eq!(cutoff("1 day", "2010-11-07T02:30:30Z", name), before, "the first 00:00:30");
    assert_eq!(cutoff("1 day", "2010-11-07T02:45:00Z", name), before, "the second 23:15");
    assert_eq!(cutoff("1 day", "2010-11-07T03:30:00Z", name), at("2010-11-06T02:30:00Z"), "the second 00:00");
}

#[test]
fn a_cutoff_outside_of_the_calendar_is_an_error() {
    assert_eq!(period("100 years").cutoff(Timestamp::MIN, &TimeZone::UTC), Err(PeriodError::OutOfRange));
    assert_eq!(period("24 hours").cutoff(Timestamp::MIN, &TimeZone::UTC), Err(PeriodError::OutOfRange));
    assert_eq!(period("100 years").expiry(Timestamp::MAX, &TimeZone::UTC), None);
    assert_eq!(period("24 hours").expiry(Timestamp::MAX, &TimeZone::UTC), None);
}

#[test]
fn expiry_is_the_midnight_after_the_last_day_that_keeps() {
    for (text, record, expected) in [
        ("6 months", "2023-02-27T23:59:59Z", "2023-08-28T00:00:00Z"),
        // Days 28 to 31 August all go back to 28 February, whose own records they keep.
        ("6 months", "2023-02-28T00:00:00Z", "2023-09-01T00:00:00Z"),
        ("1 day", "2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z"),
        ("24 hours", "2025-01-01T00:00:00Z", "2025-01-02T00:00:00.000000001Z"),
    ] {
        assert_eq!(period(text).expiry(at(record), &TimeZone::UTC), Some(at(expected)), "{text} after {record}");
    }
}

#[test]
fn only_what_provably_keeps_longer_is_said_to() {
    for (longer, shorter) in [
        ("1 year", "12 months"),
        ("12 months", "1 year"),
        ("7 months", "6 months"),
        ("2 weeks", "14 days"),
        ("6 months", "181 days"),
        ("184 days", "6 months"),
        ("31 days", "1 month"),
        ("1 month", "28 days"),
        ("1 year", "365 days"),
        ("366 days", "1 year"),
        ("48 hours", "36 hours"),
        ("3 days", "36 hours"),
        ("1000 hours", "1 month"),
    ] {
        assert!(period(longer).keeps_at_least(&period(shorter)), "{longer}, {shorter}");
    }
    for (left, right) in [
        ("1 month", "29 days"),
        ("30 days", "1 month"),
        ("6 months", "182 days"),
        ("183 days", "6 months"),
        ("1 year", "366 days"),
        ("365 days", "1 year"),
        ("1 day", "24 hours"),
        ("24 hours", "1 day"),
        ("48 hours", "1 day"),
        ("5 months", "6 months"),
    ] {
        assert!(!period(left).keeps_at_least(&period(right)), "{left}, {right}");
    }
}

#[test]
fn a_dropped_or_repeated_day_is_allowed_for_between_hours_and_days() {
    // Apia dropped 30 December 2011: three days before the 31st began were 48 hours before.
    let (days, hours, apia) = (period("3 days"), period("60 hours"), zone("Pacific/Apia"));
    let now = at("2011-12-31T00:00:00+14:00");
    assert!(days.cutoff(now, &apia).unwrap() > hours.cutoff(now, &apia).unwrap());
    assert!(!days.keeps_at_least(&hours));
    // Kwajalein went back by 23 hours in the night to 1 October 1969: three days before the 2nd ended were 119 hours.
    let (hours, kwajalein) = (period("110 hours"), zone("Pacific/Kwajalein"));
    let now = at("1969-10-02T23:59:59-12:00");
    assert!(days.cutoff(now, &kwajalein).unwrap() < hours.cutoff(now, &kwajalein).unwrap());
    assert!(!hours.keeps_at_least(&days));
}

/// The bounds of runs of months against the calendar: the 400 years after which it repeats would take minutes here,
/// so the years around a leap day kept (2000), one dropped (2100), and ordinary ones.
#[test]
fn the_days_of_months_are_the_bounds_that_the_calendar_reaches() {
    for count in 1..=11_u32 {
        let months = Period { count, unit: Unit::Months };
        let spans = [date(1999, 1, 1), date(2099, 1, 1)].into_iter().flat_map(|first| {
            first.series(Span::new().days(1)).take(4 * 365).map(|today| {
                let start = today.checked_sub(months.as_span()).unwrap();
                u64::try_from(today.duration_since(start).as_hours() / 24).unwrap()
            })
        });
        let spans: Vec<u64> = spans.collect();
        assert_eq!(spans.iter().min(), Some(&fewest_days(u64::from(count))), "{count}");
        assert_eq!(spans.iter().max(), Some(&most_days(u64::from(count))), "{count}");
    }
}

/// Zones with half-hour changes, changes at midnight or a minute after it, a dropped day, a repeated day, and none.
const ZONES: [&str; 10] = [
    "Europe/Prague",
    "America/Santiago",
    "America/Havana",
    "America/St_Johns",
    "America/New_York",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "UTC",
];

fn any_period() -> impl Strategy<Value = Period> {
    prop_oneof![
        (24..20_000_u32).prop_map(|count| Period { count, unit: Unit::Hours }),
        (1..800_u32).prop_map(|count| Period { count, unit: Unit::Days }),
        (1..60_u32).prop_map(|count| Period { count, unit: Unit::Weeks }),
        (1..30_u32).prop_map(|count| Period { count, unit: Unit::Months }),
        (1..5_u32).prop_map(|count| Period { count, unit: Unit::Years }),
    ]
}

/// Instants from 1965 to 2037, half of them within hours of a change of the zone's clock.
fn any_zone_and_instant() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    (select(&ZONES[..]), -157_766_400..2_114_380_800_i64, any::<bool>(), -200_000..200_000_i64).prop_map(
        |(name, second, near, shift)| {
            let zone = zone(name);
            let instant = Timestamp::from_second(second).unwrap();
            let change = zone.following(instant).next().map(|change| change.timestamp());
            let instant = change.filter(|_| near).unwrap_or(instant);
            (zone, instant.checked_add(SignedDuration::from_secs(shift)).unwrap())
        },
    )
}

/// Days since 1 March of year 0, and back: the reckoning of months that begins years with March.
fn to_day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1
}

/// The cutoff's date by counting alone; `None` for hours.
fn oracle_date(period: Period, today: Date) -> Option<i64> {
    let (year, month, day) = (i64::from(today.year()), i64::from(today.month()), i64::from(today.day()));
    let count = i64::from(period.count);
    let back = match period.unit {
        Unit::Hours => return None,
        Unit::Days => return Some(to_day_number(year, month, day) - count),
        Unit::Weeks => return Some(to_day_number(year, month, day) - 7 * count),
        Unit::Months => count,
        Unit::Years => 12 * count,
    };
    let index = 12 * year + month - 1 - back;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let following = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let length = to_day_number(following.0, following.1, 1) - to_day_number(year, month, 1);
    Some(to_day_number(year, month, day.min(length)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_utc_the_cutoff_is_what_counting_days_gives(period in any_period(), second in 0..4_000_000_000_i64) {
        let now = Timestamp::from_second(second).unwrap();
        let today = TimeZone::UTC.to_datetime(now).date();
        let cutoff = period.cutoff(now, &TimeZone::UTC).unwrap();
        let expected = match oracle_date(period, today) {
            Some(days) => (days - to_day_number(1970, 1, 1)) * 86_400,
            None => second - 3_600 * i64::from(period.count),
        };
        prop_assert_eq!(cutoff, Timestamp::from_second(expected).unwrap());
    }

    #[test]
    fn a_later_now_never_gives_an_earlier_cutoff(
        period in any_period(), (zone, now) in any_zone_and_instant(), step in 0..400_000_i64,
    ) {
        let later = now.checked_add(SignedDuration::from_secs(step)).unwrap();
        prop_assert!(period.cutoff(now, &zone).unwrap() <= period.cutoff(later, &zone).unwrap());
    }

    #[test]
    fn a_record_is_expired_from_its_expiry_on_and_not_before(
        period in any_period(), (zone, record) in any_zone_and_instant(),
    ) {
        let expiry = period.expiry(record, &zone).unwrap();
        let before = expiry.checked_sub(SignedDuration::from_nanos(1)).unwrap();
        prop_assert!(record < period.cutoff(expiry, &zone).unwrap());
        prop_assert!(record >= period.cutoff(before, &zone).unwrap());
    }

    #[test]
    fn what_keeps_at_least_as_long_never_has_the_later_cutoff(
        a in any_period(), b in any_period(), (zone, now) in any_zone_and_instant(),
    ) {
        let (first, second) = (a.cutoff(now, &zone).unwrap(), b.cutoff(now, &zone).unwrap());
        if a.keeps_at_least(&b) {
            prop_assert!(first <= second, "{} keeps less than {}", a, b);
        }
        if b.keeps_at_least(&a) {
            prop_assert!(second <= first, "{} keeps less than {}", b, a);
        }
    }

    #[test]
    fn no_record_younger_than_the_period_is_ever_expired(days in 1..400_u32, (zone, now) in any_zone_and_instant()) {
        let period = Period { count: days, unit: Unit::Days };
        let cutoff = period.cutoff(now, &zone).unwrap();
        let civil = zone.to_datetime(now).date().checked_sub(Span::new().days(days)).unwrap();
        prop_assert!(cutoff <= zone.to_ambiguous_timestamp(civil.at(0, 0, 0, 0)).compatible().unwrap());
    }

    #[test]
    fn what_is_written_is_read_back(period in any_period()) {
        prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
    }
}
