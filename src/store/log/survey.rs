//! Looking at every file of a log: what matches in it, and whether it may be touched now.

use std::collections::BTreeMap;
use std::ffi::OsString;

use jiff::Timestamp;

use super::Work;
use super::codec::Codec;
use super::engine::{Judgement, Tally};
use super::files::{Found, Identity, LogDirectory, LogFile, Obstacle};
use super::openers::{Openers, Standing, View};
use super::pipeline::{self, Counted, Task};
use super::rotation;
use super::time::Moment;
use crate::store::{Finding, Kept, Severity, Survey};

/// The file that was written to last is the one a server opens by its name for every line, or will open next: it is
/// left alone until it has been quiet for so long.
const QUIET_SECONDS: i64 = 600;

/// Where processes are hidden, a compressed file is left alone for so long after it was written: whoever compresses is
/// done by then.
const QUIET_UNSEEN_SECONDS: i64 = 3600;

/// Why lines stay in a file that is open for writing.
const STILL_WRITTEN: &str = "the file they are in is still being written";

/// Why lines stay in a file that a program reads: it may be compressing it, and remove it by its name.
const BEING_READ: &str = "a program has the file they are in open";

/// Why lines stay where nobody can say whether it is.
const UNTOLD: &str = "it cannot be told whether the file they are in is still being written";

/// What was found in one file.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    pub(super) counted: Counted,
    pub(super) standing: Standing,
}

impl Seen {
    pub(super) fn matches(&self) -> u64 {
        self.counted.tally.matches
    }
}

/// What was found in all of them.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) seen: Vec<Seen>,
    obstacles: BTreeMap<Obstacle, u64>,
    view: View,
}

/// Files of a log in the order in which they were written to, and whether each may be touched.
pub(super) struct Listing {
    /// Oldest first.
    pub(super) names: Vec<(OsString, Identity)>,
    obstacles: BTreeMap<Obstacle, u64>,
}

impl Listing {
    pub(super) fn of(directory: &LogDirectory) -> Result<Listing, crate::store::StoreError> {
        let mut listing = Listing { names: Vec::new(), obstacles: BTreeMap::new() };
        for name in directory.names()? {
            match directory.file_at(name)? {
                Found::File(file) => listing.names.push((file.name, file.identity)),
                Found::Obstacle(obstacle) => *listing.obstacles.entry(obstacle).or_default() += 1,
                Found::Nothing => {}
            }
        }
        listing.names.sort_by(|one, other| (one.1.modified, &one.0).cmp(&(other.1.modified, &other.0)));
        Ok(listing)
    }
}

/// Whether a file may be touched at `now`: nobody has it open for writing, and nobody is about to.
pub(super) fn standing(openers: &Openers, file: &LogFile, newest: Option<Identity>, now: Timestamp) -> Standing {
    let LogFile { name, identity, codec, .. } = file;
    let quiet_for = now.as_second().saturating_sub(identity.modified.0);
    let is_newest = newest.is_some_and(|newest| newest.is_file(identity));
    let no_server_writes = *codec != Codec::Plain && rotation::is_compressed_copy(name);
    match openers.standing(identity) {
        Standing::Idle if is_newest && quiet_for < QUIET_SECONDS => Standing::Written,
        Standing::Unknown if no_server_writes && !is_newest && quiet_for >= QUIET_UNSEEN_SECONDS => Standing::Idle,
        standing => standing,
    }
}

/// Counts in every file, as far as it is not known already: remembered, or `counted` just before with the same
/// judgement. Files just `written` are read whatever is known of them, and what is found there for other rules is
/// remembered.
pub(super) fn scan(
    work: &Work,
    (written, counted): (&[Identity], Option<&Scan>),
) -> Result<Scan, crate::store::StoreError> {
    let Work { directory, now, .. } = work;
    let Listing { names, mut obstacles } = Listing::of(directory)?;
    let newest = names.last().map(|(_, identity)| *identity);
    let openers = Openers::look(&directory.file, names.iter().map(|(_, identity)| *identity));
    let mut scan = Scan { view: openers.view(), ..Scan::default() };
    for (name, _) in names {
        // What became of it since the listing is the next scan's business.
        let Found::File(file) = directory.file_at(name)? else { continue };
        let standing = standing(&openers, &file, newest, *now);
        let trust =
            if written.iter().any(|written| written.is_file(&file.identity)) { Trust::None } else { Trust::Memory };
        let as_counted = counted.and_then(|counted| counted.of(&file.identity, standing));
        match as_counted.map_or_else(|| count(work, &file, standing, trust), Ok) {
            Ok(counted) => {
                if trust == Trust::None {
                    work.remember_beside(&file, &counted);
                }
                scan.seen.push(Seen { identity: file.identity, counted, standing });
            }
            Err(error) => match Obstacle::of_reading(&error) {
                Some(obstacle) => *obstacles.entry(obstacle).or_default() += 1,
                None => return Err(directory.failed("a file cannot be read", error)),
            },
        }
    }
    scan.obstacles = obstacles;
    Ok(scan)
}

/// Whether what is remembered of a file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Memory,
    None,
}

/// Counts in one file: also for the other rules, where any of them would have to read it.
fn count(work: &Work, file: &LogFile, standing: Standing, trust: Trust) -> std::io::Result<Counted> {
    let Work { asked, beside, .. } = work;
    if let Some(tally) = asked.known(file).filter(|_| trust == Trust::Memory) {
        return Ok(Counted { tally, beside: Vec::new() });
    }
    if standing != Standing::Idle && nothing_is_due_yet(file, &asked.judgement) {
        return Ok(Counted::default());
    }
    let written = file.identity.written();
    let is_wanted = standing == Standing::Idle && beside.iter().any(|other| other.known(file).is_none());
    let others = beside.iter().filter(|_| is_wanted);
    let others: Vec<Judgement> = others.map(|other| other.judgement.of_file(written)).collect();
    let judgement = &asked.judgement.of_file(written);
    let task = Task { judgement, beside: &others, codec: file.codec, writer: None };
    pipeline::run(file.codec.reader(&file.file)?, task)
}

/// Whether the first line of a file that a server still appends to is too young: the others are younger. Nothing is
/// erased by this, it only spares reading a file that waits for its rotation.
fn nothing_is_due_yet(file: &LogFile, judgement: &Judgement) -> bool {
    let mut head = [0; 4096];
    let Ok(length) = std::os::unix::fs::FileExt::read_at(&file.file, &mut head, 0) else { return false };
    let line = head[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
    file.codec == Codec::Plain && judgement.is_not_due(line)
}

impl Scan {
    /// What was found in a file, if it is as it was.
    fn of(&self, identity: &Identity, standing: Standing) -> Option<Counted> {
        let seen = self.seen.iter().find(|seen| seen.identity == *identity && seen.standing == standing)?;
        Some(seen.counted.clone())
    }

    /// What was found in all files of one standing.
    fn all(&self, standing: Standing) -> Tally {
        let mut tally = Tally::default();
        let those = self.seen.iter().filter(|seen| seen.standing == standing);
        those.for_each(|seen| tally.add(&seen.counted.tally));
        tally
    }

    /// What the guards and the plan are told.
    pub(super) fn survey(&self) -> Survey {
        let tally = self.all(Standing::Idle);
        Survey {
            total: tally.lines,
            matches: tally.matches,
            undatable: tally.undatable,
            oldest: tally.oldest.and_then(Moment::timestamp),
            kept: self.kept(),
            ..Survey::default()
        }
    }

    /// Lines that would match but for what happens to their file.
    pub(super) fn kept(&self) -> Vec<Kept> {
        [(Standing::Read, BEING_READ), (Standing::Unknown, UNTOLD), (Standing::Written, STILL_WRITTEN)]
            .into_iter()
            .filter_map(|(standing, because)| {
                let tally = self.all(standing);
                let oldest = tally.oldest.and_then(Moment::timestamp);
                (tally.matches > 0).then_some(Kept { records: tally.matches, because, oldest })
            })
            .collect()
    }

    /// What the operator must know.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let warning = |message, hint: Option<&str>| Finding {
            severity: Severity::Warning,
            message,
            hint: hint.map(str::to_owned),
        };
        let mut findings: Vec<Finding> =
            self.obstacles.iter().map(|(obstacle, count)| warning(obstacle.message(*count), obstacle.hint())).collect();
        if self.view == View::Blind && !self.seen.is_empty() {
            let message = "forgetd may not look into every process, and so cannot tell whether one still writes to a \
                           log: only files are touched that were compressed after their rotation, an hour ago or more";
            findings.push(warning(
                message.to_owned(),
                Some("run it as root, and where every process that writes to the directory can be seen"),
            ));
        }
        let Survey { total, undatable, .. } = self.survey();
        if undatable > total / 2 {
            let message = format!("{undatable} of {total} lines are not in the format, and are kept");
            findings.push(warning(message, Some("correct `format`, unless the log is of many lines per entry")));
        }
        findings
    }
}
