//! What the server's errors mean. Its messages may quote a record: only the SQLSTATE, its meaning and names of the
//! schema are passed on.

use postgres::error::{DbError, SqlState};

use super::super::{line, server};

/// Classes 22 (data exception) and 23 (a domain's check), and a type that cannot be made of text.
pub(super) fn is_of_the_value(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23") || code == SqlState::CANNOT_COERCE.code()
}

/// Class 08, and the server going away: shut down, crashed, starting, or ending a session that was idle in its
/// transaction, or long in one (25P04, since version 17).
pub(super) fn ends_the_connection(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04")
}

/// What went wrong, without any record's contents.
pub(super) fn describe(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return describe_answer(error);
    }
    match io_cause(error) {
        Some(io) => io.to_string(),
        None if error.is_closed() => "the server closed the connection".to_owned(),
        None => "unexpected answer".to_owned(),
    }
}

fn io_cause(error: &postgres::Error) -> Option<&std::io::Error> {
    let source = std::error::Error::source(error);
    std::iter::successors(source, |cause| cause.source()).find_map(|cause| cause.downcast_ref())
}

/// Whether nobody took the connection, and nobody refused it.
pub(super) fn is_not_taken(error: &postgres::Error) -> bool {
    io_cause(error).is_some_and(|io| line::is_not_taken(io.kind()))
}

/// What the client itself stumbles over while it connects, and what to do: waiting would not help.
pub(super) fn clients_trouble(error: &postgres::Error) -> Option<(String, &'static str)> {
    let tls = io_cause(error).and_then(std::io::Error::get_ref).and_then(|cause| cause.downcast_ref());
    if let Some(tls) = tls {
        return Some((describe(error), server::hint_of_tls(tls)));
    }
    let (what, hint) = match std::error::Error::source(error)?.to_string().as_str() {
        "password missing" => ("the server asks for a password", "add `password-file` or `credential`"),
        "server does not support TLS" => ("the server does not offer TLS", "switch it on there: `ssl = on`"),
        _ => return None,
    };
    Some((what.to_owned(), hint))
}

fn describe_answer(error: &DbError) -> String {
    let code = error.code().code();
    let mut text = format!("SQLSTATE {code}, {}", meaning(code));
    for (kind, name) in [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())] {
        if let Some(name) = name {
            text.push_str(&format!(", {kind} {name}"));
        }
    }
    text
}

/// Of the codes that an operator is likely to meet (PostgreSQL, appendix A); of others the class.
fn meaning(code: &str) -> &'static str {
    match code {
        "22001" => "a value is too long for its column",
        "23502" => "a column may not be NULL",
        "23503" => "a foreign key still refers to the record",
        "23505" => "a unique index already has the value",
        "23514" => "a check constraint forbids the value",
        "25006" => "the server is read-only",
        "28000" => "this user is not let in",
        "28P01" => "password not accepted",
        "3D000" => "there is no such database",
        "3F000" => "there is no such schema",
        "40001" => "serialization failure",
        "40P01" => "deadlock",
        "42501" => "a privilege is missing",
        "42703" => "there is no such column",
        "42883" => "there is no such function or operator",
        "42P01" => "there is no such table",
        "53100" => "the server's disk is full",
        "53300" => "too many connections",
        "55000" => "the object is not in the needed state (a published table needs a replica identity)",
        "55P03" => "a lock was not to be had in time",
        "57014" => "the statement took too long",
        "57P01" => "the server ended the connection",
        "57P02" => "the server crashed",
        "57P03" => "the server is starting or stopping",
        "25P03" => "the transaction was idle for too long",
        "25P04" => "the transaction took too long",
        "P0001" => "a trigger raised an error",
        _ => match code.get(..2) {
            Some("08") => "connection trouble",
            Some("22") => "a value cannot be used",
            Some("23") => "a constraint forbids it",
            Some("42") => "the statement does not fit the schema",
            Some("53") => "the server lacks resources",
            Some("58" | "XX") => "the server is damaged",
            _ => "see the manual's appendix A",
        },
    }
}
