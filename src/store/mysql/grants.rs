//! Which privileges the user has, and the statement that gives those that are missing.

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};

use super::connection::Database;
use super::error;
use super::schema::TableFacts;
use super::sql::{quoted, text};
use crate::store::StoreError;

/// Whether the user has been given a privilege on the table itself, its database, or everything. What comes through a
/// role does not show here.
pub(super) fn is_granted(database: &mut Database, facts: &TableFacts, privilege: &str) -> Result<bool, StoreError> {
    let grantee = grantee(database)?;
    let of_user = format!("GRANTEE = {} AND PRIVILEGE_TYPE = {}", text(&grantee), text(privilege));
    let (schema, table) = (text(&facts.database), text(&facts.name));
    // A grant on databases may be a pattern, with `\` before characters that are meant as they are.
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE {of_user}) OR EXISTS \
         (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE {of_user} AND {schema} LIKE TABLE_SCHEMA) OR EXISTS \
         (SELECT 1 FROM information_schema.TABLE_PRIVILEGES WHERE {of_user} AND TABLE_SCHEMA = {schema} \
         AND TABLE_NAME = {table})"
    );
    database.row(&sql)
}

/// The user as `information_schema` writes it.
fn grantee(database: &mut Database) -> Result<String, StoreError> {
    database.row::<String>("SELECT CURRENT_USER()").map(|user| quoted_user(&user))
}

fn quoted_user(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("'{name}'@'{host}'")
}

/// The statement that lets a user into a database that the login was refused for. Nothing becomes readable by it.
pub(super) fn entrance(options: &OptsBuilder, database: &str) -> Option<String> {
    let mut connection = Conn::new(options.clone().db_name(None::<String>)).ok()?;
    let user = connection.query_first::<String, _>("SELECT CURRENT_USER()").ok().flatten()?;
    Some(format!("GRANT SHOW VIEW ON {}.* TO {};", quoted(database), quoted_user(&user)))
}

/// Whether the server would let the user run `sql`, which changes nothing: it is only explained.
pub(super) fn may_run(database: &mut Database, sql: &str) -> Result<bool, StoreError> {
    database.run(|connection| match connection.query_drop(format!("EXPLAIN {sql}")) {
        Err(error) if error::code(&error).is_some_and(|code| error::NO_TABLE_PRIVILEGE.contains(&code)) => Ok(false),
        other => other.map(|()| true),
    })
}

/// The statement that gives `privileges` on a table of the database to the user.
pub(super) fn grant(database: &mut Database, privileges: &str, table: &str) -> Result<String, StoreError> {
    let grantee = grantee(database)?;
    Ok(format!("GRANT {privileges} ON {}.{} TO {grantee};", quoted(&database.name), quoted(table)))
}

/// The statement that gives a privilege over the whole server to the user.
pub(super) fn grant_on_server(database: &mut Database, privilege: &str) -> Result<String, StoreError> {
    Ok(format!("GRANT {privilege} ON *.* TO {};", grantee(database)?))
}

/// The statement that gives a privilege on all tables of the database to the user.
pub(super) fn grant_on_database(database: &mut Database, privilege: &str) -> Result<String, StoreError> {
    Ok(format!("GRANT {privilege} ON {}.* TO {};", quoted(&database.name), grantee(database)?))
}
