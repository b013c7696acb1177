//! Every way to lie with a log of 300 entries, in turn: what is detected, and what only a reader finds who kept
//! something.
//!
//! A flipped bit is judged in two ways. For each of them, by the parts that verification is made of: the line is
//! refused, or its leaf no longer leads to the signed root. For each 509th, and in the long test for all, by
//! verification itself.

use std::ops::Range;

use super::super::key::Key;
use super::super::line;
use super::*;

/// Where the figures stand for readers.
const DOCUMENT: &str = include_str!("../../../docs/evidence.md");
const ENTRIES: u64 = 300;
const SAMPLED: usize = 509;

/// Tells how many cases there were, and that the document says the same.
fn counted(cases: usize, what: &str) {
    println!("{cases} {what}");
    let mut figure = cases.to_string();
    if figure.len() > 3 {
        figure.insert(figure.len() - 3, ',');
    }
    assert!(DOCUMENT.contains(&format!("| {figure} |")), "docs/evidence.md says otherwise than {figure} {what}");
}

fn entries() -> usize {
    usize::try_from(ENTRIES).unwrap()
}

/// The nights of two rules, and what else a log holds.
fn happening(n: u64) -> Event {
    let (run, rule) = (format!("r{}", n / 6), "shop.example/chat/visitors".to_owned());
    match n % 6 {
        0 => Event::RunStarted {
            run,
            rule,
            digest: "9f86d081884c7d65".to_owned(),
            shape: None,
            action: "erase-rows".to_owned(),
            because: "ssupp.vid: 6 months".to_owned(),
            cutoff: Some(at(n)),
            counted: 500 + n,
            total: 9000,
            undatable: 1,
            on_hold: 0,
        },
        1 | 3 => Event::BatchPrepared { run, batch: n % 6, rows: 250 + n, children: 3, transaction: None },
        2 | 4 => Event::BatchCommitted { run, batch: n % 6 - 1, rows: 249 + n },
        _ => Event::Heartbeat {},
    }
}

/// The log as it was signed, and a reader's copy of its checkpoint.
struct Original {
    place: Place,
    text: Vec<u8>,
    lines: Vec<Vec<u8>>,
    anchor: Vec<u8>,
}

impl Original {
    fn new() -> Original {
        let place = Place::new();
        let mut log = place.open().unwrap();
        for n in 1..ENTRIES {
            log.append(at(n), &happening(n), Sync::Later).unwrap();
        }
        log.checkpoint().unwrap();
        let text = fs::read(place.paths().log).unwrap();
        let lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(lines.len(), entries());
        let anchor = fs::read(place.paths().checkpoint).unwrap();
        Original { place, text, lines, anchor }
    }

    /// The public files in a place of their own, with the index or without.
    fn copy(&self, index: bool) -> TempDir {
        let memory = Path::new("/dev/shm");
        let copy = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let names = ["log.jsonl", "checkpoint", "forgetd.vkey", "index"];
        for name in &names[..if index { 4 } else { 3 }] {
            fs::copy(self.place.dir().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    fn key(&self) -> Key {
        Key::load(&self.place.key()).unwrap().unwrap()
    }
}

/// Whoever holds a key signs these lines.
fn sign(key: &Key, lines: &[Vec<u8>]) -> String {
    let leaves: Vec<_> = lines.iter().map(|line| merkle::Hash::leaf(line.strip_suffix(b"\n").unwrap())).collect();
    let (origin, size) = (key.verifier().name().to_owned(), u64::try_from(lines.len()).unwrap());
    key.sign(&Checkpoint { origin, size, root: merkle::root(&leaves) })
}

fn is_detected(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Tampered { .. } | Verdict::Truncated { .. })
}

/// Does `work` on all of `range` in as many threads as there are processors, and returns how many cases it counted.
fn each(range: Range<usize>, work: impl Fn(Range<usize>) -> usize + std::marker::Sync) -> usize {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8);
    let part = range.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts = range.clone().step_by(part).map(|from| {
            let (work, to) = (&work, (from + part).min(range.end));
            scope.spawn(move || work(from..to))
        });
        parts.collect::<Vec<_>>().into_iter().map(|part| part.join().unwrap()).sum()
    })
}

/// Flips bits `of` the log's bits, numbered through, each in turn, and asks verification.
fn flips_are_found_by_verification(original: &Original, of: impl Iterator<Item = usize>) -> usize {
    let copies = [original.copy(true), original.copy(false)];
    let mut cases = 0;
    for bit in of {
        let mut bent = original.text.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let copy = copies[cases % 2].path();
        fs::write(copy.join("log.jsonl"), bent).unwrap();
        let verdict = verify(copy, &[]).unwrap().verdict;
        assert!(is_detected(&verdict), "bit {bit}: {verdict:?}");
        cases += 1;
    }
    cases
}

#[test]
fn every_bit_of_the_log_flipped_is_detected() {
    let original = Original::new();
    let leaves: Vec<_> =
        original.lines.iter().map(|line| merkle::Hash::leaf(line.strip_suffix(b"\n").unwrap())).collect();
    let root = merkle::root(&leaves);
    let flips = each(0..entries(), |part| {
        let mut cases = 0;
        for at in part {
            let proof = merkle::prove_inclusion(&leaves, at).unwrap();
            let rest = original.lines[at..].iter().take(2).flatten().copied().collect::<Vec<u8>>();
            for bit in 0..original.lines[at].len() * 8 {
                let mut bent = rest.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                let index = u64::try_from(at).unwrap();
                let found = match line::Lines::new(&bent[..]).next().unwrap() {
                    // The same lines, one of them changed: what comes after it is what it was.
                    line::Next::Line(line) if line.len() + 1 == original.lines[at].len() => {
                        line::check(line, index).is_err()
                            || !merkle::includes(&root, ENTRIES, index, merkle::Hash::leaf(line), &proof)
                    }
                    // A line end more, or one less.
                    line::Next::Line(line) => line::check(line, index).is_err(),
                    // The last line is none any more.
                    line::Next::Torn(_) => at + 1 == entries(),
                    line::Next::TooLong | line::Next::End => false,
                };
                assert!(found, "line {at}, bit {bit}");
                cases += 1;
            }
        }
        cases
    });
    assert_eq!(flips, original.text.len() * 8);
    let verified = each(0..original.text.len() * 8, |part| {
        flips_are_found_by_verification(&original, part.filter(|bit| bit % SAMPLED == 0))
    });
    counted(flips, &format!("flipped bits of the log, {verified} of them by verification itself"));
    assert!(DOCUMENT.contains(&format!("{verified} of them by verification itself")));
}

#[test]
#[ignore = "takes minutes"]
fn every_bit_of_the_log_flipped_is_detected_by_verification_itself() {
    let original = Original::new();
    let bits = original.text.len() * 8;
    let flips = each(0..bits, |part| flips_are_found_by_verification(&original, part));
    assert_eq!(flips, bits);
    println!("{flips} flipped bits of the log by verification itself");
}

#[test]
fn every_bit_of_the_seal_and_of_the_key_flipped_is_detected_and_the_index_accuses_nobody() {
    let original = Original::new();
    let copy = original.copy(true);
    let mut cases = 0;
    for name in ["checkpoint", "forgetd.vkey"] {
        let good = fs::read(copy.path().join(name)).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bent = good.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            fs::write(copy.path().join(name), bent).unwrap();
            let verdict = verify(copy.path(), &[]).unwrap().verdict;
            assert!(is_detected(&verdict), "{name}, bit {bit}: {verdict:?}");
            cases += 1;
        }
        fs::write(copy.path().join(name), good).unwrap();
    }
    let good = fs::read(copy.path().join("index")).unwrap();
    let index = each(0..entries(), |part| {
        let copy = original.copy(true);
        for record in part.clone() {
            let mut bent = good.clone();
            bent[record * 40 + record % 40] ^= 1 << (record % 8);
            fs::write(copy.path().join("index"), bent).unwrap();
            assert_eq!(verify(copy.path(), &[]).unwrap().verdict, Verdict::SelfConsistent { size: ENTRIES });
        }
        part.len()
    });
    counted(cases, "flipped bits of checkpoint and key");
    counted(index, "flipped bits of the index, which accused nobody");
}

/// What is done to the lines at a place, and its name.
type Change = (&'static str, fn(&mut Vec<Vec<u8>>, usize));

/// Changes that leave the seal as it is, for each place of the log.
const CHANGES: [Change; 6] = [
    ("removed", |lines, at| drop(lines.remove(at))),
    ("removed and renumbered", |lines, at| {
        lines.remove(at);
        renumber(lines);
    }),
    ("repeated", |lines, at| lines.insert(at, lines[at].clone())),
    ("swapped with the first", |lines, at| lines.swap(at, usize::from(at == 0))),
    ("replaced by another entry, renumbered", |lines, at| {
        lines[at] = lines[(at + 6) % lines.len()].clone();
        renumber(lines);
    }),
    ("cut off from here", |lines, at| lines.truncate(at)),
];

fn renumber(lines: &mut [Vec<u8>]) {
    for (index, line) in lines.iter_mut().enumerate() {
        let text = String::from_utf8(line.clone()).unwrap();
        let (_, rest) = text.split_once(',').unwrap();
        *line = format!("{{\"seq\":{index},{rest}").into_bytes();
    }
}

#[test]
fn entries_removed_repeated_moved_replaced_or_cut_off_are_detected_wherever_they_stood() {
    let original = Original::new();
    let cases = each(0..entries(), |part| {
        let copies = [original.copy(true), original.copy(false)];
        let mut cases = 0;
        for (at, (name, change)) in part.flat_map(|at| CHANGES.map(|change| (at, change))) {
            let mut lines = original.lines.clone();
            change(&mut lines, at);
            let copy = copies[at % 2].path();
            fs::write(copy.join("log.jsonl"), lines.concat()).unwrap();
            let verdict = verify(copy, &[]).unwrap().verdict;
            assert!(is_detected(&verdict), "entry {at} {name}: {verdict:?}");
            cases += 1;
        }
        cases
    });
    counted(cases, "changes under the seal");
}

#[test]
fn an_older_state_or_a_fork_under_the_right_key_is_self_consistent_and_an_anchor_finds_it() {
    let original = Original::new();
    let key = original.key();
    let cases = each(0..entries(), |part| {
        let copy = original.copy(false);
        let anchors = std::slice::from_ref(&original.anchor);
        let put = |lines: &[Vec<u8>]| {
            fs::write(copy.path().join("log.jsonl"), lines.concat()).unwrap();
            fs::write(copy.path().join("checkpoint"), sign(&key, lines)).unwrap();
            verify(copy.path(), &[]).unwrap().verdict
        };
        let mut cases = 0;
        for at in part {
            // Replayed: log and checkpoint as they once were.
            let size = u64::try_from(at).unwrap();
            assert_eq!(put(&original.lines[..at]), Verdict::SelfConsistent { size });
            let anchored = verify(copy.path(), anchors).unwrap().verdict;
            assert_eq!(anchored, Verdict::Truncated { size, signed: ENTRIES });

            // A fork: another history from this entry on, as long as the true one.
            let mut lines = original.lines.clone();
            lines[at] = lines[(at + 6) % entries()].clone();
            renumber(&mut lines);
            assert_eq!(put(&lines), Verdict::SelfConsistent { size: ENTRIES });
            let rewritten = Verdict::Tampered { entry: None, fault: Fault::Rewritten(0) };
            assert_eq!(verify(copy.path(), anchors).unwrap().verdict, rewritten);
            let kept_before = sign(&key, &original.lines[..at]).into_bytes();
            let verification = verify(copy.path(), &[kept_before]).unwrap();
            assert_eq!(verification.anchored, (at > 0).then_some(size), "what came after an anchor is not covered");

            // The fork goes on.
            lines.extend_from_slice(&original.lines[..20]);
            renumber(&mut lines);
            assert_eq!(put(&lines), Verdict::SelfConsistent { size: ENTRIES + 20 });
            assert_eq!(verify(copy.path(), anchors).unwrap().verdict, rewritten);
            cases += 3;
        }
        cases
    });
    for what in ["older states", "forks", "forks that went on"] {
        counted(cases / 3, &format!("{what}, self-consistent without an anchor and detected with one"));
    }
}

#[test]
fn a_log_signed_with_another_key_is_detected_by_its_own_key_or_by_what_was_kept() {
    let (original, stranger) = (Original::new(), Place::with(1));
    let kept = parse_verifier_key(&fs::read(original.place.paths().verifier_key).unwrap()).unwrap();
    let other = Key::load(&stranger.key()).unwrap().unwrap();
    let same_name = original.key().successor().unwrap();
    for (key, name) in [(&other, "another log's key"), (&same_name, "a new key of the same name")] {
        let copy = original.copy(false);
        fs::write(copy.path().join("checkpoint"), sign(key, &original.lines)).unwrap();
        let verdict = verify(copy.path(), &[]).unwrap().verdict;
        assert!(matches!(verdict, Verdict::Tampered { fault: Fault::CheckpointInvalid(_), .. }), "{name}: {verdict:?}");

        // With the public key exchanged too, nothing that stands in the directory can tell.
        fs::write(copy.path().join("forgetd.vkey"), format!("{}\n", key.verifier())).unwrap();
        assert_eq!(verify(copy.path(), &[]).unwrap().verdict, Verdict::SelfConsistent { size: ENTRIES });
        let anchored = verify(copy.path(), std::slice::from_ref(&original.anchor));
        assert!(matches!(anchored, Err(VerifyError::ForeignAnchor { .. })), "{name}: {anchored:?}");
        let keyed = verify_with(copy.path(), Trusted { anchors: &[], key: Some(&kept) });
        assert!(matches!(keyed, Err(VerifyError::ForeignKey { .. })), "{name}: {keyed:?}");
    }
}
