//! What a rule does to lines: pure functions over bytes, the same for counting and for writing.
//!
//! A block of whole lines comes in; out goes what is to be written instead, and what was counted. What stays is
//! byte for byte what it was and in the same order, whatever the lines hold.

use std::ops::Range;

use jiff::Timestamp;

use super::field::{Fields, Masking};
use super::reader::{LineReader, Want};
use super::text::Instead;
use super::time::Moment;
use crate::config::site::{Log, UnparsedLine};
use crate::config::time_format::{EARLIEST_PLAUSIBLE, FUTURE_TOLERANCE};
use crate::plan::{LineAction, LogRule};

/// What a rule does, and to which lines.
#[derive(Debug, Clone)]
pub struct Judgement {
    log: Log,
    action: LineAction,
    cutoff: Option<Moment>,
    earliest: Moment,
    latest: Moment,
    /// When the file was last written to, where that is known: no line in it is younger.
    written: Option<Moment>,
}

/// What was found in lines, and what is true of those that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Lines.
    pub lines: u64,
    /// Lines that go or change.
    pub matches: u64,
    /// Lines that are not in the format or have no plausible time, where age matters.
    pub undatable: u64,
    /// The time of the oldest line that goes or changes.
    pub oldest: Option<Moment>,
    /// The time of the oldest line that stays as it is, and goes or changes once it is old enough.
    pub next: Option<Moment>,
    /// The latest time in any line, plausible or not.
    pub latest: Option<Moment>,
}

/// Whether what becomes of the lines is wanted, or only how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is written.
    Count,
    /// What stays is written.
    Write,
}

/// What is written instead of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The block itself.
    Same,
    /// What the buffer holds.
    Changed,
}

/// Where the rest of a line begins whose beginning was in another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Goes,
    /// It stays, but for its addresses.
    Masked,
    /// It stays as it is.
    Stays,
}

impl Judgement {
    /// What `rule` does at `now` to what is older than `cutoff`. `None` where these lie beyond any log.
    pub fn new(rule: &LogRule, now: Timestamp, cutoff: Option<Timestamp>) -> Option<Judgement> {
        let latest = now.checked_add(FUTURE_TOLERANCE).ok()?;
        Some(Judgement {
            log: rule.log.clone(),
            action: rule.action,
            cutoff: match cutoff {
                Some(cutoff) => Some(Moment::of(cutoff)?),
                None => None,
            },
            earliest: Moment::of(EARLIEST_PLAUSIBLE)?,
            latest: Moment::of(latest)?,
            written: None,
        })
    }

    /// The same over the lines of a file that was last written to at `modified`.
    pub(super) fn of_file(&self, modified: Option<Moment>) -> Judgement {
        Judgement { written: modified, ..self.clone() }
    }

    fn is_plausible(&self, time: Moment) -> bool {
        (self.earliest..=self.latest).contains(&time)
    }

    /// By when a line that is not in the format was written, as far as its addresses are concerned.
    fn latest_of_unparsed(&self) -> Option<Moment> {
        let scans = self.log.unparsed == UnparsedLine::Scan;
        self.written.filter(|written| scans && self.is_plausible(*written))
    }

    #[cfg(test)]
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Whether the lines that match go, and not only what is in them.
    pub(super) fn drops(&self) -> bool {
        self.action == LineAction::Drop
    }

    /// The instant before which a line is expired.
    pub(super) fn cutoff(&self) -> Option<Moment> {
        self.cutoff
    }

    /// Whether a line says by its time that it is not due, which needs a time that matters and a line in the format.
    pub(super) fn is_not_due(&self, line: &[u8]) -> bool {
        let time = self.engine().and_then(|mut engine| engine.dated(line, Want::Time, &mut Tally::default()));
        matches!((self.cutoff, time), (Some(cutoff), Some(time)) if time >= cutoff)
    }

    /// What works by this on one thread. `None` where the log's pattern is none.
    pub fn engine(&self) -> Option<Engine<'_>> {
        let masking = match self.action {
            LineAction::Drop => None,
            LineAction::Addresses(action) => Some(Masking::new(action)),
        };
        Some(Engine { judgement: self, reader: LineReader::new(&self.log)?, masking, fields: Fields::default() })
    }
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Tally) {
        self.lines += other.lines;
        self.matches += other.matches;
        self.undatable += other.undatable;
        self.oldest = earlier(self.oldest, other.oldest);
        self.next = earlier(self.next, other.next);
        self.latest = self.latest.max(other.latest);
    }
}

fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Judges lines, on one thread.
#[derive(Debug)]
pub struct Engine<'j> {
    judgement: &'j Judgement,
    reader: LineReader,
    masking: Option<Masking>,
    fields: Fields,
}

/// A block on its way out: what was changed is copied behind what was not.
struct Edits<'b> {
    block: &'b [u8],
    out: &'b mut Vec<u8>,
    copied: usize,
    edited: bool,
    mode: Mode,
}

impl Edits<'_> {
    fn leave_out(&mut self, place: Range<usize>) {
        self.edited = true;
        if self.mode == Mode::Write {
            self.out.extend_from_slice(&self.block[self.copied..place.start]);
            self.copied = place.end;
        }
    }

    fn replace(&mut self, place: Range<usize>, instead: Instead) {
        self.leave_out(place);
        if self.mode == Mode::Write {
            instead.write_to(self.out);
        }
    }

    fn finish(self) -> Output {
        if !self.edited {
            return Output::Same;
        }
        if self.mode == Mode::Write {
            self.out.extend_from_slice(&self.block[self.copied..]);
        }
        Output::Changed
    }
}

impl Engine<'_> {
    /// Judges whole lines, of which the last may lack its newline. `out` must be empty.
    pub fn lines(&mut self, block: &[u8], mode: Mode, out: &mut Vec<u8>, tally: &mut Tally) -> Output {
        let mut edits = Edits { block, out, copied: 0, edited: false, mode };
        let mut start = 0;
        while start < block.len() {
            let end = memchr::memchr(b'\n', &block[start..]).map_or(block.len(), |length| start + length);
            let next = block.len().min(end + 1);
            self.line(start..end, next, &mut edits, tally);
            start = next;
        }
        edits.finish()
    }

    /// Judges a line by its beginning, because it is too long to be held: what becomes of all of it.
    pub fn long_line(&mut self, head: &[u8], mode: Mode, out: &mut Vec<u8>, tally: &mut Tally) -> (Output, Verdict) {
        let mut edits = Edits { block: head, out, copied: 0, edited: false, mode };
        let before = tally.matches;
        self.line(0..head.len(), head.len(), &mut edits, tally);
        let verdict = match &self.masking {
            None if tally.matches > before => Verdict::Goes,
            None => Verdict::Stays,
            // Its addresses may come later, where its age does not matter or is reached.
            Some(_) => match (self.judgement.cutoff, self.dated(head, Want::Addresses, tally)) {
                (None, _) => Verdict::Masked,
                (Some(cutoff), Some(time)) if time < cutoff => Verdict::Masked,
                (Some(_), time) => {
                    tally.next = earlier(tally.next, time);
                    Verdict::Stays
                }
            },
        };
        (edits.finish(), verdict)
    }

    /// Judges what follows of a long line.
    pub fn long_rest(&mut self, piece: &[u8], verdict: Verdict, mode: Mode, out: &mut Vec<u8>) -> Output {
        let mut edits = Edits { block: piece, out, copied: 0, edited: false, mode };
        match (verdict, &self.masking) {
            (Verdict::Goes, _) => edits.leave_out(0..piece.len()),
            (Verdict::Masked, Some(masking)) => {
                self.reader.scan(piece, &mut self.fields);
                apply(masking, piece, 0, &mut self.fields, &mut edits);
            }
            (Verdict::Masked | Verdict::Stays, _) => {}
        }
        edits.finish()
    }

    /// One line, without its newline; `next` is where the one behind it begins.
    #[inline]
    fn line(&mut self, place: Range<usize>, next: usize, edits: &mut Edits<'_>, tally: &mut Tally) {
        tally.lines += 1;
        match self.masking {
            None => self.judge_whole(place, next, edits, tally),
            Some(masking) => self.judge_addresses(&masking, place, edits, tally),
        }
    }

    fn judge_whole(&mut self, place: Range<usize>, next: usize, edits: &mut Edits<'_>, tally: &mut Tally) {
        let whole = place.start..next;
        let Some(cutoff) = self.judgement.cutoff else {
            tally.matches += 1;
            return edits.leave_out(whole);
        };
        match self.dated(&edits.block[place], Want::Time, tally) {
            None => tally.undatable += 1,
            Some(time) if time < cutoff => {
                tally.matches += 1;
                tally.oldest = earlier(tally.oldest, Some(time));
                edits.leave_out(whole);
            }
            Some(time) => tally.next = earlier(tally.next, Some(time)),
        }
    }

    fn judge_addresses(&mut self, masking: &Masking, place: Range<usize>, edits: &mut Edits<'_>, tally: &mut Tally) {
        let block = edits.block;
        let line = &block[place.clone()];
        let time = self.dated(line, Want::Addresses, tally);
        match (self.judgement.cutoff, time) {
            (Some(_), None) => tally.undatable += 1,
            (Some(cutoff), Some(time)) if time >= cutoff => {
                // An earlier one that waits for its time makes this one say nothing new.
                if tally.next.is_none_or(|next| time < next) && apply_to_nothing(masking, line, &mut self.fields) {
                    tally.next = Some(time);
                }
            }
            (_, time) => {
                if apply(masking, line, place.start, &mut self.fields, edits) {
                    tally.matches += 1;
                    tally.oldest = earlier(tally.oldest, time.filter(|_| self.judgement.cutoff.is_some()));
                }
            }
        }
    }

    /// The time of a line, where it is plausible. Where only its addresses are concerned, a line that is not in the
    /// format is as old as its file: else nothing would ever be masked in it.
    fn dated(&mut self, line: &[u8], want: Want, tally: &mut Tally) -> Option<Moment> {
        let Some(time) = self.reader.read(line, want, &mut self.fields) else {
            return self.judgement.latest_of_unparsed().filter(|_| want == Want::Addresses);
        };
        tally.latest = tally.latest.max(Some(time));
        self.judgement.is_plausible(time).then_some(time)
    }
}

/// Masks the fields of a line that begins at `start` of its block. Whether anything changed.
fn apply(masking: &Masking, line: &[u8], start: usize, fields: &mut Fields, edits: &mut Edits<'_>) -> bool {
    let mut changed = false;
    for field in fields.in_order() {
        masking.apply(line, field, |place, instead| {
            changed = true;
            edits.replace(start + place.start..start + place.end, instead);
        });
    }
    changed
}

/// Whether masking would change anything.
fn apply_to_nothing(masking: &Masking, line: &[u8], fields: &mut Fields) -> bool {
    let mut changed = false;
    for field in fields.in_order() {
        masking.apply(line, field, |_, _| changed = true);
    }
    changed
}
