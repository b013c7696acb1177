//! Errors of the client and the server by what the caller does next. The server's own text is dropped, for it may
//! quote a record; of its number the meaning is told.

use mysql::error::tls::TlsError;
use mysql::{DriverError, Error};

use crate::store::{StoreError, server};

/// Lock wait timeout: only the statement was undone.
const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// Deadlock: the transaction was undone.
const DEADLOCK: u16 = 1213;

/// No privilege at all in the database.
pub(super) const NO_DATABASE_PRIVILEGE: u16 = 1044;
/// A privilege is missing that concerns the whole server.
pub(super) const NO_PRIVILEGE: u16 = 1227;
/// A privilege on a table is missing; on one of its columns.
pub(super) const NO_TABLE_PRIVILEGE: [u16; 2] = [1142, 1143];

/// Numbers after which there is no connection any more; two are the client's own, and proxies send them.
const LOST: [u16; 12] = [1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1927, 2006, 2013, 4031];

/// Numbers with which a server turns a login away that it would take at another time.
const CROWDED: [u16; 3] = [1040, 1203, 1226];

/// Numbers after which the same work may succeed later: locks, an administrator's KILL QUERY, the limit on a
/// statement's time (MySQL, MariaDB).
const BUSY: [u16; 5] = [LOCK_WAIT_TIMEOUT, DEADLOCK, 1317, 3024, 1969];

/// Numbers with their meaning; an operator meets these.
const MEANINGS: [(u16, &str); 32] = [
    (1040, "too many connections"),
    (1203, "the user has too many connections"),
    (1226, "the user has used up what it was granted"),
    (NO_DATABASE_PRIVILEGE, "the user may not use this database"),
    (1045, "the login was refused"),
    (1698, "the login was refused: the server expects another user of the system"),
    (1048, "a column may not be NULL"),
    (1049, "there is no such database"),
    (1054, "there is no such column"),
    (1062, "values would collide in a unique index"),
    (1129, "the server has blocked this host"),
    (1130, "the server does not accept this host"),
    (1142, "the user has not the privilege on the table"),
    (1143, "the user has not the privilege on a column"),
    (1146, "there is no such table"),
    (1153, "the statement is larger than max_allowed_packet"),
    (1206, "the server has no room for so many locks"),
    (1227, "the user has not the privilege"),
    (1264, "the value is out of the column's range"),
    (1265, "the value does not fit the column"),
    (1290, "the server is read-only"),
    (1292, "a value does not fit its type"),
    (1317, "the statement was interrupted by an administrator"),
    (1366, "the value does not fit the column"),
    (1406, "the value is too long for the column"),
    (1451, "rows of another table refer to these"),
    (1644, "a trigger refused"),
    (1665, "binlog_format STATEMENT does not allow this"),
    (1792, "the transaction is read-only"),
    (1836, "the server is read-only"),
    (3819, "a CHECK constraint refused"),
    (4025, "a CHECK constraint refused"),
];

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Trying later may succeed.
    Busy,
    /// There is no connection any more.
    Lost,
    /// Anything else.
    Failed,
}

impl Failure {
    /// The kind of `error`.
    pub(super) fn of(error: &Error) -> Failure {
        match error {
            Error::MySqlError(error) if BUSY.contains(&error.code) => Failure::Busy,
            Error::MySqlError(error) if LOST.contains(&error.code) => Failure::Lost,
            // Nothing was sent. The client does not show the type of this error, only its text.
            Error::CodecError(error) if error.to_string().contains("max_allowed_packet") => Failure::Failed,
            Error::DriverError(
                DriverError::ConnectTimeout
                | DriverError::CouldNotConnect(_)
                | DriverError::Timeout
                | DriverError::PacketOutOfSync
                | DriverError::UnexpectedPacket,
            )
            | Error::IoError(_)
            | Error::CodecError(_)
            | Error::TlsError(_) => Failure::Lost,
            _ => Failure::Failed,
        }
    }

    /// Whether a COMMIT that ended so is known to have been rolled back.
    pub(super) fn rolls_back(error: &Error) -> bool {
        matches!(error, Error::MySqlError(error) if [LOCK_WAIT_TIMEOUT, DEADLOCK].contains(&error.code))
    }
}

/// Whether a login may succeed later.
pub(super) fn is_crowded(error: &Error) -> bool {
    code(error).is_some_and(|code| CROWDED.contains(&code))
}

/// The server's number, where it gave one.
pub(super) fn code(error: &Error) -> Option<u16> {
    match error {
        Error::MySqlError(error) => Some(error.code),
        _ => None,
    }
}

/// What happened, without any record's contents.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::MySqlError(error) => {
            let meaning = MEANINGS.iter().find(|(code, _)| *code == error.code).map(|(_, meaning)| *meaning);
            let state = &error.state;
            match meaning {
                Some(meaning) => format!("{meaning} (error {}, SQLSTATE {state})", error.code),
                None => format!("error {} of the server, SQLSTATE {state}", error.code),
            }
        }
        // The client's own words about the network and TLS: the server has no part in them.
        Error::IoError(error) => error.to_string(),
        Error::TlsError(error) => error.to_string(),
        // MySQL hides so, at times, that there is no such user.
        Error::DriverError(DriverError::UnknownAuthPlugin(method)) => {
            format!("the login was refused, or the server wants the method {method}, which is not supported")
        }
        Error::DriverError(error) => error.to_string(),
        Error::CodecError(error) => error.to_string(),
        Error::UrlError(_) => "the URL cannot be read".to_owned(),
        Error::FromValueError(_) | Error::FromRowError(_) => "the server answers in an unexpected form".to_owned(),
    }
}

/// What happened while a connection was made, and what to do.
pub(super) fn with_hint(error: &Error) -> String {
    let told = describe(error);
    if let Some(tls) = cause_in_tls(error) {
        return format!("{told}; {}", server::hint_of_tls(tls));
    }
    let hint = match error {
        Error::MySqlError(error) => match error.code {
            1045 | 1698 => {
                "are the user in `url` and its password (`password-file`, `credential`) the right ones? without a \
                 password the process must run as the user of the system that the server expects"
            }
            1049 => "is the database's name the last part of the URL?",
            1130 => "does the user exist for this host?",
            _ => return told,
        },
        Error::DriverError(DriverError::UnknownAuthPlugin(_)) => {
            "is the user in `url` the right one? MySQL's own method is caching_sha2_password"
        }
        Error::DriverError(DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout) | Error::IoError(_) => {
            return server::with_hint_of_network(told);
        }
        _ => return told,
    };
    format!("{told}; {hint}")
}

/// TLS fails where it first reads or writes, so its error may lie within one of the network.
fn cause_in_tls(error: &Error) -> Option<&rustls::Error> {
    let io: &std::io::Error = match error {
        Error::TlsError(TlsError::Tls(error)) => return Some(error),
        Error::IoError(io) => io,
        Error::CodecError(codec) => std::error::Error::source(codec)?.downcast_ref()?,
        _ => return None,
    };
    io.get_ref()?.downcast_ref()
}

/// The error in terms of the contract.
pub(super) fn store_error(place: &str, waited_ms: u64, error: &Error) -> StoreError {
    let place = place.to_owned();
    match Failure::of(error) {
        Failure::Busy => StoreError::Busy { place, waited_ms },
        Failure::Lost => StoreError::Lost { place, reason: describe(error) },
        Failure::Failed => StoreError::Failed { place, reason: describe(error) },
    }
}

#[cfg(test)]
mod tests {
    use mysql::MySqlError;

    use super::*;

    fn of_server(code: u16) -> Error {
        Error::MySqlError(MySqlError { code, state: "HY000".to_owned(), message: "canary@shop.example".to_owned() })
    }

    #[test]
    fn an_error_says_what_it_means_and_nothing_of_a_record() {
        for code in 1000..4100 {
            let told = format!("{0} {0:?}", store_error("shop", 2_000, &of_server(code)));
            assert!(!told.contains("canary"), "{code}: {told}");
        }
        assert!(describe(&of_server(1451)).contains("refer"));
    }

    #[test]
    fn locks_are_waited_for_and_lost_connections_are_made_anew() {
        assert_eq!(Failure::of(&of_server(1205)), Failure::Busy);
        assert_eq!(Failure::of(&of_server(1213)), Failure::Busy);
        assert_eq!(Failure::of(&of_server(1927)), Failure::Lost);
        assert_eq!(Failure::of(&of_server(1062)), Failure::Failed);
        for lost in [2006, 2013, 4031] {
            assert_eq!(Failure::of(&of_server(lost)), Failure::Lost);
        }
    }

    /// 4025 is ER_CONSTRAINT_FAILED of MariaDB.
    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        assert_eq!(Failure::of(&of_server(4025)), Failure::Failed);
        assert!(describe(&of_server(4025)).contains("CHECK"));
        assert_eq!(Failure::of(&Error::DriverError(DriverError::PacketTooLarge)), Failure::Failed);
        assert_eq!(Failure::of(&Error::DriverError(DriverError::OldMysqlPasswordDisabled)), Failure::Failed);
    }

    #[test]
    fn a_server_with_too_many_connections_takes_the_login_later() {
        assert!(is_crowded(&of_server(1040)) && is_crowded(&of_server(1203)) && !is_crowded(&of_server(1045)));
    }
}
