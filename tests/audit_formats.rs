//! The audit log's public formats, held against published vectors and independent implementations: whoever distrusts
//! forgetd verifies its log with other tools.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use forgetd::audit::merkle::{self, Hash};
use forgetd::audit::{Checkpoint, Entry, Event, Log, Paths, Sync, VerifierKey, read};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

const VECTOR_KEY: &str = "example.org/test-log+ff96ad61+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
/// Any instant: nothing here depends on it.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const VECTOR_NOTE: &str = "example.org/test-log\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\
    \u{2014} example.org/test-log /5atYf4sEMVRPQeqkYdG9ffH4zEqf8vflJWypV6EAkTGk5eTvwbF/fCc2fMthwwzBgqXshz5ocaSkYADNcLktrhWnAM=\n";

/// The leaves of the test tree that Certificate Transparency implementations share.
fn standard_leaves() -> Vec<Hash> {
    let leaves: [&[u8]; 8] =
        [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
    leaves.into_iter().map(Hash::leaf).collect()
}

#[test]
fn the_standard_tree_of_eight_leaves_has_its_published_roots() {
    let leaves = standard_leaves();
    for (size, root) in [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ] {
        let found: String = merkle::root(&leaves[..size]).as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, root, "size {size}");
    }
    assert_eq!(merkle::root(&[]).to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn the_published_signed_checkpoint_verifies() {
    let key = VerifierKey::parse(VECTOR_KEY).unwrap();
    assert_eq!(key.to_string(), VECTOR_KEY);
    let checkpoint = key.open(VECTOR_NOTE.as_bytes()).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.org/test-log", 8));
    assert_eq!(checkpoint.root, merkle::root(&standard_leaves()));
}

fn items(count: u16) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("entry {n}").into_bytes()).collect()
}

/// All places in a small tree; in a larger one the edges and an eighth of the rest, another one at each size.
fn is_tried(place: u64, size: u64) -> bool {
    size <= 64 || place < 2 || place + 2 >= size || place % 8 == size % 8
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[test]
fn roots_and_inclusion_proofs_agree_with_an_independent_tree_for_all_sizes() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut ours = merkle::Frontier::default();
    let mut leaves = Vec::new();
    assert_eq!(ours.root().as_bytes(), <[u8; 32]>::from(*theirs.root().as_bytes()).as_slice());
    for item in items(300) {
        leaves.push(Hash::leaf(&item));
        ours.push(Hash::leaf(&item));
        theirs.push(item);
        let root = ours.root();
        assert_eq!(root.as_bytes(), <[u8; 32]>::from(*theirs.root().as_bytes()).as_slice());
        assert_eq!(merkle::root(&leaves), root);
        assert_eq!(ours.size(), theirs.len());
        for (index, leaf) in (0_u64..).zip(&leaves).filter(|(index, _)| is_tried(*index, ours.size())) {
            let at = usize::try_from(index).unwrap();
            let proof = merkle::prove_inclusion(&leaves, at).unwrap();
            assert_eq!(bytes(&proof), theirs.prove_inclusion(at).as_bytes());
            assert!(merkle::includes(&root, ours.size(), index, *leaf, &proof));
        }
    }
}

#[test]
fn consistency_proofs_agree_with_an_independent_tree_for_all_pairs_of_sizes() {
    let items = items(300);
    let leaves: Vec<Hash> = items.iter().map(|item| Hash::leaf(item)).collect();
    let roots: Vec<Hash> = (0..=leaves.len()).map(|size| merkle::root(&leaves[..size])).collect();
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (new, item) in (1..).zip(items) {
        theirs.push(item);
        let new_tree = (u64::try_from(new).unwrap(), roots[new]);
        for old in 1..=new {
            let old_tree = (u64::try_from(old).unwrap(), roots[old]);
            if !is_tried(old_tree.0, new_tree.0) {
                continue;
            }
            let proof = merkle::prove_consistency(&leaves[..new], old).unwrap();
            if old < new {
                assert_eq!(bytes(&proof), theirs.prove_consistency(new - old).as_bytes(), "{old} to {new}");
                assert!(!merkle::extends((old_tree.0, roots[old - 1]), new_tree, &proof));
            }
            assert!(merkle::extends(old_tree, new_tree, &proof), "{old} to {new}");
        }
    }
}

#[test]
fn an_independent_implementation_verifies_a_log_and_its_checkpoint() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("audit");
    let mut log = Log::open(&dir, &state.path().join("audit.key"), NOW).unwrap();
    for _ in 0..9 {
        log.append(NOW, &Event::Heartbeat {}, Sync::Later).unwrap();
    }
    log.checkpoint().unwrap();

    let paths = Paths::new(&dir);
    let vkey = std::fs::read_to_string(paths.verifier_key).unwrap();
    let verifier = StandardVerifier::new(vkey.trim_end()).unwrap();
    let note = Note::from_bytes(&std::fs::read(paths.checkpoint).unwrap()).unwrap();
    let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));

    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    std::fs::read_to_string(&paths.log).unwrap().lines().for_each(|line| tree.push(line.as_bytes().to_vec()));
    assert_eq!((checkpoint.origin(), checkpoint.size()), (log.origin(), tree.len()));
    assert_eq!(checkpoint.hash().0, <[u8; 32]>::from(*tree.root().as_bytes()));
    assert_eq!(read::entries(&dir, 0).unwrap().count(), 10);
}

#[test]
fn a_note_signed_by_an_independent_implementation_verifies_and_its_signer_reads_our_private_key() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("audit");
    let key = state.path().join("audit.key");
    let log = Log::open(&dir, &key, NOW).unwrap();
    let signer = StandardSigner::new(std::fs::read_to_string(key).unwrap().trim_end()).unwrap();
    let text = format!("{}\n7\n{}\n", log.origin(), Hash::leaf(b"x"));
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();

    let vkey = std::fs::read_to_string(Paths::new(&dir).verifier_key).unwrap();
    let checkpoint = VerifierKey::parse(vkey.trim_end()).unwrap().open(&note.to_bytes()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (7, Hash::leaf(b"x")));
}

/// Pieces of all the formats, and bytes that belong to none.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let known = ["\n", "\n\n", "\u{2014} ", "example.org/test-log", "+", "ff96ad61", " ", "8", "AddamAGCsQq31Uv", "="];
    let known = proptest::sample::select(known.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![4 => known, 1 => proptest::collection::vec(any::<u8>(), 0..4)];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_input_that_was_not_signed_is_accepted_or_makes_a_parser_panic(input in fragments()) {
        let key = VerifierKey::parse(VECTOR_KEY).unwrap();
        prop_assert!(key.open(&input).is_err());
        prop_assert!(Entry::from_line(&input).is_err());
        let text = String::from_utf8_lossy(&input);
        prop_assert!(VerifierKey::parse(&text).is_err());
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.body(), text);
        }
    }
}
