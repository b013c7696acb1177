//! File systems below the directory, and those that number their layers or their parts each for itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use forgetd::store::{Remainder, Survey};
use rustix::fs::FlockOperation;

use crate::in_use::Reader;
use crate::tree::{Tree, expired, write};
use crate::{LOCKED, OPEN, kept, one_of};

#[test]
fn another_file_system_below_is_not_entered() {
    let tree = Tree::new();
    tree.file("sess_1", expired());
    for kind in ["tmpfs", "bind"] {
        let mount_point = tree.path(kind);
        fs::create_dir(&mount_point).unwrap();
        let elsewhere = tree.outside().join("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        let arguments: &[&OsStr] = match kind {
            "bind" => &["--bind".as_ref(), elsewhere.as_os_str()],
            _ => &["-t".as_ref(), "tmpfs".as_ref(), "none".as_ref()],
        };
        let Some(_mounted) = Mounted::new(arguments, &mount_point) else { continue };
        write(&mount_point.join("sess_2"), expired());
        write(&mount_point.join("below/sess_3"), expired());
        assert_eq!(tree.survey().total, 1, "{kind}");
        tree.erase();
        assert!(mount_point.join("sess_2").exists() && mount_point.join("below/sess_3").exists(), "{kind}");
        tree.file("sess_1", expired());
    }
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(arguments: &[&OsStr], at: &Path) -> Option<Mounted> {
        let mounted = Command::new("mount").args(arguments).arg(at).status().unwrap().success();
        if !mounted {
            eprintln!("left out: {arguments:?} cannot be mounted here");
        }
        mounted.then(|| Mounted(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also while somebody still has a file open there, as in a test that failed.
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}

/// A directory made of layers tells other inodes than its files, and other devices.
#[test]
fn on_layers_every_expired_file_goes_but_those_in_use() {
    let tree = Tree::new();
    let (lower, upper) = (tree.outside().join("lower"), tempfile::tempdir_in("/dev/shm").unwrap());
    for name in ["sess_open", "sess_locked", "sess_written", "a/sess_below", "a/sess_written"] {
        write(&lower.join(name), expired());
    }
    let [above, work] = ["above", "work"].map(|name| upper.path().join(name));
    for layer in [&above, &work] {
        fs::create_dir(layer).unwrap();
    }
    let layers = format!("lowerdir={},upperdir={},workdir={}", lower.display(), above.display(), work.display());
    let arguments = ["-t", "overlay", "overlay", "-o", &layers].map(OsStr::new);
    let Some(_mounted) = Mounted::new(&arguments, tree.root()) else { return };
    // Written again, a file is copied to the upper layer.
    for name in ["sess_written", "a/sess_written", "sess_new"] {
        tree.file(name, expired());
    }
    let told = fs::read_dir(tree.root()).unwrap().find(|entry| entry.as_ref().unwrap().file_name() == "sess_written");
    let is = fs::metadata(tree.path("sess_written")).unwrap().ino();
    if told.unwrap().unwrap().ino() == is {
        eprintln!("left out in part: here the layers are numbered together");
    }
    let (reader, lock) = (Reader::of(&tree.path("sess_open")), fs::File::open(tree.path("sess_locked")).unwrap());
    rustix::fs::flock(&lock, FlockOperation::LockShared).unwrap();
    let both = [kept(LOCKED, 1), kept(OPEN, 1)].concat();
    assert_eq!(tree.survey(), Survey { kept: both.clone(), ..one_of(6, 4) });
    assert_eq!(tree.erase_as_a_run_does(), (4, Remainder { kept: both, ..Remainder::default() }));
    drop((reader, lock));
    assert_eq!(tree.erase_as_a_run_does(), (2, Remainder::default()));
}

/// A part of a file system is no mount, and numbers its files anew: a snapshot of it holds the same files once more.
#[test]
fn subvolumes_and_snapshots_are_not_entered() {
    let tree = Tree::new();
    let image = tree.outside().join("image");
    fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let made = Command::new("mkfs.btrfs").arg("-q").arg(&image).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return eprintln!("left out: there is no mkfs.btrfs");
    }
    let arguments = ["-o".as_ref(), "loop".as_ref(), image.as_os_str()];
    let Some(_mounted) = Mounted::new(&arguments, tree.root()) else { return };
    tree.file("sess_1", expired());
    let subvolume = |words: &[&str], paths: &[&Path]| {
        let made = Command::new("btrfs").arg("subvolume").args(words).args(paths).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    subvolume(&["snapshot"], &[tree.root(), &tree.path("snapshot")]);
    subvolume(&["create"], &[&tree.path("part")]);
    let inside = tree.file("part/below/sess_2", expired());
    let _reader = Reader::of(&tree.file("sess_open", expired()));
    let lock = fs::File::open(tree.file("sess_locked", expired())).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockShared).unwrap();
    let both = [kept(LOCKED, 1), kept(OPEN, 1)].concat();
    assert_eq!(tree.survey(), Survey { kept: both.clone(), ..one_of(3, 1) });
    assert_eq!(tree.erase_as_a_run_does(), (1, Remainder { kept: both, ..Remainder::default() }));
    assert!(inside.exists() && tree.path("snapshot/sess_1").exists());
}
