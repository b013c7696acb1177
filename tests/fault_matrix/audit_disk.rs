//! The file system of the audit directory is really full: a part of a line may be written before it is noticed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Night;
use crate::scene::{EXPIRED, Scene};

/// Of a file system in memory, which gives whole pages.
const PAGE: usize = 4_096;
const PAGES: usize = 64;

/// So many entries fill a page of the log: with one more before each run, every part of a run comes to the page's end.
const A_PAGE: u32 = 14;

/// Entries before the run, and pages that are free: from none to enough.
fn cases() -> impl Iterator<Item = (u32, usize)> {
    (0..A_PAGE).map(|entries| (entries, 0)).chain([(0, 1), (8, 1), (0, 8)])
}

struct Mounted(PathBuf);

impl Mounted {
    /// `None` where nothing can be mounted.
    fn new(at: &Path) -> Option<Mounted> {
        let size = format!("size={}", PAGES * PAGE);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("left out: nothing can be mounted here");
            return None;
        }
        Some(Mounted(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}

/// Takes all of the file system but so many pages.
fn fill_up(directory: &Path, free: usize) -> PathBuf {
    let ballast = directory.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    let mut taken: usize = 0;
    while file.write_all(&[1; PAGE]).is_ok() {
        taken += 1;
    }
    file.set_len((taken.saturating_sub(free) * PAGE).try_into().unwrap()).unwrap();
    ballast
}

#[test]
fn while_the_disk_of_the_audit_log_is_full_nothing_goes_unannounced_and_once_it_is_not_the_next_run_ends_it() {
    let (mut refused, mut done) = (Vec::new(), 0);
    for (entries, free) in cases() {
        let scene = Scene::new(Night::Second);
        for number in 0..entries {
            let rule = format!("other.example/{number}");
            let hold = ["hold", "add", &rule, "--until", "2099-01-01", "--reason-code", "audit-2026"];
            assert_eq!(scene.shop.run(&hold).code, 0);
        }
        let audit = scene.shop.state().join("audit");
        let aside = scene.shop.state().join("aside");
        fs::rename(&audit, &aside).unwrap();
        fs::create_dir(&audit).unwrap();
        let Some(_mounted) = Mounted::new(&audit) else { return };
        let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&audit).status().unwrap();
        assert!(copied.success());
        let ballast = fill_up(&audit, free);
        let ran = scene.shop.run(&["purge", "--yes", "--json"]);
        let case = format!("{free} pages are free after {entries} entries");
        let gone = scene.nothing_is_gone_unannounced(&case);
        if ran.code == 0 {
            assert_eq!(gone, EXPIRED);
            done += 1;
        } else {
            let what = format!("cannot write {}", audit.display());
            assert!(ran.stderr.contains(&what) && ran.stderr.contains("free space"), "{case}: {ran:?}");
            assert!(ran.stderr.contains("nothing is erased before: No space left on device"), "{case}: {ran:?}");
            refused.push(gone);
        }
        fs::remove_file(ballast).unwrap();
        if ran.code != 0 {
            scene.the_next_run_ends_it(&case);
        }
    }
    println!("runs that were refused had erased {refused:?}, {done} had enough");
    assert!(refused.contains(&0) && refused.len() > 1 && done > 0);
}
