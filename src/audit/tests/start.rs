use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_a_signed_log_and_a_key_that_others_cannot_read() {
    let place = Place::new();
    let log = place.open().unwrap();
    assert_eq!(log.size(), 1);
    assert_eq!(log.last_time(), Some(at(0)));
    assert_eq!(mode(&place.key()), 0o600);
    assert_eq!(mode(place.key().parent().unwrap()), 0o700);
    assert_eq!(mode(&place.dir()) & 0o027, 0);
    let origin = log.origin().strip_prefix("forgetd/").unwrap().to_owned();
    assert!(origin.len() == 16 && origin.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{origin}");
    let first = read::entry(&place.dir(), 0).unwrap().unwrap();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    assert_eq!(first.event, Event::LogCreated { origin: log.origin().to_owned(), version });
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 1 });
}

#[test]
fn two_logs_never_share_a_name_or_a_key() {
    let (one, other) = (Place::with(1), Place::with(1));
    assert_ne!(fs::read(one.paths().verifier_key).unwrap(), fs::read(other.paths().verifier_key).unwrap());
}

#[test]
fn a_second_opening_goes_on_where_the_first_ended() {
    let place = Place::with(5);
    let mut log = place.open().unwrap();
    assert_eq!((log.size(), log.last_time()), (5, Some(at(4))));
    assert_eq!(log.append(at(9), &event(5), Sync::Now).unwrap(), 5);
}

#[test]
fn a_key_is_checked_without_opening_the_log() {
    let (place, other) = (Place::new(), Place::with(2));
    let check = |place: &Place| check_key(&place.dir(), &place.key());
    assert!(matches!(check(&place), Ok(None)));
    let origin = place.open().unwrap().origin().to_owned();
    assert_eq!(check(&place).unwrap(), Some(origin));
    fs::copy(other.key(), place.key()).unwrap();
    assert!(matches!(check(&place), Err(AuditError::KeyMismatch { .. })));
    fs::remove_file(place.key()).unwrap();
    assert!(matches!(check(&place), Err(AuditError::KeyMissing { .. })));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    for bits in [0o640, 0o604, 0o620] {
        let place = Place::with(2);
        fs::set_permissions(place.key(), fs::Permissions::from_mode(bits)).unwrap();
        match place.open() {
            Err(AuditError::KeyPermissions { mode, .. }) => assert_eq!(mode, bits),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_lost_key_is_never_replaced_by_a_second() {
    let place = Place::with(2);
    fs::remove_file(place.key()).unwrap();
    assert!(matches!(place.open(), Err(AuditError::KeyMissing { .. })));
    fs::write(place.paths().log, "").unwrap();
    assert!(matches!(place.open(), Err(AuditError::KeyMissing { .. })));
    assert!(!place.key().exists());
}

#[test]
fn whatever_is_left_of_a_log_keeps_it_from_being_taken_for_a_new_one() {
    let files: [fn(Paths) -> PathBuf; 3] = [|paths| paths.log, |paths| paths.checkpoint, |paths| paths.verifier_key];
    for left in files {
        let place = Place::with(2);
        let kept = fs::read(left(place.paths())).unwrap();
        fs::remove_file(place.key()).unwrap();
        let Paths { log, checkpoint, verifier_key, index, .. } = place.paths();
        [log, checkpoint, verifier_key, index].iter().for_each(|file| fs::remove_file(file).unwrap());
        fs::write(left(place.paths()), &kept).unwrap();
        assert!(matches!(place.open(), Err(AuditError::KeyMissing { .. })));
        assert_eq!(fs::read(left(place.paths())).unwrap(), kept);
    }
}

#[test]
fn a_key_of_another_log_is_refused() {
    let (place, other) = (Place::with(2), Place::with(2));
    fs::copy(other.key(), place.key()).unwrap();
    assert!(matches!(place.open(), Err(AuditError::KeyMismatch { .. })));
    fs::remove_file(place.paths().verifier_key).unwrap();
    assert!(matches!(place.open(), Err(AuditError::CheckpointInvalid { .. })));
}

/// The part of a key file that must never show; it is base64, and may hold a plus.
fn secret_of(text: &str) -> &str {
    text.trim_end().splitn(5, '+').nth(4).unwrap()
}

#[test]
fn a_damaged_key_is_refused_without_showing_it() {
    let place = Place::with(2);
    let text = fs::read_to_string(place.key()).unwrap();
    for bent in [&text[1..], text.trim_end(), "", &text.replace("+A", "+B")] {
        fs::write(place.key(), bent).unwrap();
        let error = place.open().unwrap_err();
        assert!(matches!(error, AuditError::KeyMalformed { .. }), "{error}");
        assert!(!format!("{error:?}").contains(secret_of(&text)));
    }
}

// The key itself is the last of five fields, in base64, where `+` may stand.
#[test]
fn the_private_key_does_not_show_in_debug_output() {
    let place = Place::with(1);
    let secret = fs::read_to_string(place.key()).unwrap();
    let log = place.open().unwrap();
    let shown = format!("{log:?}");
    assert!(shown.contains(&format!("Key {{ name: {:?}", log.origin())), "{shown}");
    assert!(!shown.contains(secret_of(&secret)));
    assert!(!shown.contains("signing"));
}

#[test]
fn a_lost_public_key_is_written_again_from_the_private_one() {
    let place = Place::with(3);
    let before = fs::read(place.paths().verifier_key).unwrap();
    fs::remove_file(place.paths().verifier_key).unwrap();
    place.open().unwrap();
    assert_eq!(fs::read(place.paths().verifier_key).unwrap(), before);
}

#[test]
fn an_emptied_audit_directory_is_not_taken_for_a_new_one() {
    let place = Place::with(3);
    let paths = place.paths();
    for path in [&paths.log, &paths.checkpoint, &paths.verifier_key, &paths.index] {
        fs::remove_file(path).unwrap();
    }
    assert!(matches!(place.open(), Err(AuditError::Replaced { .. })));
    fs::write(&paths.log, "").unwrap();
    assert!(matches!(place.open(), Err(AuditError::CheckpointMissing { .. })));
}

#[test]
fn a_first_start_that_was_interrupted_anywhere_is_completed() {
    let aside = |place: &Place| place.key().with_file_name("audit.key.new");
    // From the last step back to the first: each state is one that a power cut can leave.
    let states: [&dyn Fn(&Place); 6] = [
        &|place| fs::write(place.paths().log, r#"{"seq":0,"time""#).unwrap(),
        &|place| fs::write(place.paths().log, "").unwrap(),
        &|place| fs::rename(place.key(), aside(place)).unwrap(),
        &|place| fs::remove_file(place.paths().verifier_key).unwrap(),
        &|place| fs::remove_file(place.paths().checkpoint).unwrap(),
        &|place| fs::remove_file(aside(place)).unwrap(),
    ];
    for steps in 1..=states.len() {
        let place = Place::with(1);
        fs::remove_file(place.paths().index).unwrap();
        // The checkpoint of nothing, as the first start writes it before the first entry.
        let key = super::key::Key::load(&place.key()).unwrap().unwrap();
        let origin = key.verifier().name().to_owned();
        let nothing = Checkpoint { origin, size: 0, root: merkle::Hash::empty() };
        fs::write(place.paths().checkpoint, key.sign(&nothing)).unwrap();
        states[..steps].iter().for_each(|state| state(&place));
        assert_eq!(place.open().unwrap().size(), 1, "after {steps} steps");
        assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 1 });
        assert!(!aside(&place).exists());
    }
}

#[test]
fn a_log_without_its_checkpoint_is_refused() {
    let place = Place::with(3);
    fs::remove_file(place.paths().checkpoint).unwrap();
    assert!(matches!(place.open(), Err(AuditError::CheckpointMissing { .. })));
}

#[test]
fn a_log_shorter_than_its_checkpoint_is_refused() {
    let place = Place::with(6);
    let text = place.text();
    let four = text.split_inclusive('\n').take(4).collect::<String>();
    for index in ["kept", "removed"] {
        place.rewrite(|bytes| *bytes = four.clone().into_bytes());
        if index == "removed" {
            fs::remove_file(place.paths().index).unwrap();
        }
        match place.open() {
            Err(AuditError::ShorterThanCheckpoint { found, expected, .. }) => assert_eq!((found, expected), (4, 6)),
            other => panic!("{other:?}"),
        }
    }
    place.rewrite(|bytes| *bytes = text.trim_end().as_bytes().to_vec());
    assert!(matches!(place.open(), Err(AuditError::ShorterThanCheckpoint { found: 5, .. })), "torn inside");
}

#[test]
fn a_changed_log_is_refused_when_the_index_does_not_vouch_for_it() {
    let place = Place::with(6);
    place.rewrite(|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap().replace("\"rows\":502", "\"rows\":402");
        *bytes = text.into_bytes();
    });
    fs::remove_file(place.paths().index).unwrap();
    assert!(matches!(place.open(), Err(AuditError::Tampered { .. })));
}

#[test]
fn the_index_is_rebuilt_from_the_log_whatever_became_of_it() {
    let damages: [&Damage; 6] = [
        &|bytes| bytes.clear(),
        &|bytes| bytes.truncate(5 * 40 + 17),
        &|bytes| bytes.truncate(8 * 40),
        &|bytes| bytes[3 * 40] ^= 1,
        &|bytes| bytes[9 * 40 + 39] ^= 1,
        &|bytes| bytes.extend_from_slice(&[7; 50]),
    ];
    for damage in damages {
        let place = Place::with(10);
        let good = fs::read(place.paths().index).unwrap();
        assert_eq!(good.len(), 400);
        rewrite(&place.paths().index, damage);
        let mut log = place.open().unwrap();
        assert_eq!((log.size(), log.last_time()), (10, Some(at(9))));
        assert_eq!(fs::read(place.paths().index).unwrap()[..400], good);
        log.append(at(10), &event(10), Sync::Now).unwrap();
        log.checkpoint().unwrap();
        assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 11 });
    }
}
