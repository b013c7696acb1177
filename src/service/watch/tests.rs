use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn directory() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("config");
    fs::create_dir_all(config.join("sites")).unwrap();
    fs::write(config.join("forgetd.toml"), "one").unwrap();
    fs::write(config.join("sites/shop.toml"), "one").unwrap();
    (directory, config)
}

/// The next change, if it comes within a second.
fn next(changes: &mut UnboundedReceiver<Change>) -> Option<Change> {
    let until = std::time::Instant::now() + Duration::from_secs(1);
    while std::time::Instant::now() < until {
        match changes.try_recv() {
            Ok(change) => return Some(change),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

#[test]
fn reading_the_directory_is_no_change() {
    let (_directory, config) = directory();
    let (_watch, mut noticed) = Watch::begin(&config);
    fs::read(config.join("forgetd.toml")).unwrap();
    assert_eq!(fs::read_dir(config.join("sites")).unwrap().count(), 1);
    assert_eq!(next(&mut noticed), None);
}

#[test]
fn neighbours_of_the_directory_are_none_of_our_business() {
    let (directory, config) = directory();
    let (_watch, mut noticed) = Watch::begin(&config);
    fs::write(directory.path().join("passwd"), "changed").unwrap();
    assert_eq!(next(&mut noticed), None);
}

#[test]
fn a_file_in_a_part_of_the_directory_is_noticed() {
    let (_directory, config) = directory();
    let (_watch, mut noticed) = Watch::begin(&config);
    fs::write(config.join("sites/shop.toml"), "two").unwrap();
    assert_eq!(next(&mut noticed), Some(Change::Configuration));
}

#[test]
fn a_part_that_is_created_later_is_watched_once_the_watches_are_renewed() {
    let (_directory, config) = directory();
    let (mut watch, mut noticed) = Watch::begin(&config);
    fs::create_dir(config.join("processors")).unwrap();
    assert_eq!(next(&mut noticed), Some(Change::Configuration));
    watch.renew();
    while noticed.try_recv().is_ok() {}
    fs::write(config.join("processors/new.toml"), "one").unwrap();
    assert_eq!(next(&mut noticed), Some(Change::Configuration));
}

#[test]
fn a_command_that_announces_itself_is_told_from_a_change() {
    let (directory, config) = directory();
    let paths = StatePaths::new(&directory.path().join("state"));
    fs::create_dir_all(paths.wake().parent().unwrap()).unwrap();
    let (mut watch, mut noticed) = Watch::begin(&config);
    watch.listen_for_commands(&paths);
    wake(&paths);
    assert_eq!(next(&mut noticed), Some(Change::Woken));
    while noticed.try_recv().is_ok() {}
    // Again, although the file is there now and as empty as before.
    wake(&paths);
    assert_eq!(next(&mut noticed), Some(Change::Woken));
}

#[test]
fn the_poll_sees_every_kind_of_change_and_nothing_else() {
    let (directory, config) = directory();
    let mut before = Fingerprint::of(&config);
    assert_eq!(Fingerprint::of(&config), before, "nothing was changed");
    let replacement = directory.path().join("replacement");
    let changes: [(&str, &dyn Fn()); 6] = [
        ("a file written", &|| fs::write(config.join("sites/shop.toml"), "two!").unwrap()),
        ("a file created", &|| fs::write(config.join("sites/new.toml"), "").unwrap()),
        ("a file removed", &|| fs::remove_file(config.join("sites/new.toml")).unwrap()),
        ("a file opened to others", &|| {
            fs::set_permissions(config.join("forgetd.toml"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("the directory opened to others", &|| {
            fs::set_permissions(&config, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("the directory replaced by a link", &|| {
            fs::rename(&config, &replacement).unwrap();
            fs::create_dir(directory.path().join("other")).unwrap();
            symlink("other", &config).unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        let after = Fingerprint::of(&config);
        assert_ne!(after, before, "{what}");
        before = after;
    }
}

#[test]
fn a_second_lock_on_one_state_is_refused_and_a_released_one_is_free() {
    let directory = TempDir::new().unwrap();
    let paths = StatePaths::new(directory.path());
    assert!(!is_running(&paths));
    let lock = DaemonLock::acquire(&paths).unwrap();
    assert!(is_running(&paths));
    assert!(matches!(DaemonLock::acquire(&paths), Err(ServiceError::AlreadyRunning(_))));
    drop(lock);
    assert!(!is_running(&paths));
    assert!(DaemonLock::acquire(&paths).is_ok());
}
