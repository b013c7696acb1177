//! A request to end, for one-off commands: the batch under way is finished, then the run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// Set once SIGINT or SIGTERM has arrived.
#[derive(Debug, Clone)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on these signals no longer kill the process, they are noted. A second one kills it: what is in flight
    /// is resolved at the next start.
    ///
    /// # Errors
    /// The signals cannot be received.
    pub fn on_signals() -> std::io::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let noted = Arc::clone(&flag);
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                    if noted.swap(true, Ordering::Relaxed) {
                        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                    }
                }
            });
        });
        Ok(Interrupt { flag })
    }

    /// Whether a signal has arrived.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag, as a run wants it.
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}
