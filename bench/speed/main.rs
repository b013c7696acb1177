//! How fast forgetd purges beside the loops that one would write by hand, how much memory it takes, what the
//! application notices of it, and how fast its evidence is verified. `bench/run` runs it.
//!
//! Every contestant gets a fresh copy of the same file, and within a round all of them run one after the other; the
//! ratios are formed within a round, so that whatever else the machine does falls on all of them alike.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on has failed; it prints its results and clears up after itself"
)]

mod application;
mod evidence;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/latencies.rs"]
mod latencies;
mod peers;
#[path = "../common/rows.rs"]
mod rows;
mod table;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use figures::{
    Took, Wanted, grouped, head, measured, mebibytes, median, millis, processor, row, spread, verdict, wall,
};
use installation::{Declaration, Installation, Pace, VISITORS};
use latencies::Latencies;
use peers::Peer;
use rows::Order;
use table::Template;

/// Rows of the table for speed.
const ROWS: u32 = 2_000_000;

/// Rows of the table for memory: four times as many must not take more.
const MANY_ROWS: u32 = 8_000_000;

/// Odd, so that a median is a measurement.
const ROUNDS: usize = 3;

/// Entries of the log that is verified.
const ENTRIES: u64 = 600_000;

/// How long the application is watched with nobody beside it.
const ALONE: Duration = Duration::from_secs(8);

/// The limits that the figures are held against.
const SLOWEST_IN_TIME_ORDER: f64 = 1.2;
const LEAST_GAIN_IN_RANDOM_ORDER: f64 = 1.8;
const MOST_MEMORY_MIB: f64 = 64.0;
const SLOWEST_VERIFICATION: f64 = 300_000.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("measures only under `cargo bench`: see bench/run");
        return;
    }
    let parts: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |part: &str| parts.is_empty() || parts.contains(&part);
    let bench = Bench { dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")) };
    println!("SQLite {}, {ROUNDS} rounds: median (least–most)", rusqlite::version());
    if chosen("time") {
        bench.speed(Order::Time);
    }
    if chosen("random") {
        bench.speed(Order::Random);
    }
    if chosen("application") {
        bench.application();
    }
    if chosen("memory") {
        bench.memory();
    }
    if chosen("verify") {
        bench.verify();
    }
}

struct Bench {
    dir: PathBuf,
}

impl Bench {
    /// forgetd beside the loops.
    fn speed(&self, order: Order) {
        let template = Template::write(&self.dir, ROWS, order);
        let mut loops: [Vec<Took>; Peer::ALL.len()] = Default::default();
        let (mut ours, mut peaks) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Each round begins with another contestant, so that none always runs when the machine is busiest.
            for turn in 0..=Peer::ALL.len() {
                let contestant = (round + turn) % (Peer::ALL.len() + 1);
                if let Some(peer) = Peer::ALL.get(contestant) {
                    loops[contestant].push(self.peer(&template, *peer));
                } else {
                    let purge = self.forgetd(&template, Pace::Full);
                    ours.push(purge.took);
                    peaks.push(purge.peak_kib);
                }
            }
        }
        let title = format!(
            "Erasing {} of {} rows in {} ({} MB)",
            grouped(template.expired().into()),
            grouped(template.rows.into()),
            order.name(),
            template.bytes() / 1_000_000
        );
        head(&title, &["contestant", "seconds", "rows/s", "times as fast as the first", "processor seconds"]);
        let baseline = wall(&loops[0]);
        let names = Peer::ALL.map(Peer::name).into_iter().chain(["**forgetd purge, evidence included**"]);
        for (name, all) in names.zip(loops.iter().chain([&ours])) {
            let took = wall(all);
            let gains: Vec<f64> = baseline.iter().zip(&took).map(|(first, took)| first / took).collect();
            let rate = grouped(f64::from(template.expired()) / median(&took));
            row(&[name, &spread(&took), &rate, &spread(&gains), &spread(&processor(all))]);
        }
        let ratios: Vec<f64> = wall(&ours).iter().zip(&baseline).map(|(ours, theirs)| ours / theirs).collect();
        match order {
            Order::Time => verdict("time against the loop", median(&ratios), Wanted::AtMost(SLOWEST_IN_TIME_ORDER)),
            Order::Random | Order::Sparse => {
                verdict("gain over the loop", 1.0 / median(&ratios), Wanted::AtLeast(LEAST_GAIN_IN_RANDOM_ORDER))
            }
        }
        verdict("peak memory in MiB", mebibytes(*peaks.iter().max().unwrap()), Wanted::AtMost(MOST_MEMORY_MIB));
    }

    fn peer(&self, template: &Template, peer: Peer) -> Took {
        let path = self.dir.join("peer.db");
        template.copy_to(&path);
        let ((), took) = measured(|| peer.purge(&path));
        assert_eq!(peers::rows(&path), template.rows - template.expired());
        table::remove(&path);
        took
    }

    fn forgetd(&self, template: &Template, pace: Pace) -> installation::Purge {
        let installation = self.installation(pace);
        template.copy_to(&self.database());
        installation.approve();
        let purge = installation.purge();
        assert_eq!(purge.erased, u64::from(template.expired()));
        assert_eq!(peers::rows(&self.database()), template.rows - template.expired());
        table::remove(&self.database());
        purge
    }

    fn installation(&self, pace: Pace) -> Installation {
        let declaration = Declaration {
            rule: VISITORS,
            retention: "visit = \"6 months\"",
            store: &format!("kind = \"sqlite\"\npath = {:?}", self.database()),
            table: "time = { column = \"last_seen\", format = \"unix-seconds\" }",
        };
        Installation::new(&self.dir, pace, &declaration)
    }

    /// Where the visitors' database stands.
    fn database(&self) -> PathBuf {
        self.dir.join("chat.db")
    }

    /// What a writer notices.
    fn application(&self) {
        let template = Template::write(&self.dir, ROWS, Order::Random);
        head(
            "Transactions of an application that writes to the same table meanwhile",
            &["beside it", "lasts", "transactions", "median", "99 %", "longest"],
        );
        let print = |beside: &str, lasted: Duration, latencies: &Latencies| {
            let [median, most, longest] = [50, 99, 100].map(|percent| millis(latencies.percentile(percent)));
            let lasted = format!("{:.1} s", lasted.as_secs_f64());
            row(&[beside, &lasted, &latencies.count().to_string(), &median, &most, &longest]);
        };
        let installation = self.installation(Pace::Default);
        template.copy_to(&self.database());
        installation.approve();
        let ((), alone) = application::beside(&self.database(), || thread::sleep(ALONE));
        print("nobody", ALONE, &alone);
        let (purge, with) = application::beside(&self.database(), || installation.purge());
        print("forgetd purge, default pace", purge.took.wall, &with);
        for peer in Peer::ALL {
            template.copy_to(&self.database());
            let database = self.database();
            let (((), took), with) = application::beside(&database, || measured(|| peer.purge(&database)));
            print(peer.name(), took.wall, &with);
        }
        table::remove(&self.database());
    }

    /// Whether memory grows with the table.
    fn memory(&self) {
        head("Memory of a purge, and its speed, with a larger table", &["rows", "order", "peak", "seconds"]);
        for order in [Order::Time, Order::Random] {
            let template = Template::write(&self.dir, MANY_ROWS, order);
            let purge = self.forgetd(&template, Pace::Full);
            let peak = format!("{:.1} MiB", mebibytes(purge.peak_kib));
            let took = format!("{:.1}", purge.took.wall.as_secs_f64());
            row(&[&grouped(MANY_ROWS.into()), order.name(), &peak, &took]);
        }
    }

    /// How fast evidence is verified.
    fn verify(&self) {
        let took = wall(&evidence::verify(&self.dir, ENTRIES, ROUNDS));
        let entries = f64::from(u32::try_from(ENTRIES).unwrap());
        println!("\n`forgetd audit verify`, {} entries: {} s", grouped(entries), spread(&took));
        verdict("entries/s", entries / median(&took), Wanted::AtLeast(SLOWEST_VERIFICATION));
    }
}
