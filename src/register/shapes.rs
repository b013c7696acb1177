//! What the tables of a rule were like when they were accepted.

use jiff::Timestamp;
use rusqlite::params;

use super::record::instant;
use super::{Register, RegisterError};

/// The version of the register since which it keeps shapes.
const SINCE: i64 = 2;

impl Register {
    /// What was last accepted for `rule`, as JSON; `None` where nothing ever was.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn accepted_shape(&self, rule: &str) -> Result<Option<String>, RegisterError> {
        // Whoever only reads does not migrate.
        if self.version()? < SINCE {
            return Ok(None);
        }
        self.optional("SELECT shape FROM accepted_shapes WHERE rule = ?1", [rule], |row| row.get(0))
    }

    /// Accepts `shape`, as JSON, for `rule`.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn accept_shape(&mut self, rule: &str, shape: &str, now: Timestamp) -> Result<(), RegisterError> {
        self.execute(
            "INSERT INTO accepted_shapes (rule, shape, accepted_at) VALUES (?1, ?2, ?3) ON CONFLICT (rule) DO UPDATE \
             SET shape = excluded.shape, accepted_at = excluded.accepted_at",
            params![rule, shape, instant(now)],
        )
    }
}
