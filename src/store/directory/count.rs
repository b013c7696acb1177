//! Exact counts over a tree.

use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::io::Errno;

use super::in_use::InUse;
use super::judge::{Expired, Judge, Verdict, Why};
use super::look;
use super::root::Root;
use super::walker::{Chunk, Walker};
use crate::store::{Kept, Remainder, StoreError, Survey};

/// Most inodes that are remembered from a count: 16 MB.
const MOST_REMEMBERED: usize = 2_000_000;

/// Counts so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    total: u64,
    matches: u64,
    arrived: u64,
    undatable: u64,
    oldest: Option<Timestamp>,
    kept: [(u64, Option<Timestamp>); Why::ALL.len()],
}

/// What a count found expired, by inode: the walk that follows need not look at the others again. What it erases it
/// looks at once more in any case, and what it misses so is found by the count at its end.
#[derive(Debug)]
pub(super) struct Found {
    /// The moment and the cutoff it is about.
    pub(super) moment: (Timestamp, Option<Timestamp>),
    /// In ascending order; `None` where there are too many, or where the file system does not tell them with the names.
    pub(super) inodes: Option<Vec<u64>>,
}

impl Counts {
    fn take_in(&mut self, verdict: Verdict) {
        self.total += u64::from(verdict != Verdict::Foreign);
        match verdict {
            Verdict::Foreign | Verdict::Young => {}
            Verdict::Undatable => self.undatable += 1,
            Verdict::Kept(why, time) => {
                for (_, (count, oldest)) in Why::ALL.iter().zip(&mut self.kept).filter(|(each, _)| **each == why) {
                    *count += 1;
                    *oldest = earlier(*oldest, time);
                }
            }
            Verdict::Expired(Expired { time, arrived, .. }) => {
                self.matches += 1;
                self.arrived += u64::from(arrived);
                self.oldest = earlier(self.oldest, time);
            }
        }
    }

    fn add(&mut self, other: &Counts) {
        let Counts { total, matches, arrived, undatable, oldest, kept } = other;
        self.total += total;
        self.matches += matches;
        self.arrived += arrived;
        self.undatable += undatable;
        self.oldest = earlier(self.oldest, *oldest);
        for ((count, oldest), (more, time)) in self.kept.iter_mut().zip(kept) {
            *count += more;
            *oldest = earlier(*oldest, *time);
        }
    }

    fn kept(&self) -> Vec<Kept> {
        let kept = Why::ALL.iter().zip(self.kept).filter(|(_, (records, _))| *records > 0);
        kept.map(|(why, (records, oldest))| Kept { records, because: why.text(), oldest }).collect()
    }

    pub(super) fn survey(&self) -> Survey {
        Survey {
            total: self.total,
            matches: self.matches,
            undatable: self.undatable,
            oldest: self.oldest,
            kept: self.kept(),
            ..Survey::default()
        }
    }

    pub(super) fn remainder(&self) -> Remainder {
        Remainder { left: self.matches - self.arrived, arrived: self.arrived, kept: self.kept() }
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// Looks at every file.
pub(super) fn count(root: &Root, judge: &Judge, in_use: &InUse) -> Result<(Counts, Found), StoreError> {
    let mut walker = Walker::begin(root, in_use.locks())?;
    let mut counts = Counts::default();
    let mut inodes = Some(Vec::new());
    let mut chunks = look::read(&mut walker)?;
    while !chunks.is_empty() {
        let (results, next) = look::look(&chunks, &mut walker, |chunk| of_chunk(chunk, judge, in_use));
        for result in results {
            let (of_chunk, expired) = result.map_err(|error| root.unavailable(error))?;
            counts.add(&of_chunk);
            inodes = together(inodes, expired);
        }
        chunks = next?;
    }
    if let Some(inodes) = &mut inodes {
        inodes.sort_unstable();
    }
    Ok((counts, Found { moment: judge.moment(), inodes }))
}

/// Both, unless one is missing or they are too many.
fn together(all: Option<Vec<u64>>, more: Option<Vec<u64>>) -> Option<Vec<u64>> {
    let (mut all, more) = all.zip(more)?;
    all.extend(more);
    (all.len() <= MOST_REMEMBERED).then_some(all)
}

/// Counts, with the inodes of what is expired. `None` for these where the directory tells another inode than the file
/// itself, as overlayfs and FUSE do: then what stands in a directory does not tell which file it is.
fn of_chunk(chunk: &Chunk, judge: &Judge, in_use: &InUse) -> Result<(Counts, Option<Vec<u64>>), Errno> {
    let mut counts = Counts::default();
    let mut expired = Some(Vec::new());
    for (name, told) in chunk.names.iter() {
        let verdict = judge.look(chunk.directory.as_fd(), name, chunk.locked, in_use)?;
        counts.take_in(verdict);
        if let Verdict::Expired(Expired { inode, .. }) = verdict {
            expired = expired.filter(|_| inode == told);
            expired.iter_mut().for_each(|expired| expired.push(inode));
        }
    }
    Ok((counts, expired))
}
