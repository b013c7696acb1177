//! Somebody swaps files, directories and links under a purge.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

use crate::tree::{Tree, expired, later, set_modified, write};

/// At least so many swaps have to happen while a purge is at work.
const SWAPS: u64 = 100_000;

/// A machine that is this slow shows nothing.
const LONGEST: Duration = Duration::from_secs(120);

/// What is swapped with what: a directory with a link to the canary and with an empty one, a file with a link to the
/// canary and with a directory, and an expired one with a young one.
const PAIRS: [(&str, &str); 6] = [
    ("a", "link_a"),
    ("a/b", "a/link_b"),
    ("a/sess_2", "a/link_sess"),
    ("sess_2", "sess_3"),
    ("a", "z"),
    ("sess_4", "z"),
];

/// What a symbolic link counts as.
const LINK: &str = "link";

/// Outside of the root, and just what the rule is about.
fn canary(tree: &Tree) -> Vec<PathBuf> {
    let names = ["canary/sess_1", "canary/a/sess_1", "canary/b/sess_1", "canary/sess_2", "sess_1", "a/sess_1"];
    let paths = names.map(|name| tree.outside().join(name));
    paths.iter().for_each(|path| write(path, expired()));
    paths.into()
}

/// Puts files where there are none, every second one expired. Returns how many of each kind.
fn fill(tree: &Tree) -> BTreeMap<String, u64> {
    let mut created = BTreeMap::new();
    for directory in ["", "a", "a/b"] {
        let mut above = tree.path(directory).ancestors().map(Path::to_owned).collect::<Vec<_>>();
        above.retain(|path| path.starts_with(tree.root()));
        if !above.iter().all(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())) {
            continue;
        }
        for number in 0..20 {
            let path = tree.path(directory).join(format!("sess_{number}"));
            if fs::symlink_metadata(&path).is_err() {
                let (kind, modified) = if number % 2 == 0 { ("expired", expired()) } else { ("young", later()) };
                fs::write(&path, kind).unwrap();
                set_modified(&path, modified);
                *created.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }
    created
}

fn there(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            add(&mut found, there(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            *found.entry(fs::read_to_string(entry.path()).unwrap()).or_default() += 1;
        } else {
            *found.entry(LINK.to_owned()).or_default() += 1;
        }
    }
    found
}

fn add(sum: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    more.into_iter().for_each(|(kind, count)| *sum.entry(kind).or_default() += count);
}

#[test]
fn whatever_is_swapped_under_a_purge_nothing_outside_is_touched_and_every_file_is_counted() {
    let mut tree = Tree::in_directory(tempfile::tempdir_in("/dev/shm").unwrap());
    tree.rule.directory.settle = Duration::ZERO;
    let canary = canary(&tree);
    for directory in ["a/b", "z"] {
        fs::create_dir_all(tree.path(directory)).unwrap();
    }
    let links = [("link_a", "canary"), ("a/link_b", "canary/a"), ("a/link_sess", "sess_1")];
    for (link, to) in links {
        symlink(tree.outside().join(to), tree.path(link)).unwrap();
    }
    let (done, swaps, gate) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(()));
    let (mut created, erased) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let pairs = PAIRS.map(|(one, other)| (tree.path(one), tree.path(other)));
            while !done.load(Ordering::Relaxed) {
                let _open = gate.lock().unwrap();
                for (one, other) in &pairs {
                    let swapped = rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                    swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::Relaxed);
                }
            }
        });
        let (mut created, mut erased) = (BTreeMap::new(), 0);
        let started = Instant::now();
        while swaps.load(Ordering::Relaxed) < SWAPS && started.elapsed() < LONGEST {
            let closed = gate.lock().unwrap();
            add(&mut created, fill(&tree));
            drop(closed);
            erased += purge(&tree);
        }
        done.store(true, Ordering::Relaxed);
        (created, erased)
    });
    assert!(swaps.load(Ordering::Relaxed) >= SWAPS, "only {swaps:?} swaps");
    let left = there(tree.root());
    // The microsecond between the last look at a name and its removal: a link that was put there just then goes in place
    // of the file. What it leads to stays.
    created.insert(LINK.to_owned(), u64::try_from(links.len()).unwrap());
    assert_eq!(created.values().sum::<u64>() - left.values().sum::<u64>(), erased, "{created:?}, {left:?}");
    eprintln!("{swaps:?} swaps; of {erased} files {} were young", created["young"] - left["young"]);
    for path in canary {
        assert_eq!(fs::read_to_string(&path).unwrap(), "a visitor's", "{path:?}");
    }
}

fn purge(tree: &Tree) -> u64 {
    let (mut store, selection) = (tree.open(), tree.selection());
    store.survey(&selection).unwrap();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let mut erased = 0;
    while let Some(batch) = walk.prepare(7).unwrap() {
        erased += batch.commit().unwrap().rows;
    }
    walk.remainder().unwrap();
    erased
}
