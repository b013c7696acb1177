//! Turns that threads take at one thing.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What goes from hand to hand among threads: where it comes from, and where it goes next.
pub(super) struct Turn<T> {
    from: Receiver<T>,
    to: SyncSender<T>,
}

impl<T> Turn<T> {
    /// Of each thread, in the order in which they have `thing`; the first has it first.
    pub(super) fn ring(thing: T, threads: usize) -> Vec<Turn<T>> {
        let (mut to, from): (VecDeque<_>, Vec<_>) = (0..threads).map(|_| sync_channel(1)).unzip();
        if let Some(first) = to.front() {
            let _ = first.send(thing);
        }
        to.rotate_left(threads.min(1));
        from.into_iter().zip(to).map(|(from, to)| Turn { from, to }).collect()
    }

    /// Waits for it. `None` where another thread has failed or is at the end.
    pub(super) fn take(&self) -> Option<T> {
        self.from.recv().ok()
    }

    /// Who is next and has ended needs it no more.
    pub(super) fn pass_on(&self, thing: T) {
        let _ = self.to.send(thing);
    }
}
