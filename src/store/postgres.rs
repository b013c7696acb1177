//! A PostgreSQL database that belongs to an application.
//!
//! The predicate of a rule is built once, in `predicate`, and every statement that counts or erases is made from
//! it. Rows are erased where they lie, in the order of the file (`walk`); their transaction's number goes into the
//! evidence, and the server itself says later how a batch ended (`in_flight`).

mod catalog;
mod civil;
mod column;
mod connection;
mod erase;
mod error;
mod in_flight;
mod inspect;
mod lag;
mod line;
mod mask;
mod outline;
mod partition;
mod predicate;
mod privilege;
mod reach;
mod scan;
mod schema;
mod settle;
mod shape;
mod survey;
mod text_time;
mod time;
mod values;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::{Catalog, Inspection, Outline, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use crate::config::site::{After, Server};
use connection::Session;
use predicate::Predicate;

/// A PostgreSQL database. Connected to at first use and kept open: make one per run.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    after: After,
    session: Option<Session>,
    /// Tables that walks changed, quoted, and how many of their rows are dead for that.
    walked: BTreeMap<String, u64>,
}

impl Postgres {
    /// The database that `server` names, and what is done `after` a run. Nothing is connected to yet.
    pub fn new(server: &Server, after: After) -> Postgres {
        Postgres { server: server.clone(), after, session: None, walked: BTreeMap::new() }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => Session::connect(&self.server)?,
        };
        Ok(self.session.insert(session))
    }
}

impl Store for Postgres {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        let after = self.after;
        inspect::inspect(self.session()?, &selection.of_table()?, after)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        let selection = selection.of_table()?;
        let session = self.session()?;
        let facts = schema::table_facts(session, &selection.rule.target.table)?;
        let predicate = Predicate::new(session, &selection, &facts)?;
        survey::survey(session, &facts, &predicate)
    }

    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError> {
        self.session()?;
        let Postgres { session, walked, .. } = self;
        let Some(session) = session else {
            let place = self.server.url.clone();
            return Err(StoreError::Lost { place, reason: "not connected".to_owned() });
        };
        Ok(Box::new(walk::PostgresWalk::begin(session, selection.of_table()?, max_lag, walked)?))
    }

    fn reconnect(&mut self) {
        self.session = None;
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        in_flight::resolve(self.session()?, &selection.of_table()?, in_flight)
    }

    fn settle(&mut self, interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        let (after, walked) = (self.after, self.walked.clone());
        settle::settle(self.session()?, &walked, after, interrupt)
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let session = self.session()?;
        let row = session.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8", &[])?;
        let micros: i64 = session.get(&row, 0)?;
        Ok(Timestamp::from_microsecond(micros).ok())
    }

    fn catalog(&mut self) -> Result<Option<Catalog>, StoreError> {
        catalog::read(self.session()?).map(Some)
    }

    fn outline(&mut self, table: &str) -> Result<Option<Outline>, StoreError> {
        outline::read(self.session()?, table)
    }

    fn glance(&mut self, table: &str, columns: &[&str], see: &mut dyn FnMut(usize, &str)) -> Result<(), StoreError> {
        catalog::glance(self.session()?, table, columns, see)
    }
}
