//! Telling systemd: ready, reloading, stopping, alive. Says nothing where nobody asks.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// The service manager, as far as it listens.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it wants to hear of us, and when next.
    watchdog: Option<(Duration, Instant)>,
}

impl Systemd {
    pub(super) fn from_environment() -> Systemd {
        // Twice as often as demanded: one late message is no death.
        let every = sd_notify::watchdog_enabled().map(|timeout| timeout / 2);
        Systemd { watchdog: every.map(|every| (every, Instant::now() + every)) }
    }

    /// Ready, and what `systemctl status` shows of it.
    pub(super) fn ready(&self, status: &str) {
        say(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => say(&[NotifyState::Reloading, now]),
            Err(_) => say(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        say(&[NotifyState::Stopping]);
    }

    pub(super) fn watchdog_at(&self) -> Option<Instant> {
        self.watchdog.map(|(_, at)| at)
    }

    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        if let Some((every, at)) = &mut self.watchdog
            && *at <= now
        {
            say(&[NotifyState::Watchdog]);
            *at = now + *every;
        }
    }
}

/// Whether standard error goes to the journal, which writes the time itself (systemd.exec(5), `JOURNAL_STREAM`).
pub(super) fn logs_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let identity = rustix::fs::fstat(std::io::stderr()).map(|found| format!("{}:{}", found.st_dev, found.st_ino));
    identity.is_ok_and(|identity| identity == stream)
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd did not hear");
    }
}
