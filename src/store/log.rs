//! TODO

use std::time::Duration;

use jiff::Timestamp;

use super::{Inspection, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use crate::config::site::Log;

/// TODO
#[derive(Debug)]
pub struct LogFiles {
    place: String,
}

impl LogFiles {
    /// TODO
    pub fn new(of: &Log) -> LogFiles {
        LogFiles { place: of.location() }
    }

    fn not_yet(&self) -> StoreError {
        StoreError::Unavailable { place: self.place.clone(), reason: "not supported by this version".to_owned() }
    }
}

impl Store for LogFiles {
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
