//! Django: the time is the expiry, on PostgreSQL with a zone and on MariaDB without one.

use super::servers::{Database, MariaDatabase, PostgresDatabase};
use super::{example, expected, grants_are_found_one_by_one, install, purge, told};

/// `django_session` as migrations of Django 5 make it.
const POSTGRES: &str = "
CREATE TABLE django_session (
  session_key varchar(40) NOT NULL PRIMARY KEY,
  session_data text NOT NULL,
  expire_date timestamp with time zone NOT NULL);
CREATE INDEX django_session_session_key_c0390e0f_like ON django_session (session_key varchar_pattern_ops);
CREATE INDEX django_session_expire_date_a5c62663 ON django_session (expire_date);
";
const MARIADB: &str = "
CREATE TABLE django_session (
  session_key VARCHAR(40) NOT NULL PRIMARY KEY,
  session_data LONGTEXT NOT NULL,
  expire_date DATETIME(6) NOT NULL,
  KEY django_session_expire_date_a5c62663 (expire_date)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
";

/// Sessions that ended, hour by hour, in the last twenty days, and sessions that end in the next fourteen. None ends
/// while the test runs.
const POSTGRES_SESSIONS: &str = "
INSERT INTO django_session
  SELECT md5(n::text), repeat('eyJhIjoxfQ', 10), now() + interval '30 minutes' + interval '1 hour' * (n % 816 - 480)
  FROM generate_series(1, 60000) AS n;
UPDATE django_session SET expire_date = 'infinity' WHERE session_key = md5('7');
ANALYZE;
";
const MARIADB_SESSIONS: &str = "
INSERT INTO django_session
  SELECT LEFT(SHA2(seq, 256), 32), REPEAT('eyJhIjoxfQ', 10), UTC_TIMESTAMP(6) + INTERVAL 30 MINUTE + INTERVAL CAST(seq % 816 AS SIGNED) - 480 HOUR
  FROM seq_1_to_60000;
UPDATE django_session SET expire_date = 0 WHERE session_key = LEFT(SHA2(7, 256), 32);
ANALYZE TABLE django_session;
";

/// The example with the lines of its comment for MySQL instead of those for PostgreSQL.
fn for_mysql(example: &str) -> String {
    let mut site = example.to_owned();
    for key in ["kind = ", "url = ", "expires = "] {
        let line = |prefix: &str| example.lines().find_map(|line| line.strip_prefix(prefix)?.strip_prefix(key));
        let (now, instead) = (line("").unwrap(), line("#   ").unwrap());
        site = site.replacen(&format!("\n{key}{now}\n"), &format!("\n{key}{instead}\n"), 1);
    }
    assert!(site.contains("\nkind = \"mysql\""));
    site
}

/// The grants that the example tells for one of the two servers, which differ in how they write a user.
fn grants<'e>(example: &'e str, user: &str) -> Vec<&'e str> {
    let grants: Vec<&str> = told(example, "GRANT").into_iter().filter(|grant| grant.ends_with(user)).collect();
    assert!(!grants.is_empty());
    grants
}

fn ended_sessions_go(example: &str, database: &mut dyn Database, expired: &str) {
    let (total, rows) = (database.count("django_session"), database.count(&format!("django_session WHERE {expired}")));
    assert!(rows > 30_000 && total - rows > 20_000);
    database.execute(&format!("CREATE TABLE left_session AS SELECT * FROM django_session WHERE NOT ({expired});\n"));
    let all = [expected("portal.example/portal/django_session", "erase-rows", [rows, total, 1])];
    purge(&install(example, database, "forgetd"), &all);
    assert!(database.is_same("django_session", "left_session"));
}

#[test]
fn django_sessions_go_when_they_end_on_postgresql() {
    let example = example("django");
    let mut database = PostgresDatabase::new("portal", POSTGRES);
    database.execute(POSTGRES_SESSIONS);
    database.create_user("forgetd");
    grants(&example, " forgetd;").into_iter().for_each(|grant| database.execute(grant));
    ended_sessions_go(&example, &mut database, "expire_date < now()");
}

#[test]
fn django_sessions_go_when_they_end_on_mariadb() {
    let example = example("django");
    let mut database = MariaDatabase::new("portal", MARIADB);
    database.execute(MARIADB_SESSIONS);
    database.create_user("forgetd");
    grants(&example, "@localhost;").into_iter().for_each(|grant| database.execute(grant));
    ended_sessions_go(&for_mysql(&example), &mut database, "expire_date <> 0 AND expire_date < UTC_TIMESTAMP(6)");
}

#[test]
fn what_django_needs_to_be_granted_is_told_on_postgresql() {
    let example = example("django");
    let mut database = PostgresDatabase::new("portal_grants", POSTGRES);
    database.create_user("forgetd");
    grants(&example, " forgetd;").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&example, &mut database);
}

#[test]
fn what_django_needs_to_be_granted_is_told_on_mariadb() {
    let example =
        example("django").replace("portal.django", "portal_grants.django").replace("portal.*", "portal_grants.*");
    let mut database = MariaDatabase::new("portal_grants", MARIADB);
    database.create_user("forgetd");
    grants(&example, "@localhost;").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&for_mysql(&example), &mut database);
}
