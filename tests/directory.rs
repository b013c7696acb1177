//! Files of a directory: everything that a name, an inode or a process beside can be, on a real file system.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "directory/file_systems.rs"]
mod file_systems;
#[path = "directory/in_use.rs"]
mod in_use;
#[path = "directory/oracle.rs"]
mod oracle;
#[path = "directory/races.rs"]
mod races;
#[path = "support/tree.rs"]
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forgetd::config::site::FileAge;
use forgetd::plan::When;
use forgetd::store::{Committed, Kept, Physical, Remainder, Resolution, Selection, Severity, StoreError, Survey};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Mode, OFlags};
use tree::{Tree, cutoff, expired, later, set_modified, write};

const LINKED: &str = "they have further names (hard links), and would not be gone";
const UNSETTLED: &str = "they were changed or put there a shorter while ago than `settle` says";
pub(crate) const LOCKED: &str = "somebody holds a lock on them, or on a directory that they are in";
pub(crate) const OPEN: &str = "somebody has them open";

pub(crate) fn kept(because: &'static str, records: u64) -> Vec<Kept> {
    vec![Kept { records, because, oldest: Some(expired()) }]
}

pub(crate) fn one_of(total: u64, matches: u64) -> Survey {
    Survey { total, matches, oldest: (matches > 0).then(expired), ..Survey::default() }
}

#[test]
fn names_are_bytes_of_any_kind() {
    let tree = Tree::new();
    let long = [b"sess_", vec![b'x'; 250].as_slice()].concat();
    let names: [&[u8]; 6] = [b"sess_\n", b"sess_\xFF\xFE", b"sess_ -rf *", b"sess_", &long, b"sess_\x01'\"\\"];
    for name in names {
        tree.file(OsStr::from_bytes(name), expired());
        tree.file(OsStr::from_bytes(&[b"\xFFin\n/", name].concat()), expired());
    }
    let others = [tree.file("Sess_1", expired()), tree.file(".sess_1", expired()), tree.file("xsess_1", expired())];
    assert_eq!(tree.survey(), one_of(12, 12));
    assert_eq!(tree.erase(), (12, Remainder::default()));
    assert!(others.iter().all(|other| other.exists()));
    assert!(tree.path(OsStr::from_bytes(b"\xFFin\n")).is_dir(), "directories are kept");
}

#[test]
fn a_pattern_may_mean_every_name() {
    let tree = Tree::of("*", FileAge::Modified);
    for name in ["a", ".hidden", "b/c", "d/.e/f"] {
        tree.file(name, expired());
    }
    assert_eq!(tree.erase(), (4, Remainder::default()));
}

#[test]
fn the_instant_counts_to_the_nanosecond() {
    let tree = Tree::new();
    let last = tree.file("sess_1", cutoff() - SignedDuration::from_nanos(1));
    let first = tree.file("sess_2", cutoff());
    assert_eq!(tree.erase(), (1, Remainder::default()));
    assert!(!last.exists() && first.exists());
}

#[test]
fn a_time_that_cannot_be_is_kept_and_counted() {
    let tree = Tree::new();
    for (number, time) in
        ["1970-01-01T00:00:00Z", "1994-12-31T23:59:59Z", "1901-12-13T20:45:52Z", "2038-01-01T00:00:00Z"]
            .into_iter()
            .enumerate()
    {
        tree.file(format!("sess_{number}"), time.parse().unwrap());
    }
    tree.file("sess_of_1995", "1995-01-01T00:00:00Z".parse().unwrap());
    let oldest = Some("1995-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(tree.survey(), Survey { total: 5, matches: 1, undatable: 4, oldest, ..Survey::default() });
    assert_eq!(tree.erase(), (1, Remainder::default()));
}

#[test]
fn a_tree_of_any_depth_is_walked_with_few_descriptors() {
    const DEPTH: u64 = 2_500;
    let tree = Tree::new();
    let mut at: OwnedFd = fs::File::open(tree.root()).unwrap().into();
    // Longer than any path may be.
    let name = "directory".repeat(3);
    for level in 0..DEPTH {
        rustix::fs::mkdirat(&at, &*name, Mode::RWXU).unwrap();
        let below = rustix::fs::openat(&at, &*name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let file = rustix::fs::openat(&below, "sess_1", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        let file = fs::File::from(file);
        let modified = if level % 2 == 0 { expired() } else { later() };
        file.set_modified(std::time::SystemTime::try_from(modified).unwrap()).unwrap();
        at = below;
    }
    assert_eq!(tree.survey(), one_of(DEPTH, DEPTH / 2));
    let mut walk_and_resolve = tree.open();
    let selection = tree.selection();
    let mut walk = walk_and_resolve.walk(&selection, Duration::ZERO).unwrap();
    let mut erased = 0;
    while let Some(batch) = walk.prepare(1_000).unwrap() {
        let in_flight = batch.in_flight().to_vec();
        assert_eq!(tree.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
        erased += batch.commit().unwrap().rows;
        assert_eq!(tree.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
    }
    assert_eq!((erased, walk.remainder().unwrap()), (DEPTH / 2, Remainder::default()));
    take_down(&tree.path(&name));
}

/// By rm(1), which takes a tree of any depth.
fn take_down(path: &Path) {
    let status = Command::new("rm").arg("-rf").arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_directory_with_more_subdirectories_than_are_remembered_is_walked_to_its_end() {
    let tree = Tree::new();
    let name = "x".repeat(200);
    for number in 0..1_500 {
        let directory = tree.path(format!("{}/{name}{number}", number % 2));
        fs::create_dir_all(&directory).unwrap();
        write(&directory.join("sess_1"), expired());
    }
    assert_eq!(tree.survey(), one_of(1_500, 1_500));
    assert_eq!(tree.erase(), (1_500, Remainder::default()));
}

#[test]
fn a_file_with_further_names_is_left_and_counted() {
    let tree = Tree::new();
    let file = tree.file("sess_1", expired());
    fs::hard_link(&file, tree.outside().join("elsewhere")).unwrap();
    assert_eq!(tree.survey(), Survey { kept: kept(LINKED, 1), ..one_of(1, 0) });
    assert_eq!(tree.erase(), (0, Remainder { kept: kept(LINKED, 1), ..Remainder::default() }));
    fs::remove_file(tree.outside().join("elsewhere")).unwrap();
    assert_eq!(tree.erase(), (1, Remainder::default()));
}

#[test]
fn only_regular_files_go() {
    let tree = Tree::new();
    let outside = tree.outside().join("sess_outside");
    write(&outside, expired());
    symlink(&outside, tree.path("sess_link")).unwrap();
    symlink(tree.outside(), tree.path("sess_linked_directory")).unwrap();
    symlink("nowhere", tree.path("sess_dangling")).unwrap();
    let fifo = Mode::from_raw_mode(0o644);
    let root = fs::File::open(tree.root()).unwrap();
    rustix::fs::mknodat(&root, "sess_fifo", rustix::fs::FileType::Fifo, fifo, 0).unwrap();
    let _socket = UnixListener::bind(tree.path("sess_socket")).unwrap();
    fs::create_dir(tree.path("sess_directory")).unwrap();
    let null = rustix::fs::makedev(1, 3);
    let has_device = rustix::fs::mknodat(&root, "sess_null", rustix::fs::FileType::CharacterDevice, fifo, null).is_ok();
    tree.file("sess_file", expired());
    assert_eq!(tree.survey(), one_of(1, 1));
    assert_eq!(tree.erase(), (1, Remainder::default()));
    assert!(outside.exists());
    assert_eq!(fs::read_dir(tree.root()).unwrap().count(), 6 + usize::from(has_device));
}

#[test]
fn a_file_that_was_put_there_lately_is_left_whatever_its_age() {
    let mut tree = Tree::new();
    tree.file("sess_restored", expired());
    let born = fs::metadata(tree.path("sess_restored")).unwrap();
    let born = Timestamp::new(born.ctime(), i32::try_from(born.ctime_nsec()).unwrap()).unwrap();
    let at = |tree: &Tree, now: Timestamp| {
        let selection = Selection { now, ..tree.selection() };
        let mut store = tree.open();
        store.survey(&selection).unwrap()
    };
    // Age and settling have nothing to do with each other: the file is of last year in any case.
    let last_year: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    set_modified(&tree.path("sess_restored"), last_year);
    let day = SignedDuration::from_hours(24);
    let survey = at(&tree, born + day);
    let oldest = Some(last_year);
    assert_eq!(survey.kept, [Kept { records: 1, because: UNSETTLED, oldest }]);
    assert_eq!(survey.matches, 0);
    assert_eq!(at(&tree, born + day + SignedDuration::from_secs(60)).matches, 1);
    tree.rule.directory.settle = Duration::ZERO;
    assert_eq!(at(&tree, born + SignedDuration::from_secs(60)).matches, 1);
}

#[test]
fn whatever_changes_between_the_entry_and_the_removal_is_kept() {
    let tree = Tree::new();
    let names =
        ["touched", "replaced", "linked", "swapped_for_a_link", "now_a_directory", "gone", "moved/sess_1", "stays"];
    for name in names {
        tree.file(if name.contains('/') { name.to_owned() } else { format!("sess_{name}") }, expired());
    }
    let (mut store, selection) = (tree.open(), tree.selection());
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    assert_eq!(batch.rows(), 8);
    let path = |name: &str| tree.path(format!("sess_{name}"));
    set_modified(&path("touched"), later());
    write(&tree.outside().join("new"), expired());
    fs::rename(tree.outside().join("new"), path("replaced")).unwrap();
    fs::hard_link(path("linked"), tree.outside().join("second")).unwrap();
    fs::rename(path("swapped_for_a_link"), tree.outside().join("sess_target")).unwrap();
    symlink(tree.outside().join("sess_target"), path("swapped_for_a_link")).unwrap();
    fs::remove_file(path("gone")).unwrap();
    fs::remove_file(path("now_a_directory")).unwrap();
    fs::create_dir(path("now_a_directory")).unwrap();
    fs::rename(tree.path("moved"), tree.outside().join("moved")).unwrap();
    symlink(tree.outside().join("moved"), tree.path("moved")).unwrap();
    assert_eq!(batch.commit().unwrap(), Committed { rows: 1, children: 0 });
    assert!(!path("stays").exists());
    for kept in ["touched", "replaced", "linked", "now_a_directory"] {
        assert!(path(kept).exists(), "{kept}");
    }
    assert!(tree.outside().join("sess_target").exists() && tree.outside().join("moved/sess_1").exists());
}

#[test]
fn a_crash_in_the_middle_of_a_batch_is_resolved_name_by_name() {
    let tree = Tree::new();
    let files: Vec<_> = (0..10).map(|number| tree.file(format!("{}/sess_{number}", number % 3), expired())).collect();
    let (mut store, selection) = (tree.open(), tree.selection());
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let in_flight = walk.prepare(100).unwrap().unwrap().in_flight().to_vec();
    // By the clock of the machine, and so that a new file is later by that of the file system, which ticks.
    let began = (std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let began = Selection { now: began, ..selection.clone() };
    let resolve = || tree.open().resolve(&began, &in_flight).unwrap();
    assert_eq!(resolve(), Resolution::RolledBack);
    for gone in &files[..4] {
        fs::remove_file(gone).unwrap();
    }
    assert_eq!(resolve(), Resolution::Part(4));
    // Visitors come back under their old names, and one of those that are left is seen again.
    write(&files[0], later());
    set_modified(&files[9], later());
    assert_eq!(resolve(), Resolution::Part(4));
    take_down(&tree.path("0"));
    assert_eq!(resolve(), Resolution::Part(6), "0, 3, 6 and 9 were in it; 0 to 3 were gone before");
}

#[test]
fn a_batch_is_not_resolved_in_another_directory_that_took_the_place_of_its_own() {
    let tree = Tree::new();
    tree.file("sess_1", expired());
    let (mut store, selection) = (tree.open(), tree.selection());
    let in_flight = store.walk(&selection, Duration::ZERO).unwrap().prepare(100).unwrap().unwrap().in_flight().to_vec();
    fs::rename(tree.root(), tree.outside().join("away")).unwrap();
    fs::create_dir(tree.root()).unwrap();
    let resolved = tree.open().resolve(&selection, &in_flight);
    assert!(matches!(&resolved, Err(StoreError::Unavailable { .. })), "{resolved:?}");
}

#[test]
fn what_must_not_be_stored_goes_whatever_its_age() {
    let mut tree = Tree::new();
    tree.rule.when = When::NotStored;
    for (name, modified) in [("sess_1", later()), ("sess_2", Timestamp::UNIX_EPOCH), ("sess_3", expired())] {
        tree.file(name, modified);
    }
    let selection = Selection { cutoff: None, ..tree.selection() };
    let mut store = tree.open();
    assert_eq!(store.survey(&selection).unwrap(), Survey { total: 3, matches: 3, ..Survey::default() });
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    assert_eq!(walk.prepare(10).unwrap().unwrap().commit().unwrap().rows, 3);
}

#[test]
fn the_date_in_a_name_counts_in_the_sites_zone() {
    let tree = Tree::of("chat-*.html", FileAge::Named("chat-%Y-%m-%d".to_owned()));
    // The cutoff is 2 in the morning of 1 September in Prague: of that day nothing is past, of the day before all.
    let names =
        ["chat-2036-08-31.html", "chat-2036-09-01.html", "chat-2036-02-30.html", "chat-x.html", "chat-2038-01-01.html"];
    for name in names {
        tree.file(name, later());
    }
    let survey = tree.survey();
    assert_eq!((survey.total, survey.matches, survey.undatable), (5, 1, 3));
    assert_eq!(survey.oldest, Some("2036-08-31T21:59:59.999999999Z".parse().unwrap()));
    assert_eq!(tree.erase(), (1, Remainder::default()));
    assert!(!tree.path(names[0]).exists());
}

#[test]
fn a_root_that_is_no_directory_of_its_own_is_refused_with_the_reason() {
    let tree = Tree::new();
    let mut rule = tree.rule.clone();
    for (path, reason) in [
        (tree.outside().join("none"), "there is no such directory"),
        (tree.file("file", later()), "it is not a directory"),
        (tree.outside().join("link"), "a part of the path is a symbolic link"),
        (tree.outside().join("link/below"), "a part of the path is a symbolic link"),
    ] {
        if !tree.outside().join("link").is_symlink() {
            symlink(tree.root(), tree.outside().join("link")).unwrap();
        }
        rule.directory.path = path;
        let error = forgetd::store::open(&rule).inspect(&Selection { rule: (&rule).into(), ..tree.selection() });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_hold_that_names_a_column_is_not_ignored() {
    let tree = Tree::new();
    tree.file("sess_1", expired());
    let mut selection = tree.selection();
    selection.holds.push(forgetd::store::HeldValue { column: "id".to_owned(), value: "1".to_owned() });
    assert!(tree.open().survey(&selection).is_err());
    assert!(tree.open().walk(&selection, Duration::ZERO).is_err());
}

#[test]
fn what_is_left_on_a_disk_and_in_memory_is_told() {
    for (place, is_gone) in [("/dev/shm", true), (env!("CARGO_TARGET_TMPDIR"), false)] {
        let magic = rustix::fs::statfs(place).unwrap().f_type;
        if is_gone != (magic == 0x0102_1994) {
            eprintln!("left out: {place} is another file system than usual");
            continue;
        }
        let tree = Tree::in_directory(tempfile::tempdir_in(place).unwrap());
        let left = tree.open().settle(&std::sync::atomic::AtomicBool::new(false)).unwrap();
        assert_eq!(left == Physical::Gone, is_gone, "{left:?}");
    }
}

#[test]
fn rights_that_are_missing_are_told_and_nothing_is_said_to_be_gone() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("left out: only root can become somebody else");
    }
    for scene in ["root", "subdirectory not readable", "subdirectory not writable"] {
        let tree = Tree::new();
        for name in ["a/sess_1", "a/sess_2", "a/sess_3", "b/sess_4"] {
            tree.file(name, expired());
        }
        set_mode(tree.outside(), 0o755);
        set_mode(&tree.path("b"), 0o777);
        set_mode(tree.root(), if scene == "root" { 0o755 } else { 0o777 });
        set_mode(&tree.path("a"), if scene == "subdirectory not readable" { 0o700 } else { 0o755 });
        let path = tree.root().to_str().unwrap();
        // `uid` of a command takes the further groups away as well.
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "somebody_without_rights", "--ignored", "--nocapture"]);
        let ended = child.env(SCENE, format!("{scene}\n{path}")).uid(NOBODY).gid(NOBODY).output().unwrap();
        assert!(ended.status.success(), "{scene}: {ended:?}");
        assert!(tree.path("a/sess_1").exists());
    }
}

const NOBODY: u32 = 65_534;
const SCENE: &str = "FORGETD_TEST_SCENE";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[ignore = "the child of another test"]
fn somebody_without_rights() {
    let scene = std::env::var(SCENE).expect("started by another test");
    let (scene, path) = scene.split_once('\n').unwrap();
    let mut tree = Tree::new();
    tree.rule.directory.path = path.into();
    let (mut store, selection) = (tree.open(), tree.selection());
    match scene {
        "root" => {
            let findings = store.inspect(&selection).unwrap().findings;
            assert!(findings.iter().any(|finding| finding.severity == Severity::Refusal
                && finding.message.contains("may not be removed by the daemon's user")));
        }
        "subdirectory not readable" => {
            let error = store.survey(&selection).unwrap_err().to_string();
            assert!(error.contains("may not be looked at"), "{error}");
        }
        _ => {
            assert_eq!(store.survey(&selection).unwrap().matches, 4);
            let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
            let mut erased = 0;
            let error = loop {
                match walk.prepare(1) {
                    Ok(Some(batch)) => erased += batch.commit().unwrap().rows,
                    Ok(None) => panic!("nothing is said of what could not be removed"),
                    Err(error) => break error,
                }
            };
            assert_eq!(erased, 1, "that of the directory that is writable");
            assert!(matches!(error, StoreError::Failed { .. }), "{error}");
            assert!(error.to_string().contains("3 files cannot be removed: Permission denied"), "{error}");
            assert_eq!(walk.remainder().unwrap().left, 3);
        }
    }
}
