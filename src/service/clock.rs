//! The only place that reads the clocks.

use jiff::Timestamp;

use crate::register::ClockSample;

/// Identifies the boot of this machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The clocks cannot be read: nothing may be erased.
#[derive(Debug, thiserror::Error)]
#[error("{BOOT_ID}: {0}: without it a stepped clock cannot be noticed, so nothing is erased")]
pub struct ClockError(#[from] std::io::Error);

/// Wall clock and boot clock together.
///
/// # Errors
/// The boot of this machine cannot be identified.
pub fn read_clock() -> Result<ClockSample, ClockError> {
    let boot = std::fs::read_to_string(BOOT_ID)?.trim().to_owned();
    let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let boottime_us = since_boot.tv_sec.saturating_mul(1_000_000).saturating_add(since_boot.tv_nsec / 1_000);
    #[expect(clippy::disallowed_methods, reason = "everybody else takes the time as an argument from here")]
    let wall = Timestamp::now();
    Ok(ClockSample { boot, boottime_us, wall })
}
