//! Whether an item lives longer than is declared.

use jiff::SignedDuration;

use super::Life;
use super::compare::{Item, words};
use super::remark::{Remark, Topic};
use crate::config::{ItemKind, Lifetime};
use crate::papers::items::DeclaredItem;

/// How much longer than declared an item may live without a remark: whoever counts days may count the first and the
/// last, and clocks differ.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// What is to be said of how long an item lives, given its declarations.
pub(super) fn lifetime(item: &Item<'_>, holding: &[&DeclaredItem<'_>]) -> Option<Remark> {
    if holding.iter().any(|said| said.lifetime == Lifetime::UntilDeleted) {
        return None;
    }
    let periods = holding.iter().filter_map(|said| match said.lifetime {
        Lifetime::For(period) => Some(period),
        Lifetime::Session | Lifetime::UntilDeleted => None,
    });
    let longest = periods.max_by_key(|period| period.longest());
    let declared = longest.map_or_else(|| "as long as the session".to_owned(), |period| period.to_string());
    let file = holding.first().map_or("", |said| said.processor.file.as_str());
    let remedy = format!("shorten it where it is set, or change its `lifetime` in {file}");
    match item.life {
        Life::Seconds(seconds) => {
            let lives = i64::try_from(seconds).map_or(SignedDuration::MAX, SignedDuration::from_secs);
            let allowed = longest.map_or(SignedDuration::ZERO, |period| period.longest());
            let is_longer = lives > allowed.saturating_add(TOLERANCE);
            let what = || format!("it lives {}, and {declared} is declared", told(seconds));
            is_longer.then(|| item.remark(Topic::LivesLonger, what(), remedy))
        }
        Life::UntilDeleted if item.kind != ItemKind::SessionStorage => {
            let what = format!("{declared} is declared, and browsers keep {} until it is deleted", words(item.kind));
            Some(item.remark(Topic::NoEnd, what, "make sure that the page deletes it in time".to_owned()))
        }
        Life::NotSaid => {
            let what = format!("{declared} is declared, and the capture does not tell how long it lives");
            let remedy = "take a capture that does: a storage state, or `--url`".to_owned();
            Some(item.remark(Topic::LifetimeNotSaid, what, remedy))
        }
        Life::Session | Life::UntilDeleted => None,
    }
}

/// A lifetime in the unit in which people read it.
fn told(seconds: u64) -> String {
    const DAY: u64 = 24 * 3600;
    let (number, unit) = match seconds {
        0..3600 => (seconds.div_ceil(60), "minute"),
        3600..DAY => (seconds.div_ceil(3600), "hour"),
        _ => (seconds.saturating_add(DAY / 2) / DAY, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}
