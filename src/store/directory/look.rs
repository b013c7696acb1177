//! Looking at all files of a tree, by two threads.
//!
//! While one reads the names of the next files the other looks at those that were read before, and whoever is done
//! first joins in: also in one directory with millions of files both are at work.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::walker::{Chunk, Walker};
use crate::store::StoreError;

/// So many names are read before they are looked at.
const MOST_NAMES: usize = 16 * 1024;

/// So many directories are held open for it.
const MOST_CHUNKS: usize = 128;

/// Reads the next names.
pub(super) fn read(walker: &mut Walker<'_>) -> Result<Vec<Chunk>, StoreError> {
    let mut chunks = Vec::new();
    let mut names = 0;
    while names < MOST_NAMES && chunks.len() < MOST_CHUNKS {
        let Some(chunk) = walker.next()? else { break };
        names += chunk.names.len();
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Looks at `chunks`, and reads the next ones meanwhile.
pub(super) fn look<T: Send>(
    chunks: &[Chunk],
    walker: &mut Walker<'_>,
    look_at: impl Fn(&Chunk) -> T + Sync,
) -> (Vec<T>, Result<Vec<Chunk>, StoreError>) {
    both(chunks, look_at, || read(walker))
}

/// Does `work` on all items by two threads, of which this one does `first` before it joins in. The results come in no
/// order.
pub(super) fn both<I: Sync, T: Send, F>(
    items: &[I],
    work: impl Fn(&I) -> T + Sync,
    first: impl FnOnce() -> F,
) -> (Vec<T>, F) {
    let next = AtomicUsize::new(0);
    let take =
        || -> Vec<T> { std::iter::from_fn(|| items.get(next.fetch_add(1, Ordering::Relaxed))).map(&work).collect() };
    if items.len() < 2 {
        let first = first();
        return (take(), first);
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(take);
        let first = first();
        let mut results = take();
        match other.join() {
            Ok(others) => results.extend(others),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        (results, first)
    })
}
