//! How long the transactions of an application took.

use std::time::Duration;

/// How long they took, and how many failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    /// Transactions that failed. How long that took is counted with the others.
    pub(crate) errors: usize,
}

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>, errors: usize) -> Latencies {
        latencies.sort_unstable();
        Latencies { sorted: latencies, errors }
    }

    /// The latency that `percent` of the transactions do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get(last * percent / 100).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Those of several measurements, as one.
    #[allow(dead_code, reason = "not every measurement is made in rounds")]
    pub(crate) fn together<'a>(all: impl IntoIterator<Item = &'a Latencies>) -> Latencies {
        let (mut latencies, mut errors) = (Vec::new(), 0);
        for one in all {
            latencies.extend_from_slice(&one.sorted);
            errors += one.errors;
        }
        Latencies::new(latencies, errors)
    }
}
