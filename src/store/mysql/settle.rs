//! What is physically left of erased records, so that the effective date of erasure is known.

use std::time::Duration;

use super::connection::Database;
use super::flavour::Flavour;
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
    let seconds = expiry(database)?;
    let until = match seconds {
        0 => {
            "this ends only with PURGE BINARY LOGS, since it never expires (set binlog_expire_logs_seconds)".to_owned()
        }
        seconds => format!("this ends when it expires, {} after the run", days(Duration::from_secs(seconds))),
    };
    Ok(Some(format!("the binary log keeps the erased rows; {until}; replicas and backups have times of their own")))
}

fn expiry(database: &mut Database) -> Result<u64, StoreError> {
    let rows: Vec<(String, String)> = database
        .rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days')")?;
    let seconds = rows.into_iter().map(|(name, value)| {
        let number = value.parse::<f64>().unwrap_or(0.0);
        let unit = if name == "expire_logs_days" { Duration::from_secs(DAY) } else { Duration::from_secs(1) };
        unit.mul_f64(number.max(0.0)).as_secs()
    });
    Ok(seconds.max().unwrap_or(0))
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
    let sql =
        "SELECT COALESCE(MAX(COUNT), 0) FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'";
    let length: u64 = database.row(sql)?;
    Ok((length > 0)
        .then(|| format!("InnoDB keeps old versions of {length} transactions until its purge has caught up")))
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
