//! An application's database on a server of the tests, under its usual name.

use std::collections::BTreeSet;

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use postgres::{Client, NoTls, SimpleQueryMessage};

use super::mariadb;
use super::postgres_server::server;

/// A database, and what its administrator does there.
pub(crate) trait Database {
    /// Runs statements, each of which ends with the line.
    fn execute(&mut self, sql: &str);
    /// The one value that a query returns, as text.
    fn value(&mut self, query: &str) -> String;
    /// How a user's store is declared.
    fn url(&self, user: &str) -> String;
    /// Creates a user who may log in and nothing else, of this name or one made from it: users are of the whole server.
    fn create_user(&mut self, name: &str) -> String;
    /// What the user may do in this database, one privilege each.
    fn privileges(&mut self, user: &str) -> BTreeSet<String>;
    /// Whether two tables hold the same rows, down to every column.
    fn is_same(&mut self, one: &str, other: &str) -> bool;

    /// The one number that a query returns.
    fn number(&mut self, query: &str) -> i64 {
        let value = self.value(query);
        value.parse().unwrap_or_else(|_| panic!("{query}: {value}"))
    }

    /// How many rows of a table.
    fn count(&mut self, of: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {of}"))
    }
}

/// On MariaDB.
pub(crate) struct MariaDatabase {
    name: &'static str,
    connection: Conn,
}

impl MariaDatabase {
    /// A new one with the tables of `schema`. Every statement ends with `;` at the end of a line.
    pub(crate) fn new(name: &'static str, schema: &str) -> MariaDatabase {
        let mut administrator = mariadb::shared().administrator();
        administrator.query_drop(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).unwrap();
        let socket = mariadb::shared().socket().display().to_string();
        let options = OptsBuilder::new().user(Some("root")).socket(Some(socket)).db_name(Some(name));
        let mut database = MariaDatabase { name, connection: Conn::new(options).unwrap() };
        database.execute("SET time_zone = '+00:00', NAMES utf8mb4;");
        if mariadb::is_mysql() {
            database.execute(&format!("SET sql_mode = '{}'", mariadb::MODE_WITH_ZERO_DATES));
        }
        database.execute(schema);
        database
    }
}

/// Statements that each end with `;` at the end of a line, without lines that are comments.
fn statements(sql: &str) -> Vec<String> {
    let lines: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let text = lines.join("\n") + "\n";
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

impl Database for MariaDatabase {
    fn execute(&mut self, sql: &str) {
        for statement in statements(sql) {
            let statement = mariadb::in_its_words(&statement);
            self.connection.query_drop(&*statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }

    fn value(&mut self, query: &str) -> String {
        let value: Option<Option<String>> =
            self.connection.query_first(query).unwrap_or_else(|error| panic!("{error}: {query}"));
        value.flatten().unwrap_or_default()
    }

    fn url(&self, user: &str) -> String {
        format!("mysql://{user}@localhost/{}?socket={}", self.name, mariadb::shared().socket().display())
    }

    fn create_user(&mut self, name: &str) -> String {
        let user = if name == "forgetd" { name.to_owned() } else { format!("{name}_{}", self.name) };
        self.execute(&format!("CREATE USER IF NOT EXISTS {user}@localhost"));
        user
    }

    fn privileges(&mut self, user: &str) -> BTreeSet<String> {
        let of = format!("WHERE GRANTEE = '''{user}''@''localhost''' AND TABLE_SCHEMA = '{}'", self.name);
        let query = format!(
            "SELECT CONCAT(PRIVILEGE_TYPE, ' on the database') FROM information_schema.SCHEMA_PRIVILEGES {of} \
             UNION SELECT CONCAT(PRIVILEGE_TYPE, ' on ', TABLE_NAME) FROM information_schema.TABLE_PRIVILEGES {of} \
             UNION SELECT CONCAT(PRIVILEGE_TYPE, ' on ', TABLE_NAME, '.', COLUMN_NAME) \
             FROM information_schema.COLUMN_PRIVILEGES {of} \
             UNION SELECT CONCAT(PRIVILEGE_TYPE, ' on the server') FROM information_schema.USER_PRIVILEGES \
             WHERE GRANTEE = '''{user}''@''localhost'''"
        );
        self.connection.query::<String, _>(query).unwrap().into_iter().collect()
    }

    fn is_same(&mut self, one: &str, other: &str) -> bool {
        // The sum over the rows of the sums of their values: of what rows there are, not of their order.
        let sums: Vec<(String, Option<u64>)> =
            self.connection.query(format!("CHECKSUM TABLE {one}, {other} EXTENDED")).unwrap();
        assert!(sums.len() == 2 && sums.iter().all(|(_, sum)| sum.is_some()), "{sums:?}");
        sums[0].1 == sums[1].1 && self.count(one) == self.count(other)
    }
}

/// On PostgreSQL.
pub(crate) struct PostgresDatabase {
    name: &'static str,
    client: Client,
}

impl PostgresDatabase {
    /// A new one with the result of `schema`.
    pub(crate) fn new(name: &'static str, schema: &str) -> PostgresDatabase {
        server().client("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let mut client = Client::connect(&server().url("postgres", name), NoTls).unwrap();
        client.batch_execute("SET TimeZone = 'UTC'").unwrap();
        let mut database = PostgresDatabase { name, client };
        database.execute(schema);
        database
    }
}

impl Database for PostgresDatabase {
    fn execute(&mut self, sql: &str) {
        self.client.batch_execute(sql).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    fn value(&mut self, query: &str) -> String {
        let rows = self.client.simple_query(query).unwrap_or_else(|error| panic!("{error:?}: {query}"));
        let first = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        first.unwrap_or_default()
    }

    fn url(&self, user: &str) -> String {
        server().url(user, self.name)
    }

    fn create_user(&mut self, name: &str) -> String {
        let user = if name == "forgetd" { name.to_owned() } else { format!("{name}_{}", self.name) };
        // Tests beside this one may create the same.
        self.execute(&format!(
            "SELECT pg_advisory_lock(1); \
             DO $$ BEGIN CREATE ROLE {user} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; \
             SELECT pg_advisory_unlock(1)"
        ));
        user
    }

    fn privileges(&mut self, user: &str) -> BTreeSet<String> {
        let query = format!(
            "SELECT a.privilege_type || ' on ' || c.relname FROM pg_class AS c, aclexplode(c.relacl) AS a \
             WHERE a.grantee = '{user}'::regrole \
             UNION SELECT a.privilege_type || ' on ' || c.relname || '.' || t.attname \
             FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a \
             WHERE a.grantee = '{user}'::regrole"
        );
        self.client.query(&query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    }

    fn is_same(&mut self, one: &str, other: &str) -> bool {
        // Compared as text: some types know no equality.
        let rows = |table: &str| format!("SELECT t::text FROM {table} AS t");
        let (one, other) = (rows(one), rows(other));
        self.number(&format!(
            "SELECT (SELECT COUNT(*) FROM ({one} EXCEPT ALL {other}) AS a) \
             + (SELECT COUNT(*) FROM ({other} EXCEPT ALL {one}) AS b)"
        )) == 0
    }
}
