//! (in work)

use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use crate::config::site::Server;

/// (in work)
#[derive(Debug)]
pub struct Mysql {
    server: Server,
}

impl Mysql {
    /// (in work)
    pub fn new(server: &Server) -> Mysql {
        Mysql { server: server.clone() }
    }

    fn not_yet(&self) -> StoreError {
        StoreError::Unavailable { place: self.server.url.clone(), reason: "not supported by this version".to_owned() }
    }
}

impl Store for Mysql {
    fn inspect(&mut self, _selection: &Selection<'_>) -> Result<Vec<Finding>, StoreError> {
        Err(self.not_yet())
    }

    fn survey(&mut self, _selection: &Selection<'_>) -> Result<Survey, StoreError> {
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
        Err(self.not_yet())
    }
}
