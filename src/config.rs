//! (in work)

pub mod period;
pub mod schedule;
