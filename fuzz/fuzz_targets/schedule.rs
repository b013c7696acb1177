//! A schedule that is accepted is due again after every instant, and means the same once written again.

#![no_main]

use forgetd::config::Schedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

/// Around 2001; the seconds reach to 2136, and beyond 2100 no schedule is asked.
const FIRST: i64 = 1_000_000_000;
const LAST: i64 = 4_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Some(([zone, seconds @ ..], text)) = data.split_first_chunk::<5>() else { return };
    let (in_prague, seconds) = (zone % 2 == 1, u32::from_le_bytes(*seconds));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let schedule = match text.parse::<Schedule>() {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(!error.hint().is_empty());
            return;
        }
    };
    let again = schedule.to_string().parse::<Schedule>().expect("what is written can be read");
    let zone = if in_prague { TimeZone::get("Europe/Prague").expect("a zone") } else { TimeZone::UTC };
    let now = FIRST + i64::from(seconds);
    let now = Timestamp::from_second(now.min(LAST)).expect("within the calendar");
    let due = schedule.next_after(now, &zone);
    assert_eq!(due, again.next_after(now, &zone));
    if let Some(due) = due {
        assert!(due > now);
        assert_eq!(due.as_second() % 60, 0, "{text}: {due}");
        let between = Timestamp::from_second((now.as_second() + due.as_second()) / 2).expect("between");
        assert_eq!(schedule.next_after(between, &zone).filter(|_| between < due), Some(due).filter(|_| between < due));
    }
});
