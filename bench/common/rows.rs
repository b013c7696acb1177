//! The rows that everything is measured on: a website's visitors, as an application would have recorded them.

use crate::figures::now;

const DAY: i64 = 86_400;

/// What is expired is at least this old and at most [`NEWEST_EXPIRED`] less, so that no month's length matters.
const OLDEST: i64 = 400 * DAY;
const NEWEST_EXPIRED: i64 = 190 * DAY;
const OLDEST_KEPT: i64 = 175 * DAY;
const NEWEST: i64 = DAY;

/// Of so many rows one is expired where few are.
const SPARSE: u32 = 100;

const CITIES: [&str; 5] = ["Brno", "Praha", "Hradec Králové", "Karlovy Vary", "Ostrava"];

/// How rows lie in the table, which is the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they came: the expired half lies together.
    Time,
    /// Every page holds expired rows and others, half and half.
    Random,
    /// One in a hundred is expired, anywhere.
    #[allow(dead_code, reason = "not measured on every store")]
    Sparse,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Order::Time => "time order",
            Order::Random => "random order",
            Order::Sparse => "time order, but for one in a hundred",
        }
    }

    /// Of so many rows, how many are expired.
    pub(crate) fn expired(self, rows: u32) -> u32 {
        match self {
            Order::Time | Order::Random => rows / 2,
            Order::Sparse => rows / SPARSE,
        }
    }
}

/// Everything before it is expired, in Unix seconds; between the two kinds of rows.
pub(crate) fn cutoff() -> i64 {
    now() - (NEWEST_EXPIRED + OLDEST_KEPT) / 2
}

/// An instant from which on some weeks are expired, one from which on some weeks are kept, and one in between that is
/// expired itself, in Unix seconds.
#[allow(dead_code, reason = "a partitioned table is not measured on every store")]
pub(crate) fn expired_and_kept() -> (i64, i64, i64) {
    (now() - OLDEST, now() - OLDEST_KEPT, now() - NEWEST_EXPIRED)
}

pub(crate) fn ip(number: u32) -> String {
    format!("198.51.{}.{}", number / 250 % 250, number % 250 + 1)
}

pub(crate) fn agent(number: u32) -> String {
    format!("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML) Chrome/{}.0.0.0", 90 + number % 40)
}

pub(crate) fn url(number: u32) -> String {
    format!("https://shop.example/catalogue/item-{number:08}")
}

pub(crate) fn city(number: u32) -> &'static str {
    CITIES[number as usize % CITIES.len()]
}

/// When the rows were recorded, in Unix seconds, in the order of their keys.
pub(crate) fn times(rows: u32, order: Order) -> Vec<i64> {
    let now = now();
    let expired = order.expired(rows);
    let spread = |oldest: i64, newest: i64, number: u32, of: u32| {
        now - oldest + (oldest - newest) * i64::from(number) / i64::from(of.max(1))
    };
    let mut expired: Vec<i64> = (0..expired).map(|number| spread(OLDEST, NEWEST_EXPIRED, number, expired)).collect();
    let few = u32::try_from(expired.len()).unwrap();
    let kept = (0..rows - few).map(|number| spread(OLDEST_KEPT, NEWEST, number, rows - few));
    let mut random = Random::new(30);
    match order {
        Order::Time => expired.into_iter().chain(kept).collect(),
        Order::Random => {
            let mut times: Vec<i64> = expired.into_iter().chain(kept).collect();
            random.shuffle(&mut times);
            times
        }
        Order::Sparse => {
            random.shuffle(&mut expired);
            let kept: Vec<i64> = kept.collect();
            // One in each stretch of a hundred, anywhere in it.
            let mut times = Vec::with_capacity(rows as usize);
            for (stretch, time) in kept.chunks(SPARSE as usize - 1).zip(expired) {
                let (before, after) = stretch.split_at(random.below(stretch.len() + 1));
                times.extend(before.iter().chain([&time]).chain(after));
            }
            times
        }
    }
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    /// Fisher-Yates.
    fn shuffle(&mut self, times: &mut [i64]) {
        for last in (1..times.len()).rev() {
            let other = self.below(last + 1);
            times.swap(last, other);
        }
    }
}
