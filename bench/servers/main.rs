//! How fast forgetd purges a database on a server, and what the shop notices of it, beside what an operator would do
//! by hand. `bench/run` runs it.
//!
//! Every contestant gets a fresh copy of the same table, in memory and with nothing left to write, and within a round
//! all of them run one after the other, the application beside each. Ratios are formed within a round, so that
//! whatever else the machine does falls on all of them alike.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on has failed; it prints its results and clears up after itself"
)]

mod contest;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/latencies.rs"]
mod latencies;
#[path = "../../tests/support/mariadb.rs"]
mod mariadb;
mod on_mariadb;
mod on_postgres;
#[path = "../../tests/support/postgres_server.rs"]
mod postgres_server;
#[path = "../common/rows.rs"]
mod rows;
mod shopper;
mod task;

use std::path::{Path, PathBuf};

use contest::{Arena, Contestant, Results};
use figures::{Wanted, grouped, head, mebibytes, median, row, spread, verdict};
use installation::{Declaration, Installation, Pace};
use on_mariadb::OnMariaDb;
use on_postgres::OnPostgres;
use rows::Order;
use task::{Course, Task};

/// Rows of the table.
const ROWS: u32 = 2_000_000;

/// The same, to see whether anything works at all: nothing is measured by it.
const QUICK_ROWS: u32 = 100_000;

/// Tables over which the cost of a row must stay the same, as parts of [`ROWS`]: half a million, two, eight.
const SIZES: [(u32, u32); 3] = [(1, 4), (1, 1), (4, 1)];

/// How often what is not held against others is measured.
const TIMES: usize = 3;

/// The limits that the figures are held against.
const LEAST_OF_ONE_DELETE: f64 = 0.6;
const LEAST_OF_CTID_LOOP_IN_RANDOM_ORDER: f64 = 3.0;
const LEAST_OF_ARCHIVER_IN_TIME_ORDER: f64 = 1.8;
const LEAST_OF_ARCHIVER_IN_RANDOM_ORDER: f64 = 1.6;
const LEAST_OF_TIME_INDEX: f64 = 1.0;
const LEAST_OF_ONE_UPDATE: f64 = 0.7;
const MOST_LATENCY: f64 = 1.1;
const MOST_SECONDS_PER_PARTITION: f64 = 1.0;
const MOST_MEMORY_MIB: f64 = 64.0;
const LARGEST_DEVIATION: f64 = 0.15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("measures only under `cargo bench`: see bench/run");
        return;
    }
    let parts: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let rows = if parts.contains(&"quick") { QUICK_ROWS } else { ROWS };
    let parts = parts.into_iter().filter(|part| *part != "quick").map(str::to_owned).collect();
    let bench = Bench { dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")), rows, parts };
    if bench.has("postgres") {
        bench.postgres();
    }
    if bench.has("mariadb") {
        bench.mariadb();
    }
}

struct Bench {
    dir: PathBuf,
    rows: u32,
    /// `SERVER` or `SERVER:SECTION`; all where there are none.
    parts: Vec<String>,
}

impl Bench {
    fn has(&self, server: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part.split(':').next() == Some(server))
    }

    fn has_section(&self, server: &str, section: &str) -> bool {
        let one = format!("{server}:{section}");
        self.parts.is_empty() || self.parts.iter().any(|part| part == server || *part == one)
    }

    fn course(&self, task: Task, order: Order) -> Course {
        Course { task, rows: self.rows, order }
    }

    fn postgres(&self) {
        let server = on_postgres::start();
        println!("\n## PostgreSQL {}", on_postgres::version(&server));
        let is_chosen = |section| self.has_section("postgres", section);
        for (section, order) in [("time", Order::Time), ("random", Order::Random), ("sparse", Order::Sparse)] {
            if is_chosen(section) {
                self.erase_on_postgres(&OnPostgres::new(&server, self.course(Task::Erase, order)), order);
            }
        }
        if is_chosen("mask") {
            let arena = OnPostgres::new(&server, self.course(Task::Mask, Order::Time));
            self.mask(&arena, on_postgres::Peer::OneUpdate);
        }
        if is_chosen("partition") {
            let arena = OnPostgres::new(&server, self.course(Task::Erase, Order::Time));
            self.partition(&arena.declaration(), || on_postgres::partitioned(&server, self.rows));
        }
        if is_chosen("flat") {
            self.flat(|rows| OnPostgres::new(&server, Course { task: Task::Erase, rows, order: Order::Time }));
        }
    }

    fn erase_on_postgres(&self, arena: &OnPostgres<'_>, order: Order) {
        use on_postgres::Peer::{CtidByTime, CtidLoop, KeyRanges, OneDelete};
        let all = [OneDelete, CtidLoop, CtidByTime, KeyRanges];
        let results = contest::hold(&self.title(order), &self.dir, arena, &all);
        let full = Contestant::Forgetd(Pace::Full);
        let gain = |peer| results.gain(full, Contestant::Peer(peer));
        if order == Order::Sparse {
            verdict("speed against the time index", gain(CtidByTime), Wanted::AtLeast(LEAST_OF_TIME_INDEX));
        } else {
            verdict("speed against one DELETE", gain(OneDelete), Wanted::AtLeast(LEAST_OF_ONE_DELETE));
        }
        if order == Order::Random {
            let wanted = Wanted::AtLeast(LEAST_OF_CTID_LOOP_IN_RANDOM_ORDER);
            verdict("speed against the `ctid` loop by the time index", gain(CtidByTime), wanted);
            verdict("speed against the `ctid` loop as the server finds rows", gain(CtidLoop), wanted);
        }
        latencies(&results, results.fastest(&[CtidLoop, CtidByTime]), "the faster `ctid` loop");
    }

    fn mariadb(&self) {
        let server = on_mariadb::start();
        println!("\n## MariaDB {}", on_mariadb::version(&server));
        let is_chosen = |section| self.has_section("mariadb", section);
        for (section, order) in [("time", Order::Time), ("random", Order::Random), ("sparse", Order::Sparse)] {
            if is_chosen(section) {
                self.erase_on_mariadb(&OnMariaDb::new(&server, self.course(Task::Erase, order)), order);
            }
        }
        if is_chosen("mask") {
            let arena = OnMariaDb::new(&server, self.course(Task::Mask, Order::Time));
            self.mask(&arena, on_mariadb::Peer::OneUpdate);
        }
        if is_chosen("partition") {
            let arena = OnMariaDb::new(&server, self.course(Task::Erase, Order::Time));
            let declaration = Declaration { table: on_mariadb::TIME_IN_KEY, ..arena.declaration() };
            self.partition(&declaration, || on_mariadb::partitioned(&server, self.rows));
        }
        if is_chosen("flat") {
            self.flat(|rows| OnMariaDb::new(&server, Course { task: Task::Erase, rows, order: Order::Time }));
        }
    }

    fn erase_on_mariadb(&self, arena: &OnMariaDb<'_>, order: Order) {
        use on_mariadb::Peer::{ArchiverBulk, ArchiverByTime, KeyRanges, OneDelete, TimeIndex};
        let bulk = [ArchiverBulk(5_000), ArchiverBulk(10_000)];
        let all = [bulk[0], bulk[1], ArchiverByTime, TimeIndex, KeyRanges, OneDelete];
        let results = contest::hold(&self.title(order), &self.dir, arena, &all);
        let full = Contestant::Forgetd(Pace::Full);
        let gain = |peer| results.gain(full, Contestant::Peer(peer));
        match order {
            Order::Time => {
                println!("\npt-archiver as it comes: {} rows/s", grouped(arena.archiver_as_it_comes()));
                let wanted = Wanted::AtLeast(LEAST_OF_ARCHIVER_IN_TIME_ORDER);
                verdict("speed against pt-archiver at its best", gain(results.fastest(&bulk)), wanted);
            }
            Order::Random => {
                let wanted = Wanted::AtLeast(LEAST_OF_ARCHIVER_IN_RANDOM_ORDER);
                verdict("speed against pt-archiver at its best", gain(results.fastest(&bulk)), wanted);
            }
            Order::Sparse => {
                verdict("speed against the time index", gain(TimeIndex), Wanted::AtLeast(LEAST_OF_TIME_INDEX));
            }
        }
        latencies(&results, results.fastest(&bulk), "pt-archiver at its best");
    }

    fn title(&self, order: Order) -> String {
        let rows = f64::from(self.rows);
        format!("Erasing {} of {} rows, {}", grouped(order.expired(self.rows).into()), grouped(rows), order.name())
    }

    fn mask<A: Arena>(&self, arena: &A, one_update: A::Peer) {
        let title = format!("Masking {} addresses", grouped(f64::from(self.rows / 2)));
        let results = contest::hold(&title, &self.dir, arena, &[one_update]);
        let gain = results.gain(Contestant::Forgetd(Pace::Full), Contestant::Peer(one_update));
        verdict("speed against one UPDATE", gain, Wanted::AtLeast(LEAST_OF_ONE_UPDATE));
        memory(&results);
    }

    /// A purge of which all goes with one partition, from the start of the program to its end.
    fn partition(&self, declaration: &Declaration<'_>, renew: impl Fn()) {
        let mut seconds = Vec::new();
        for _ in 0..TIMES {
            renew();
            seconds.push(purge(&self.dir, declaration, u64::from(self.rows / 2)).0);
        }
        println!("\nA partition of {} rows: {} s", grouped(f64::from(self.rows / 2)), spread(&seconds));
        let wanted = Wanted::AtMost(MOST_SECONDS_PER_PARTITION);
        verdict("seconds from the start of `forgetd purge` to its end", median(&seconds), wanted);
    }

    /// What a row costs, in tables of several sizes, with nobody beside it.
    fn flat<A: Arena>(&self, arena: impl Fn(u32) -> A) {
        head("Cost of a row by the size of the table", &["rows", "seconds", "µs a row", "peak memory"]);
        let mut costs = Vec::new();
        for (times, of) in SIZES {
            let arena = arena(self.rows / of * times);
            let (mut seconds, mut peaks) = (Vec::new(), Vec::new());
            for _ in 0..TIMES {
                arena.renew();
                let (took, peak) = purge(&self.dir, &arena.declaration(), arena.touched());
                seconds.push(took);
                peaks.push(peak);
            }
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let cost = median(&seconds) / arena.touched() as f64 * 1e6;
            costs.push(cost);
            let peak = format!("{:.1} MiB", mebibytes(peaks.into_iter().max().unwrap()));
            row(&[&grouped((self.rows / of * times).into()), &spread(&seconds), &format!("{cost:.2}"), &peak]);
        }
        let deviation = costs.iter().map(|cost| (cost / costs[1] - 1.0).abs()).fold(0.0, f64::max);
        verdict("largest deviation from the middle one", deviation, Wanted::AtMost(LARGEST_DEVIATION));
    }
}

/// Seconds, and peak memory in KiB.
fn purge(dir: &Path, declaration: &Declaration<'_>, touched: u64) -> (f64, u64) {
    let installation = Installation::new(dir, Pace::Full, declaration);
    installation.approve();
    let purge = installation.purge();
    assert_eq!(purge.erased, touched);
    (purge.took.wall.as_secs_f64(), purge.peak_kib)
}

/// What the application notices of forgetd, beside what it notices of `peer`.
fn latencies<P: Copy + PartialEq>(results: &Results<P>, peer: P, name: &str) {
    for (pace, how) in [(Pace::Default, "at its default pace"), (Pace::Full, "at full speed")] {
        let forgetd = Contestant::Forgetd(pace);
        let ratio = results.p99(forgetd) / results.p99(Contestant::Peer(peer));
        verdict(&format!("99 % of latencies {how} against {name}"), ratio, Wanted::AtMost(MOST_LATENCY));
        let errors = u32::try_from(results.errors(forgetd)).unwrap();
        verdict(&format!("failed transactions of the application {how}"), errors.into(), Wanted::AtMost(0.0));
    }
    memory(results);
}

fn memory<P: Copy + PartialEq>(results: &Results<P>) {
    verdict("peak memory in MiB", mebibytes(results.peak_kib()), Wanted::AtMost(MOST_MEMORY_MIB));
}
