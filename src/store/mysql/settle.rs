//! What is physically left of erased records, so that the effective date of erasure is known.

use std::time::Duration;

use super::connection::Database;
use super::flavour::Flavour;
use super::options::Replicas;
use crate::store::{Physical, StoreError};

const DAY: u64 = 24 * 3_600;

/// Says where copies are and what ends them.
pub(super) fn settle(database: &mut Database) -> Result<Physical, StoreError> {
    let left: Vec<String> = [binary_log(database)?, undo(database)?, pages(database)?].into_iter().flatten().collect();
    Ok(if left.is_empty() { Physical::Gone } else { Physical::Pending(left.join("; ")) })
}

/// The binary log keeps each row as it was.
fn binary_log(database: &mut Database) -> Result<Option<String>, StoreError> {
    if !database.server.log_bin {
        return Ok(None);
    }
    let until = match expiry(database)? {
        None => "this ends only with PURGE BINARY LOGS, since nothing expires by itself".to_owned(),
        // A file is looked at when the next one begins, and not while it is written to.
        Some(seconds) => format!(
            "this ends when it expires, at the earliest {} after the file that holds them was closed",
            days(Duration::from_secs(seconds))
        ),
    };
    let copies = match database.replicas() {
        Replicas::At(places) => {
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            format!("replicas ({}) and backups", places.join(", "))
        }
        Replicas::Unsaid | Replicas::None => "backups".to_owned(),
    };
    Ok(Some(format!("the binary log keeps the erased rows; {until}; {copies} have times of their own")))
}

/// After how many seconds files of the binary log expire; `None` if they do not.
fn expiry(database: &mut Database) -> Result<Option<u64>, StoreError> {
    let rows: Vec<(String, String)> = database.rows(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days', \
         'binlog_expire_logs_auto_purge')",
    )?;
    Ok(expires_after(&rows))
}

fn expires_after(variables: &[(String, String)]) -> Option<u64> {
    let value = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let number = |name: &str| value(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0).max(0.0);
    let seconds = Duration::from_secs(1).mul_f64(number("binlog_expire_logs_seconds"));
    let days = Duration::from_secs(DAY).mul_f64(number("expire_logs_days"));
    let is_off = value("binlog_expire_logs_auto_purge").is_some_and(|value| value.eq_ignore_ascii_case("OFF"));
    Some(seconds.max(days).as_secs()).filter(|seconds| *seconds > 0 && !is_off)
}

fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= DAY {
        format!("{} days", seconds.div_ceil(DAY))
    } else {
        format!("{} hours", seconds.div_ceil(3_600))
    }
}

/// InnoDB first marks rows as deleted; the old versions go once no transaction can see them any more.
fn undo(database: &mut Database) -> Result<Option<String>, StoreError> {
    if !database.may_see_processes()? {
        return Ok(Some(
            "InnoDB keeps old versions until its purge has caught up (how far it is only PROCESS shows)".to_owned(),
        ));
    }
    let length: u64 = database.row(
        "SELECT COALESCE(MAX(COUNT), 0) FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
    )?;
    if length == 0 {
        return Ok(None);
    }
    let oldest: Option<u64> =
        database.row("SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.INNODB_TRX")?;
    let waits =
        oldest.map_or(String::new(), |seconds| format!("; the oldest transaction has been open for {seconds} s"));
    Ok(Some(format!("InnoDB keeps old versions of {length} transactions until its purge has caught up{waits}")))
}

/// What was on a page stays there until something else is written over it.
fn pages(database: &mut Database) -> Result<Option<String>, StoreError> {
    let scrubs =
        database.rows::<(String, String)>("SHOW GLOBAL VARIABLES LIKE 'innodb_immediate_scrub_data_uncompressed'")?;
    if scrubs.iter().any(|(_, value)| value.eq_ignore_ascii_case("ON")) {
        return Ok(None);
    }
    let remedy = match database.server.flavour {
        Flavour::MariaDb => {
            "innodb_immediate_scrub_data_uncompressed = ON overwrites them at once, OPTIMIZE TABLE at a time of your choice"
        }
        Flavour::MySql => "OPTIMIZE TABLE writes the table anew",
    };
    Ok(Some(format!("pages of the data files keep erased bytes until they are written over ({remedy})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(variables: &[(&str, &str)]) -> Option<u64> {
        expires_after(&variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<Vec<_>>())
    }

    #[test]
    fn a_binary_log_expires_only_where_the_server_sees_to_it() {
        assert_eq!(after(&[("expire_logs_days", "7.000000"), ("binlog_expire_logs_seconds", "604800")]), Some(604_800));
        assert_eq!(after(&[("expire_logs_days", "0.500000")]), Some(43_200));
        assert_eq!(after(&[("binlog_expire_logs_seconds", "0")]), None);
        let off = ("binlog_expire_logs_auto_purge", "OFF");
        assert_eq!(after(&[("binlog_expire_logs_seconds", "2592000"), off]), None);
    }
}
