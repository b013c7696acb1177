//! Ages of files against an oracle that knows neither the code nor its calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forgetd::config::site::{FileAge, NamePattern, Zone};
use forgetd::store::Selection;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::tree::{Tree, cutoff, later};

/// 1995, before which no visitor was.
const EARLIEST: i64 = 788_918_400;

/// So far into the future two clocks may differ: two minutes.
const TOLERANCE: i64 = 120;

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Goes,
    Stays,
    Undatable,
}

/// By the first and the last second of what is known, and nanoseconds of the last.
fn fate(first: i64, last: (i64, u32)) -> Fate {
    if first < EARLIEST || first > later().as_second() + TOLERANCE {
        Fate::Undatable
    } else if last < (cutoff().as_second(), 0) {
        Fate::Goes
    } else {
        Fate::Stays
    }
}

fn agrees(tree: &Tree, files: &[(String, Fate)]) -> Result<(), TestCaseError> {
    let of = |fate: Fate| u64::try_from(files.iter().filter(|(_, is)| *is == fate).count()).unwrap();
    let survey = tree.survey();
    prop_assert_eq!(
        (survey.total, survey.matches, survey.undatable),
        (u64::try_from(files.len()).unwrap(), of(Fate::Goes), of(Fate::Undatable))
    );
    prop_assert_eq!(tree.erase().0, of(Fate::Goes));
    for (name, fate) in files {
        prop_assert_eq!(tree.path(name).exists(), *fate != Fate::Goes, "{}", name);
    }
    Ok(())
}

/// Seconds near every edge there is, and anywhere.
fn seconds() -> impl Strategy<Value = i64> {
    let near = |edge: i64| edge - 2..edge + 3;
    prop_oneof![
        near(EARLIEST),
        near(cutoff().as_second()),
        near(later().as_second()),
        near(later().as_second() + TOLERANCE),
        0..3_000_000_000_i64,
    ]
}

/// Days since 1970 of a date, counted from year to year and month to month; `None` where there is none such.
fn days(year: i64, month: usize, day: i64) -> Option<i64> {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = |year| [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths(year).get(month.checked_sub(1)?)?;
    (1..=length).contains(&day).then_some(())?;
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    Some(years + lengths(year)[..month - 1].iter().sum::<i64>() + day - 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn by_when_they_were_written(times in proptest::collection::vec((seconds(), 0..1_000_000_000_u32), 1..40)) {
        let tree = Tree::in_directory(tempfile::tempdir_in("/dev/shm").unwrap());
        let mut files = Vec::new();
        for (number, (seconds, nanos)) in times.into_iter().enumerate() {
            let name = format!("sess_{number}");
            tree.file(&name, Timestamp::UNIX_EPOCH);
            let modified: SystemTime = UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanos);
            std::fs::File::open(tree.path(&name)).unwrap().set_modified(modified).unwrap();
            // A nanosecond beyond the tolerance is beyond.
            let first = if nanos > 0 && seconds == later().as_second() + TOLERANCE { seconds + 1 } else { seconds };
            files.push((name, fate(first, (seconds, nanos))));
        }
        agrees(&tree, &files)?;
    }

    #[test]
    fn by_the_date_in_their_names(
        dates in proptest::collection::btree_set((prop_oneof![1990..2040_i64, Just(2036)], 0..14_usize, 0..33_i64), 1..40),
    ) {
        let mut tree = Tree::in_directory(tempfile::tempdir_in("/dev/shm").unwrap());
        tree.rule.directory.pattern = NamePattern::new("*").unwrap();
        tree.rule.directory.age = FileAge::Named("%Y%m%d".to_owned());
        tree.rule.zone = Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
        let mut files = Vec::new();
        for (year, month, day) in dates {
            let name = format!("chat-{year}{month:02}{day:02}.html");
            tree.file(&name, later());
            let fate = days(year, month, day).map_or(Fate::Undatable, |days| {
                fate(days * 86_400, (days * 86_400 + 86_399, 999_999_999))
            });
            files.push((name, fate));
        }
        agrees(&tree, &files)?;
    }

    #[test]
    fn what_is_expired_once_is_expired_later(seconds in seconds(), later_by in 0..400_i64) {
        let tree = Tree::in_directory(tempfile::tempdir_in("/dev/shm").unwrap());
        tree.file("sess_1", Timestamp::from_second(seconds).unwrap());
        let at = |days: i64| {
            let by = jiff::SignedDuration::from_hours(24 * days);
            let selection = Selection { now: later() + by, cutoff: Some(cutoff() + by), ..tree.selection() };
            tree.open().survey(&selection).unwrap().matches
        };
        prop_assert!(at(0) <= at(later_by));
    }
}
