use super::*;

fn checkpoint(place: &Place) -> Vec<u8> {
    fs::read(place.paths().checkpoint).unwrap()
}

fn append(place: &Place, from: u64, to: u64) {
    let mut log = place.open().unwrap();
    for n in from..to {
        log.append(at(n), &event(n), Sync::Later).unwrap();
    }
}

fn changed(entry: u64) -> Verdict {
    Verdict::Tampered { entry: Some(entry), fault: Fault::Changed }
}

#[test]
fn a_flipped_bit_in_any_byte_names_its_line() {
    let place = Place::with(5);
    let good = place.text().into_bytes();
    let mut line = 0;
    for at in 0..good.len() - 1 {
        for bit in [0, 2, 7] {
            place.rewrite(|bytes| bytes[at] ^= 1 << bit);
            let verdict = place.verdict();
            assert_eq!(verdict, changed(line), "byte {at}");
            assert_eq!(verdict.line(), Some(line + 1));
            place.rewrite(|bytes| bytes.clone_from(&good));
        }
        line += u64::from(good[at] == b'\n');
    }
    assert_eq!(line, 4);
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 5 });
}

#[test]
fn without_an_index_a_change_is_still_found() {
    let place = Place::with(5);
    fs::remove_file(place.paths().index).unwrap();
    place.rewrite(|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("\"rows\":502", "\"rows\":402").into_bytes();
    });
    assert_eq!(place.verdict(), Verdict::Tampered { entry: None, fault: Fault::Changed });
}

#[test]
fn an_index_that_was_bent_to_fit_is_not_believed() {
    let place = Place::with(5);
    let forged = place.text().replace("\"rows\":502", "\"rows\":402");
    fs::write(place.paths().log, &forged).unwrap();
    rewrite(&place.paths().index, |index| {
        let leaf = merkle::Hash::leaf(forged.lines().nth(2).unwrap().as_bytes());
        index[2 * 40..2 * 40 + 32].copy_from_slice(leaf.as_bytes());
        index[4 * 40] ^= 1;
    });
    assert_eq!(place.verdict(), Verdict::Tampered { entry: None, fault: Fault::Changed });
}

#[test]
fn a_line_removed_added_or_moved_is_named() {
    let place = Place::with(6);
    let lines: Vec<String> = place.text().split_inclusive('\n').map(str::to_owned).collect();
    let removed = [&lines[..2], &lines[3..]].concat();
    let doubled = [&lines[..3], &lines[2..]].concat();
    let moved = [&lines[..2], &lines[3..4], &lines[2..3], &lines[4..]].concat();
    let index = fs::read(place.paths().index).unwrap();
    for (bent, at) in [(removed, 2), (doubled, 3), (moved, 2)] {
        fs::write(place.paths().log, bent.concat()).unwrap();
        fs::write(place.paths().index, &index).unwrap();
        assert_eq!(place.verdict(), changed(at));
        fs::remove_file(place.paths().index).unwrap();
        let out_of_place = Fault::Line(LineFault::OutOfPlace);
        assert_eq!(place.verdict(), Verdict::Tampered { entry: Some(at), fault: out_of_place });
    }
}

#[test]
fn entries_missing_at_the_end_are_a_truncation() {
    let place = Place::with(6);
    let text = place.text();
    let four: String = text.split_inclusive('\n').take(4).collect();
    fs::write(place.paths().log, &four).unwrap();
    assert_eq!(place.verdict(), Verdict::Truncated { size: 4, signed: 6 });
    fs::write(place.paths().log, &text[..text.len() - 1]).unwrap();
    let verification = verify(&place.dir(), &[]).unwrap();
    assert_eq!(verification.verdict, Verdict::Truncated { size: 5, signed: 6 });
    assert!(verification.torn > 0);
    fs::remove_file(place.paths().log).unwrap();
    assert_eq!(place.verdict(), Verdict::Truncated { size: 0, signed: 6 });
}

#[test]
fn entries_after_the_checkpoint_are_an_unsigned_tail_anchored_or_not() {
    let place = Place::with(3);
    append(&place, 3, 5);
    let tail = Verdict::UnsignedTail { signed: 3, size: 5 };
    assert_eq!(place.verdict(), tail);
    let verification = verify(&place.dir(), &[checkpoint(&place)]).unwrap();
    assert_eq!((verification.verdict, verification.anchored), (tail, Some(3)));
    place.open().unwrap().checkpoint().unwrap();
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 5 });
    place.rewrite(|bytes| bytes.extend_from_slice(b"{\"seq\""));
    assert_eq!(place.verdict(), Verdict::UnsignedTail { signed: 5, size: 5 });
}

#[test]
fn a_checkpoint_that_the_reader_kept_anchors_the_log() {
    let place = Place::with(3);
    let (early, now) = (checkpoint(&place), 8);
    append(&place, 3, now);
    place.open().unwrap().checkpoint().unwrap();
    let verification = verify(&place.dir(), &[checkpoint(&place), early.clone()]).unwrap();
    assert_eq!(verification.verdict, Verdict::Anchored { anchor: 8, size: 8 });
    let verification = verify(&place.dir(), &[early]).unwrap();
    assert_eq!(verification.verdict, Verdict::Anchored { anchor: 3, size: 8 });
    assert_eq!((verification.entries, verification.signed, verification.torn), (8, 8, 0));
    assert_eq!((verification.first, verification.last), (Some(at(0)), Some(at(7))));
}

#[test]
fn nothing_is_proved_of_a_log_that_is_not_what_was_signed() {
    let damages: [&Damage; 2] =
        [&|bytes| *bytes = String::from_utf8(bytes.clone()).unwrap().replace("502", "402").into_bytes(), &|bytes| {
            bytes.truncate(bytes.len() - 1)
        }];
    for damage in damages {
        let place = Place::with(5);
        assert!(prove(&place.dir(), 1, None).is_ok());
        place.rewrite(damage);
        let refused = prove(&place.dir(), 1, None);
        assert!(matches!(refused, Err(ProveError::NotWhatWasSigned { .. })), "{refused:?}");
    }
}

#[test]
fn a_statement_about_nothing_anchors_nothing() {
    let place = Place::with(3);
    let key = super::key::Key::load(&place.key()).unwrap().unwrap();
    let nothing = Checkpoint { origin: key.verifier().name().to_owned(), size: 0, root: merkle::Hash::empty() };
    let verification = verify(&place.dir(), &[key.sign(&nothing).into_bytes()]).unwrap();
    assert_eq!((verification.verdict, verification.anchored), (Verdict::SelfConsistent { size: 3 }, None));
}

/// Root on the host rewrites the history and signs it again.
fn forge(place: &Place) {
    let forged = place.text().replace("\"rows\":502", "\"rows\":402");
    fs::write(place.paths().log, &forged).unwrap();
    fs::remove_file(place.paths().index).unwrap();
    let key = super::key::Key::load(&place.key()).unwrap().unwrap();
    let leaves: Vec<_> = forged.lines().map(|line| merkle::Hash::leaf(line.as_bytes())).collect();
    let (origin, size) = (key.verifier().name().to_owned(), u64::try_from(leaves.len()).unwrap());
    let forged = Checkpoint { origin, size, root: merkle::root(&leaves) };
    fs::write(place.paths().checkpoint, key.sign(&forged)).unwrap();
}

#[test]
fn a_history_that_was_signed_again_convinces_only_those_who_kept_nothing() {
    let place = Place::with(6);
    let kept = checkpoint(&place);
    forge(&place);
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 6 });
    let verdict = verify(&place.dir(), &[kept]).unwrap().verdict;
    assert_eq!(verdict, Verdict::Tampered { entry: None, fault: Fault::Rewritten(0) });
}

#[test]
fn a_log_rolled_back_with_its_checkpoint_is_truncated_for_who_kept_a_later_one() {
    let place = Place::with(3);
    let (log, seal) = (place.text(), checkpoint(&place));
    append(&place, 3, 6);
    place.open().unwrap().checkpoint().unwrap();
    let kept = checkpoint(&place);
    fs::write(place.paths().log, log).unwrap();
    fs::write(place.paths().checkpoint, seal).unwrap();
    assert_eq!(place.verdict(), Verdict::SelfConsistent { size: 3 });
    assert_eq!(verify(&place.dir(), &[kept]).unwrap().verdict, Verdict::Truncated { size: 3, signed: 6 });
}

#[test]
fn an_anchor_of_another_log_or_with_a_bad_signature_is_an_error() {
    let (place, other) = (Place::with(3), Place::with(3));
    let foreign = verify(&place.dir(), &[checkpoint(&place), checkpoint(&other)]);
    assert!(matches!(foreign, Err(VerifyError::ForeignAnchor { anchor: 1, .. })), "{foreign:?}");
    let bent = String::from_utf8(checkpoint(&place)).unwrap().replacen("\n3\n", "\n2\n", 1);
    let bad = verify(&place.dir(), &[bent.into_bytes()]);
    assert!(matches!(bad, Err(VerifyError::Anchor { anchor: 0, source: NoteError::BadSignature })), "{bad:?}");
}

#[test]
fn a_missing_or_bent_seal_is_a_failure() {
    let place = Place::with(3);
    let tampered = |fault| Verdict::Tampered { entry: None, fault };
    rewrite(&place.paths().checkpoint, |bytes| {
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
    });
    assert!(matches!(place.verdict(), Verdict::Tampered { fault: Fault::CheckpointInvalid(_), .. }));
    fs::remove_file(place.paths().checkpoint).unwrap();
    assert_eq!(place.verdict(), tampered(Fault::CheckpointMissing));
    fs::write(place.paths().verifier_key, "x").unwrap();
    assert_eq!(place.verdict(), tampered(Fault::VerifierKeyInvalid(NoteError::VerifierKey)));
    fs::remove_file(place.paths().verifier_key).unwrap();
    assert_eq!(place.verdict(), tampered(Fault::VerifierKeyMissing));
}

#[test]
fn a_copy_without_the_private_key_and_the_index_is_enough() {
    let place = Place::with(4);
    let copy = TempDir::new().unwrap();
    for name in ["log.jsonl", "checkpoint", "forgetd.vkey"] {
        fs::copy(place.dir().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(verify(copy.path(), &[]).unwrap().verdict, Verdict::SelfConsistent { size: 4 });
    assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 3, "nothing was written");
}

#[test]
fn verification_beside_an_appender_never_accuses_it() {
    let place = Place::with(1);
    let dir = place.dir();
    let mut log = place.open().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for n in 0..200 {
                log.append(at(n), &event(n), Sync::Later).unwrap();
                if n % 5 == 0 {
                    log.checkpoint().unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let verdict = verify(&dir, &[]).unwrap().verdict;
            let fine = matches!(verdict, Verdict::SelfConsistent { .. } | Verdict::UnsignedTail { .. });
            assert!(fine, "{verdict:?}");
        }
    });
}
