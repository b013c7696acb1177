//! How far replicas lag behind.
//!
//! The primary cannot tell: it knows what it has sent, not what a replica has applied. So the replicas themselves are
//! asked, where the URL names them (`replica=HOST:PORT`, once for each). Where it does not, and the server has any,
//! the lag is not known, and what is not known pauses. A server that feeds only backups or change capture through its
//! binary log is declared with `replica=none`.

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Row};

use super::connection::Database;
use super::options::Replicas;
use crate::store::StoreError;

/// How long an answer is good for: lag is measured in whole seconds anyway.
const FRESH: Duration = Duration::from_millis(500);

/// What a replica's status calls its lag: MySQL since 8.0.22, MariaDB.
const LAG_COLUMNS: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];

/// The replicas of one walk.
pub(super) struct ReplicaWatch {
    max_lag: Duration,
    asked: Option<Instant>,
    connections: Vec<(String, Conn)>,
}

/// What is known of the lag.
enum Lag {
    /// There is no replica.
    NoReplica,
    /// The slowest is this far behind.
    Known(u64),
    Unknown,
}

impl ReplicaWatch {
    /// Nothing is asked yet.
    pub(super) fn new(max_lag: Duration) -> ReplicaWatch {
        ReplicaWatch { max_lag, asked: None, connections: Vec::new() }
    }

    /// Fails with [`StoreError::Lagging`] where a replica is further behind than allowed, or may be.
    pub(super) fn wait_for(&mut self, database: &mut Database) -> Result<(), StoreError> {
        if self.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return Ok(());
        }
        let lag_s = match self.lag(database)? {
            Lag::NoReplica => None,
            Lag::Known(lag) if Duration::from_secs(lag) <= self.max_lag => None,
            Lag::Known(lag) => Some(Some(lag)),
            Lag::Unknown => Some(None),
        };
        match lag_s {
            None => {
                self.asked = Some(Instant::now());
                Ok(())
            }
            Some(lag_s) => Err(StoreError::Lagging { place: database.place.clone(), lag_s }),
        }
    }

    fn lag(&mut self, database: &mut Database) -> Result<Lag, StoreError> {
        match database.replicas().clone() {
            Replicas::None => Ok(Lag::NoReplica),
            Replicas::At(places) => Ok(self.slowest(database, &places)),
            Replicas::Unsaid => Ok(match has_replicas(database)? {
                Some(false) => Lag::NoReplica,
                Some(true) | None => Lag::Unknown,
            }),
        }
    }

    fn slowest(&mut self, database: &Database, places: &[String]) -> Lag {
        let mut slowest = 0;
        for place in places {
            match self.ask(database, place) {
                Some(lag) => slowest = slowest.max(lag),
                None => {
                    // Another time on another connection.
                    self.connections.retain(|(known, _)| known != place);
                    return Lag::Unknown;
                }
            }
        }
        Lag::Known(slowest)
    }

    /// Seconds; `None` where the replica does not say: stopped, not reached, no replica at all.
    fn ask(&mut self, database: &Database, place: &str) -> Option<u64> {
        if !self.connections.iter().any(|(known, _)| known == place) {
            let connection = Conn::new(database.address.of_replica(place)).ok()?;
            self.connections.push((place.to_owned(), connection));
        }
        let (_, connection) = self.connections.iter_mut().find(|(known, _)| known == place)?;
        let statuses: Vec<Row> = connection.query("SHOW REPLICA STATUS").ok()?;
        let lags = statuses.iter().map(|row| LAG_COLUMNS.iter().find_map(|name| row.get::<Option<u64>, _>(*name))?);
        lags.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

/// Whether replicas are connected; `None` where the user may not know.
pub(super) fn has_replicas(database: &mut Database) -> Result<Option<bool>, StoreError> {
    if !database.server.log_bin {
        return Ok(Some(false));
    }
    if !database.may_see_processes()? {
        return Ok(None);
    }
    let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    Ok(Some(database.row::<u64>(sql)? > 0))
}
