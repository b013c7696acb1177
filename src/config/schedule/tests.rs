use std::collections::HashSet;

use jiff::civil::{Date, DateTime as CivilTime, Weekday};
use rstest::rstest;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn runs(text: &str, after: &str, zone_name: &str, count: usize) -> Vec<String> {
    let (schedule, zone) = (schedule(text), zone(zone_name));
    std::iter::successors(Some(at(after)), |last| schedule.next_after(*last, &zone))
        .skip(1)
        .take(count)
        .map(|due| due.to_string())
        .collect()
}

/// crontab(5) by brute force: does this field admit the number? Written from the manual, without regard to errors.
fn admits(field: &str, number: i8, lowest: i8, names: &[&str]) -> bool {
    let value = |text: &str| match names.iter().position(|name| *name == text.to_lowercase()) {
        Some(index) => i8::try_from(index).unwrap() + lowest,
        None => text.parse::<i8>().unwrap(),
    };
    field.split(',').any(|part| {
        let mut halves = part.split('/');
        let (range, step) = (halves.next().unwrap(), halves.next().map_or(1, |s| s.parse::<i8>().unwrap()));
        let mut ends = range.split('-');
        let low = ends.next().map(|end| if end == "*" { lowest } else { value(end) }).unwrap();
        let high = ends.next().map_or(if range == "*" { 99 } else { low }, value);
        low <= number && number <= high && (number - low) % step == 0
    })
}

fn admits_date(text: &str, date: Date) -> bool {
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let f: Vec<&str> = text.split(' ').collect();
    let weekday = date.weekday().to_sunday_zero_offset();
    let by_day = admits(f[2], date.day(), 1, &[]);
    let by_weekday = admits(f[4], weekday, 0, &days) || (weekday == 0 && admits(f[4], 7, 0, &days));
    let starred = f[2].starts_with('*') || f[4].starts_with('*');
    admits(f[3], date.month(), 1, &months) && if starred { by_day && by_weekday } else { by_day || by_weekday }
}

/// Every minute of so many days with the local times that fall due in it. One that the clock shows again does not count
/// again; those that a forward step leaves out fall due when the old clock would have shown them.
fn minutes_of(days: i32, first: Timestamp, zone: &TimeZone) -> Vec<(Timestamp, Vec<CivilTime>)> {
    let minute = SignedDuration::from_mins(1);
    let mut last_offset = zone.to_offset(first);
    let mut latest_shown = CivilTime::MIN;
    let mut skipped: Option<(jiff::tz::Offset, CivilTime)> = None;
    let minutes = (0..days * 1440).map(|index| {
        let instant = first.checked_add(minute * index).unwrap();
        let offset = zone.to_offset(instant);
        let civil = offset.to_datetime(instant);
        if offset > last_offset {
            skipped = Some((last_offset, civil));
        }
        last_offset = offset;
        let caught_up = skipped.map(|(old, gap_end)| (old.to_datetime(instant), gap_end));
        let mut times: Vec<CivilTime> =
            caught_up.into_iter().filter(|(time, gap_end)| time < gap_end).map(|(time, _)| time).collect();
        if civil > latest_shown {
            latest_shown = civil;
            times.push(civil);
        }
        (instant, times)
    });
    minutes.collect()
}

fn oracle(text: &str, minutes: &[(Timestamp, Vec<CivilTime>)]) -> Vec<Timestamp> {
    let (minute_field, hour_and_rest) = text.split_once(' ').unwrap();
    let (hour_field, _) = hour_and_rest.split_once(' ').unwrap();
    let clock: HashSet<(i8, i8)> = (0..24)
        .flat_map(|hour| (0..60).map(move |minute| (hour, minute)))
        .filter(|(hour, minute)| admits(hour_field, *hour, 0, &[]) && admits(minute_field, *minute, 0, &[]))
        .collect();
    let is_due = |time: &CivilTime| clock.contains(&(time.hour(), time.minute())) && admits_date(text, time.date());
    minutes.iter().filter(|(_, times)| times.iter().any(is_due)).map(|(instant, _)| *instant).collect()
}

const SCHEDULES: [&str; 16] = [
    "30 3 * * *",
    "30 2 * * *",
    "15,45 2 * * *",
    "10-50/20 1-3 * * *",
    "*/15 0-4 * * *",
    "7 */5 * * *",
    "0 0 * * *",
    "59 23 31 * *",
    "30 4 1,15 * 5",
    "0 2 1 * sun",
    "30 2 */2 * 7",
    "30 2 13 * */5",
    "0 12 29 2 *",
    "0 9 * jan-mar,Oct 1-5",
    "20 1 * * 5-7",
    "45 23 28-31 4,6,9,11 *",
];

#[rstest]
fn a_year_of_runs_is_what_trying_every_minute_finds(
    #[values("Europe/Prague", "America/New_York", "Australia/Lord_Howe", "America/Santiago")] zone_name: &str,
) {
    let zone = zone(zone_name);
    let first = at("2024-01-01T12:00:00Z");
    let minutes = minutes_of(366, first, &zone);
    let start = first.checked_sub(SignedDuration::from_nanos(1)).unwrap();
    for text in SCHEDULES {
        let expected = oracle(text, &minutes);
        assert!(!expected.is_empty());
        let schedule = schedule(text);
        let following = |last: &Timestamp| schedule.next_after(*last, &zone);
        let found: Vec<Timestamp> = std::iter::successors(following(&start), following).take(expected.len()).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Two weeks about a step of the clock: by half an hour either way, by an hour, by a day.
#[rstest]
#[case("Australia/Lord_Howe", "2024-04-01T12:00:00Z")]
#[case("Australia/Lord_Howe", "2024-10-01T12:00:00Z")]
#[case("Europe/Prague", "2024-03-25T12:00:00Z")]
#[case("Europe/Prague", "2024-10-20T12:00:00Z")]
#[case("Pacific/Apia", "2011-12-22T12:00:00Z")]
fn the_next_run_is_the_same_from_every_instant_before_it(#[case] zone_name: &str, #[case] first: &str) {
    let zone = zone(zone_name);
    for text in ["15,45 1,2 * * *", "*/10 * * * *"] {
        let schedule = schedule(text);
        let runs = oracle(text, &minutes_of(14, at(first), &zone));
        for pair in runs.windows(2) {
            let just_after = pair[0].checked_add(SignedDuration::from_nanos(1)).unwrap();
            let just_before = pair[1].checked_sub(SignedDuration::from_nanos(1)).unwrap();
            for instant in [pair[0], just_after, just_before] {
                assert_eq!(schedule.next_after(instant, &zone), Some(pair[1]), "{text} after {instant}");
            }
        }
    }
}

#[test]
fn a_run_in_the_hour_that_spring_skips_takes_place_just_after_it() {
    assert_eq!(
        runs("30 2 * * *", "2024-03-30T12:00:00Z", "Europe/Prague", 2),
        [
            "2024-03-31T01:30:00Z", // 03:30 on the new clock
            "2024-04-01T00:30:00Z",
        ]
    );
    assert_eq!(runs("0 2 * * 0", "2024-03-30T12:00:00Z", "Europe/Prague", 1), ["2024-03-31T01:00:00Z"]);
}

#[test]
fn a_run_in_the_hour_that_autumn_repeats_takes_place_once() {
    assert_eq!(
        runs("30 2 * * *", "2024-10-26T12:00:00Z", "Europe/Prague", 2),
        ["2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z",]
    );
    // Asked in the second 02:10: the run of that night is over.
    assert_eq!(runs("30 2 * * *", "2024-10-27T01:10:00Z", "Europe/Prague", 1), ["2024-10-28T01:30:00Z"]);
}

#[test]
fn a_run_on_a_day_that_the_zone_dropped_takes_place_the_day_after() {
    // Apia went from 29 to 31 December 2011; 03:30 of the 30th is 03:30 of the 31st.
    assert_eq!(
        runs("30 3 30 12 *", "2011-12-01T00:00:00Z", "Pacific/Apia", 2),
        ["2011-12-30T13:30:00Z", "2012-12-29T13:30:00Z",]
    );
}

/// The examples that the manual explains in words.
#[test]
fn the_examples_of_crontab_5_mean_what_the_manual_says() {
    // "five minutes after midnight, every day"
    assert_eq!(runs("5 0 * * *", "2025-01-01T00:00:00Z", "UTC", 2), ["2025-01-01T00:05:00Z", "2025-01-02T00:05:00Z"]);
    // "at 2:15pm on the first of every month"
    assert_eq!(runs("15 14 1 * *", "2025-01-01T14:15:00Z", "UTC", 1), ["2025-02-01T14:15:00Z"]);
    // "at 10 pm on weekdays": 3 January 2025 is a Friday.
    assert_eq!(
        runs("0 22 * * 1-5", "2025-01-03T00:00:00Z", "UTC", 2),
        ["2025-01-03T22:00:00Z", "2025-01-06T22:00:00Z"]
    );
    // "23 minutes after midnight, 2am, 4am ..., everyday"
    assert_eq!(runs("23 0-23/2 * * *", "2025-01-01T00:23:00Z", "UTC", 1), ["2025-01-01T02:23:00Z"]);
    // "at 5 after 4 every Sunday"
    assert_eq!(runs("5 4 * * sun", "2025-01-01T00:00:00Z", "UTC", 1), ["2025-01-05T04:05:00Z"]);
    // "4:30 am on the 1st and 15th of each month, plus every Friday"
    assert_eq!(
        runs("30 4 1,15 * 5", "2025-01-01T00:00:00Z", "UTC", 4),
        ["2025-01-01T04:30:00Z", "2025-01-03T04:30:00Z", "2025-01-10T04:30:00Z", "2025-01-15T04:30:00Z",]
    );
}

#[test]
fn zero_and_seven_and_sun_are_all_sunday() {
    for text in ["0 5 * * 0", "0 5 * * 7", "0 5 * * sun", "0 5 * * SUN", "0 5 * * 7-7"] {
        let due = schedule(text).next_after(at("2025-01-01T00:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(TimeZone::UTC.to_datetime(due).weekday(), Weekday::Sunday, "{text}");
    }
}

#[rstest]
#[case("@hourly", "0 * * * *")]
#[case("@daily", "0 0 * * *")]
#[case("@midnight", "0 0 * * *")]
#[case("@weekly", "0 0 * * 0")]
#[case("@monthly", "0 0 1 * *")]
#[case("@yearly", "0 0 1 1 *")]
#[case("@annually", "0 0 1 1 *")]
fn names_stand_for_the_fields_that_the_manual_gives(#[case] name: &str, #[case] fields: &str) {
    let after = "2025-06-15T10:30:00Z";
    assert_eq!(runs(name, after, "Europe/Prague", 5), runs(fields, after, "Europe/Prague", 5));
    assert_eq!(schedule(name).to_string(), name);
}

#[rstest]
#[case("", "`` has 0 fields; a schedule has five")]
#[case("30 3 * *", "`30 3 * *` has 4 fields; a schedule has five")]
#[case("0 30 3 * * *", "`0 30 3 * * *` has 6 fields; a schedule has five")]
#[case("0 30 3 * * * 2025", "`0 30 3 * * * 2025` has 7 fields; a schedule has five")]
#[case("@reboot", "`@reboot` is not a time: a daemon that starts often or never would erase at random or never")]
#[case("@Daily", "`@Daily` is not a schedule")]
#[case("@every 1h", "`@every 1h` is not a schedule")]
#[case("0 0 30 2 *", "`0 0 30 2 *` is never due: no such date exists")]
#[case("0 0 31 4,6,9,11 *", "`0 0 31 4,6,9,11 *` is never due: no such date exists")]
#[case("60 3 * * *", "`60` is not a valid minute: out of range")]
#[case("0 24 * * *", "`24` is not a valid hour: out of range")]
#[case("0 0 0 * *", "`0` is not a valid day of month: out of range")]
#[case("0 0 32 * *", "`32` is not a valid day of month: out of range")]
#[case("0 0 * 13 *", "`13` is not a valid month: out of range")]
#[case("0 0 * * 8", "`8` is not a valid weekday: out of range")]
#[case("0 99999999999 * * *", "`99999999999` is not a valid hour: out of range")]
#[case("0 0 * * fri-mon", "`fri-mon` is not a valid weekday: the range runs backwards")]
#[case("0 22-2 * * *", "`22-2` is not a valid hour: the range runs backwards")]
#[case("5/15 * * * *", "`5/15` is not a valid minute: a step needs a range")]
#[case("*/0 * * * *", "`*/0` is not a valid minute: the step is not a number from 1")]
#[case("*/ * * * *", "`*/` is not a valid minute: the step is not a number from 1")]
#[case("*/+5 * * * *", "`*/+5` is not a valid minute: the step is not a number from 1")]
#[case("*/5/5 * * * *", "`*/5/5` is not a valid minute: the step is not a number from 1")]
#[case("1, * * * *", "`1,` is not a valid minute: neither a number nor a name that the field has")]
#[case("-5 * * * *", "`-5` is not a valid minute: neither a number nor a name that the field has")]
#[case("+5 * * * *", "`+5` is not a valid minute: neither a number nor a name that the field has")]
#[case("1-2-3 * * * *", "`1-2-3` is not a valid minute: neither a number nor a name that the field has")]
#[case("? * * * *", "`?` is not a valid minute: neither a number nor a name that the field has")]
#[case("0 0 L * *", "`L` is not a valid day of month: neither a number nor a name that the field has")]
#[case("0 0 * * 5#2", "`5#2` is not a valid weekday: neither a number nor a name that the field has")]
#[case("0 0 * * sunday", "`sunday` is not a valid weekday: neither a number nor a name that the field has")]
#[case("0 0 * mon *", "`mon` is not a valid month: neither a number nor a name that the field has")]
#[case("0~59 3 * * *", "`0~59` is not a valid minute: neither a number nor a name that the field has")]
fn what_is_not_crontab_5_is_refused(#[case] text: &str, #[case] message: &str) {
    assert_eq!(text.parse::<Schedule>().expect_err(text).to_string(), message);
}

#[rstest]
#[case("0 30 3 * * *", "write minute, hour, day of month, month, weekday, without seconds or years: `30 3 * * *`")]
#[case("0 24 * * *", "write a number from 0 to 23")]
#[case("0 0 * * fri-mon", "write the lower day first; Sunday is 0 or 7: `5-7` is Friday to Sunday")]
#[case("0 22-2 * * *", "write two ranges, one up to 23 and one from 0, with a comma between")]
#[case("5/15 * * * *", "write the range, as in `0-59/5`")]
#[case("0 0 30 2 *", "write a day that the month has")]
fn a_refusal_says_what_to_write(#[case] text: &str, #[case] hint: &str) {
    assert_eq!(text.parse::<Schedule>().expect_err(text).hint(), hint);
}

#[test]
fn a_date_that_never_comes_does_not_hide_the_weekday_beside_it() {
    assert_eq!(runs("0 0 30 2 1", "2025-01-31T00:00:00Z", "UTC", 2), ["2025-02-03T00:00:00Z", "2025-02-10T00:00:00Z"]);
}

#[test]
fn the_text_is_shown_as_written() {
    for text in ["30 3 * * *", "30\t3  * * MON-fri", "@weekly"] {
        assert_eq!(schedule(text).to_string(), text);
        assert_eq!(serde_json::to_value(schedule(text)).unwrap(), text);
    }
}

#[test]
fn at_the_ends_of_the_calendar_there_is_no_run_and_no_panic() {
    assert_eq!(schedule("30 3 * * *").next_after(Timestamp::MAX, &TimeZone::UTC), None);
    assert_eq!(schedule("30 3 * * *").next_after(at("2100-12-31T03:30:00Z"), &TimeZone::UTC), None);
}
