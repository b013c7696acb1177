//! Which privileges the user has, and the statement that gives those that are missing.
//!
//! The server's own list (`SHOW GRANTS`) is read, because `information_schema` leaves out what comes through a role.

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, OptsBuilder, Row};

use super::connection::Database;
use super::flavour::Flavour;
use super::schema::TableFacts;
use super::sql::quoted;
use crate::store::StoreError;

/// The privileges of the user and of the roles that are active in the session.
#[derive(Debug)]
pub(super) struct Grants(Vec<Grant>);

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Grant {
    /// In capitals; those on single columns are left out.
    privileges: Vec<String>,
    /// As the server writes it: `*`, or a name in which `_` and `%` may stand for others.
    database: String,
    /// `*`, or a name.
    table: String,
}

impl Grants {
    /// Reads them.
    pub(super) fn read(database: &mut Database) -> Result<Grants, StoreError> {
        let flavour = database.server.flavour;
        let roles = match flavour.active_roles() {
            Some(sql) => database.row::<Option<String>>(sql)?,
            None => None,
        };
        let lines: Vec<String> = database.rows(&flavour.grants(roles.as_deref()))?;
        Ok(Grants::of(&lines))
    }

    fn of(lines: &[String]) -> Grants {
        // Where something was revoked from a part, what holds for the whole is not certain.
        let is_certain = !lines.iter().any(|line| line.starts_with("REVOKE "));
        let grants = lines.iter().filter_map(|line| Grant::read(line));
        Grants(grants.filter(|grant| is_certain || grant.database != "*").collect())
    }

    /// Whether a privilege is given on everything.
    pub(super) fn on_server(&self, privilege: &str) -> bool {
        self.0.iter().any(|grant| grant.database == "*" && grant.gives(privilege))
    }

    /// Whether a privilege is given on a table, its database, or everything.
    pub(super) fn on_table(&self, facts: &TableFacts, privilege: &str) -> bool {
        let covers = |grant: &Grant| match (grant.database.as_str(), grant.table.as_str()) {
            ("*", _) => true,
            // Whoever writes `_` in a name means it as it is, mostly, and the server lets it stand for anything.
            (pattern, "*") => is_like(&facts.database, pattern),
            (database, table) => database == facts.database && table == facts.name,
        };
        self.0.iter().any(|grant| covers(grant) && grant.gives(privilege))
    }
}

impl Grant {
    /// ``GRANT SELECT (`id`), DELETE ON `shop`.`visitors` TO …``; `None` for a line of another kind.
    fn read(line: &str) -> Option<Grant> {
        let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
        let (database, rest) = name(rest)?;
        let (table, rest) = name(rest.strip_prefix('.')?)?;
        rest.starts_with(" TO ").then(|| Grant { privileges: without_columns(privileges), database, table })
    }

    fn gives(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|given| given == privilege || given == "ALL PRIVILEGES" || given == "ALL")
    }
}

/// A name in backquotes, or an asterisk, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('`')?;
        name.push_str(part);
        match behind.strip_prefix('`') {
            Some(behind) => {
                name.push('`');
                rest = behind;
            }
            None => return Some((name, behind)),
        }
    }
}

/// The privileges of a list, without those that concern single columns.
fn without_columns(list: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let parts = list.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.filter(|part| !part.contains('(')).map(|part| part.trim().to_uppercase()).collect()
}

/// LIKE, as in names of databases: `_` is any character, `%` any number of them, `\` takes the next as it is.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => name.is_empty(),
        Some('%') => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| is_like(name.get(at..).unwrap_or_default(), pattern_rest.as_str())),
        Some(first) => {
            let mut rest = name.chars();
            let Some(character) = rest.next() else { return false };
            let fits = match first {
                '_' => true,
                '\\' => pattern_rest.next() == Some(character),
                first => first == character,
            };
            fits && is_like(rest.as_str(), pattern_rest.as_str())
        }
    }
}

/// The user as a statement names it.
fn grantee(database: &mut Database) -> Result<String, StoreError> {
    database.row::<String>("SELECT CURRENT_USER()").map(|user| quoted_user(&user))
}

fn quoted_user(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("'{name}'@'{host}'")
}

/// The statement that lets a user into a database that the login was refused for. Nothing becomes readable by it, and
/// every rule needs it, to see foreign keys.
pub(super) fn entrance(options: &OptsBuilder) -> Option<String> {
    let mut connection = Conn::new(options.clone().db_name(None::<String>)).ok()?;
    let row = connection.query_first::<Row, _>("SELECT CURRENT_USER(), VERSION()").ok().flatten()?;
    let (user, version) = <(String, String)>::from_row_opt(row).ok()?;
    Some(format!("GRANT {} ON *.* TO {};", Flavour::of(&version).key_privilege(), quoted_user(&user)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(database: &str, name: &str) -> TableFacts {
        TableFacts {
            database: database.to_owned(),
            name: name.to_owned(),
            kind: String::new(),
            engine: String::new(),
            columns: Vec::new(),
            indexes: Vec::new(),
            partitioned_by: String::new(),
        }
    }

    fn grants(lines: &[&str]) -> Grants {
        Grants::of(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_privilege_reaches_as_far_as_its_line_says() {
        let grants = grants(&[
            "GRANT PROCESS, SHOW VIEW ON *.* TO `a`@`localhost` IDENTIFIED BY PASSWORD '*0123'",
            "GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `a`@`localhost`",
            "GRANT SELECT (`id`, `a ON b`), DELETE ON `o``dd`.`visitors` TO `a`@`localhost` WITH GRANT OPTION",
            "GRANT `role` TO `a`@`localhost`",
            "SET DEFAULT ROLE `role` FOR `a`@`localhost`",
        ]);
        assert!(grants.on_server("SHOW VIEW") && !grants.on_server("SELECT"));
        assert!(grants.on_table(&table("shop_1", "x"), "TRIGGER"));
        assert!(!grants.on_table(&table("shopx1", "x"), "TRIGGER"));
        assert!(grants.on_table(&table("anything", "x"), "PROCESS"));
        assert!(!grants.on_table(&table("anything", "x"), "DELETE"));
    }

    #[test]
    fn a_privilege_on_columns_is_none_on_the_table() {
        let grants = grants(&["GRANT SELECT (`id`, `seen`), DELETE ON `o``dd`.`visitors` TO `a`@`%`"]);
        assert!(grants.on_table(&table("o`dd", "visitors"), "DELETE"));
        assert!(!grants.on_table(&table("o`dd", "visitors"), "SELECT"));
        assert!(!grants.on_table(&table("o`dd", "orders"), "DELETE"));
    }

    #[test]
    fn what_is_revoked_from_a_part_is_not_certain_for_the_whole() {
        let grants = grants(&["GRANT SHOW VIEW ON *.* TO `a`@`%`", "REVOKE SHOW VIEW ON `crm`.* FROM `a`@`%`"]);
        assert!(!grants.on_server("SHOW VIEW"));
    }

    #[test]
    fn wildcards_in_names_of_databases_are_the_servers() {
        assert!(is_like("shop_1", "shop%") && is_like("shop_1", "%") && is_like("shop_1", "shop__"));
        assert!(!is_like("shop_1", "shop") && !is_like("shop", "shop_") && is_like("a%b", "a\\%b"));
        assert!(!is_like("axb", "a\\%b"));
    }
}
