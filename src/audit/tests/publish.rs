//! Which checkpoints the journal is told of.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use super::*;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Each thread's events, apart from those of the others.
struct OfThread;

impl Write for OfThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while `work` is done, in this thread. The subscriber stays: one for a moment may miss what other threads
/// have met before it.
fn events(work: impl FnOnce()) -> Vec<String> {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| OfThread).init());
    WRITTEN.take();
    work();
    String::from_utf8(WRITTEN.take()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_checkpoint_is_told_once_whoever_signed_it() {
    let place = Place::with(3);
    let mut log = place.open().unwrap();
    assert_eq!(log.told(), 3, "it was there before");
    assert_eq!(events(|| log.tell_of_others(0).unwrap()), [""; 0]);

    let mut other = place.open().unwrap();
    other.append(at(3), &event(3), Sync::Later).unwrap();
    let own = events(|| drop(other.checkpoint().unwrap()));
    assert_eq!((own.len(), other.told(), log.told()), (1, 4, 3));
    let told = events(|| log.tell_of_others(0).unwrap());
    let [line] = told.as_slice() else { panic!("{told:?}") };
    assert!(line.contains("checkpoint") && line.contains("size=4") && line.contains(log.origin()), "{line}");
    assert_eq!(log.told(), 4);
    assert_eq!(events(|| log.tell_of_others(0).unwrap()), [""; 0]);

    // Whoever knows of more has told it.
    other.append(at(4), &event(4), Sync::Later).unwrap();
    events(|| drop(other.checkpoint().unwrap()));
    assert_eq!(events(|| log.tell_of_others(5).unwrap()), [""; 0]);
    assert_eq!(log.told(), 5);
}
