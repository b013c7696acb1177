//! What is remembered of a file, so that a nightly run reads only what is new.
//!
//! It stands with the file itself, in an extended attribute: it goes where the file is renamed to, ends when the file
//! ends, and needs no list of names anywhere. It counts only for the same file in the same state, and with the same
//! beginning and end: who changes a file without changing its date and its size has changed one of these. No
//! record's contents are in it. A file system without such attributes costs time, nothing else. What is remembered of
//! lines that match is a count and no more: which of them go is decided where they are written anew.

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
const VERSION: u32 = 3;

/// Bytes of the beginning and of the end that are looked at.
const SAMPLE: usize = 4096;

/// The longest attribute that is ours.
const LONGEST: usize = 512;

/// Remembers for one rule.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    name: String,
}

/// What is remembered: it is true as long as the file stays the same and no line becomes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    lines: u64,
    undatable: u64,
    /// The time of the first line that will be due.
    next: Option<Moment>,
    due: Option<Due>,
}

/// Lines that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    matches: u64,
    oldest: Option<Moment>,
    /// With any other cutoff they are others.
    cutoff: Option<Moment>,
}

impl Facts {
    /// What a count with `cutoff` says of a file that was last `written` to then. `None` where a line is of the future, or
    /// the file by which lines without a time are dated: that may change its mind.
    pub(super) fn of(tally: &Tally, cutoff: Option<Moment>, written: Option<Moment>, now: Moment) -> Option<Facts> {
        let Tally { lines, matches, undatable, oldest, next, latest } = *tally;
        let are_dated = undatable == 0 || written.is_some_and(|written| written <= now);
        let due = (matches > 0).then_some(Due { matches, oldest, cutoff });
        let is_lasting = latest.is_none_or(|latest| latest <= now) && are_dated;
        is_lasting.then_some(Facts { lines, undatable, next, due })
    }

    /// The count that it stands for, where nothing has become due before `cutoff`.
    pub(super) fn tally(&self, cutoff: Option<Moment>) -> Option<Tally> {
        let Facts { lines, undatable, next, due } = *self;
        let becomes_due = matches!((cutoff, next), (Some(cutoff), Some(next)) if next < cutoff);
        let is_of_another = due.is_some_and(|due| due.cutoff != cutoff);
        let (matches, oldest) = due.map_or((0, None), |due| (due.matches, due.oldest));
        (!becomes_due && !is_of_another).then_some(Tally { lines, matches, undatable, oldest, next, latest: None })
    }

    /// As it is kept.
    fn text(&self) -> String {
        let Facts { lines, undatable, next, due } = self;
        let mut text = format!("{lines} {undatable} {}", said(*next));
        if let Some(Due { matches, oldest, cutoff }) = due {
            text = format!("{text} {matches} {} {}", said(*oldest), said(*cutoff));
        }
        text
    }

    fn read(text: &str) -> Option<Facts> {
        let mut words = text.split(' ');
        let number = |word: Option<&str>| word?.parse::<u64>().ok();
        let (lines, undatable) = (number(words.next())?, number(words.next())?);
        let next = moment(words.next()?)?;
        let due = match words.next() {
            None => None,
            matches => {
                let matches = number(matches)?;
                Some(Due { matches, oldest: moment(words.next()?)?, cutoff: moment(words.next()?)? })
            }
        };
        words.next().is_none().then_some(Facts { lines, undatable, next, due })
    }
}

fn said(moment: Option<Moment>) -> String {
    moment.map_or_else(|| "-".to_owned(), |moment| moment.to_nanos().to_string())
}

fn moment(word: &str) -> Option<Option<Moment>> {
    match word {
        "-" => Some(None),
        nanos => nanos.parse().ok().map(|nanos| Some(Moment::from_nanos(nanos))),
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
        if seal != seal_of(file, identity, facts)? {
            return None;
        }
        Facts::read(facts)
    }

    /// Keeps what is known of `file`, which is in the state `identity`.
    pub(super) fn keep(&self, file: &File, identity: &Identity, facts: &Facts) {
        let text = facts.text();
        let Some(seal) = seal_of(file, identity, &text) else { return };
        let text = format!("{text} {seal}");
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
