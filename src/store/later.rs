//! Directories and logs: they can be declared and their rules derived, but nothing erases from them yet. The
//! configuration refuses them; this store is what a rule would meet that came here all the same.

use std::time::Duration;

use jiff::Timestamp;

use super::{Inspection, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};

/// A store that cannot be worked on by this version.
#[derive(Debug)]
pub(super) struct Later {
    place: String,
}

impl Later {
    /// The store at `place`.
    pub(super) fn new(place: String) -> Later {
        Later { place }
    }

    fn not_yet(&self) -> StoreError {
        StoreError::Unavailable { place: self.place.clone(), reason: "not supported by this version".to_owned() }
    }
}

impl Store for Later {
    fn inspect(&mut self, _: &Selection<'_>) -> Result<Inspection, StoreError> {
        Err(self.not_yet())
    }

    fn survey(&mut self, _: &Selection<'_>) -> Result<Survey, StoreError> {
        Err(self.not_yet())
    }

    fn walk<'s>(&'s mut self, _: &'s Selection<'s>, _: Duration) -> Result<Box<dyn Walk + 's>, StoreError> {
        Err(self.not_yet())
    }

    fn resolve(&mut self, _: &Selection<'_>, _: &[u8]) -> Result<Resolution, StoreError> {
        Err(self.not_yet())
    }

    fn settle(&mut self) -> Result<Physical, StoreError> {
        Err(self.not_yet())
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}
