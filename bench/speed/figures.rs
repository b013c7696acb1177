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
