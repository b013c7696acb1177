//! Which server it is, and the SQL in which MySQL and MariaDB differ.

use std::time::Duration;

/// Which server it is, where it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// MariaDB.
    MariaDb,
    /// MySQL, and what calls itself so.
    MySql,
}

impl Flavour {
    /// From the server's version as text.
    pub(super) fn of(version: &str) -> Flavour {
        if version.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Flavour::MariaDb => "MariaDB",
            Flavour::MySql => "MySQL",
        }
    }

    /// The oldest version that has what this store relies on: `SHOW REPLICA STATUS` came to MySQL with 8.0.22.
    pub(super) fn oldest(self) -> (u32, u32, u32) {
        match self {
            Flavour::MariaDb => (10, 6, 0),
            Flavour::MySql => (8, 0, 22),
        }
    }

    /// Settings of the session that only one of them knows.
    pub(super) fn session(self, idle_transaction: Duration) -> Option<String> {
        match self {
            // Beyond so many values MariaDB turns `IN` into a join, and reads the whole table for it.
            Flavour::MariaDb => Some(format!(
                "SET SESSION in_predicate_conversion_threshold = 0, idle_transaction_timeout = {}",
                idle_transaction.as_secs()
            )),
            Flavour::MySql => None,
        }
    }

    /// Limits the time of statements.
    pub(super) fn statement_limit(self, limit: Duration) -> String {
        match self {
            Flavour::MariaDb => format!("SET SESSION max_statement_time = {}", limit.as_secs()),
            // Of MySQL's statements only a SELECT can be limited; a DELETE is by the locks it waits for.
            Flavour::MySql => format!("SET SESSION max_execution_time = {}", limit.as_millis()),
        }
    }

    /// Asks for the active roles, where the list of grants does not show what they give unless they are named.
    pub(super) fn active_roles(self) -> Option<&'static str> {
        match self {
            Flavour::MariaDb => None,
            Flavour::MySql => Some("SELECT NULLIF(CURRENT_ROLE(), 'NONE')"),
        }
    }

    /// Asks for the user's grants. `roles` is what [`Flavour::active_roles`] gave: names as SQL.
    pub(super) fn grants(self, roles: Option<&str>) -> String {
        match (self, roles) {
            (Flavour::MySql, Some(roles)) => format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}"),
            _ => "SHOW GRANTS".to_owned(),
        }
    }

    /// Asks how far the server, as a replica, is behind each of its primaries.
    pub(super) fn replica_status(self) -> &'static str {
        match self {
            Flavour::MariaDb => "SHOW ALL REPLICAS STATUS",
            Flavour::MySql => "SHOW REPLICA STATUS",
        }
    }

    /// The privilege that [`Flavour::replica_status`] needs.
    pub(super) fn replica_privilege(self) -> &'static str {
        match self {
            Flavour::MariaDb => "REPLICA MONITOR",
            Flavour::MySql => "REPLICATION CLIENT",
        }
    }

    /// With any of these privileges on a table its foreign keys show, with what they do.
    pub(super) fn shows_keys(self) -> &'static [&'static str] {
        match self {
            // SELECT is not among them: MariaDB hides from whoever may only read what a key does, and that a key of
            // another table exists at all.
            Flavour::MariaDb => &[
                "SHOW VIEW",
                "REFERENCES",
                "INSERT",
                "UPDATE",
                "DELETE",
                "CREATE",
                "DROP",
                "INDEX",
                "ALTER",
                "CREATE VIEW",
                "TRIGGER",
            ],
            // MySQL shows the column of a key to those alone who may do something with columns.
            Flavour::MySql => &["REFERENCES", "SELECT", "INSERT", "UPDATE"],
        }
    }

    /// The privilege to ask for where foreign keys cannot be seen.
    pub(super) fn key_privilege(self) -> &'static str {
        match self {
            Flavour::MariaDb => "SHOW VIEW",
            Flavour::MySql => "REFERENCES",
        }
    }

    /// Whether the server tells when each partition last changed.
    pub(super) fn tells_changes_of_partitions(self) -> bool {
        match self {
            Flavour::MariaDb => true,
            // Its manual promises UPDATE_TIME for tables that are not partitioned alone.
            Flavour::MySql => false,
        }
    }

    /// True in `information_schema.STATISTICS` for an index that no query uses.
    pub(super) fn unused_index(self) -> &'static str {
        match self {
            Flavour::MariaDb => "IGNORED = 'YES'",
            Flavour::MySql => "IS_VISIBLE = 'NO'",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_their_version() {
        assert_eq!(Flavour::of("10.11.19-MariaDB-0+deb12u1"), Flavour::MariaDb);
        assert_eq!(Flavour::of("5.5.5-10.6.12-MariaDB"), Flavour::MariaDb);
        assert_eq!(Flavour::of("8.0.36-28.1"), Flavour::MySql);
    }

    /// Read in the reference manual of MySQL 8.0: max_execution_time is in milliseconds; USING takes the roles.
    #[test]
    fn mysql_is_spoken_to_in_its_own_words() {
        assert_eq!(Flavour::MySql.statement_limit(Duration::from_secs(60)), "SET SESSION max_execution_time = 60000");
        assert_eq!(Flavour::MySql.session(Duration::from_secs(60)), None);
        assert_eq!(Flavour::MySql.grants(Some("`r`@`%`")), "SHOW GRANTS FOR CURRENT_USER() USING `r`@`%`");
        assert_eq!(Flavour::MySql.grants(None), "SHOW GRANTS");
    }

    /// Read in MariaDB's knowledge base: max_statement_time is in seconds.
    #[test]
    fn mariadb_is_spoken_to_in_its_own_words() {
        assert_eq!(Flavour::MariaDb.statement_limit(Duration::from_secs(60)), "SET SESSION max_statement_time = 60");
        assert_eq!(Flavour::MariaDb.grants(None), "SHOW GRANTS");
        assert_eq!(Flavour::MariaDb.active_roles(), None);
    }
}
