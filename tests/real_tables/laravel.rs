//! Laravel: a key of text, seconds since 1970, sessions of nobody, addresses that may be NULL.

use jiff::ToSpan;

use super::servers::{Database, MariaDatabase};
use super::{cutoff, example, expected, grants_are_found_one_by_one, install, purge, told};

/// Sessions of Laravel 11.
const SCHEMA: &str = "
CREATE TABLE sessions (
  id VARCHAR(255) NOT NULL,
  user_id BIGINT(20) UNSIGNED DEFAULT NULL,
  ip_address VARCHAR(45) DEFAULT NULL,
  user_agent TEXT DEFAULT NULL,
  payload LONGTEXT NOT NULL,
  last_activity INT(11) NOT NULL,
  PRIMARY KEY (id),
  KEY sessions_user_id_index (user_id),
  KEY sessions_last_activity_index (last_activity)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
";

/// One session in each half hour, and many of each; a few whose time was never written. None lies so near to a limit of
/// hours that the test could be too slow for it.
const SESSIONS: &str = "
INSERT INTO sessions
  SELECT CONCAT(LEFT(SHA2(seq, 256), 20), UPPER(RIGHT(SHA2(seq, 256), 20))), IF(seq % 3 = 0, seq % 900, NULL),
    IF(seq % 4 = 0, NULL, IF(seq % 9 = 0, CONCAT('2001:db8::', HEX(seq % 65536)), CONCAT('192.0.2.', seq % 256))),
    IF(seq % 8 = 0, NULL, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64)'),
    TO_BASE64(REPEAT('a:3:{s:6:\"_token\";}', 8)),
    IF(seq % 1009 = 0, 0, UNIX_TIMESTAMP() - 3600 * (seq % 720) - 1800)
  FROM seq_1_to_50000;
ANALYZE TABLE sessions;
";

#[test]
fn laravel_sessions_go_by_their_last_activity_and_lose_address_and_browser_before() {
    let example = example("laravel");
    let mut database = MariaDatabase::new("laravel", SCHEMA);
    database.execute(SESSIONS);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));

    let expired = format!("last_activity > 0 AND last_activity < {}", cutoff(14.days()).as_second());
    let old_browser = "last_activity > 0 AND last_activity < UNIX_TIMESTAMP() - 86400 AND user_agent IS NOT NULL";
    let (total, rows) = (database.count("sessions"), database.count(&format!("sessions WHERE {expired}")));
    let browsers = database.count(&format!("sessions WHERE {old_browser}"));
    let addresses = database.count("sessions WHERE ip_address IS NOT NULL");
    let undatable = database.count("sessions WHERE last_activity = 0");
    assert!(rows > 20_000 && total - rows > 20_000 && browsers > rows / 2 && undatable == 50_000 / 1009);
    database.execute(&format!(
        "CREATE TABLE left_sessions ENGINE=MyISAM AS SELECT * FROM sessions WHERE NOT ({expired});
        UPDATE left_sessions SET user_agent = NULL WHERE {old_browser};
        UPDATE left_sessions SET ip_address = NULL;
        "
    ));

    purge(
        &install(&example, &database, "forgetd"),
        &[
            expected("app.example/app/sessions", "erase-rows", [rows, total, undatable]),
            expected("app.example/app/sessions/ip_address@setting", "erase-column", [addresses, total, 0]),
            expected("app.example/app/sessions/user_agent", "erase-column", [browsers, total, undatable]),
        ],
    );
    assert!(database.is_same("sessions", "left_sessions"));
}

#[test]
fn what_laravel_needs_to_be_granted_is_told() {
    let example = example("laravel")
        .replace("laravel.sessions", "laravel_grants.sessions")
        .replace("laravel.*", "laravel_grants.*");
    let mut database = MariaDatabase::new("laravel_grants", SCHEMA);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&example, &mut database);
}
