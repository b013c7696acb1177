//! What the server says of itself. Variables are read by name and as text: not every server knows each of them, and
//! newer ones have further words.

use super::flavour::Flavour;

/// What kind of cluster the server is a node of, among those that cannot be purged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Galera (MariaDB, Percona XtraDB Cluster).
    Galera,
    /// MySQL's Group Replication.
    GroupReplication,
    /// No MySQL inside.
    TiDb,
}

/// What the server says of itself.
#[derive(Debug, Clone)]
pub(super) struct ServerFacts {
    /// Which server.
    pub(super) flavour: Flavour,
    /// Major, minor and patch.
    pub(super) version: (u32, u32, u32),
    /// Whether it writes a binary log.
    pub(super) log_bin: bool,
    /// The format of that log.
    pub(super) binlog_format: String,
    /// Whether ordinary users may write.
    pub(super) read_only: bool,
    /// `innodb_flush_log_at_trx_commit`, where a COMMIT is not on the disk at once: anything but 1.
    pub(super) late_flush: Option<String>,
    /// Of what kind of cluster it is a node, if any.
    pub(super) cluster: Option<Cluster>,
}

/// Everything that is asked of the server's variables. Not each server knows each of them.
pub(super) const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'log_bin', 'binlog_format', \
    'read_only', 'innodb_flush_log_at_trx_commit', 'wsrep_on', 'wsrep_provider', 'group_replication_group_name')";

impl ServerFacts {
    /// From the variables' names and values.
    pub(super) fn of(variables: &[(String, String)]) -> ServerFacts {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        let version = value("version");
        let mut numbers = version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
        let mut number = || numbers.next().unwrap_or(0);
        // Percona's cluster has no global wsrep_on.
        let galera = match value("wsrep_on") {
            "" => !is_unset(value("wsrep_provider")),
            on => on.eq_ignore_ascii_case("ON"),
        };
        let cluster = match () {
            () if version.contains("TiDB") => Some(Cluster::TiDb),
            () if galera => Some(Cluster::Galera),
            () if !is_unset(value("group_replication_group_name")) => Some(Cluster::GroupReplication),
            () => None,
        };
        ServerFacts {
            flavour: Flavour::of(version),
            version: (number(), number(), number()),
            log_bin: value("log_bin").eq_ignore_ascii_case("ON"),
            binlog_format: value("binlog_format").to_owned(),
            // MariaDB 12 has further words for kinds of being read-only.
            read_only: !matches!(value("read_only").to_uppercase().as_str(), "" | "OFF" | "0"),
            late_flush: Some(value("innodb_flush_log_at_trx_commit"))
                .filter(|flush| !matches!(*flush, "" | "1"))
                .map(str::to_owned),
            cluster,
        }
    }
}

fn is_unset(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(variables: &[(&str, &str)]) -> ServerFacts {
        ServerFacts::of(&variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<Vec<_>>())
    }

    #[test]
    fn every_word_but_off_is_read_only() {
        for (word, expected) in
            [("OFF", false), ("0", false), ("ON", true), ("1", true), ("NO_LOCK", true), ("NO_LOCK_NO_ADMIN", true)]
        {
            assert_eq!(facts(&[("read_only", word)]).read_only, expected, "{word}");
        }
    }

    #[test]
    fn a_commit_is_on_the_disk_at_once_with_one_setting_alone() {
        for (value, expected) in [("1", None), ("0", Some("0")), ("2", Some("2")), ("3", Some("3"))] {
            let found = facts(&[("innodb_flush_log_at_trx_commit", value)]).late_flush;
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert_eq!(facts(&[]).late_flush, None);
    }

    #[test]
    fn a_version_is_read_whatever_follows_it() {
        assert_eq!(facts(&[("version", "12.0.1-MariaDB-log")]).version, (12, 0, 1));
        assert_eq!(facts(&[("version", "8.0.22-13.1")]).version, (8, 0, 22));
        assert_eq!(facts(&[]).version, (0, 0, 0));
    }

    #[test]
    fn nodes_of_clusters_are_recognised() {
        assert_eq!(facts(&[("wsrep_on", "ON")]).cluster, Some(Cluster::Galera));
        assert_eq!(facts(&[("wsrep_on", "OFF"), ("wsrep_provider", "none")]).cluster, None);
        assert_eq!(facts(&[("wsrep_provider", "/usr/lib/galera4/libgalera_smm.so")]).cluster, Some(Cluster::Galera));
        let group = ("group_replication_group_name", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
        assert_eq!(facts(&[group]).cluster, Some(Cluster::GroupReplication));
        assert_eq!(facts(&[("group_replication_group_name", "")]).cluster, None);
        assert_eq!(facts(&[("version", "8.0.11-TiDB-v7.5.0")]).cluster, Some(Cluster::TiDb));
    }
}
