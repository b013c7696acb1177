//! What becomes of one file: the whole predicate, asked for counting and again right before the removal.

use std::ffi::{CStr, OsStr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use globset::{Glob, GlobMatcher};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{AtFlags, FileType, Statx, StatxTimestamp};
use rustix::io::Errno;

use super::in_use::InUse;
use super::name_date::NameDate;
use super::root::{self, Root};
use crate::config::site::FileAge;
use crate::config::time_format::plausible;
use crate::plan::DirectoryRule;
use crate::store::{Selection, StoreError};

/// What is to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is none of the rule's: gone, no regular file, or of another name.
    Foreign,
    /// It is not expired. Its inode.
    Young(u64),
    /// Its age cannot be told.
    Undatable,
    /// It is expired, but stays for now.
    Kept(Why, Option<Timestamp>),
    /// It may go.
    Expired(Expired),
}

/// An expired file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) inode: u64,
    /// The time by which it was judged, where age matters.
    pub(super) time: Option<Timestamp>,
    /// Whether it came, or changed, after the moment of the run.
    pub(super) arrived: bool,
}

/// Why an expired file stays for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Linked,
    Unsettled,
    Locked,
    Open,
}

impl Why {
    pub(super) const ALL: [Why; 4] = [Why::Linked, Why::Unsettled, Why::Locked, Why::Open];

    /// As a clause of a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Why::Linked => "they have further names (hard links), and would not be gone",
            Why::Unsettled => "they were changed or put there a shorter while ago than `settle` says",
            Why::Locked => "somebody holds a lock on them, or on a directory that they are in",
            Why::Open => "somebody has them open",
        }
    }
}

/// The predicate of one selection.
pub(super) struct Judge {
    pattern: Pattern,
    /// The date in the name, where it is that which counts.
    dated: Option<NameDate>,
    now: Timestamp,
    cutoff: Option<Timestamp>,
    /// An inode that changed after it is not settled; `None` where that does not matter.
    settled: Option<Timestamp>,
}

impl Judge {
    pub(super) fn new(rule: &DirectoryRule, selection: &Selection<'_>, root: &Root) -> Result<Judge, StoreError> {
        let directory = &rule.directory;
        let pattern = Pattern::new(directory.pattern.as_str());
        let pattern = pattern.map_err(|error| root.failed(error.kind().to_string()))?;
        let dated = match &directory.age {
            FileAge::Modified => None,
            FileAge::Named(format) => {
                let dated = NameDate::new(format, &rule.zone.zone);
                Some(dated.ok_or_else(|| root.failed(format!("`{format}` does not name a day")))?)
            }
        };
        let settled = match directory.settle.is_zero() {
            true => None,
            false => {
                let settle = SignedDuration::try_from(directory.settle);
                let before = settle.ok().and_then(|settle| selection.now.checked_sub(settle).ok());
                Some(before.ok_or_else(|| root.failed("the time to settle reaches beyond the calendar"))?)
            }
        };
        Ok(Judge { pattern, dated, now: selection.now, cutoff: selection.cutoff, settled })
    }

    /// The moment and the cutoff.
    pub(super) fn moment(&self) -> (Timestamp, Option<Timestamp>) {
        (self.now, self.cutoff)
    }

    /// Whether the name is one of the rule's.
    pub(super) fn is_named(&self, name: &CStr) -> bool {
        self.pattern.is_match(name.to_bytes())
    }

    /// Looks at a file. `locked` says whether its directory is, or one above it.
    pub(super) fn look(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        locked: bool,
        in_use: &InUse,
    ) -> Result<Verdict, Errno> {
        if !self.is_named(name) {
            return Ok(Verdict::Foreign);
        }
        let stat = match root::stat(directory, name, AtFlags::empty()) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Verdict::Foreign),
            Err(error) => return Err(error),
        };
        if root::file_type(&stat) != FileType::RegularFile {
            return Ok(Verdict::Foreign);
        }
        let time = match self.age(name, &stat) {
            Age::Young => return Ok(Verdict::Young(stat.stx_ino)),
            Age::Unknown => return Ok(Verdict::Undatable),
            Age::Past(time) => Some(time),
            Age::Regardless => None,
        };
        let inode = stat.stx_ino;
        let why = if stat.stx_nlink != 1 {
            Why::Linked
        } else if self.settled.is_some_and(|settled| !is_before(&stat.stx_ctime, settled)) {
            Why::Unsettled
        } else if locked || in_use.is_locked(inode) {
            Why::Locked
        } else if in_use.is_open(inode) {
            Why::Open
        } else {
            let arrived = !is_before(&stat.stx_ctime, self.now);
            return Ok(Verdict::Expired(Expired { inode, time, arrived }));
        };
        Ok(Verdict::Kept(why, time))
    }

    fn age(&self, name: &CStr, stat: &Statx) -> Age {
        let Some(cutoff) = self.cutoff else { return Age::Regardless };
        let (first, last) = match &self.dated {
            Some(dated) => match dated.of(name.to_bytes()) {
                Some(told) => (told.begin, told.end),
                None => return Age::Unknown,
            },
            None => match instant(&stat.stx_mtime) {
                Some(modified) => (modified, modified),
                None => return Age::Unknown,
            },
        };
        match (plausible(first, self.now), last < cutoff) {
            (false, _) => Age::Unknown,
            (true, true) => Age::Past(last),
            (true, false) => Age::Young,
        }
    }
}

/// A pattern for names. They are bytes, whatever they mean to people: `?` is any one of them.
enum Pattern {
    /// One `*` and nothing else: nearly every pattern is so, and is asked millions of times.
    Around {
        prefix: Vec<u8>,
        suffix: Vec<u8>,
    },
    Glob(GlobMatcher),
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, globset::Error> {
        match text.split_once('*') {
            Some((prefix, suffix)) if !text.contains(['?', '[', ']', '{', '}', '\\']) && !suffix.contains('*') => {
                Ok(Pattern::Around { prefix: prefix.into(), suffix: suffix.into() })
            }
            _ => Ok(Pattern::Glob(Glob::new(text)?.compile_matcher())),
        }
    }

    fn is_match(&self, name: &[u8]) -> bool {
        match self {
            Pattern::Around { prefix, suffix } => {
                name.strip_prefix(prefix.as_slice()).is_some_and(|rest| rest.ends_with(suffix))
            }
            Pattern::Glob(glob) => glob.is_match(OsStr::from_bytes(name)),
        }
    }
}

enum Age {
    /// It does not matter.
    Regardless,
    Unknown,
    Young,
    Past(Timestamp),
}

fn instant(time: &StatxTimestamp) -> Option<Timestamp> {
    Timestamp::new(time.tv_sec, i32::try_from(time.tv_nsec).ok()?).ok()
}

/// Strictly. An instant beyond the calendar is not.
pub(super) fn is_before(time: &StatxTimestamp, instant_: Timestamp) -> bool {
    instant(time).is_some_and(|time| time < instant_)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_one_star_means_what_the_glob_means() {
        let names: [&[u8]; 12] = [
            b"sess_",
            b"sess_1",
            b"Sess_1",
            b"xsess_1",
            b"sess",
            b"",
            b".gz",
            b"a.gz",
            b"a.gz.b",
            b"sess_\xFF\n.gz",
            b"aba",
            b"ab",
        ];
        for text in ["sess_*", "*.gz", "*", "sess_*.gz", "ab*ba", "a*a"] {
            assert!(matches!(Pattern::new(text).unwrap(), Pattern::Around { .. }), "{text}");
            let (pattern, glob) = (Pattern::new(text).unwrap(), Glob::new(text).unwrap().compile_matcher());
            for name in names {
                assert_eq!(pattern.is_match(name), glob.is_match(OsStr::from_bytes(name)), "{text} {name:?}");
            }
        }
        for text in ["sess_?", "[ab]*", "{a,b}*", "a*b*", "\\**", "sess"] {
            assert!(matches!(Pattern::new(text).unwrap(), Pattern::Glob(_)), "{text}");
        }
    }
}
