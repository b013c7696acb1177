//! What is remembered of a file, so that a nightly run reads only what is new.
//!
//! It stands with the file itself, in an extended attribute: it goes where the file is renamed to, ends when the file
//! ends, and needs no list of names anywhere. It counts only for the same file in the same state, and with the same
//! beginning and end: who changes a file without changing its date and its size has changed one of these. No
//! record's contents are in it. A file system without such attributes costs time, nothing else.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::XattrFlags;
use sha2::{Digest, Sha256};

use super::engine::Tally;
use super::files::Identity;
use super::time::Moment;
use crate::plan::{LogRule, When};

/// Attributes of forgetd's own begin so.
pub(super) const PREFIX: &str = "user.forgetd.";

/// What is true of files changes when lines are understood in another way: then this number does.
const VERSION: u32 = 2;

/// Bytes of the beginning and of the end that are looked at.
const SAMPLE: usize = 4096;

/// The longest attribute that is ours.
const LONGEST: usize = 512;

/// Remembers for one rule.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    name: String,
}

/// What is remembered: as long as the file stays the same and no line becomes due, nothing in it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) lines: u64,
    pub(super) undatable: u64,
    /// The time of the first line that will be due.
    pub(super) next: Option<Moment>,
}

impl Facts {
    /// What a count says of a file that was last `written` to then, once nothing in it matches. `None` where a line is of
    /// the future, or the file by which lines without a time are dated: that may change its mind.
    pub(super) fn of(tally: &Tally, written: Option<Moment>, now: Moment) -> Option<Facts> {
        let are_dated = tally.undatable == 0 || written.is_some_and(|written| written <= now);
        let clean = tally.matches == 0 && tally.latest.is_none_or(|latest| latest <= now) && are_dated;
        clean.then_some(Facts { lines: tally.lines, undatable: tally.undatable, next: tally.next })
    }

    /// The count that it stands for, where nothing has become due before `cutoff`.
    pub(super) fn tally(&self, cutoff: Option<Moment>) -> Option<Tally> {
        let Facts { lines, undatable, next } = *self;
        let due = matches!((cutoff, next), (Some(cutoff), Some(next)) if next < cutoff);
        (!due).then_some(Tally { lines, undatable, next, ..Tally::default() })
    }
}

impl Memory {
    /// For what `rule` does to lines, whatever the age at which it does so.
    pub(super) fn of(rule: &LogRule) -> Memory {
        let LogRule { rule: _, log, when, action, zone: _ } = rule;
        let by_age = matches!(when, When::Older(_));
        let mut digest = Sha256::new();
        // Serialising plain values into memory has no way to fail.
        let said = (VERSION, &log.format, &log.zone, log.unparsed, &log.parameters, action, by_age);
        digest.update(serde_json::to_vec(&said).unwrap_or_default());
        let mut hex = crate::config::hex(digest.finalize());
        hex.truncate(16);
        Memory { name: format!("{PREFIX}{hex}") }
    }

    /// What is known of `file`, which is in the state `identity`.
    pub(super) fn recall(&self, file: &File, identity: &Identity) -> Option<Facts> {
        let mut buffer = [0; LONGEST];
        let length = rustix::fs::fgetxattr(file, self.name.as_str(), &mut buffer[..]).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).ok()?;
        let (facts, seal) = text.rsplit_once(' ')?;
        let mut words = facts.split(' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (lines, undatable) = (number()?, number()?);
        let next = match words.next()? {
            "-" => None,
            nanos => Some(Moment::from_nanos(nanos.parse().ok()?)),
        };
        (seal == seal_of(file, identity, facts)?).then_some(Facts { lines, undatable, next })
    }

    /// Keeps what is known of `file`, which is in the state `identity`.
    pub(super) fn keep(&self, file: &File, identity: &Identity, facts: &Facts) {
        let Facts { lines, undatable, next } = facts;
        let mut text = format!("{lines} {undatable} ");
        let written = match next {
            Some(next) => write!(text, "{}", next.to_nanos()),
            None => text.write_str("-"),
        };
        let Some(seal) = written.ok().and_then(|()| seal_of(file, identity, &text)) else { return };
        text.push(' ');
        text.push_str(&seal);
        // Without it the file is only read again.
        let _ = rustix::fs::fsetxattr(file, self.name.as_str(), text.as_bytes(), XattrFlags::empty());
    }
}

/// Binds facts to a file in one state.
fn seal_of(file: &File, identity: &Identity, facts: &str) -> Option<String> {
    let mut digest = Sha256::new();
    let Identity { device: _, inode, size, modified: (seconds, nanos) } = identity;
    digest.update(format!("{inode} {size} {seconds} {nanos} {facts}\n"));
    let mut sample = [0; SAMPLE];
    for from in [0, size.saturating_sub(u64::try_from(SAMPLE).ok()?)] {
        let length = file.read_at(&mut sample, from).ok()?;
        digest.update(&sample[..length]);
    }
    Some(crate::config::hex(digest.finalize()))
}
