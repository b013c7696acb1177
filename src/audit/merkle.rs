//! The Merkle tree of RFC 6962, section 2.1: leaf SHA-256(0x00 ‖ line), node SHA-256(0x01 ‖ left ‖ right), split at
//! the largest power of two below the size; the empty tree is SHA-256 of nothing.
//!
//! The log keeps a [`Frontier`], the roots of the perfect subtrees from left to right: a push costs two hashes on
//! average and the memory is 64 hashes at most, whatever the log's size. Proofs need all the leaves and are made
//! from a slice of them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const LEAF_PREFIX: [u8; 1] = [0x00];
const NODE_PREFIX: [u8; 1] = [0x01];

/// A SHA-256 value: of a leaf, of a node or of a whole tree. Shown in base64, as in a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; Hash::LEN]);

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The hash whose bytes these are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Hash::LEN]) -> Hash {
        Hash(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Hash::LEN] {
        &self.0
    }

    /// The hash in canonical base64, as in a checkpoint; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Hash> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
    }

    /// The leaf that a line, without its newline, is.
    #[must_use]
    pub fn leaf(line: &[u8]) -> Hash {
        Hash(Sha256::new().chain_update(LEAF_PREFIX).chain_update(line).finalize().into())
    }

    /// The node above two subtrees.
    #[must_use]
    pub fn node(left: &Hash, right: &Hash) -> Hash {
        Hash(Sha256::new().chain_update(NODE_PREFIX).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The root of the tree without leaves.
    #[must_use]
    pub fn empty() -> Hash {
        Hash(Sha256::digest([]).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// A tree that grows at the right: only the roots of its perfect subtrees, the largest first.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut top = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                top = Hash::node(&left, &top);
            }
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::empty() };
        peaks.fold(*last, |right, left| Hash::node(left, &right))
    }
}

/// The root over `leaves`.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// The proof that leaf `index` is in the tree over `leaves` (RFC 6962, 2.1.1); `None` when there is no such leaf.
#[must_use]
pub fn prove_inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut part, mut index, mut proof) = (leaves, index, Vec::new());
    while part.len() > 1 {
        let (left, right) = part.split_at(split(part.len()));
        if index < left.len() {
            proof.push(root(right));
            part = left;
        } else {
            proof.push(root(left));
            index -= left.len();
            part = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The proof that the tree over the first `old` leaves is a prefix of the tree over all (RFC 6962, 2.1.2); `None`
/// when there are fewer leaves than `old`, or none: the empty tree is a prefix of every tree, and that proves nothing.
#[must_use]
pub fn prove_consistency(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let (mut part, mut old, mut proof) = (leaves, old, Vec::new());
    let mut old_root_is_known = true;
    while old < part.len() {
        let (left, right) = part.split_at(split(part.len()));
        if old <= left.len() {
            proof.push(root(right));
            part = left;
        } else {
            proof.push(root(left));
            old -= left.len();
            part = right;
            old_root_is_known = false;
        }
    }
    if !old_root_is_known {
        proof.push(root(part));
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` shows that `leaf` is number `index` in the tree of this size and root (RFC 9162, 2.1.3.2).
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, leaf: Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut top) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            top = Hash::node(sibling, &top);
            climb_out_of_right_edge(&mut node, &mut last);
        } else {
            top = Hash::node(&top, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && top == *root
}

/// Whether `proof` shows that the tree `old` is a prefix of the tree `new`, each given by size and root
/// (RFC 9162, 2.1.4.2).
#[must_use]
pub fn extends(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 {
        return false;
    }
    if old_size >= new_size {
        return old_size == new_size && old_root == new_root && proof.is_empty();
    }
    let mut hashes = proof.iter();
    let seed = if old_size.is_power_of_two() { Some(&old_root) } else { hashes.next() };
    let Some(seed) = seed else { return false };
    let level = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> level, (new_size - 1) >> level);
    let (mut old_top, mut new_top) = (*seed, *seed);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_top = Hash::node(sibling, &old_top);
            new_top = Hash::node(sibling, &new_top);
            climb_out_of_right_edge(&mut node, &mut last);
        } else {
            new_top = Hash::node(&new_top, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_top == old_root && new_top == new_root
}

/// On the right edge, levels at which the node has no sibling carry no hash: skip them.
fn climb_out_of_right_edge(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// The largest power of two below `size`, for a size of at least 2.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|n| Hash::leaf(&[n])).collect()
    }

    #[test]
    fn a_proof_for_one_leaf_does_not_hold_for_another_or_with_a_hash_changed() {
        let leaves = leaves(13);
        let root = root(&leaves);
        let proof = prove_inclusion(&leaves, 6).unwrap();
        assert!(includes(&root, 13, 6, leaves[6], &proof));
        assert!(!includes(&root, 13, 7, leaves[6], &proof));
        assert!(!includes(&root, 13, 6, leaves[5], &proof));
        for hash in 0..proof.len() {
            let mut bent = proof.clone();
            bent[hash] = Hash::empty();
            assert!(!includes(&root, 13, 6, leaves[6], &bent));
        }
        assert!(!includes(&root, 13, 6, leaves[6], &proof[1..]));
        assert!(!includes(&root, 13, 13, leaves[6], &proof));
    }

    #[test]
    fn a_rewritten_tree_does_not_extend_the_old_one() {
        let mut leaves = leaves(21);
        let old = (9, root(&leaves[..9]));
        let proof = prove_consistency(&leaves, 9).unwrap();
        assert!(extends(old, (21, root(&leaves)), &proof));
        leaves[3] = Hash::empty();
        assert!(!extends(old, (21, root(&leaves)), &prove_consistency(&leaves, 9).unwrap()));
        assert!(!extends(old, (8, root(&leaves[..8])), &[]));
        assert!(!extends((0, Hash::empty()), old, &[]), "nothing is a prefix of everything");
    }

    #[test]
    fn every_tree_extends_every_beginning_of_it_and_no_other() {
        let leaves = leaves(33);
        let tree = |size: usize| (u64::try_from(size).unwrap(), root(&leaves[..size]));
        for new in 1..=leaves.len() {
            for old in 1..=new {
                let proof = prove_consistency(&leaves[..new], old).unwrap();
                assert!(extends(tree(old), tree(new), &proof), "{old} in {new}");
                let forged = Hash::leaf(b"forged");
                assert!(!extends((tree(old).0, forged), tree(new), &proof), "{old} in {new}");
                assert!(!extends(tree(old), (tree(new).0, forged), &proof), "{old} in {new}");
                assert!(!extends(tree(old), tree(new), &[&proof[..], &[forged]].concat()), "{old} in {new}");
                if old < new {
                    assert!(!extends(tree(new), tree(old), &proof), "{new} in {old}");
                    assert!(!extends(tree(new), (tree(old).0, tree(new).1), &[]), "{new} in {old}");
                }
            }
        }
    }

    #[test]
    fn proofs_beyond_the_tree_are_not_made() {
        assert_eq!(prove_inclusion(&leaves(4), 4), None);
        assert_eq!(prove_consistency(&leaves(4), 5), None);
        assert_eq!(prove_consistency(&leaves(4), 0), None);
    }
}
