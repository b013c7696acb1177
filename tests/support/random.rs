//! Chance that can be had again: a failure prints its seed.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

/// Kills at random moments for each kind of store, every time that the tests run.
pub(crate) const FEW_KILLS: u32 = 50;

/// The same in the tests that take minutes.
pub(crate) const MANY_KILLS: u32 = 1_000;

/// The environment's seed, or one of the moment.
pub(crate) fn seed() -> u64 {
    match std::env::var("FORGETD_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().try_into().unwrap_or(1),
    }
}

/// SplitMix64: enough to choose moments by.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn number(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A duration below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: Duration) -> Duration {
        Duration::from_nanos(self.number(u64::try_from(bound.as_nanos()).unwrap()))
    }
}
