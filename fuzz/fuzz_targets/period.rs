//! A period that is accepted has one spelling, keeps for a day at least, and agrees with itself on what is expired.

#![no_main]

use forgetd::config::Period;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;

/// Seconds around 2026 in which every second of a zone's history can be reached.
const FIRST: i64 = 1_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Some(([zone, seconds @ ..], text)) = data.split_first_chunk::<5>() else { return };
    let (in_prague, seconds) = (zone % 2 == 1, u32::from_le_bytes(*seconds));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(period) = text.parse::<Period>() else { return };
    let again = period.to_string().parse::<Period>();
    assert_eq!(again, Ok(period));
    let zone = if in_prague { TimeZone::get("Europe/Prague").expect("a zone") } else { TimeZone::UTC };
    let now = Timestamp::from_second(FIRST + i64::from(seconds)).expect("within the calendar");
    let Ok(cutoff) = period.cutoff(now, &zone) else { return };
    assert!(cutoff <= now - SignedDuration::from_hours(24 - 1), "{text} at {now}: {cutoff}");
    // A record just before the cutoff is expired now, one at the cutoff is not.
    let before = cutoff - SignedDuration::from_nanos(1);
    if let Some(expiry) = period.expiry(before, &zone) {
        assert!(expiry <= now, "{text} at {now}: {before} expires at {expiry}");
    }
    if let Some(expiry) = period.expiry(cutoff, &zone) {
        assert!(expiry > now, "{text} at {now}: {cutoff} expires at {expiry}");
    }
    assert!(period.keeps_at_least(&period));
});
