//! Rounds: every contestant on a fresh copy of the same table, with the application beside it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::figures::{Took, grouped, head, measured, median, millis, processor, row, spread, wall};
use crate::installation::{Declaration, Installation, Pace};
use crate::latencies::Latencies;
use crate::shopper::{self, Shopping, Transaction};

/// Odd, so that a median is a measurement.
const ROUNDS: usize = 3;

/// How long the application is watched with nobody beside it.
const ALONE: Duration = Duration::from_secs(5);

/// A table on a server, and what the server's operator could do instead of calling forgetd.
pub(crate) trait Arena {
    /// A way to do it by hand.
    type Peer: Copy + PartialEq;

    /// What it is called.
    fn name(&self, peer: Self::Peer) -> String;

    /// Puts a fresh copy of the table in its place, on the disk and in memory alike.
    fn renew(&self);

    /// One transaction of the application at a time: an INSERT and a point UPDATE. Whether it succeeded.
    fn transaction(&self) -> Transaction;

    /// Does it by hand.
    fn run(&self, peer: Self::Peer);

    /// How forgetd is told of the table.
    fn declaration(&self) -> Declaration<'_>;

    /// Rows in the table, and how many of them a purge would still touch: by a count of its own.
    fn left(&self) -> (u64, u64);

    /// Rows that must remain of the copy.
    fn remaining(&self) -> u64;

    /// Rows that a purge touches.
    fn touched(&self) -> u64;

    /// Processor time that the server has used, in seconds.
    fn processor(&self) -> f64;
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Contestant<P> {
    Peer(P),
    Forgetd(Pace),
}

/// What one contestant did in one round.
struct Lap {
    took: Took,
    latencies: Latencies,
    peak_kib: Option<u64>,
}

/// What all of them did in all rounds.
pub(crate) struct Results<P> {
    laps: Vec<(Contestant<P>, Vec<Lap>)>,
}

/// Holds the rounds and prints the table.
pub(crate) fn hold<A: Arena>(title: &str, dir: &Path, arena: &A, peers: &[A::Peer]) -> Results<A::Peer> {
    let mut contestants: Vec<Contestant<A::Peer>> = peers.iter().copied().map(Contestant::Peer).collect();
    contestants.extend([Contestant::Forgetd(Pace::Full), Contestant::Forgetd(Pace::Default)]);
    let mut laps: Vec<(Contestant<A::Peer>, Vec<Lap>)> =
        contestants.iter().map(|contestant| (*contestant, Vec::new())).collect();
    arena.renew();
    let ((), alone) = shopper::beside(|| arena.transaction(), || thread::sleep(ALONE));
    for round in 0..ROUNDS {
        // Each round begins with another contestant, so that none always runs when the machine is busiest.
        for turn in 0..contestants.len() {
            let (contestant, laps) = &mut laps[(round + turn) % contestants.len()];
            let lap = lap(dir, arena, *contestant);
            eprintln!("{}: {:.2} s", name(arena, *contestant), lap.took.wall.as_secs_f64());
            laps.push(lap);
        }
    }
    let results = Results { laps };
    results.print(title, arena, &alone.latencies);
    results
}

fn lap<A: Arena>(dir: &Path, arena: &A, contestant: Contestant<A::Peer>) -> Lap {
    arena.renew();
    let (lap, recorded) = match contestant {
        Contestant::Peer(peer) => {
            let (took, Shopping { latencies, recorded }) = beside(arena, || measured(|| arena.run(peer)).1);
            (Lap { took, latencies, peak_kib: None }, recorded)
        }
        Contestant::Forgetd(pace) => {
            let installation = Installation::new(dir, pace, &arena.declaration());
            installation.approve();
            let mut peak_kib = 0;
            let (took, Shopping { latencies, recorded }) = beside(arena, || {
                let purge = installation.purge();
                assert_eq!(purge.erased, arena.touched());
                peak_kib = purge.peak_kib;
                purge.took
            });
            (Lap { took, latencies, peak_kib: Some(peak_kib) }, recorded)
        }
    };
    assert_eq!(arena.left(), (arena.remaining() + recorded, 0), "{}", name(arena, contestant));
    lap
}

/// Does `work` with the application beside it, and adds what the server needed for both to the time it took.
fn beside<A: Arena>(arena: &A, work: impl FnOnce() -> Took) -> (Took, Shopping) {
    shopper::beside(
        || arena.transaction(),
        || {
            let before = arena.processor();
            let took = work();
            Took { processor: took.processor + arena.processor() - before, ..took }
        },
    )
}

fn name<A: Arena>(arena: &A, contestant: Contestant<A::Peer>) -> String {
    match contestant {
        Contestant::Peer(peer) => arena.name(peer),
        Contestant::Forgetd(Pace::Full) => "**forgetd purge, evidence included**, `duty = 1.0`".to_owned(),
        Contestant::Forgetd(Pace::Default) => "**forgetd purge** at its default pace".to_owned(),
    }
}

impl<P: Copy + PartialEq> Results<P> {
    fn of(&self, contestant: Contestant<P>) -> &[Lap] {
        let found = self.laps.iter().find(|(of, _)| *of == contestant);
        found.map_or(&[], |(_, laps)| laps)
    }

    fn took(&self, contestant: Contestant<P>) -> Vec<Took> {
        self.of(contestant).iter().map(|lap| lap.took).collect()
    }

    fn latencies(&self, contestant: Contestant<P>) -> Latencies {
        Latencies::together(self.of(contestant).iter().map(|lap| &lap.latencies))
    }

    /// How many times as fast as `other` it was, in the middle one of the rounds.
    pub(crate) fn gain(&self, contestant: Contestant<P>, other: Contestant<P>) -> f64 {
        median(&gains(&wall(&self.took(contestant)), &wall(&self.took(other))))
    }

    /// The latency that 99 % of the application's transactions did not exceed, in seconds, over all rounds.
    pub(crate) fn p99(&self, contestant: Contestant<P>) -> f64 {
        self.latencies(contestant).percentile(99).as_secs_f64()
    }

    /// How many of the application's transactions failed, over all rounds.
    pub(crate) fn errors(&self, contestant: Contestant<P>) -> usize {
        self.latencies(contestant).errors
    }

    /// The fastest of some peers.
    pub(crate) fn fastest(&self, peers: &[P]) -> P {
        let time = |peer: &P| median(&wall(&self.took(Contestant::Peer(*peer))));
        *peers.iter().min_by(|one, other| time(one).total_cmp(&time(other))).unwrap()
    }

    /// Most memory of forgetd, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.laps.iter().flat_map(|(_, laps)| laps).filter_map(|lap| lap.peak_kib).max().unwrap_or(0)
    }

    fn print<A: Arena<Peer = P>>(&self, title: &str, arena: &A, alone: &Latencies) {
        let columns = ["contestant", "seconds", "rows/s", "× the first", "processor seconds"];
        head(title, &[&columns[..], &["application: median", "99 %", "longest", "failed"]].concat());
        print_latencies(&["*nobody*", "", "", "", ""], alone);
        let Some((first, _)) = self.laps.first() else { return };
        let baseline = wall(&self.took(*first));
        for (contestant, _) in &self.laps {
            let all = self.took(*contestant);
            let took = wall(&all);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let rate = grouped(arena.touched() as f64 / median(&took));
            let name = name(arena, *contestant);
            let cells = [&name, &spread(&took), &rate, &spread(&gains(&took, &baseline)), &spread(&processor(&all))];
            print_latencies(&cells.map(String::as_str), &self.latencies(*contestant));
        }
    }
}

fn print_latencies(cells: &[&str], latencies: &Latencies) {
    let [median, most, longest] = [50, 99, 100].map(|percent| millis(latencies.percentile(percent)));
    let failed = format!("{} of {}", latencies.errors, grouped(latencies.count() as f64));
    row(&[cells, &[&median, &most, &longest, &failed]].concat());
}

/// How many times as fast as `other`, round by round.
fn gains(took: &[f64], other: &[f64]) -> Vec<f64> {
    other.iter().zip(took).map(|(other, took)| other / took).collect()
}
