//! Files that somebody has open or has locked.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forgetd::store::{Remainder, Survey};
use rustix::fs::FlockOperation;

use crate::tree::{Tree, expired};
use crate::{LOCKED, OPEN, kept, one_of};

/// Another process that holds a file open until it is dropped. The daemon's own descriptors are directories.
pub(crate) struct Reader(Child);

impl Reader {
    pub(crate) fn of(path: &Path) -> Reader {
        let mut sleep = Command::new("sleep");
        sleep.arg("600").stdin(fs::File::open(path).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        Reader(sleep.spawn().unwrap())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_file_that_somebody_has_open_is_left_until_it_is_closed() {
    let tree = Tree::new();
    let file = tree.file("sess_1", expired());
    tree.file("a/sess_2", expired());
    let reader = Reader::of(&file);
    assert_eq!(tree.survey(), Survey { kept: kept(OPEN, 1), ..one_of(2, 1) });
    assert_eq!(tree.erase(), (1, Remainder { kept: kept(OPEN, 1), ..Remainder::default() }));
    drop(reader);
    assert_eq!(tree.erase(), (1, Remainder::default()));
}

#[test]
fn locks_are_honoured_on_a_file_and_on_a_directory_with_all_that_is_below() {
    for operation in [FlockOperation::LockShared, FlockOperation::LockExclusive] {
        let tree = Tree::new();
        let locked = tree.file("sess_1", expired());
        for name in ["a/sess_2", "a/b/sess_3", "c/sess_4"] {
            tree.file(name, expired());
        }
        let lock = |path: &Path| {
            let file = fs::File::open(path).unwrap();
            rustix::fs::flock(&file, operation).unwrap();
            file
        };
        let locks = [lock(&locked), lock(&tree.path("a"))];
        assert_eq!(tree.survey(), Survey { kept: kept(LOCKED, 3), ..one_of(4, 1) });
        assert_eq!(tree.erase(), (1, Remainder { kept: kept(LOCKED, 3), ..Remainder::default() }));
        drop(locks);
        assert_eq!(tree.erase(), (3, Remainder::default()));
    }
}

#[test]
fn a_lock_that_is_taken_after_the_walk_was_there_is_honoured() {
    let tree = Tree::new();
    for name in ["a/b/sess_1", "c/sess_2", "sess_3"] {
        tree.file(name, expired());
    }
    let (mut store, selection) = (tree.open(), tree.selection());
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    assert_eq!(batch.rows(), 3);
    let directory = fs::File::open(tree.path("a")).unwrap();
    rustix::fs::flock(&directory, FlockOperation::LockShared).unwrap();
    let file = fs::File::open(tree.path("sess_3")).unwrap();
    rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
    assert_eq!(batch.commit().unwrap().rows, 1);
    assert!(tree.path("a/b/sess_1").exists() && tree.path("sess_3").exists());
}

/// More than the kernel tells in one piece.
const MANY: u64 = 300;

/// So often that the lock that is skipped now and then would be one of them.
const LOOKS: u32 = 150;

/// The kernel tells the locks piece by piece, and skips one where another was released before it.
#[test]
fn no_lock_is_overlooked_while_others_take_and_release_theirs() {
    let tree = Tree::in_directory(tempfile::tempdir_in("/dev/shm").unwrap());
    let _locks: Vec<fs::File> = (0..MANY)
        .map(|number| {
            let file = fs::File::open(tree.file(format!("sess_{number}"), expired())).unwrap();
            rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
            file
        })
        .collect();
    let others: Vec<fs::File> = (0..50)
        .map(|number| {
            let path = tree.outside().join(number.to_string());
            fs::write(&path, "").unwrap();
            fs::File::open(path).unwrap()
        })
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for operation in [FlockOperation::LockExclusive, FlockOperation::Unlock] {
                    others.iter().for_each(|other| rustix::fs::flock(other, operation).unwrap());
                }
            }
        });
        let overlooked = (0..LOOKS).map(|_| tree.survey()).find(|survey| survey.matches > 0);
        done.store(true, Ordering::Relaxed);
        assert_eq!(overlooked, None);
    });
    assert_eq!(tree.survey(), Survey { kept: kept(LOCKED, MANY), ..one_of(MANY, 0) });
}
