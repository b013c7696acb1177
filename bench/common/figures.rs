//! Medians, spreads, and how they are printed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock of this machine, in Unix seconds.
#[expect(clippy::disallowed_methods, reason = "a measurement stands outside the core: here the clock is read")]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// In which the kernel tells processor time, on every architecture it still runs on but one.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that this process has used, in seconds, and that of the programs it has waited for. Unlike the time
/// on the wall it hardly depends on what else the machine does.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is a name in brackets, which may hold spaces; `utime` to `cstime` are fields 14 to 17 (proc(5)).
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: f64 = fields.split_whitespace().skip(11).take(4).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS_PER_SECOND
}

/// Processor time that the process `pid`, the children it has waited for and those that still run have used, in
/// seconds.
#[allow(dead_code, reason = "not every store is a server")]
pub(crate) fn processor_time_of_family(pid: u32) -> f64 {
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // Others than processes, and processes that have just ended, have none.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((before, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [own, parent] = [before.split_whitespace().next(), fields.get(1).copied()]
            .map(|id| id.and_then(|id| id.parse::<u32>().ok()));
        if own == Some(pid) || parent == Some(pid) {
            ticks += fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        }
    }
    ticks / TICKS_PER_SECOND
}

/// The middle one; of an even number, the larger of the two in the middle.
pub(crate) fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    sorted[sorted.len() / 2]
}

/// `1.23 (1.20–1.31)`: the median, and in brackets the least and the most.
pub(crate) fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.2} ({least:.2}–{most:.2})", median(values))
}

/// What an act took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// On the wall.
    pub(crate) wall: Duration,
    /// Of a processor, in seconds.
    pub(crate) processor: f64,
}

/// Does `act`, and measures.
pub(crate) fn measured<T>(act: impl FnOnce() -> T) -> (T, Took) {
    let (started, processor) = (Instant::now(), processor_time());
    let result = act();
    (result, Took { wall: started.elapsed(), processor: processor_time() - processor })
}

pub(crate) fn wall(all: &[Took]) -> Vec<f64> {
    all.iter().map(|took| took.wall.as_secs_f64()).collect()
}

pub(crate) fn processor(all: &[Took]) -> Vec<f64> {
    all.iter().map(|took| took.processor).collect()
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// `1,234,567`.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A row of a table in Markdown.
pub(crate) fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// The head of a table in Markdown.
pub(crate) fn head(title: &str, cells: &[&str]) {
    println!("\n{title}\n");
    row(cells);
    row(&vec!["---"; cells.len()]);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

/// Prints whether a limit is met.
pub(crate) fn verdict(what: &str, found: f64, wanted: Wanted) {
    let (met, relation, limit) = match wanted {
        Wanted::AtMost(limit) => (found <= limit, "≤", limit),
        Wanted::AtLeast(limit) => (found >= limit, "≥", limit),
    };
    let printed = if found < 1_000.0 { format!("{found:.2}") } else { grouped(found) };
    println!("\n{}: {what} {printed}, wanted {relation} {limit}", if met { "met" } else { "**MISSED**" });
}
