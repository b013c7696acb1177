//! Proofs of single entries in the format that others read and write too: against published cases, and both ways
//! against independent implementations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use ct_merkle::{InclusionProof, RootHash};
use forgetd::audit::merkle::{self, Hash};
use forgetd::audit::{
    Event, Keys, Log, NoteError, Paths, Proof, ProofFault, ProveError, Sync, VerifierKey, parse_verifier_key, prove,
    read,
};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::HashReader;

const CASES: &str = include_str!("data/rfc6962-proofs.txt");
const STANDARD_LINES: [&[u8]; 8] =
    [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
/// Any instant: nothing here depends on it.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A log of so many entries, all signed.
struct Evidence {
    state: tempfile::TempDir,
}

impl Evidence {
    fn new(size: u64) -> Evidence {
        let evidence = Evidence { state: tempfile::tempdir().unwrap() };
        let mut log = evidence.open();
        for _ in 1..size {
            log.append(NOW, &Event::Heartbeat {}, Sync::Later).unwrap();
        }
        log.checkpoint().unwrap();
        evidence
    }

    fn open(&self) -> Log {
        Log::open(&self.dir(), &self.key_file(), NOW).unwrap()
    }

    fn dir(&self) -> PathBuf {
        self.state.path().join("audit")
    }

    fn key_file(&self) -> PathBuf {
        self.state.path().join("audit.key")
    }

    fn vkey(&self) -> String {
        std::fs::read_to_string(Paths::new(&self.dir()).verifier_key).unwrap()
    }

    fn key(&self) -> VerifierKey {
        parse_verifier_key(self.vkey().as_bytes()).unwrap()
    }

    fn signer(&self) -> StandardSigner {
        StandardSigner::new(std::fs::read_to_string(self.key_file()).unwrap().trim_end()).unwrap()
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        read::lines(&self.dir(), 0).unwrap().map(|line| line.unwrap().1).collect()
    }
}

struct Case<'a> {
    name: &'a str,
    is_good: bool,
    numbers: [u64; 2],
    /// Two roots, or root and leaf; then the proof. `None` is a hash of no bytes.
    hashes: Vec<Option<Hash>>,
}

fn cases(kind: &str) -> Vec<Case<'static>> {
    let parse = |line: &'static str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let (found, name, expected) = (next(), next(), next());
        let numbers = [next().parse().unwrap(), next().parse().unwrap()];
        let hash = |word: &str| (word != "-").then(|| Hash::parse(word).unwrap());
        (found == kind).then(|| Case { name, is_good: expected == "good", numbers, hashes: words.map(hash).collect() })
    };
    CASES.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect()
}

#[test]
fn all_published_cases_of_inclusion_are_judged_rightly_also_as_files() {
    let evidence = Evidence::new(1);
    let (keys, signer) = (Keys::only(evidence.key()), evidence.signer());
    let (cases, mut as_files) = (cases("inclusion"), 0);
    assert_eq!(cases.len(), 98);
    for Case { name, is_good, numbers: [index, size], hashes } in cases {
        let Some(hashes) = hashes.into_iter().collect::<Option<Vec<Hash>>>() else {
            assert!(!is_good, "{name}");
            continue;
        };
        let (root, leaf, path) = (hashes[0], hashes[1], &hashes[2..]);
        assert_eq!(merkle::includes(&root, size, index, leaf, path), is_good, "{name}");
        // As a file: the lines behind these leaves are those of the tree that such implementations share.
        let Some(line) = STANDARD_LINES.into_iter().find(|line| Hash::leaf(line) == leaf) else { continue };
        let mut note = Note::new(format!("{}\n{size}\n{root}\n", evidence.key().name()).as_bytes(), &[]).unwrap();
        note.add_sigs(&[&signer]).unwrap();
        let path: String = path.iter().map(|hash| format!("{hash}\n")).collect();
        let file =
            format!("c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{}", String::from_utf8(note.to_bytes()).unwrap());
        let proof = Proof::parse(file.as_bytes()).unwrap();
        assert_eq!(proof.to_string(), file);
        let expected = if is_good { Ok(size) } else { Err(ProofFault::NotIncluded { index }) };
        assert_eq!(proof.check(line, &keys).map(|checkpoint| checkpoint.size), expected, "{name}");
        as_files += 1;
    }
    assert!(as_files > 60, "{as_files}");
}

#[test]
fn all_published_cases_of_consistency_are_judged_rightly() {
    let cases = cases("consistency");
    assert_eq!(cases.len(), 98);
    for Case { name, is_good, numbers: [old, new], hashes } in cases {
        let Some(hashes) = hashes.into_iter().collect::<Option<Vec<Hash>>>() else {
            assert!(!is_good, "{name}");
            continue;
        };
        assert_eq!(merkle::extends((old, hashes[0]), (new, hashes[1]), &hashes[2..]), is_good, "{name}");
    }
}

#[test]
fn a_proof_of_ours_is_accepted_by_three_independent_implementations() {
    for size in [1_u64, 2, 3, 7, 8, 9, 33] {
        let evidence = Evidence::new(size);
        let lines = evidence.lines();
        for (index, line) in (0_u64..).zip(&lines) {
            let file = prove(&evidence.dir(), index, None).unwrap().to_string();
            // Read here by the specification, not by our parser.
            let (head, note) = file.split_once("\n\n").unwrap();
            let head: Vec<&str> = head.split('\n').collect();
            assert_eq!((head[0], head[2]), ("c2sp.org/tlog-proof@v1", format!("index {index}").as_str()));
            let path: Vec<tlog_tiles::Hash> =
                head[3..].iter().map(|hash| tlog_tiles::Hash::parse_hash(hash).unwrap()).collect();

            let note = Note::from_bytes(note.as_bytes()).unwrap();
            let verifier = StandardVerifier::new(evidence.vkey().trim_end()).unwrap();
            let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
            assert_eq!(verified.len(), 1);
            let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
            assert_eq!(checkpoint.size(), size);
            let leaf = tlog_tiles::record_hash(line);
            tlog_tiles::check_record(&path, size, *checkpoint.hash(), index, leaf).unwrap();

            let root = RootHash::<Sha256>::new(checkpoint.hash().0.into(), size);
            let bytes = path.iter().flat_map(|hash| hash.0).collect();
            let proof = InclusionProof::<Sha256>::try_from_bytes(bytes).unwrap();
            root.verify_inclusion(line, index, &proof).unwrap();
        }
    }
}

/// Hashes of a tree in the storage order of Go's `tlog` and its ports.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

#[test]
fn a_proof_made_and_signed_by_independent_implementations_is_accepted() {
    let evidence = Evidence::new(1);
    let mut stored = Stored(Vec::new());
    let lines: Vec<String> = (0..21).map(|n| format!("entry {n}")).collect();
    for (n, line) in (0..).zip(&lines) {
        let new = tlog_tiles::stored_hashes(n, line.as_bytes(), &stored).unwrap();
        stored.0.extend(new);
    }
    let size = 21;
    let root = tlog_tiles::tree_hash(size, &stored).unwrap();
    let mut note = Note::new(format!("{}\n{size}\n{root}\n", evidence.key().name()).as_bytes(), &[]).unwrap();
    note.add_sigs(&[&evidence.signer()]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    for (index, line) in (0_u64..).zip(&lines) {
        let path = tlog_tiles::prove_record(size, index, &stored).unwrap();
        let path: String = path.iter().map(|hash| format!("{hash}\n")).collect();
        let file = format!("c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{note}");
        let proof = Proof::parse(file.as_bytes()).unwrap();
        assert_eq!(proof.entry, None);
        assert_eq!(proof.check(line.as_bytes(), &Keys::only(evidence.key())).unwrap().size, size);
        let other = proof.check(b"entry 21", &Keys::only(evidence.key()));
        assert_eq!(other, Err(ProofFault::NotIncluded { index }));
    }
}

#[test]
fn any_bit_of_a_proof_flipped_makes_it_fail_or_say_the_same() {
    let evidence = Evidence::new(9);
    let proof = prove(&evidence.dir(), 5, None).unwrap();
    let (file, keys) = (proof.to_string().into_bytes(), Keys::only(evidence.key()));
    let entry = proof.entry.unwrap();
    assert_eq!(entry, evidence.lines()[5]);
    let mut cases = 0;
    for bit in 0..file.len() * 8 {
        let mut bent = file.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        if let Ok(bent) = Proof::parse(&bent) {
            // A proof without its entry is none of this one.
            let line = bent.entry.clone().unwrap_or_default();
            assert!(bent.check(&line, &keys).is_err(), "bit {bit}: {bent}");
        }
        cases += 1;
    }
    for end in 0..file.len() {
        let cut = Proof::parse(&file[..end]);
        assert!(cut.is_err() || cut.unwrap().check(&entry, &keys).is_err(), "cut at {end}");
    }
    println!("{cases} flipped bits of a proof");
}

#[test]
fn a_proof_has_one_spelling() {
    let evidence = Evidence::new(5);
    let good = prove(&evidence.dir(), 3, None).unwrap().to_string();
    assert_eq!(Proof::parse(good.as_bytes()).unwrap().to_string(), good);
    let hash = good.lines().nth(3).unwrap().to_owned();
    for bent in [
        good.replace("index 3", "index 03"),
        good.replace("index 3", "index +3"),
        good.replace("index 3", "index -3"),
        good.replace("index 3", "index 18446744073709551616"),
        good.replace("index 3", "Index 3"),
        good.replace("@v1", "@v2"),
        good.replace('\n', "\r\n"),
        good.replace("extra ", "extra  "),
        good.replacen(&hash, &format!("{hash}="), 1),
        good.replacen(&hash, &format!("{hash} "), 1),
        good.replacen(&hash, &hash[..40], 1),
        good.replacen("\n\n", "\n", 1),
        good.replacen("index 3\n", "", 1),
        good.replacen(&hash, &[hash.as_str(); 70].join("\n"), 1),
        String::new(),
    ] {
        assert_eq!(Proof::parse(bent.as_bytes()), Err(ProofFault::Malformed), "{bent}");
    }
}

#[test]
fn entries_are_proved_under_the_checkpoint_that_a_reader_kept() {
    let evidence = Evidence::new(5);
    let kept = std::fs::read(Paths::new(&evidence.dir()).checkpoint).unwrap();
    let mut log = evidence.open();
    for _ in 0..7 {
        log.append(NOW, &Event::Heartbeat {}, Sync::Later).unwrap();
    }
    let signed = |index, signed| matches!(prove(&evidence.dir(), index, None), Err(ProveError::NotSigned { signed: s, .. }) if s == signed);
    assert!(signed(5, 5), "entries that nobody signed for yet are not proved");
    log.checkpoint().unwrap();
    let proof = prove(&evidence.dir(), 4, Some(&kept)).unwrap();
    assert_eq!(proof.checkpoint.as_bytes(), kept);
    assert_eq!(proof.check(&evidence.lines()[4], &Keys::only(evidence.key())).unwrap().size, 5);
    assert!(matches!(prove(&evidence.dir(), 5, Some(&kept)), Err(ProveError::NotSigned { index: 5, signed: 5 })));
    assert!(prove(&evidence.dir(), 11, None).is_ok() && signed(12, 12));
}

#[test]
fn no_proof_is_made_from_a_log_that_is_not_what_was_signed() {
    let evidence = Evidence::new(5);
    let log = Paths::new(&evidence.dir()).log;
    let text = std::fs::read_to_string(&log).unwrap();
    for bent in [text.replacen("heartbeat", "heartburn", 1), text.lines().take(4).map(|l| format!("{l}\n")).collect()] {
        std::fs::write(&log, bent).unwrap();
        assert!(matches!(prove(&evidence.dir(), 1, None), Err(ProveError::NotWhatWasSigned { .. })));
    }
}

#[test]
fn a_proof_under_another_key_does_not_hold() {
    let (evidence, other) = (Evidence::new(4), Evidence::new(4));
    let proof = prove(&evidence.dir(), 1, None).unwrap();
    let checked = proof.check(&evidence.lines()[1], &Keys::only(other.key()));
    assert!(matches!(checked, Err(ProofFault::Checkpoint(NoteError::Unsigned { .. }))), "{checked:?}");
}

#[test]
fn a_log_elsewhere_is_not_made_where_none_is() {
    assert!(matches!(prove(Path::new("/nonexistent"), 0, None), Err(ProveError::Fault(_))));
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(
        head in proptest::collection::vec(any::<u8>(), 0..40),
        lines in proptest::collection::vec("[A-Za-z0-9+/=]{0,44}", 0..6),
    ) {
        let _ = Proof::parse(&head);
        let text = format!("c2sp.org/tlog-proof@v1\nindex 7\n{}\n\nx\n", lines.join("\n"));
        if let Ok(proof) = Proof::parse(text.as_bytes()) {
            prop_assert_eq!(proof.to_string(), text);
        }
    }
}
