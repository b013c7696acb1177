//! How far replicas lag behind.
//!
//! The primary cannot tell: it knows what it has sent, not what a replica has applied. So the replicas themselves are
//! asked, where the URL names them (`replica=HOST:PORT`, once for each). Where it does not, and the server has any,
//! the lag is not known, and what is not known pauses. A server that feeds only backups or change capture through its
//! binary log is declared with `replica=none`.

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Row};

use super::connection::{Asked, Database};
use super::error;
use super::flavour::Flavour;
use super::options::{Place, Replicas};
use crate::store::StoreError;

/// How long an answer is good for: lag is measured in whole seconds anyway.
const FRESH: Duration = Duration::from_millis(500);

/// What a replica's status calls its lag: MySQL since 8.0.22, MariaDB.
const LAG_COLUMNS: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];

/// The replicas of one walk.
pub(super) struct ReplicaWatch {
    max_lag: Duration,
    asked: Option<Instant>,
    connections: Vec<(Place, Conn)>,
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

    fn slowest(&mut self, database: &Database, places: &[Place]) -> Lag {
        let mut slowest = 0;
        for place in places {
            match self.ask(database, place) {
                Ok(lag) => slowest = slowest.max(lag),
                Err(silence) => {
                    tracing::warn!(store = %database.place, replica = %place, %silence, "the lag is not known");
                    // Another time on another connection.
                    self.connections.retain(|(known, _)| known != place);
                    return Lag::Unknown;
                }
            }
        }
        Lag::Known(slowest)
    }

    fn ask(&mut self, database: &Database, place: &Place) -> Result<u64, Silence> {
        let at = match self.connections.iter().position(|(known, _)| known == place) {
            Some(at) => at,
            None => {
                let connection = Conn::new(database.address.of_replica(place)).map_err(|error| Silence::of(&error))?;
                self.connections.push((place.clone(), connection));
                self.connections.len() - 1
            }
        };
        let Some((_, connection)) = self.connections.get_mut(at) else { return Err(Silence::NoReplica) };
        lag_of(connection, database.server.flavour)
    }
}

/// Why a replica does not say how far it is behind.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// It cannot be reached, or it refuses the login.
    #[error("it does not answer: {0}")]
    Unreachable(String),
    /// It does not tell this user.
    #[error("the user may not ask it")]
    Forbidden,
    /// It replicates nothing.
    #[error("it is no replica")]
    NoReplica,
    /// Its replication does not run.
    #[error("its replication is stopped or broken")]
    Stopped,
}

impl Silence {
    fn of(error: &mysql::Error) -> Silence {
        match error::code(error) {
            Some(error::NO_PRIVILEGE) => Silence::Forbidden,
            _ => Silence::Unreachable(error::describe(error)),
        }
    }
}

/// The lag behind the primary that is furthest ahead, in seconds.
fn lag_of(connection: &mut Conn, flavour: Flavour) -> Result<u64, Silence> {
    let statuses: Vec<Row> = connection.query(flavour.replica_status()).map_err(|error| Silence::of(&error))?;
    let mut slowest = None;
    for status in &statuses {
        let lag = LAG_COLUMNS.iter().find_map(|name| status.get_opt::<Option<u64>, _>(*name)?.ok());
        let Some(Some(lag)) = lag else { return Err(Silence::Stopped) };
        slowest = slowest.max(Some(lag));
    }
    slowest.ok_or(Silence::NoReplica)
}

/// Replicas that are named and do not say how far they are behind.
pub(super) fn silent(database: &Database, places: &[Place]) -> Vec<(Place, Silence)> {
    let mut watch = ReplicaWatch::new(Duration::ZERO);
    places.iter().filter_map(|place| Some((place.clone(), watch.ask(database, place).err()?))).collect()
}

/// Whether the server itself replicates another, or did and may do so again. Where the user may not know all of it,
/// whether it does so now; `None` where not even that is known.
pub(super) fn is_replica(database: &mut Database) -> Result<Option<bool>, StoreError> {
    let flavour = database.server.flavour;
    match (database.asked(flavour.replica_status())?, flavour) {
        (Asked::Rows(statuses), _) => Ok(Some(!statuses.is_empty())),
        (Asked::Forbidden, Flavour::MariaDb) => {
            let running = database.rows::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Slave_running'")?;
            Ok(Some(running.iter().any(|(_, value)| value.eq_ignore_ascii_case("ON"))))
        }
        (Asked::Forbidden, Flavour::MySql) if database.may_see_processes()? => {
            // The threads that fetch and apply what another server has done.
            let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'system user'";
            Ok(Some(database.row::<u64>(sql)? > 0))
        }
        (Asked::Forbidden, Flavour::MySql) => Ok(None),
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
