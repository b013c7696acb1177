//! How fast forgetd masks and drops lines of a log beside the tools that administrators use for it. `bench/run logs`
//! runs it.
//!
//! Within a round every contestant works on the same file, one after the other, and all must write the same bytes; the
//! ratios are formed within a round, so that whatever else the machine does falls on all of them alike.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on has failed; it prints its results and clears up after itself"
)]

#[path = "../common/figures.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod figures;
#[path = "peers.rs"]
mod peers;
#[path = "subject.rs"]
mod subject;
#[path = "written.rs"]
mod written;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use figures::{Took, grouped, head, measured, median, processor, row, spread, wall};
use peers::{Peer, run as run_peer};
use subject::{Subject, purge, write_anew};

/// Odd, so that a median is a measurement.
const ROUNDS: usize = 3;

/// The size of the plain log.
const PLAIN: u64 = 1 << 30;

/// The size of what is in the compressed one.
const COMPRESSED: u64 = 256 << 20;

/// Peak resident memory, whatever the size.
const MOST_MEMORY_KIB: u64 = 64 * 1024;

/// What is done to the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Addresses keep their network.
    Mask,
    /// The older half goes.
    Drop,
    /// As the first, in a `.gz` file.
    MaskCompressed,
}

/// A limit: at least so many times as fast as a peer.
struct Limit {
    peer: Peer,
    least: f64,
}

impl Work {
    fn title(self) -> &'static str {
        match self {
            Work::Mask => "Masking the addresses of a combined log, a fifth of them IPv6",
            Work::Drop => "Dropping the older half of it",
            Work::MaskCompressed => "Masking it in a .gz file, level 6",
        }
    }

    fn peers(self) -> &'static [Peer] {
        match self {
            Work::Mask => &[Peer::Sed, Peer::Perl, Peer::Mawk, Peer::Cat],
            Work::Drop => &[Peer::Mawk, Peer::Cat],
            Work::MaskCompressed => &[Peer::Pipeline],
        }
    }

    fn limits(self) -> &'static [Limit] {
        match self {
            Work::Mask => &[
                Limit { peer: Peer::Sed, least: 10.0 },
                Limit { peer: Peer::Mawk, least: 3.5 },
                Limit { peer: Peer::Cat, least: 0.5 },
            ],
            Work::Drop => &[Limit { peer: Peer::Mawk, least: 8.0 }],
            Work::MaskCompressed => &[Limit { peer: Peer::Pipeline, least: 1.5 }],
        }
    }

    fn size(self) -> u64 {
        if self == Work::MaskCompressed { COMPRESSED } else { PLAIN }
    }
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Peer(Peer),
    /// The file alone: read once, written anew, synced.
    Once,
    /// The built program, with what it counts before and after, its evidence and its checks.
    Whole,
}

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Contestant::Peer(peer) => peer.name(),
            Contestant::Once => "**forgetd, one pass**",
            Contestant::Whole => "**forgetd purge, counts, proof and evidence included**",
        }
    }
}

fn main() {
    // `cargo test --all-targets` runs this program too, without the word that `cargo bench` adds.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("measures only under `cargo bench`: see bench/run");
        return;
    }
    let dir = Path::new("/dev/shm/forgetd-bench-logs");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for (word, work) in [("mask", Work::Mask), ("drop", Work::Drop), ("gz", Work::MaskCompressed)] {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == word) {
            continue;
        }
        let _absent = fs::remove_dir_all(dir);
        fs::create_dir(dir).unwrap();
        contest(dir, work);
    }
    let _absent = fs::remove_dir_all(dir);
}

fn contest(dir: &Path, work: Work) {
    let source = dir.join("source");
    written::write(&source, work);
    let contestants: Vec<Contestant> =
        work.peers().iter().map(|peer| Contestant::Peer(*peer)).chain([Contestant::Once, Contestant::Whole]).collect();
    let mut took: Vec<Vec<Took>> = vec![Vec::new(); contestants.len()];
    let (mut peak, mut sizes) = (0, Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..contestants.len() {
            let position = (round + turn) % contestants.len();
            let (time, result, memory) = run(dir, &source, work, contestants[position]);
            took[position].push(time);
            peak = peak.max(memory);
            if contestants[position] != Contestant::Peer(Peer::Cat) {
                sizes.push((contestants[position], fs::metadata(&result).unwrap().len(), written::digest(&result)));
            }
            fs::remove_file(&result).unwrap();
        }
    }
    assert!(sizes.iter().all(|(_, _, digest)| *digest == sizes[0].2), "not all wrote the same lines");
    report(work, &contestants, &took, peak);
    if work == Work::MaskCompressed {
        let size = |of| sizes.iter().find(|(who, ..)| *who == of).unwrap().1;
        let (ours, theirs) = (size(Contestant::Whole), size(Contestant::Peer(Peer::Pipeline)));
        #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes that are far from 2^52")]
        let ratio = ours as f64 / theirs as f64;
        println!("\nThe file that forgetd writes has {ratio:.3} times the size of gzip's.");
    }
}

/// One contestant on the file: what it took, where its result is, and its peak memory in KiB, of forgetd.
fn run(dir: &Path, source: &Path, work: Work, contestant: Contestant) -> (Took, PathBuf, u64) {
    match contestant {
        Contestant::Peer(peer) => {
            let result = dir.join("result");
            let ((), took) = measured(|| run_peer(peer, work, source, &result));
            (took, result, 0)
        }
        Contestant::Once | Contestant::Whole => {
            let subject = Subject::new(dir, source, work);
            rustix::fs::fsync(File::open(&subject.log).unwrap()).unwrap();
            let (peak, took) = match contestant {
                Contestant::Once => measured(|| write_anew(&subject, work)),
                _ => measured(|| purge(&subject)),
            };
            (took, subject.log, peak)
        }
    }
}

fn report(work: Work, contestants: &[Contestant], took: &[Vec<Took>], peak: u64) {
    #[expect(clippy::cast_precision_loss, reason = "megabytes of a size that is far from 2^52")]
    let megabytes = work.size() as f64 / 1e6;
    let title = format!("{} ({} MB of lines)", work.title(), grouped(megabytes));
    head(&title, &["contestant", "seconds", "MB/s", "processor seconds"]);
    for (contestant, all) in contestants.iter().zip(took) {
        let seconds = wall(all);
        let rate = grouped(megabytes / median(&seconds));
        row(&[contestant.name(), &spread(&seconds), &rate, &spread(&processor(all))]);
    }
    for Limit { peer, least } in work.limits() {
        let of = |who| wall(&took[contestants.iter().position(|contestant| *contestant == who).unwrap()]);
        let theirs = of(Contestant::Peer(*peer));
        for who in [Contestant::Once, Contestant::Whole] {
            let gains: Vec<f64> = theirs.iter().zip(of(who)).map(|(theirs, ours)| theirs / ours).collect();
            let met = if median(&gains) >= *least { "met" } else { "**missed**" };
            println!(
                "\n{met}: {} is {} times as fast as {}, wanted ≥ {least}",
                who.name(),
                spread(&gains),
                peer.name()
            );
        }
    }
    let met = if peak <= MOST_MEMORY_KIB { "met" } else { "**missed**" };
    println!("\n{met}: peak memory {} KiB, wanted ≤ {MOST_MEMORY_KIB}", peak);
}
