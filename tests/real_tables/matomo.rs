//! Matomo: three children without foreign keys, a dictionary that stays, one site of several, addresses as bytes.

use jiff::ToSpan;

use super::servers::{Database, MariaDatabase};
use super::{cutoff, example, expected, grants_are_found_one_by_one, install, purge, told, utc};

const SCHEMA: &str = include_str!("matomo.sql");

/// Visits of three sites over fifteen months; half of the visits and more are of site 3. Some lie just before and just
/// behind midnight in Prague, whose clock is one or two hours ahead.
const VISITS: &str = "
INSERT INTO matomo_log_visit (idvisit, idsite, idvisitor, visit_last_action_time, config_id, location_ip, user_id,
    visit_first_action_time, visit_total_time, referer_url, location_country, location_city, location_latitude, location_longitude)
  SELECT seq, IF(seq % 2 = 0, 3, 1 + (seq DIV 2) % 3), LEFT(UNHEX(LEFT(SHA2(seq DIV 3, 256), 32)), 8),
    UTC_DATE() - INTERVAL 1 + seq % 449 DAY + INTERVAL ELT(1 + seq % 3, 720, 1290, 1410) MINUTE,
    LEFT(UNHEX(LEFT(SHA2(seq, 256), 32)), 8),
    CASE seq % 5 WHEN 0 THEN INET6_ATON(CONCAT('2001:db8:', HEX(seq % 65536), ':1::', HEX(1 + seq % 4000)))
      WHEN 1 THEN INET6_ATON('203.0.0.0') ELSE INET6_ATON(CONCAT_WS('.', 20 + seq % 150, seq % 200, seq % 250, 1 + seq % 254)) END,
    NULL, UTC_DATE() - INTERVAL 1 + seq % 449 DAY, seq % 900, 'https://search.example/?q=boots', 'cz',
    IF(seq % 4 = 0, NULL, 'Brno'), IF(seq % 4 = 0, NULL, 49.195061), IF(seq % 4 = 0, NULL, 16.606836)
  FROM seq_1_to_50000;
-- A tracker whose clock was wrong, and one address in a form that nobody knows.
UPDATE matomo_log_visit SET visit_last_action_time = '2038-01-19 03:14:07' WHERE idvisit = 4000;
UPDATE matomo_log_visit SET location_ip = X'C0000207FF' WHERE idvisit = 6002;
INSERT INTO matomo_log_action (name, hash, type) SELECT CONCAT('shop.example/page/', seq), CRC32(seq), 1 FROM seq_1_to_5000;
INSERT INTO matomo_log_link_visit_action (idsite, idvisitor, idvisit, server_time, idaction_url)
  SELECT idsite, idvisitor, idvisit, visit_last_action_time, 1 + (idvisit * seq) % 5000
  FROM matomo_log_visit JOIN seq_1_to_3 ON seq <= 1 + idvisit % 3;
INSERT INTO matomo_log_conversion (idvisit, idsite, idvisitor, server_time, idgoal, buster, idorder, url, revenue)
  SELECT idvisit, idsite, idvisitor, visit_last_action_time, seq - 1, 0, IF(seq = 1, CONCAT('order-', idvisit), NULL), 'https://shop.example/thanks', 99.5
  FROM matomo_log_visit JOIN seq_1_to_2 WHERE idvisit % 10 < 3;
INSERT INTO matomo_log_conversion_item
  SELECT idsite, idvisitor, visit_last_action_time, idvisit, CONCAT('order-', idvisit), seq, seq, 0, 49.75, 1, 0
  FROM matomo_log_visit JOIN seq_1_to_2 WHERE idvisit % 10 < 3;
ANALYZE TABLE matomo_log_visit;
";

const CHILDREN: [&str; 3] = ["matomo_log_link_visit_action", "matomo_log_conversion", "matomo_log_conversion_item"];

/// What must be left, in tables of its own.
fn expect(database: &mut MariaDatabase, expired: &str, old_location: &str) {
    database.execute(&format!(
        "CREATE TABLE left_visit ENGINE=MyISAM AS SELECT * FROM matomo_log_visit WHERE NOT (idsite = 3 AND {expired});
        UPDATE left_visit SET location_ip = CASE LENGTH(location_ip)
            WHEN 4 THEN CONCAT(LEFT(location_ip, 2), X'0000')
            WHEN 16 THEN CONCAT(LEFT(location_ip, 6), X'00000000000000000000') ELSE '' END
          WHERE idsite = 3;
        UPDATE left_visit SET location_city = NULL, location_latitude = NULL, location_longitude = NULL
          WHERE idsite = 3 AND {old_location};
        CREATE TABLE left_action ENGINE=MyISAM AS SELECT * FROM matomo_log_action;
        ALTER TABLE left_visit ADD INDEX (idvisit);
        "
    ));
    for child in CHILDREN {
        database.execute(&format!(
            "CREATE TABLE left_{child} ENGINE=MyISAM AS
              SELECT {child}.* FROM {child} JOIN left_visit USING (idvisit) ORDER BY NULL;
            "
        ));
    }
}

#[test]
fn matomo_visits_of_one_site_go_with_all_that_belongs_to_them_and_nothing_else() {
    let example = example("matomo");
    let mut database = MariaDatabase::new("matomo", SCHEMA);
    database.execute(VISITS);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));

    let datable = "visit_last_action_time < UTC_TIMESTAMP()";
    let before = |period| format!("visit_last_action_time < {} AND {datable}", utc(cutoff(period)));
    let (expired, old_location) = (before(6.months()), before(30.days()));
    let total = database.count("matomo_log_visit WHERE idsite = 3");
    let rows = database.count(&format!("matomo_log_visit WHERE idsite = 3 AND {expired}"));
    let located =
        database.count(&format!("matomo_log_visit WHERE idsite = 3 AND {old_location} AND location_city IS NOT NULL"));
    let whole = database.count(
        "matomo_log_visit WHERE idsite = 3 AND (LENGTH(location_ip) = 4 AND RIGHT(location_ip, 2) <> X'0000' \
         OR LENGTH(location_ip) = 16 AND RIGHT(location_ip, 10) <> REPEAT(X'00', 10) OR LENGTH(location_ip) NOT IN (0, 4, 16))",
    );
    assert!(total > 30_000 && rows > 15_000 && total - rows > 10_000 && located > rows / 2 && whole > 20_000);
    expect(&mut database, &expired, &old_location);

    purge(
        &install(&example, &database, "forgetd"),
        &[
            expected("magazine.example/matomo/log_visit", "erase-rows", [rows, total, 1]),
            expected("magazine.example/matomo/log_visit/location_city", "erase-column", [located, total, 1]),
            expected("magazine.example/matomo/log_visit/location_ip@setting", "truncate-column", [whole, total, 0]),
            expected("magazine.example/matomo/log_visit/location_latitude", "erase-column", [located, total, 1]),
            expected("magazine.example/matomo/log_visit/location_longitude", "erase-column", [located, total, 1]),
        ],
    );
    assert!(database.is_same("matomo_log_visit", "left_visit"));
    assert!(database.is_same("matomo_log_action", "left_action"));
    for child in CHILDREN {
        assert!(database.count(&format!("left_{child}")) > 0);
        assert!(database.is_same(child, &format!("left_{child}")), "{child}");
    }
}

#[test]
fn what_matomo_needs_to_be_granted_is_told() {
    let example =
        example("matomo").replace("matomo.matomo_", "matomo_grants.matomo_").replace("matomo.*", "matomo_grants.*");
    let mut database = MariaDatabase::new("matomo_grants", SCHEMA);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&example, &mut database);
}

#[test]
fn an_index_behind_the_website_serves_one_website_and_not_all_of_them() {
    let one = example("matomo");
    let all = one.replace("\nfilter = ", "\n# filter = ");
    assert_ne!(one, all);
    let database = MariaDatabase::new("matomo_indexes", SCHEMA);
    let warned = |site: &str| {
        let checked = install(site, &database, "root").run(&["check", "--stores"]);
        checked.stdout.contains("no index begins with matomo_log_visit.visit_last_action_time")
    };
    assert_eq!((warned(&one), warned(&all)), (false, true));
}
