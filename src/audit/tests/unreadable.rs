//! What is there and cannot be read is never taken for what is missing: that would begin anew, or accuse somebody.

use std::os::unix::fs::symlink;

use super::*;

/// Puts something in the file's place that nobody can open: a link to itself.
fn block(path: &Path) {
    fs::remove_file(path).unwrap();
    symlink(path, path).unwrap();
}

fn not_readable(verified: Result<Verification, VerifyError>, path: &Path) {
    match verified {
        Err(VerifyError::NotReadable { path: told, .. }) => assert_eq!(told, path),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_verification_cannot_read_ends_it_without_a_verdict() {
    let files: [fn(&Paths) -> &Path; 3] = [|paths| &paths.log, |paths| &paths.checkpoint, |paths| &paths.verifier_key];
    for file in files {
        let place = Place::with(3);
        let paths = place.paths();
        block(file(&paths));
        not_readable(verify(&place.dir(), &[]), file(&paths));
    }
    let place = Place::with(3);
    fs::write(place.paths().rotations, "no directory").unwrap();
    not_readable(verify(&place.dir(), &[]), &place.paths().rotations);
}

#[test]
fn a_file_that_the_start_cannot_read_is_neither_missing_nor_made_anew() {
    let place = Place::with(3);
    block(&place.paths().log);
    assert!(matches!(place.open(), Err(AuditError::NotWritable { path, .. }) if path == place.paths().log));

    let files: [fn(&Place) -> PathBuf; 3] =
        [|place| place.paths().checkpoint, |place| place.paths().verifier_key, |place| place.key()];
    for file in files {
        let place = Place::with(3);
        let path = file(&place);
        block(&path);
        match place.open() {
            Err(AuditError::NotReadable { path: told, .. }) => assert_eq!(told, path),
            other => panic!("{other:?}"),
        }
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "it stays as it was");
    }
}

#[test]
fn a_log_that_cannot_be_looked_at_under_its_name_is_not_said_to_be_replaced() {
    let place = Place::with(3);
    let mut log = place.open().unwrap();
    block(&place.paths().log);
    let refused = log.append(at(3), &event(3), Sync::Now);
    assert!(matches!(refused, Err(AuditError::NotReadable { .. })), "{refused:?}");
}
