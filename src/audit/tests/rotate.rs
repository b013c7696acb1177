use super::super::key::Key;
use super::super::keys::Keys;
use super::*;

const UID: u32 = 4711;

fn checkpoint(place: &Place) -> Vec<u8> {
    fs::read(place.paths().checkpoint).unwrap()
}

fn verifier(place: &Place) -> VerifierKey {
    parse_verifier_key(&fs::read(place.paths().verifier_key).unwrap()).unwrap()
}

fn rotate(place: &Place) -> VerifierKey {
    place.open().unwrap().rotate_key(at(50), UID).unwrap()
}

fn kept_key(place: &Place, key: &VerifierKey, anchors: &[Vec<u8>]) -> Result<Verdict, VerifyError> {
    verify_with(&place.dir(), Trusted { anchors, key: Some(key) }).map(|verification| verification.verdict)
}

/// The key to which the entry of a rotation hands over.
fn successor(place: &Place, index: u64) -> VerifierKey {
    match read::entry(&place.dir(), index).unwrap().unwrap().event {
        Event::KeyRotated { to, .. } => VerifierKey::parse(&to).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_key_is_logged_and_signs_from_then_on() {
    let place = Place::with(4);
    let old = verifier(&place);
    let new = rotate(&place);
    assert_ne!(old, new);
    assert_eq!((old.name(), verifier(&place)), (new.name(), new.clone()));
    let entry = read::entry(&place.dir(), 4).unwrap().unwrap();
    assert_eq!(entry.event, Event::KeyRotated { from: old.to_string(), to: new.to_string(), uid: UID });
    let mut log = place.open().unwrap();
    log.append(at(60), &event(5), Sync::Now).unwrap();
    log.checkpoint().unwrap();
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 6 });
    assert!(new.open(&checkpoint(&place)).is_ok());
    assert!(matches!(old.open(&checkpoint(&place)), Err(NoteError::Unsigned { .. })));
    assert_eq!(Key::load(&place.key()).unwrap().unwrap().verifier(), &new);
}

#[test]
fn who_kept_the_old_key_or_an_old_checkpoint_follows_any_number_of_rotations() {
    let place = Place::with(4);
    let (first, anchor) = (verifier(&place), checkpoint(&place));
    for _ in 0..3 {
        rotate(&place);
    }
    assert_eq!(kept_key(&place, &first, &[]).unwrap(), Verdict::SelfConsistent { size: 7 });
    assert_eq!(kept_key(&place, &first, &[anchor]).unwrap(), Verdict::Anchored { anchor: 4, size: 7 });
    let stranger = verifier(&Place::with(4));
    assert!(matches!(kept_key(&place, &stranger, &[]), Err(VerifyError::ForeignKey { .. })));

    // The same without the log: the proofs of the rotations are enough, in whatever order they come.
    let proof = prove(&place.dir(), 2, None).unwrap();
    let line = proof.entry.clone().unwrap();
    let mut proofs: Vec<Vec<u8>> =
        (4..7).map(|n| fs::read(place.paths().rotations.join(format!("{n}.tlog-proof"))).unwrap()).collect();
    proofs.reverse();
    let keys = Keys::following(first.clone(), &proofs).unwrap();
    assert_eq!(proof.check(&line, &keys).unwrap().size, 7);
    assert_eq!(keys.rotations().len(), 3);
    assert_eq!(Keys::following(successor(&place, 4), &proofs).unwrap().rotations().len(), 2);
    let unsigned = proof.check(&line, &Keys::only(first.clone()));
    assert!(matches!(unsigned, Err(ProofFault::Checkpoint(NoteError::Unsigned { .. }))), "{unsigned:?}");
    proofs.remove(1);
    assert_eq!(Keys::following(first, &proofs), Err(RotationFault::Broken));
}

#[test]
fn the_checkpoint_of_a_rotation_is_signed_by_both_keys_and_by_no_third() {
    let place = Place::with(4);
    let old = verifier(&place);
    let new = rotate(&place);
    let kept = Proof::parse(&fs::read(place.paths().rotations.join("4.tlog-proof")).unwrap()).unwrap();
    assert_eq!(kept.checkpoint.as_bytes(), checkpoint(&place));
    for key in [&old, &new] {
        assert_eq!(key.open(kept.checkpoint.as_bytes()).unwrap().size, 5);
        assert_eq!(kept.check(kept.entry.as_ref().unwrap(), &Keys::only(key.clone())).unwrap().size, 5);
    }
    assert_eq!(kept.checkpoint.lines().count(), 6);
}

#[test]
fn what_a_replaced_key_signs_later_is_not_believed() {
    let place = Place::with(4);
    let old = Key::load(&place.key()).unwrap().unwrap();
    rotate(&place);
    let mut log = place.open().unwrap();
    log.append(at(60), &event(5), Sync::Now).unwrap();
    let good = log.checkpoint().unwrap();
    let note = old.sign(&good).into_bytes();
    let anchored = verify(&place.dir(), std::slice::from_ref(&note));
    assert!(matches!(anchored, Err(VerifyError::Anchor { source: NoteError::Retired, .. })), "{anchored:?}");
    fs::write(place.paths().checkpoint, note).unwrap();
    let retired = Fault::CheckpointInvalid(NoteError::Retired);
    assert_eq!(place.verdict(), Verdict::Tampered { entry: None, fault: retired });
    assert!(matches!(place.open(), Err(AuditError::CheckpointInvalid { .. })));
}

#[test]
fn the_checkpoint_of_a_rotation_is_believed_of_either_key_and_ends_with_its_entry() {
    let place = Place::with(4);
    let old = Key::load(&place.key()).unwrap().unwrap();
    let new = rotate(&place);
    let file = place.paths().rotations.join("4.tlog-proof");
    let proof = Proof::parse(&fs::read(&file).unwrap()).unwrap();
    let of_rotation = new.open(proof.checkpoint.as_bytes()).unwrap();
    let keys = Keys::following(old.verifier().clone(), &[proof.to_string().into_bytes()]).unwrap();
    assert_eq!((keys.name(), of_rotation.size), (new.name(), 5));
    assert_eq!(keys.open(old.sign(&of_rotation).as_bytes()), Ok(of_rotation));

    // Both keys have signed, the entry is in what they signed, and still it is not what a rotation leaves.
    place.open().unwrap().append(at(60), &event(5), Sync::Now).unwrap();
    let leaves: Vec<_> = place.text().lines().map(|line| merkle::Hash::leaf(line.as_bytes())).collect();
    let later = Checkpoint { origin: new.name().to_owned(), size: 6, root: merkle::root(&leaves) };
    let hashes = merkle::prove_inclusion(&leaves, 4).unwrap();
    let checkpoint = old.sign_with(&Key::load(&place.key()).unwrap().unwrap(), &later);
    fs::write(file, Proof { hashes, checkpoint, ..proof }.to_string()).unwrap();
    let fault = Fault::Rotation(RotationFault::NotARotation);
    assert_eq!(place.verdict(), Verdict::Tampered { entry: None, fault });
}

#[test]
fn a_key_that_is_not_used_and_cannot_be_removed_is_told() {
    let place = Place::with(2);
    let log = place.open().unwrap();
    let unused = place.key().with_file_name("audit.key.next");
    assert!(super::super::rotate::discard_unused(&log).is_ok());
    fs::create_dir(&unused).unwrap();
    let refused = super::super::rotate::discard_unused(&log);
    assert!(matches!(refused, Err(AuditError::NotWritable { path, .. }) if path == unused));
}

#[test]
fn a_rotation_whose_proof_is_gone_or_bent_is_tampering() {
    let place = Place::with(4);
    rotate(&place);
    rotate(&place);
    let file = place.paths().rotations.join("4.tlog-proof");
    let good = fs::read(&file).unwrap();
    let other = prove(&place.dir(), 2, None).unwrap().to_string();
    let rotation = |entry, fault| Verdict::Tampered { entry, fault: Fault::Rotation(fault) };
    fs::remove_file(&file).unwrap();
    assert_eq!(place.verdict(), rotation(Some(4), RotationFault::Missing));
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert_eq!(place.verdict(), rotation(None, RotationFault::Proof(ProofFault::Malformed)));
    fs::write(&file, other).unwrap();
    assert_eq!(place.verdict(), rotation(None, RotationFault::NotARotation));
    fs::write(&file, &good).unwrap();
    fs::remove_file(place.paths().rotations.join("5.tlog-proof")).unwrap();
    assert_eq!(place.verdict(), rotation(None, RotationFault::Broken));
    fs::remove_file(file).unwrap();
    assert_eq!(place.verdict(), rotation(Some(4), RotationFault::Missing), "all of them gone");
}

#[test]
fn a_log_that_is_open_while_another_process_rotates_goes_on_with_the_new_key() {
    let place = Place::with(4);
    let mut daemon = place.open().unwrap();
    let new = rotate(&place);
    daemon.append(at(60), &event(5), Sync::Now).unwrap();
    daemon.checkpoint().unwrap();
    assert!(new.open(&checkpoint(&place)).is_ok());
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 6 });
}

/// The states that a power cut can leave, from the first step of a rotation to its last.
type Step = (&'static str, fn(&Place, &Path));

const STEPS: [Step; 7] = [
    ("the new key is written", |place, after| {
        fs::copy(after.join("keys/audit.key"), place.key().with_file_name("audit.key.next")).map(drop).unwrap();
    }),
    ("half of the entry is written", |place, after| {
        let whole = fs::read(after.join("audit/log.jsonl")).unwrap();
        fs::write(place.paths().log, &whole[..whole.len() - 100]).unwrap();
    }),
    ("the entry is written", |place, after| {
        fs::copy(after.join("audit/log.jsonl"), place.paths().log).map(drop).unwrap();
    }),
    ("its proof is kept", |place, after| {
        fs::create_dir(place.paths().rotations).unwrap();
        let name = "rotations/4.tlog-proof";
        fs::copy(after.join("audit").join(name), place.dir().join(name)).map(drop).unwrap();
    }),
    ("the checkpoint is in place", |place, after| {
        fs::copy(after.join("audit/checkpoint"), place.paths().checkpoint).map(drop).unwrap();
    }),
    ("the public key is in place", |place, after| {
        fs::copy(after.join("audit/forgetd.vkey"), place.paths().verifier_key).map(drop).unwrap();
    }),
    ("the private key is in place", |place, _| {
        fs::rename(place.key().with_file_name("audit.key.next"), place.key()).unwrap();
    }),
];

/// A copy of the state, file by file.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_rotation_that_is_cut_off_anywhere_leaves_a_log_that_goes_on_with_one_of_both_keys() {
    let before = Place::with(4);
    let (anchor, old) = (checkpoint(&before), verifier(&before));
    let after = Place::new();
    copy(before.state.path(), after.state.path());
    let new = rotate(&after);
    // A start, or a process that had the log open before.
    for open_before in [true, false] {
        for steps in 0..=STEPS.len() {
            let place = Place::new();
            copy(before.state.path(), place.state.path());
            let open = open_before.then(|| place.open().unwrap());
            STEPS[..steps].iter().for_each(|(_, step)| step(&place, after.state.path()));
            let name = steps.checked_sub(1).map_or("nothing is written", |last| STEPS[last].0);

            let cut_off = place.verdict();
            let sound = matches!(cut_off, Verdict::SelfConsistent { .. } | Verdict::UnsignedTail { .. });
            assert!(sound, "{name}: {cut_off:?}");

            let mut log = open.unwrap_or_else(|| place.open().unwrap_or_else(|error| panic!("{name}: {error}")));
            log.append(at(60), &event(5), Sync::Now).unwrap_or_else(|error| panic!("{name}: {error}"));
            log.checkpoint().unwrap();
            drop(log);
            let key = if steps < 3 { &old } else { &new };
            assert_eq!(&verifier(&place), key, "{name}");
            assert!(key.open(&checkpoint(&place)).is_ok(), "{name}");
            let size = place.open().unwrap().size();
            let verdict = kept_key(&place, &old, std::slice::from_ref(&anchor)).unwrap();
            assert_eq!(verdict, Verdict::Anchored { anchor: 4, size }, "{name}");
            assert!(!place.key().with_file_name("audit.key.next").exists(), "{name}");
        }
    }
}

#[test]
fn a_log_whose_new_key_was_lost_during_a_rotation_starts_nothing() {
    let (before, after) = (Place::with(4), Place::new());
    copy(before.state.path(), after.state.path());
    rotate(&after);
    STEPS[..3].iter().for_each(|(_, step)| step(&before, after.state.path()));
    fs::remove_file(before.key().with_file_name("audit.key.next")).unwrap();
    assert!(matches!(before.open(), Err(AuditError::SuccessorMissing { .. })));
}

#[test]
fn a_rotation_that_cannot_be_finished_lets_nothing_be_recorded_until_it_can() {
    let place = Place::with(4);
    let old = verifier(&place);
    let mut log = place.open().unwrap();
    // A file in the way of the directory stops root too.
    fs::write(place.paths().rotations, "").unwrap();
    assert!(matches!(log.rotate_key(at(50), UID), Err(AuditError::NotWritable { .. })));
    assert!(matches!(log.append(at(60), &event(5), Sync::Now), Err(AuditError::NotWritable { .. })));
    assert!(matches!(place.open(), Err(AuditError::NotWritable { .. })));
    fs::remove_file(place.paths().rotations).unwrap();
    assert_eq!(log.append(at(60), &event(5), Sync::Now).unwrap(), 5);
    log.checkpoint().unwrap();
    assert_ne!(verifier(&place), old);
    assert_eq!(kept_key(&place, &old, &[]).unwrap(), Verdict::SelfConsistent { size: 6 });
}
