//! Which files are read, and which are refused because others could have written them.

use std::fs::{Permissions, create_dir, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory whose permissions do not depend on the umask of whoever runs the tests.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in SUBDIRECTORIES {
        create_dir(directory.path().join(name)).unwrap();
        close(&directory.path().join(name), 0o755);
    }
    directory
}

fn close(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn put(directory: &Path, name: &str, bytes: &[u8]) {
    write(directory.join(name), bytes).unwrap();
    close(&directory.join(name), 0o644);
}

fn only_problem(directory: &Path) -> Problem {
    let Problems(mut problems) = read_directory(directory).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn hidden_files_backups_and_other_names_are_ignored() {
    let directory = directory();
    for name in ["forgetd.toml", "sites/a.toml", "sites/.a.toml", "sites/a.toml~", "sites/README", "other.toml"] {
        put(directory.path(), name, b"");
    }
    let sources = read_directory(directory.path()).unwrap();
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["forgetd.toml", "sites/a.toml"]);
}

#[test]
fn a_file_that_others_can_write_is_refused_with_the_command_that_closes_it() {
    let directory = directory();
    put(directory.path(), "sites/a.toml", b"");
    close(&directory.path().join("sites/a.toml"), 0o664);
    let problem = only_problem(directory.path());
    assert_eq!((problem.file.as_str(), problem.line, problem.column), ("sites/a.toml", 1, 1));
    let path = directory.path().join("sites/a.toml");
    assert_eq!(problem.hint, Some(format!("run `chmod go-w {}`", path.display())));
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let directory = directory();
    close(&directory.path().join("sites"), 0o777);
    assert_eq!(only_problem(directory.path()).file, "sites");
}

#[test]
fn the_target_of_a_link_is_what_is_checked() {
    let directory = directory();
    let elsewhere = tempfile::tempdir().unwrap();
    put(elsewhere.path(), "a", b"");
    close(&elsewhere.path().join("a"), 0o666);
    std::os::unix::fs::symlink(elsewhere.path().join("a"), directory.path().join("sites/a.toml")).unwrap();
    assert!(only_problem(directory.path()).message.starts_with("writable by group or others"));
    close(&elsewhere.path().join("a"), 0o600);
    assert!(read_directory(directory.path()).unwrap().contains_key("sites/a.toml"));
}

#[test]
fn a_fifo_in_place_of_a_file_is_refused_at_once() {
    let directory = directory();
    let path = directory.path().join("sites/a.toml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(only_problem(directory.path()).message, "this is not a regular file");
}

#[test]
fn a_directory_in_place_of_a_file_is_refused() {
    let directory = directory();
    create_dir(directory.path().join("forgetd.toml")).unwrap();
    assert_eq!(only_problem(directory.path()).message, "this is not a regular file");
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let directory = directory();
    put(directory.path(), "forgetd.toml", b"state-dir = \"\xff\"");
    assert_eq!(only_problem(directory.path()).message, "the text is not UTF-8");
}

#[test]
fn a_file_of_one_mebibyte_is_read_and_a_larger_one_refused() {
    let directory = directory();
    put(directory.path(), "forgetd.toml", &[b'#'; 1_048_576]);
    assert!(read_directory(directory.path()).is_ok());
    put(directory.path(), "forgetd.toml", &[b'#'; 1_048_577]);
    assert_eq!(only_problem(directory.path()).message, "the file is larger than 1 MiB");
}

#[test]
fn a_missing_directory_is_told_with_the_option_that_names_it() {
    let problem = only_problem(Path::new("/nonexistent/forgetd"));
    assert_eq!(problem.hint.as_deref(), Some("name the directory with `--config DIR`"));
}

#[test]
fn the_state_directory_is_found_beside_mistakes_and_not_taken_from_a_file_that_others_can_write() {
    let directory = directory();
    put(directory.path(), "forgetd.toml", b"state-dir = \"/srv/state\"\nmistake = yes\n");
    assert_eq!(state_directory(directory.path(), Trust::Required), Some(PathBuf::from("/srv/state")));
    put(directory.path(), "forgetd.toml", b"state-dir = \"state\"\n");
    assert_eq!(state_directory(directory.path(), Trust::Required), None);
    put(directory.path(), "forgetd.toml", b"state-dir = \"/srv/state\"\n");
    close(&directory.path().join("forgetd.toml"), 0o666);
    assert_eq!(state_directory(directory.path(), Trust::Required), None);
    // A hold only keeps: it may stand where the file says.
    assert_eq!(state_directory(directory.path(), Trust::NotNeeded), Some(PathBuf::from("/srv/state")));
}
