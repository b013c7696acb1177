//! Exact counts over a tree.

use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::io::Errno;

use super::found::{Finds, Found, Inodes};
use super::in_use::InUse;
use super::judge::{Expired, Judge, Verdict, Why};
use super::look;
use super::root::Root;
use super::walker::{Chunk, Walker};
use crate::store::{Kept, Remainder, StoreError, Survey};

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

impl Counts {
    fn take_in(&mut self, verdict: Verdict) {
        self.total += u64::from(verdict != Verdict::Foreign);
        match verdict {
            Verdict::Foreign | Verdict::Young(_) => {}
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
    let mut found = Found::nothing_yet(judge.moment(), in_use.locks());
    let counts = each(root, in_use, |chunk| of_chunk(chunk, judge, in_use), |finds| found.take_in(finds))?;
    found.put_in_order();
    Ok((counts, found))
}

/// Looks at every file but those of which it is known that they were `young` when the walk began: they were none of its
/// own, whatever became of them since.
pub(super) fn count_again(
    root: &Root,
    judge: &Judge,
    in_use: &InUse,
    young: Option<&Inodes>,
) -> Result<Counts, StoreError> {
    each(root, in_use, |chunk| again(chunk, judge, in_use, young).map(|counts| (counts, ())), |()| ())
}

/// Looks at every chunk of a tree, and adds the counts together.
fn each<T: Send>(
    root: &Root,
    in_use: &InUse,
    look_at: impl Fn(&Chunk) -> Result<(Counts, T), Errno> + Sync,
    mut take: impl FnMut(T),
) -> Result<Counts, StoreError> {
    let mut walker = Walker::begin(root, in_use.locks())?;
    let mut counts = Counts::default();
    let mut chunks = look::read(&mut walker)?;
    while !chunks.is_empty() {
        let (results, next) = look::look(&chunks, &mut walker, &look_at);
        for result in results {
            let (of_chunk, more) = result.map_err(|error| root.unavailable(error))?;
            counts.add(&of_chunk);
            take(more);
        }
        chunks = next?;
    }
    Ok(counts)
}

fn of_chunk(chunk: &Chunk, judge: &Judge, in_use: &InUse) -> Result<(Counts, Finds), Errno> {
    let mut counts = Counts::default();
    let mut finds = Finds::of(chunk);
    for (name, told) in chunk.names.iter() {
        let look = judge.look(chunk.directory.as_fd(), name, chunk.locked, in_use)?;
        counts.take_in(look);
        match look {
            Verdict::Expired(Expired { inode, .. }) => finds.expired(name, told, inode),
            Verdict::Young(inode) => finds.young(told, inode),
            Verdict::Foreign | Verdict::Undatable | Verdict::Kept(..) => {}
        }
    }
    finds.shrink();
    Ok((counts, finds))
}

fn again(chunk: &Chunk, judge: &Judge, in_use: &InUse, young: Option<&Inodes>) -> Result<Counts, Errno> {
    let mut counts = Counts::default();
    let mut near = 0;
    for (name, told) in chunk.names.iter() {
        if !young.is_some_and(|young| young.have(told, &mut near)) {
            counts.take_in(judge.look(chunk.directory.as_fd(), name, chunk.locked, in_use)?);
        }
    }
    Ok(counts)
}
