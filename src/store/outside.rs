//! A thread that is never confined, to look into other processes.
//!
//! Who is confined by Landlock is not told by the kernel what other processes have open (landlock(7): ptrace
//! restrictions). A purge of files that is confined must know, so it asks a thread that began before and does nothing
//! else.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Look = Box<dyn FnOnce() + Send>;

static LOOKER: OnceLock<Sender<Look>> = OnceLock::new();

/// Begins the thread, before anything is confined.
pub(crate) fn prepare() {
    LOOKER.get_or_init(|| {
        let (ask, asked) = channel::<Look>();
        std::thread::spawn(move || asked.into_iter().for_each(|look| look()));
        ask
    });
}

/// What `look` sees. `None` if the thread has ended, and nothing can be told.
pub(super) fn look_from_outside<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let Some(looker) = LOOKER.get() else { return Some(look()) };
    let (answer, answered) = channel();
    let look = move || {
        // Who asked waits.
        let _ = answer.send(look());
    };
    looker.send(Box::new(look)).ok()?;
    answered.recv().ok()
}
