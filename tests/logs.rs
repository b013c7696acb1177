//! Logs on a real file system: rotation, writers, links, compression, interruption.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "logs/interrupted.rs"]
mod interrupted;
#[path = "support/log.rs"]
mod log;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use forgetd::config::site::NamePattern;
use forgetd::plan::{LineAction, LogRule, When};
use forgetd::store::{self, Committed, Kept, Physical, Remainder, Resolution, Selection, StoreError, Survey};
use log::{Logs, age, cutoff, gzip, line, lines, now};
use rstest::rstest;
use rustix::fs::{CWD, FlockOperation, RenameFlags, XattrFlags};

const STILL_WRITTEN: &str = "the file they are in is still being written";

fn of(total: u64, matches: u64) -> Survey {
    let oldest = (matches > 0).then(|| cutoff() - jiff::SignedDuration::from_secs(matches.try_into().unwrap()));
    Survey { total, matches, oldest, ..Survey::default() }
}

#[test]
fn expired_lines_go_from_every_rotated_file_and_the_others_stay_as_they_are() {
    let logs = Logs::new();
    let (plain, gz, members, zst) = (lines(1, 3, 2), lines(11, 3, 2), lines(21, 3, 2), lines(31, 3, 2));
    logs.file("access.log.1", &plain);
    logs.file("access.log.2.gz", gzip(gz.as_bytes()));
    let (first, second) = members.split_at(100);
    logs.file("access.log.3.gz", [gzip(first.as_bytes()), gzip(second.as_bytes())].concat());
    logs.file("access.log.4.zst", zstd::encode_all(zst.as_bytes(), 3).unwrap());
    logs.file("other.log", &plain);
    logs.file("access.log", lines(41, 0, 2));
    assert_eq!(logs.survey(), Survey { oldest: of(0, 3).oldest, ..of(22, 12) });
    assert_eq!(logs.erase(), (12, Remainder::default()));
    let kept = |text: &str| text.split_inclusive('\n').skip(3).collect::<String>();
    for (name, before) in
        [("access.log.1", &plain), ("access.log.2.gz", &gz), ("access.log.3.gz", &members), ("access.log.4.zst", &zst)]
    {
        assert_eq!(logs.text(name), kept(before), "{name}");
    }
    assert_eq!(logs.text("other.log"), plain);
    assert_eq!(logs.text("access.log"), lines(41, 0, 2));
    assert_eq!(logs.survey(), of(10, 0));
    assert_eq!(logs.erase(), (0, Remainder::default()));
    assert_eq!(logs.names().len(), 6, "nothing else is left in the directory");
}

#[test]
fn compressed_files_stay_compressed_in_the_same_way() {
    let logs = Logs::masking();
    logs.file("access.log.2.gz", gzip(lines(1, 3, 2).as_bytes()));
    logs.file("access.log.3.zst", zstd::encode_all(lines(1, 3, 2).as_bytes(), 3).unwrap());
    assert_eq!(logs.erase().0, 10);
    assert!(fs::read(logs.path("access.log.2.gz")).unwrap().starts_with(&[0x1F, 0x8B]));
    assert!(fs::read(logs.path("access.log.3.zst")).unwrap().starts_with(&[0x28, 0xB5, 0x2F, 0xFD]));
    assert!(logs.text("access.log.2.gz").starts_with("192.0.2.0 - - ["));
}

#[test]
fn owner_mode_times_and_extended_attributes_are_kept() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(33), Some(4)).unwrap();
    }
    rustix::fs::setxattr(&path, "user.origin", b"nginx", XattrFlags::empty()).unwrap();
    age(&path, 86_401);
    let before = fs::metadata(&path).unwrap();
    assert_eq!(logs.erase().0, 3);
    let after = fs::metadata(&path).unwrap();
    let of = |file: &fs::Metadata| (file.uid(), file.gid(), file.mode(), file.mtime(), file.mtime_nsec());
    assert_eq!(of(&after), of(&before));
    assert_ne!(after.ino(), before.ino());
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&path, "user.origin", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"nginx");
}

#[test]
fn a_file_in_which_nothing_stays_is_removed_but_for_the_one_written_last() {
    let logs = Logs::new();
    logs.file("access.log.2.gz", gzip(lines(1, 3, 0).as_bytes()));
    age(&logs.path("access.log.2.gz"), 90_000);
    logs.file("access.log.1", lines(4, 3, 0));
    assert_eq!(logs.erase(), (6, Remainder::default()));
    assert_eq!(logs.names(), ["access.log.1".to_owned()].into());
    assert_eq!(logs.text("access.log.1"), "");
    assert_eq!(logs.survey(), of(0, 0));
}

/// It may be opened for every line by somebody who may not make a file in that directory.
#[test]
fn a_quiet_log_in_which_nothing_stays_is_emptied_and_not_removed() {
    let mut logs = Logs::new();
    logs.rule.log.pattern = NamePattern::new("*access.log*").unwrap();
    let quiet = logs.file("a-access.log", lines(1, 3, 0));
    age(&quiet, 200_000);
    fs::set_permissions(&quiet, fs::Permissions::from_mode(0o622)).unwrap();
    // Two live logs beside each other, of which none is the other's successor.
    let second = logs.file("worker-access.log-1", lines(4, 3, 0));
    age(&second, 100_000);
    logs.file("b-access.log", line(9, 5));
    logs.file("b-access.log.1", lines(7, 3, 0));
    age(&logs.path("b-access.log.1"), 90_000);
    assert_eq!(logs.erase(), (9, Remainder::default()));
    for path in [&quiet, &second] {
        assert_eq!(fs::read_to_string(path).unwrap(), "", "{}", path.display());
    }
    assert_eq!(fs::metadata(&quiet).unwrap().mode() & 0o777, 0o622);
    assert!(!logs.path("b-access.log.1").exists());
}

#[test]
fn a_file_still_being_written_waits_for_its_rotation_and_is_told() {
    let logs = Logs::new();
    let path = logs.file("access.log", lines(1, 3, 2));
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    age(&path, 86_400);
    let kept = vec![Kept { records: 3, because: STILL_WRITTEN, oldest: of(0, 3).oldest }];
    assert_eq!(logs.survey(), Survey { kept: kept.clone(), ..of(0, 0) });
    assert_eq!(logs.erase(), (0, Remainder { kept: kept.clone(), ..Remainder::default() }));
    // Renamed, and the server has not let go yet.
    fs::rename(&path, logs.path("access.log.1")).unwrap();
    logs.file("access.log", line(9, 5));
    assert_eq!(logs.erase(), (0, Remainder { kept, ..Remainder::default() }));
    writer.write_all(line(6, 3).as_bytes()).unwrap();
    drop(writer);
    age(&logs.path("access.log.1"), 90_000);
    assert_eq!(logs.erase(), (3, Remainder::default()));
    assert_eq!(logs.text("access.log.1"), [lines(4, 0, 2), line(6, 3)].concat());
}

#[test]
fn the_file_written_last_is_left_alone_until_it_has_been_quiet() {
    let logs = Logs::masking();
    let path = logs.file("access.log", lines(1, 3, 2));
    age(&path, 60);
    assert_eq!(logs.erase().0, 0);
    assert_eq!(logs.survey().kept, [Kept { records: 5, because: STILL_WRITTEN, oldest: None }]);
    age(&path, 3_600);
    assert_eq!(logs.erase().0, 5);
}

#[test]
fn what_is_no_log_is_left_alone_and_told_without_its_name() {
    let logs = Logs::new();
    logs.file("access.log", line(9, 5));
    let elsewhere = logs.file("elsewhere", lines(1, 3, 2));
    symlink(&elsewhere, logs.path("access.log.link")).unwrap();
    logs.file("access.log.hard", lines(1, 3, 2));
    fs::hard_link(logs.path("access.log.hard"), logs.path("second")).unwrap();
    fs::create_dir(logs.path("access.log.d")).unwrap();
    rustix::fs::mknodat(CWD, logs.path("access.log.pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    logs.file("access.log.xz", b"\xFD7zXZ\0 and so on");
    // Who takes it for text sees an address in it, and destroys the file.
    logs.file("access.log.br", b"\x8B\x05 a::b \n");
    let mut damaged = gzip(lines(1, 3, 2).as_bytes());
    damaged.truncate(damaged.len() - 5);
    logs.file("access.log.damaged.gz", damaged);
    logs.file(".access.log.hidden", lines(1, 3, 2));
    let mut far_back = zstd::Encoder::new(Vec::new(), 3).unwrap();
    far_back.window_log(27).unwrap();
    far_back.write_all(lines(1, 3, 2).as_bytes()).unwrap();
    logs.file("access.log.far.zst", far_back.finish().unwrap());
    let findings = logs.findings();
    for (what, hint) in [
        ("a symbolic link", "name the directory that the file itself lies in"),
        ("several names (hard links)", "remove the other name"),
        ("compressed in a way that is not supported", "gzip or zstd"),
        ("compressed and damaged", "repair or remove it"),
        ("needs more than 32 MiB of memory", "without --long"),
    ] {
        let told = findings.iter().filter(|finding| finding.contains(what) && finding.contains(hint)).count();
        assert_eq!(told, 1, "{what}: {findings:?}");
    }
    let counted = |finding: &String| finding.starts_with("1 file ") || finding.starts_with("2 files ");
    assert!(findings.iter().all(|finding| counted(finding) && !finding.contains("access.log.")), "{findings:?}");
    assert_eq!(logs.erase(), (0, Remainder::default()));
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), lines(1, 3, 2));
}

#[test]
fn a_log_that_is_mostly_in_another_format_is_told() {
    let logs = Logs::new();
    logs.file("access.log.1", "no line\nof this\nformat\n");
    let findings = logs.findings();
    assert!(findings.iter().any(|finding| finding.starts_with("3 of 3 lines are not in the format")), "{findings:?}");
}

#[test]
fn a_directory_reached_through_a_link_is_refused() {
    let logs = Logs::new();
    symlink(logs.root(), logs.path("link")).unwrap();
    let mut rule = logs.rule.clone();
    rule.log.directory = logs.path("link");
    let selection = Selection { rule: (&rule).into(), ..logs.selection() };
    let error = store::open(&rule).inspect(&selection).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains("symbolic link")), "{error}");
}

/// Does something between the moment when the new file is complete and the one when it takes its place.
fn in_between(logs: &Logs, evil: impl FnOnce()) -> Committed {
    let mut store = logs.open();
    let selection = logs.selection();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(1).unwrap().unwrap();
    assert_eq!(batch.rows(), 3);
    evil();
    let committed = batch.commit().unwrap();
    assert!(walk.prepare(1).unwrap().is_none(), "the walk goes on to its end");
    committed
}

#[test]
fn a_line_that_comes_in_while_the_file_is_written_anew_is_not_lost() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let append = || {
        let mut late = OpenOptions::new().append(true).open(&path).unwrap();
        late.write_all(line(6, 9).as_bytes()).unwrap();
    };
    assert_eq!(in_between(&logs, append), Committed::default());
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9)].concat());
    age(&path, 86_500);
    assert_eq!(logs.erase(), (3, Remainder::default()));
    assert_eq!(logs.text("access.log.1"), [lines(4, 0, 2), line(6, 9)].concat());
}

#[test]
fn a_writer_who_opened_the_file_meanwhile_gets_it_back() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let mut writer = None;
    assert_eq!(
        in_between(&logs, || writer = Some(OpenOptions::new().append(true).open(&path).unwrap())),
        Committed::default()
    );
    writer.unwrap().write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9)].concat());
}

#[test]
fn a_file_that_is_moved_meanwhile_stays_what_it_is() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    assert_eq!(in_between(&logs, || fs::rename(&path, logs.path("access.log.2")).unwrap()), Committed::default());
    assert_eq!(logs.text("access.log.2"), lines(1, 3, 2));
    assert_eq!(logs.erase().0, 3);
    let path = logs.file("access.log.2", lines(1, 3, 2));
    let other = logs.file("new", "another file\n");
    assert_eq!(in_between(&logs, || fs::rename(&other, &path).unwrap()), Committed::default());
    assert_eq!(logs.text("access.log.2"), "another file\n");
}

/// A small file system in memory, until it is dropped. `None` where nothing may be mounted.
struct Small<'s>(&'s Path);

impl Small<'_> {
    fn mount<'s>(at: &'s Path, size: &str) -> Option<Small<'s>> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "forgetd-test"]).arg(at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("left out: nothing can be mounted here");
        }
        mounted.then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_file_for_which_there_is_no_room_is_left_and_the_others_go_first() {
    let logs = Logs::new();
    let Some(_mounted) = Small::mount(logs.root(), "size=24m") else { return };
    let old = lines(1, 3, 0);
    let large = [lines(1, 3, 0), line(9, 5).repeat(80_000)].concat();
    logs.file("access.log.1", &large);
    age(&logs.path("access.log.1"), 90_000);
    logs.file("access.log.2", &old);
    logs.file("access.log", "");
    age(&logs.path("access.log"), 4_000);
    let mut store = logs.open();
    let selection = logs.selection();
    assert_eq!(store.survey(&selection).unwrap().matches, 6);
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    assert_eq!(walk.prepare(1).unwrap().unwrap().commit().unwrap().rows, 3);
    let error = walk.prepare(1).err().expect("there is no room");
    assert!(error.to_string().contains("no room to write a file anew beside itself"), "{error}");
    assert!(walk.prepare(1).unwrap().is_none());
    drop(walk);
    assert!(logs.text("access.log.1") == large, "it stays as it is");
    assert!(!logs.path("access.log.2").exists(), "what goes whole needs no room");
}

#[test]
fn a_file_wholly_past_its_period_masks_what_is_in_no_format() {
    let mut logs = Logs::masking();
    logs.cutoff = Some(cutoff());
    let path = logs.file("access.log.1", "from 192.0.2.9\n");
    logs.file("access.log", "");
    assert_eq!(logs.erase().0, 0, "the file may be of yesterday");
    assert_eq!(logs.survey().undatable, 0);
    age(&path, 86_400 * 11);
    assert_eq!(logs.erase(), (1, Remainder::default()));
    assert_eq!(logs.text("access.log.1"), "from 192.0.2.0\n");
}

#[test]
fn access_control_lists_are_kept() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    // acl(5) in the form of the kernel (linux/posix_acl_xattr.h): owner rw, user 1000 r, group r, mask r, others nothing.
    let entries = [(1_u16, 6_u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let entry = |(tag, rights, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
    };
    let list = [&2_u32.to_le_bytes()[..], &entries.map(entry).concat()].concat();
    let name = "system.posix_acl_access";
    if let Err(error) = rustix::fs::setxattr(&path, name, &list, XattrFlags::empty()) {
        eprintln!("left out: this file system has no such lists ({error})");
        return;
    }
    assert_eq!(logs.erase().0, 3);
    let mut kept = [0; 256];
    let length = rustix::fs::getxattr(&path, name, &mut kept[..]).unwrap();
    assert_eq!(kept[..length], list);
}

/// Entries of a list as acl(5) has them, in the form of the kernel (linux/posix_acl_xattr.h).
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry = |(tag, rights, id): &(u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
    };
    [&2_u32.to_le_bytes()[..], &entries.iter().map(entry).collect::<Vec<_>>().concat()].concat()
}

#[test]
fn rights_that_the_directory_gives_to_new_files_are_not_given_to_one_that_had_none() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // User 1000 may read and write whatever is made here.
    let list = access_list(&[(1, 6, u32::MAX), (2, 6, 1000), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]);
    if let Err(error) = rustix::fs::setxattr(logs.root(), "system.posix_acl_default", &list, XattrFlags::empty()) {
        eprintln!("left out: this file system has no such lists ({error})");
        return;
    }
    assert_eq!(logs.erase().0, 3);
    let found = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0; 256][..]);
    assert_eq!(found, Err(rustix::io::Errno::NODATA));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
}

/// A clock that was ahead for a while.
#[test]
fn a_file_whose_date_lies_in_the_future_is_looked_at_again_when_it_no_longer_does() {
    let mut logs = Logs::masking();
    logs.cutoff = Some(cutoff());
    let path = logs.file("access.log.1", "from 192.0.2.9\n");
    logs.file("access.log", "");
    age(&logs.path("access.log"), 4_000);
    let days = |days: i64| now() + jiff::SignedDuration::from_hours(24 * days);
    File::open(&path).unwrap().set_modified(std::time::SystemTime::try_from(days(2)).unwrap()).unwrap();
    fs::rename(&path, logs.path("access.log.2")).unwrap();
    logs.file("access.log.1", "");
    File::open(logs.path("access.log"))
        .unwrap()
        .set_modified(std::time::SystemTime::try_from(days(3)).unwrap())
        .unwrap();
    assert_eq!((logs.erase().0, logs.survey().undatable), (0, 1));
    let later = Selection { now: days(30), cutoff: Some(days(20)), ..logs.selection() };
    assert_eq!(logs.open().survey(&later).unwrap().matches, 1);
}

#[test]
fn a_file_that_was_rotated_on_since_the_walk_began_is_found_under_its_new_name() {
    let logs = Logs::new();
    logs.file("access.log.2", lines(1, 3, 2));
    age(&logs.path("access.log.2"), 90_000);
    logs.file("access.log.1", lines(11, 3, 2));
    logs.file("access.log", "");
    let mut store = logs.open();
    let selection = logs.selection();
    store.survey(&selection).unwrap();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    assert_eq!(walk.prepare(1).unwrap().unwrap().commit().unwrap().rows, 3);
    for (from, to) in
        [("access.log.2", "access.log.3"), ("access.log.1", "access.log.2"), ("access.log", "access.log.1")]
    {
        fs::rename(logs.path(from), logs.path(to)).unwrap();
    }
    assert_eq!(walk.prepare(1).unwrap().unwrap().commit().unwrap().rows, 3);
    assert!(walk.prepare(1).unwrap().is_none());
    assert_eq!(walk.remainder().unwrap(), Remainder::default());
    assert_eq!((logs.text("access.log.2"), logs.text("access.log.3")), (lines(14, 0, 2), lines(4, 0, 2)));
}

#[test]
fn a_new_file_with_the_number_of_one_that_is_gone_has_arrived() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let number = fs::metadata(&path).unwrap().ino();
    let mut store = logs.open();
    let selection = logs.selection();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    assert_eq!(walk.prepare(1).unwrap().unwrap().commit().unwrap().rows, 3);
    let mut arrived = 0;
    for new in 2..40 {
        arrived += 3;
        if fs::metadata(logs.file(&format!("access.log.{new}"), lines(1, 3, 1))).unwrap().ino() == number {
            break;
        }
    }
    assert!(walk.prepare(1).unwrap().is_none());
    assert_eq!(walk.remainder().unwrap(), Remainder { arrived, ..Remainder::default() });
}

#[test]
fn a_batch_that_is_not_committed_leaves_nothing_behind() {
    let logs = Logs::new();
    logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let mut store = logs.open();
    let selection = logs.selection();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    drop(walk.prepare(1).unwrap().unwrap());
    assert_eq!(logs.names(), ["access.log".to_owned(), "access.log.1".to_owned()].into());
    assert_eq!(logs.text("access.log.1"), lines(1, 3, 2));
}

#[test]
fn two_rules_over_one_file_do_not_undo_each_other() {
    let logs = Logs::new();
    logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let masking = logs.masking_rule();
    let of_masking = Selection { rule: (&masking).into(), cutoff: None, ..logs.selection() };
    let (mut dropping, mut other) = (logs.open(), store::open(&masking));
    let selection = logs.selection();
    let mut walk = dropping.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(1).unwrap().unwrap();
    let mut masks = other.walk(&of_masking, Duration::ZERO).unwrap();
    assert!(matches!(masks.prepare(1).err(), Some(StoreError::Busy { .. })));
    assert_eq!(batch.commit().unwrap().rows, 3);
    // Offered again, and it is the new file.
    let batch = masks.prepare(1).unwrap().unwrap();
    assert_eq!((batch.rows(), batch.commit().unwrap().rows), (2, 2));
    let masked = lines(4, 0, 2).replace("192.0.2.5 ", "192.0.2.0 ").replace("192.0.2.6 ", "192.0.2.0 ");
    assert_eq!(logs.text("access.log.1"), masked);
}

#[test]
fn a_file_that_somebody_has_locked_is_waited_for() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let holder = File::open(&path).unwrap();
    rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
    let mut store = logs.open();
    let selection = logs.selection();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    assert!(matches!(walk.prepare(1).err(), Some(StoreError::Busy { .. })));
    drop(holder);
    assert_eq!(walk.prepare(1).unwrap().unwrap().commit().unwrap().rows, 3);
}

/// Writes into a file and puts its date back: who does that hides it from whoever goes by dates.
fn write_unseen(path: &Path, text: &str, at: usize) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(text.as_bytes(), at as u64).unwrap();
    file.set_modified(modified).unwrap();
}

/// Where a line in the middle begins, beyond what is looked at of a file that is known.
fn middle(text: &str) -> usize {
    text[..text.len() / 2].rfind('\n').unwrap() + 1
}

#[test]
fn a_file_that_is_known_is_not_read_again_unless_it_changed() {
    let logs = Logs::masking();
    let path = logs.file("access.log.1", lines(1, 0, 500));
    logs.file("access.log", "");
    assert_eq!(logs.erase().0, 500);
    write_unseen(&path, "192.0.2.9", middle(&logs.text("access.log.1")));
    assert_eq!(logs.survey(), of(500, 0), "it was not read");
    write_unseen(&path, "192.0.2.9", 0);
    assert_eq!(logs.survey().matches, 2);
    assert_eq!(logs.erase().0, 2);
}

#[test]
fn a_file_that_one_rule_has_read_is_not_read_again_for_the_other_unless_it_changed() {
    let dropping = Logs::new();
    let path = dropping.file("access.log.1", lines(1, 0, 500));
    dropping.file("access.log", "");
    let mask = dropping.masking_rule();
    assert_eq!(dropping.erase_beside(std::slice::from_ref(&mask)).0, 0);
    let of_mask = Selection { rule: (&mask).into(), cutoff: None, ..dropping.selection() };
    let survey = || {
        let Survey { total, matches, .. } = store::open(&mask).survey(&of_mask).unwrap();
        (total, matches)
    };
    write_unseen(&path, "192.0.2.0", middle(&dropping.text("access.log.1")));
    assert_eq!(survey(), (500, 500), "it was not read");
    write_unseen(&path, "192.0.2.0", 0);
    assert_eq!(survey(), (500, 498), "another beginning is another file");
}

#[test]
fn a_file_that_one_rule_has_written_anew_is_known_to_the_other_when_it_was_proven() {
    let mut masking = Logs::masking();
    let path = masking.file("access.log.1", lines(1, 0, 500));
    masking.file("access.log", "");
    let dropping = Logs::new().rule;
    let dropping = LogRule { log: masking.rule.log.clone(), ..dropping };
    assert_eq!(masking.erase_beside(std::slice::from_ref(&dropping)).0, 500);
    // Years back: where it is read the line counts.
    let text = masking.text("access.log.1");
    let year = middle(&text) + text[middle(&text)..].find("/2026:").unwrap() + 1;
    write_unseen(&path, "2016", year);
    masking.rule = dropping;
    masking.cutoff = Some(cutoff());
    assert_eq!(masking.survey(), of(500, 0), "it was not read");
    masking.cutoff = Some(cutoff() + jiff::SignedDuration::from_secs(5));
    assert_eq!(masking.survey().matches, 6, "what becomes due is looked for");
    assert_eq!(masking.erase().0, 6);
}

#[test]
fn lines_that_were_counted_by_one_cutoff_are_counted_anew_by_another() {
    let mut logs = Logs::masking();
    logs.file("access.log.1", lines(1, 100, 100));
    logs.file("access.log", "");
    let seconds = |seconds| Some(cutoff() + jiff::SignedDuration::from_secs(seconds));
    // Beside a rule that has nothing to do here, the cutoff of the other lies at the end of the day of its period.
    let older = LogRule { when: When::Older("10 days".parse().unwrap()), ..logs.rule.clone() };
    let nothing = LogRule { when: When::Older("2 years".parse().unwrap()), action: LineAction::Drop, ..older.clone() };
    (logs.rule, logs.cutoff) = (nothing, Some("2024-10-20T00:00:00Z".parse().unwrap()));
    assert_eq!(logs.erase_beside(std::slice::from_ref(&older)).0, 0);
    logs.rule = older;
    for (cutoff, matches) in [(seconds(0), 100), (seconds(-1), 99), (seconds(1), 101)] {
        logs.cutoff = cutoff;
        assert_eq!(logs.survey().matches, matches);
    }
    logs.cutoff = seconds(0);
    let (rows, remainder) = logs.erase();
    assert_eq!((rows, remainder.left), (100, 0));
}

#[test]
fn a_count_that_is_remembered_erases_nothing_by_itself() {
    let dropping = Logs::new();
    let path = dropping.file("access.log.1", lines(1, 0, 500));
    dropping.file("access.log", "");
    let mut masking = Logs::masking();
    masking.rule = dropping.masking_rule();
    assert_eq!(dropping.erase_beside(std::slice::from_ref(&masking.rule)).0, 0);
    write_unseen(&path, "192.0.2.0", middle(&dropping.text("access.log.1")));
    // Each line is judged where it is written anew, and what was done is what is told.
    assert_eq!(masking.survey().matches, 500);
    let (rows, remainder) = masking.erase();
    assert_eq!((rows, remainder), (499, Remainder::default()));
    assert_eq!(masking.survey(), of(500, 0));
}

#[test]
fn a_file_that_is_known_is_read_again_when_its_lines_become_due() {
    let mut logs = Logs::new();
    logs.file("access.log.1", lines(1, 0, 20));
    logs.file("access.log", "");
    assert_eq!(logs.erase().0, 0);
    logs.cutoff = Some(cutoff() + jiff::SignedDuration::from_secs(5));
    assert_eq!(logs.survey(), Survey { oldest: Some(cutoff()), ..of(20, 5) });
    assert_eq!(logs.erase().0, 5);
    assert_eq!(logs.survey(), of(15, 0));
}

#[test]
fn a_count_changes_nothing() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    let before = fs::metadata(&path).unwrap();
    assert_eq!(logs.survey(), of(5, 3));
    let after = fs::metadata(&path).unwrap();
    let state = |file: &fs::Metadata| (file.ino(), file.ctime(), file.ctime_nsec(), file.mtime(), file.len());
    assert_eq!(state(&after), state(&before));
    assert_eq!(logs.names().len(), 1);
}

#[test]
fn what_must_not_be_stored_at_all_goes_from_every_line() {
    let mut logs = Logs::masking();
    logs.rule.action = LineAction::Drop;
    logs.file("access.log.1", [lines(1, 3, 2), "no line of this format\n".to_owned()].concat());
    logs.file("access.log", "");
    age(&logs.path("access.log"), 5_000);
    assert_eq!(logs.survey(), Survey { total: 6, matches: 6, ..Survey::default() });
    assert_eq!(logs.erase(), (6, Remainder::default()));
    assert_eq!(logs.names(), ["access.log".to_owned()].into());
}

#[test]
fn the_directory_is_the_shape_of_the_rule() {
    let logs = Logs::new();
    logs.file("access.log.1", lines(1, 3, 2));
    let before = logs.inspect().shape.unwrap();
    logs.erase();
    assert_eq!(logs.inspect().shape.as_ref(), Some(&before));
    let other = Logs::new().inspect().shape.unwrap();
    assert_eq!(other.changes_since(&before).len(), 1);
}

#[test]
fn what_was_replaced_may_be_left_in_the_free_space_of_a_disk() {
    let logs = Logs::new();
    logs.file("access.log.1", lines(1, 3, 2));
    let mut store = logs.open();
    let selection = logs.selection();
    drop(store.walk(&selection, Duration::ZERO).unwrap());
    let in_memory = rustix::fs::statfs(logs.root()).unwrap().f_type == 0x0102_1994;
    match store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap() {
        Physical::Gone => assert!(in_memory),
        Physical::Pending(what) => assert!(!in_memory && what.contains("free space"), "{what}"),
    }
}
