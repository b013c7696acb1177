//! How far the log was reviewed, and how many entries came since.

use std::path::Path;

use jiff::Timestamp;

use super::Paths;
use super::entry::{Entry, Event};
use super::error::AuditError;
use super::line;
use super::read;
use super::verdict::Review;

/// What reviews say of the entries read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reviews {
    /// The one that reached furthest.
    furthest: Option<Review>,
    /// Where those stand that nobody has reviewed since: they are not to be reviewed themselves.
    places: Vec<u64>,
}

impl Reviews {
    /// Whether the entry at `index` is itself a review.
    fn is_review(&self, index: u64) -> bool {
        self.places.contains(&index)
    }

    /// Takes in the entry at `index`, if it is a review.
    pub(super) fn take(&mut self, kind: &str, line: &[u8], index: u64, at: Timestamp) {
        if kind != Event::LOG_REVIEWED {
            return;
        }
        self.places.push(index);
        // Nobody can have read what was not there.
        if let Ok(Entry { event: Event::LogReviewed { through, .. }, .. }) = Entry::from_line(line)
            && through < index
            && self.furthest.is_none_or(|review| review.through <= through)
        {
            self.furthest = Some(Review { through, at });
            self.places.retain(|place| *place > through);
        }
    }

    /// The review that reached furthest.
    pub(super) fn furthest(&self) -> Option<Review> {
        self.furthest
    }

    /// Of `size` entries, those that come after it and are no reviews themselves.
    pub(super) fn unreviewed(&self, size: u64) -> u64 {
        let from = self.furthest.map_or(0, |review| review.through + 1);
        let reviews = self.places.iter().filter(|index| **index >= from).count();
        size.saturating_sub(from).saturating_sub(u64::try_from(reviews).unwrap_or(u64::MAX))
    }
}

/// The size of a log and what is unreviewed of it, for who asks often: only what is new since the last time is read.
/// It judges nothing; that is [`verify`](super::verify()).
#[derive(Debug, Default)]
pub struct Follower {
    entries: u64,
    last: Option<Timestamp>,
    reviews: Reviews,
    /// The first entry that nobody has reviewed.
    unreviewed: Option<(u64, Timestamp)>,
}

impl Follower {
    /// Reads what is new in the log in `dir`.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no entry.
    pub fn follow(&mut self, dir: &Path) -> Result<(), AuditError> {
        for found in read::lines(dir, self.entries)? {
            let (index, line) = found?;
            let (at, kind) = inspect(dir, &line, index)?;
            self.reviews.take(kind, &line, index, at);
            if self.unreviewed.is_none() && !self.reviews.is_review(index) {
                self.unreviewed = Some((index, at));
            }
            (self.entries, self.last) = (index + 1, Some(at));
        }
        let reviewed = self.reviews.furthest().map_or(0, |review| review.through + 1);
        if self.unreviewed.is_some_and(|(first, _)| first < reviewed) {
            self.unreviewed = self.first_after(dir, reviewed)?;
        }
        Ok(())
    }

    fn first_after(&self, dir: &Path, reviewed: u64) -> Result<Option<(u64, Timestamp)>, AuditError> {
        for found in read::lines(dir, reviewed)? {
            let (index, line) = found?;
            if index >= self.entries {
                break;
            }
            if !self.reviews.is_review(index) {
                return inspect(dir, &line, index).map(|(at, _)| Some((index, at)));
            }
        }
        Ok(None)
    }

    /// Entries in all.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Entries since the review that reached furthest that are no reviews themselves.
    #[must_use]
    pub fn unreviewed(&self) -> u64 {
        self.reviews.unreviewed(self.entries)
    }

    /// The time of the first of them.
    #[must_use]
    pub fn unreviewed_since(&self) -> Option<Timestamp> {
        self.unreviewed.map(|(_, at)| at)
    }

    /// The time of the last entry.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }
}

fn inspect<'a>(dir: &Path, line: &'a [u8], index: u64) -> Result<(Timestamp, &'a str), AuditError> {
    line::inspect(line, index).map_err(|fault| AuditError::BadLine { path: Paths::new(dir).log, index, fault })
}
