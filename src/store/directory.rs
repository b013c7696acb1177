//! Files below a directory: sessions, uploads, exports and transcripts.
//!
//! A file system has no transactions, and others write to it meanwhile. So nothing is believed for longer than a
//! moment: the directory is opened once and never left (`root`), the tree is walked with a loop whose memory is
//! bounded by the tree's depth (`walker`), every file is judged by one function (`judge`), and judged again in the
//! instant before it is removed (`batch`). What is removed is counted one by one, and after a crash looked for name by
//! name (`in_flight`). Names are bytes, belong to visitors, and are never said.

mod batch;
mod count;
mod erase;
mod found;
mod in_flight;
mod in_use;
mod inspect;
mod judge;
mod look;
mod name_date;
mod names;
mod refused;
mod root;
mod walker;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::{Inspection, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use crate::config::site::Directory;
use crate::plan::{DirectoryRule, RuleRef};
use erase::FilesWalk;
use found::Found;
use in_use::InUse;
use judge::Judge;
use root::Root;

/// A tree of files. Opened at first use and kept open: make one per run, so that a directory that was replaced
/// meanwhile is looked at anew.
pub struct FileTree {
    directory: Directory,
    root: Option<Root>,
    /// What the last count found, for the walk that follows it.
    found: Option<Found>,
}

impl FileTree {
    /// The files below `of`. Nothing is opened yet.
    pub fn new(of: &Directory) -> FileTree {
        FileTree { directory: of.clone(), root: None, found: None }
    }

    fn root(&mut self) -> Result<&Root, StoreError> {
        let root = match self.root.take() {
            Some(root) => root,
            None => Root::open(&self.directory)?,
        };
        Ok(self.root.insert(root))
    }
}

impl std::fmt::Debug for FileTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTree").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The rule, which is about files.
fn rule<'a>(selection: &Selection<'a>) -> Result<&'a DirectoryRule, StoreError> {
    match selection.rule {
        // A hold on one column says nothing of files, and whoever placed it must not be ignored.
        RuleRef::Directory(rule) if selection.holds.is_empty() => Ok(rule),
        RuleRef::Directory(DirectoryRule { rule, .. }) => {
            Err(StoreError::Failed { place: rule.to_string(), reason: "a hold names a column of files".to_owned() })
        }
        RuleRef::Table(_) | RuleRef::Log(_) => Err(StoreError::Failed {
            place: "a directory".to_owned(),
            reason: "the rule is not about files".to_owned(),
        }),
    }
}

impl Store for FileTree {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        inspect::inspect(self.root()?, rule(selection)?)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        let rule = rule(selection)?;
        let root = self.root()?;
        let judge = Judge::new(rule, selection, root)?;
        let (counts, found) = count::count(root, &judge, &InUse::read(root)?)?;
        self.found = Some(found);
        Ok(counts.survey())
    }

    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        _max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError> {
        let rule = rule(selection)?;
        let found = self.found.take();
        let root = self.root()?;
        let judge = Judge::new(rule, selection, root)?;
        Ok(Box::new(FilesWalk::begin(root, judge, found)?))
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        rule(selection)?;
        in_flight::resolve(self.root()?, selection.now, in_flight)
    }

    fn settle(&mut self, _interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        Ok(self.root()?.what_is_left())
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}
