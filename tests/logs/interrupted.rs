//! A process that dies while a file is put in the place of another, and what others do to the names meanwhile.

use super::*;

/// How far a process came before it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Died {
    /// The new file was complete.
    Prepared,
    /// The two were exchanged.
    Exchanged,
    /// The new file was in place and the old one gone.
    Done,
}

/// The directory of a process that dies, how far it comes, and whether any line stays.
const SCENE: &str = "FORGETD_TEST_SCENE";

fn in_directory(directory: &Path) -> LogRule {
    let mut rule = Logs::new().rule;
    rule.log.directory = directory.to_owned();
    rule
}

#[test]
#[ignore = "the child of another test"]
fn the_process_that_dies() {
    let scene = std::env::var(SCENE).expect("started by another test");
    let (directory, died) = scene.split_once('\n').unwrap();
    let rule = in_directory(Path::new(directory));
    let selection = Selection { rule: (&rule).into(), now: now(), cutoff: Some(cutoff()), holds: Vec::new() };
    let mut store = store::open(&rule);
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(1).unwrap().unwrap();
    fs::write(Path::new(directory).join("in-flight"), batch.in_flight()).unwrap();
    match died {
        "Prepared" => {}
        "Exchanged" if died_with_lines(batch.in_flight()) => exchange(Path::new(directory), "access.log.1"),
        "Exchanged" => take_away(Path::new(directory), "access.log.1"),
        _ => assert_eq!(batch.commit().unwrap(), Committed { rows: 3, children: 0 }),
    }
    std::process::abort();
}

fn died_with_lines(in_flight: &[u8]) -> bool {
    let told: serde_json::Value = serde_json::from_slice(in_flight).unwrap();
    told["emptied"] == "kept"
}

/// The store's own name for a new file.
fn own(directory: &Path) -> PathBuf {
    let mut paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".forgetd-")).unwrap()
}

/// What the store does first when it commits.
fn exchange(directory: &Path, name: &str) {
    let other = directory.join(name);
    rustix::fs::renameat_with(CWD, own(directory), CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// The same where no line stays.
fn take_away(directory: &Path, name: &str) {
    let own = own(directory).into_os_string().into_string().unwrap();
    fs::rename(directory.join(name), own + "-taken").unwrap();
}

fn die(logs: &Logs, died: Died) -> Vec<u8> {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupted::the_process_that_dies", "--ignored", "--quiet"])
        .env(SCENE, format!("{}\n{died:?}", logs.root().display()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(6), "it was to abort");
    let in_flight = fs::read(logs.path("in-flight")).unwrap();
    fs::remove_file(logs.path("in-flight")).unwrap();
    in_flight
}

#[rstest]
fn after_a_crash_it_is_known_what_was_done(
    #[values(Died::Prepared, Died::Exchanged, Died::Done)] died: Died,
    #[values(false, true)] rotated: bool,
    #[values(2, 0)] kept: u32,
) {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, kept));
    logs.file("access.log", line(9, 5));
    age(&logs.path("access.log"), 4_000);
    let in_flight = die(&logs, died);
    let name = if rotated && path.exists() { "access.log.2" } else { "access.log.1" };
    if path.exists() {
        fs::rename(&path, logs.path(name)).unwrap();
    }
    let expected = if died == Died::Prepared { Resolution::RolledBack } else { Resolution::Committed };
    for _ in 0..2 {
        let resolved = logs.open().resolve(&logs.selection(), &in_flight).unwrap();
        assert_eq!(resolved, expected);
    }
    assert_eq!(logs.erase().0, if died == Died::Prepared { 3 } else { 0 });
    assert!(logs.names().iter().all(|name| !name.starts_with(".forgetd-")));
    if kept > 0 {
        assert_eq!(logs.text(name), lines(4, 0, kept));
    } else {
        assert!(!logs.path(name).exists());
    }
}

#[test]
fn an_exchange_that_a_writer_did_not_notice_is_taken_back_after_a_crash() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let mut store = logs.open();
    let selection = logs.selection();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let batch = walk.prepare(1).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    std::mem::forget(batch);
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    exchange(logs.root(), "access.log.1");
    writer.write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9)].concat());
}

/// A batch over `access.log.1` whose process died before anything was exchanged, and what it wrote down.
fn interrupted(logs: &Logs) -> Vec<u8> {
    die(logs, Died::Prepared)
}

fn appending(path: &Path) -> File {
    OpenOptions::new().append(true).open(path).unwrap()
}

/// Every line of every file, sorted.
fn all_lines(logs: &Logs) -> Vec<String> {
    let mut all: Vec<String> =
        logs.names().iter().flat_map(|name| logs.text(name).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    all.sort();
    all
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_file_whose_successor_was_rotated_on_gets_its_place_there_and_the_next_log_stays_what_it_is() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", lines(11, 0, 2));
    let in_flight = interrupted(&logs);
    let mut writer = appending(&path);
    exchange(logs.root(), "access.log.1");
    fs::rename(&path, logs.path("access.log.2")).unwrap();
    fs::rename(logs.path("access.log"), &path).unwrap();
    writer.write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.2"), [lines(1, 3, 2), line(6, 9)].concat());
    assert_eq!(logs.text("access.log.1"), lines(11, 0, 2));
    assert_eq!(logs.names().len(), 2);
}

#[test]
fn a_file_whose_successor_is_gone_is_seen_again() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let in_flight = interrupted(&logs);
    let writer = appending(&path);
    exchange(logs.root(), "access.log.1");
    fs::remove_file(&path).unwrap();
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    drop(writer);
    assert_eq!(logs.text("access.log.1"), lines(1, 3, 2));
}

#[test]
fn lines_that_came_to_both_files_are_all_kept() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let in_flight = interrupted(&logs);
    let mut writer = appending(&path);
    exchange(logs.root(), "access.log.1");
    appending(&path).write_all(line(7, 10).as_bytes()).unwrap();
    writer.write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9), line(7, 10)].concat());
}

#[test]
fn another_file_that_was_hit_by_the_exchange_gets_its_name_back() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let in_flight = interrupted(&logs);
    // In the last moment rotation put another file there.
    fs::rename(&path, logs.path("access.log.2")).unwrap();
    fs::write(&path, lines(21, 0, 4)).unwrap();
    exchange(logs.root(), "access.log.1");
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), lines(21, 0, 4));
    assert_eq!(logs.text("access.log.2"), lines(1, 3, 2));
    assert_eq!(logs.names().len(), 3);
}

#[rstest]
#[case::its_name_is_free(false)]
#[case::its_name_is_taken(true)]
fn another_file_that_was_taken_away_is_seen_again(#[case] taken: bool) {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 0));
    logs.file("access.log", "");
    age(&logs.path("access.log"), 4_000);
    let in_flight = interrupted(&logs);
    fs::rename(&path, logs.path("access.log.2")).unwrap();
    fs::write(&path, lines(21, 0, 4)).unwrap();
    take_away(logs.root(), "access.log.1");
    let third = if taken { lines(31, 0, 1) } else { String::new() };
    if taken {
        fs::write(&path, &third).unwrap();
    }
    assert_eq!(logs.open().resolve(&logs.selection(), &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(all_lines(&logs), sorted(&[lines(1, 3, 0), lines(21, 0, 4), third].concat()));
    assert!(logs.names().iter().all(|name| name.starts_with("access.log")));
    assert_eq!(logs.erase().0, 3);
}

#[test]
fn a_file_that_is_written_to_while_it_is_taken_away_comes_back() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 0));
    logs.file("access.log", "");
    age(&logs.path("access.log"), 4_000);
    let mut writer = None;
    assert_eq!(in_between(&logs, || writer = Some(appending(&path))), Committed::default());
    writer.take().unwrap().write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 0), line(6, 9)].concat());
    age(&path, 86_400);
    assert_eq!(logs.erase(), (3, Remainder::default()));
    assert_eq!(logs.text("access.log.1"), line(6, 9));
}

/// A process that died after it gave the old file its place back, and before it was done with the new one: `late` came to
/// that while it stood there.
fn given_back(logs: &Logs, late: &str) -> (Vec<u8>, PathBuf) {
    logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let in_flight = interrupted(logs);
    let new = own(logs.root());
    appending(&new).write_all(late.as_bytes()).unwrap();
    (in_flight, new)
}

fn resolve(logs: &Logs, in_flight: &[u8]) -> Result<Resolution, StoreError> {
    logs.open().resolve(&logs.selection(), in_flight)
}

#[rstest]
fn lines_that_came_to_the_new_file_are_not_lost_by_a_crash_before_they_are_carried_over(
    #[values("access.log.1", "access.log.2")] rotated: &str,
) {
    let logs = Logs::new();
    let late = [line(6, 9), line(7, 10)].concat();
    let (in_flight, _) = given_back(&logs, &late);
    fs::rename(logs.path("access.log.1"), logs.path(rotated)).unwrap();
    for _ in 0..2 {
        assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
        assert_eq!(logs.text(rotated), [lines(1, 3, 2), late.clone()].concat());
    }
    assert_eq!(logs.names(), ["access.log".to_owned(), rotated.to_owned()].into());
}

/// What was carried over already is told by the note that was made before it was: how much, and where what follows begins.
#[rstest]
#[case::nothing(0, "")]
#[case::a_line(1, "")]
#[case::a_line_between_others(1, "other\n")]
#[case::all(3, "")]
#[case::all_between_others(3, "other\n")]
fn a_crash_while_lines_are_carried_over_repeats_none_of_them(#[case] carried: usize, #[case] other: &str) {
    let logs = Logs::new();
    // The first two are the same: two requests in one second.
    let late = [line(6, 9), line(6, 9), line(7, 10)].concat();
    let (in_flight, new) = given_back(&logs, &late);
    let path = logs.path("access.log.1");
    let note = format!("0 {}", fs::metadata(&path).unwrap().len());
    rustix::fs::setxattr(&new, "user.forgetd.carried", note.as_bytes(), XattrFlags::empty()).unwrap();
    let (first, rest): (Vec<&str>, Vec<&str>) = {
        let mut all = late.split_inclusive('\n');
        (all.by_ref().take(carried).collect(), all.collect())
    };
    appending(&path).write_all([other, &first.concat(), other].concat().as_bytes()).unwrap();
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    let expected = [&lines(1, 3, 2), other, &first.concat(), other, &rest.concat()].concat();
    assert_eq!(logs.text("access.log.1"), expected);
}

#[test]
fn a_line_that_was_cut_off_while_it_was_carried_over_is_completed() {
    let logs = Logs::new();
    let late = line(6, 9);
    let (in_flight, new) = given_back(&logs, &late);
    let path = logs.path("access.log.1");
    let note = format!("0 {}", fs::metadata(&path).unwrap().len());
    rustix::fs::setxattr(&new, "user.forgetd.carried", note.as_bytes(), XattrFlags::empty()).unwrap();
    appending(&path).write_all(&late.as_bytes()[..20]).unwrap();
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), late].concat());
}

#[test]
fn equal_lines_that_came_to_both_files_are_both_kept() {
    let logs = Logs::new();
    let (in_flight, _) = given_back(&logs, &line(6, 9));
    appending(&logs.path("access.log.1")).write_all(line(6, 9).as_bytes()).unwrap();
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9), line(6, 9)].concat());
}

#[test]
fn a_new_file_that_a_server_writes_to_is_kept_until_it_has_let_go() {
    let logs = Logs::new();
    let (in_flight, new) = given_back(&logs, "");
    let mut server = appending(&new);
    server.write_all(line(6, 9).as_bytes()).unwrap();
    let error = resolve(&logs, &in_flight).unwrap_err();
    assert!(
        matches!(&error, StoreError::CommitUnknown { reason, .. } if reason.contains("open its log anew")),
        "{error}"
    );
    server.write_all(line(7, 10).as_bytes()).unwrap();
    drop(server);
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(1, 3, 2), line(6, 9), line(7, 10)].concat());
    assert!(!new.exists());
}

#[test]
fn lines_whose_old_file_is_gone_are_seen_again() {
    let logs = Logs::new();
    let (in_flight, _) = given_back(&logs, &line(6, 9));
    fs::remove_file(logs.path("access.log.1")).unwrap();
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(logs.text("access.log.1"), [lines(4, 0, 2), line(6, 9)].concat());
}

/// A server that opens the log in the moment in which the new file stands there, and an older writer of the former one.
#[test]
fn a_server_that_has_opened_the_new_file_loses_nothing_when_the_old_one_gets_its_place_back() {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, 2));
    logs.file("access.log", "");
    let in_flight = interrupted(&logs);
    let mut late = appending(&path);
    exchange(logs.root(), "access.log.1");
    let mut server = appending(&path);
    server.write_all(line(7, 10).as_bytes()).unwrap();
    late.write_all(line(6, 9).as_bytes()).unwrap();
    drop(late);
    assert!(matches!(resolve(&logs, &in_flight), Err(StoreError::CommitUnknown { .. })));
    server.write_all(line(8, 11).as_bytes()).unwrap();
    drop(server);
    assert_eq!(resolve(&logs, &in_flight).unwrap(), Resolution::RolledBack);
    let expected = [lines(1, 3, 2), line(6, 9), line(7, 10), line(8, 11)].concat();
    assert_eq!(logs.text("access.log.1"), expected);
    assert_eq!(logs.names().len(), 2);
}

/// Btrfs and others have another number whenever they are mounted.
#[rstest]
fn a_file_system_that_was_mounted_anew_since_the_crash_has_the_same_files(
    #[values(Died::Prepared, Died::Exchanged, Died::Done)] died: Died,
    #[values(2, 0)] kept: u32,
) {
    let logs = Logs::new();
    let path = logs.file("access.log.1", lines(1, 3, kept));
    logs.file("access.log", "");
    age(&logs.path("access.log"), 4_000);
    let mut told: serde_json::Value = serde_json::from_slice(&die(&logs, died)).unwrap();
    for file in ["old", "new"] {
        told[file]["device"] = serde_json::json!(told[file]["device"].as_u64().unwrap() + 1);
    }
    let expected = if died == Died::Prepared { Resolution::RolledBack } else { Resolution::Committed };
    assert_eq!(resolve(&logs, &serde_json::to_vec(&told).unwrap()).unwrap(), expected);
    assert!(logs.names().iter().all(|name| !name.starts_with(".forgetd-")));
    match (died, kept) {
        (Died::Prepared, _) => assert_eq!(logs.text("access.log.1"), lines(1, 3, kept)),
        (_, 0) => assert!(!path.exists()),
        _ => assert_eq!(logs.text("access.log.1"), lines(4, 0, kept)),
    }
}
