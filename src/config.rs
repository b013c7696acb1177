//! (in work)

pub mod period;
pub mod schedule;
pub mod time_format;
