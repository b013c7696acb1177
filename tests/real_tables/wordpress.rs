//! WordPress: dates that are zero, columns that may not be NULL, addresses that are masked first and erased later.

use jiff::ToSpan;

use super::servers::{Database, MariaDatabase};
use super::{cutoff, example, expected, grants_are_found_one_by_one, install, purge, told, utc};

const SCHEMA: &str = include_str!("wordpress.sql");

/// Comments of seven years. Some have no date in UTC, half of those none at all; some came without an address, through
/// a proxy, or were masked before.
const COMMENTS: &str = "
INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_author_email, comment_author_IP, comment_date, comment_date_gmt, comment_content, comment_approved, comment_agent, comment_type, comment_parent)
  SELECT seq, 1 + seq % 300, CONCAT('Visitor ', seq), IF(seq % 6 = 0, '', CONCAT('visitor', seq, '@mail.example')),
    CASE WHEN seq % 6 = 0 THEN '' WHEN seq % 7 = 1 THEN CONCAT('2001:db8:abcd:', HEX(1 + seq % 999), '::', HEX(1 + seq % 77))
      WHEN seq % 7 = 2 THEN CONCAT('203.0.113.', 1 + seq % 254, ', 198.51.100.', 1 + seq % 254)
      WHEN seq % 7 = 3 THEN '198.51.100.0' ELSE CONCAT('192.0.', seq % 256, '.', 1 + seq % 254) END,
    IF(seq % 194 = 0, '0000-00-00 00:00:00', UTC_DATE() - INTERVAL 1 + seq % 2591 DAY + INTERVAL 810 MINUTE),
    IF(seq % 97 = 0, '0000-00-00 00:00:00', UTC_DATE() - INTERVAL 1 + seq % 2591 DAY + INTERVAL ELT(1 + seq % 3, 720, 1290, 1410) MINUTE),
    'Nice boots.', IF(seq % 20 = 0, 'spam', '1'), IF(seq % 6 = 0, '', 'Mozilla/5.0 (X11; Linux x86_64)'),
    IF(seq % 6 = 0, 'pingback', 'comment'), IF(seq % 5 = 0, seq - 1, 0)
  FROM seq_1_to_50000;
INSERT INTO wp_commentmeta (comment_id, meta_key, meta_value)
  SELECT comment_ID, ELT(seq, 'akismet_result', 'akismet_history'), 'false' FROM wp_comments JOIN seq_1_to_2 WHERE comment_ID % 3 = 0;
ANALYZE TABLE wp_comments;
";

/// A comment's address with its host parts taken away, each by its network of /24 or /48.
const MASKED: &str = "(CASE WHEN comment_author_IP LIKE '%:%' THEN '2001:db8:abcd::' \
    WHEN comment_author_IP LIKE '%,%' THEN '203.0.113.0, 198.51.100.0' WHEN comment_author_IP = '' THEN '' \
    ELSE CONCAT(SUBSTRING_INDEX(comment_author_IP, '.', 3), '.0') END)";

#[test]
fn wordpress_comments_lose_their_addresses_step_by_step_and_go_with_their_metadata() {
    let example = example("wordpress");
    let mut database = MariaDatabase::new("wordpress", SCHEMA);
    database.execute(COMMENTS);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));

    let before = |period| format!("comment_date_gmt <> 0 AND comment_date_gmt < {}", utc(cutoff(period)));
    let (total, undatable) = (database.count("wp_comments"), database.count("wp_comments WHERE comment_date_gmt = 0"));
    assert_eq!(undatable, 50_000 / 97);
    let mut count =
        |period, column: &str| database.count(&format!("wp_comments WHERE {} AND {column}", before(period)));
    let rows = count(5.years(), "TRUE");
    let erased = count(30.days(), "comment_author_IP <> ''");
    let masked = count(7.days(), &format!("comment_author_IP <> {MASKED}"));
    let agents = count(6.months(), "comment_agent <> ''");
    let emails = count(2.years(), "comment_author_email <> ''");
    assert!(rows > 10_000 && total - rows > 30_000 && masked < erased);
    let (week, month, half, two, five) =
        (before(7.days()), before(30.days()), before(6.months()), before(2.years()), before(5.years()));
    database.execute(&format!(
        "CREATE TABLE left_comments ENGINE=MyISAM AS SELECT * FROM wp_comments WHERE NOT ({five});
        UPDATE left_comments SET comment_author_IP = {MASKED} WHERE {week};
        UPDATE left_comments SET comment_author_IP = '' WHERE {month};
        UPDATE left_comments SET comment_agent = '' WHERE {half};
        UPDATE left_comments SET comment_author_email = '' WHERE {two};
        ALTER TABLE left_comments ADD INDEX (comment_ID);
        CREATE TABLE left_meta ENGINE=MyISAM AS
          SELECT m.* FROM wp_commentmeta AS m JOIN left_comments AS c ON c.comment_ID = m.comment_id;
        "
    ));

    let of = |[matches, undatable]: [i64; 2]| [matches, total, undatable];
    purge(
        &install(&example, &database, "forgetd"),
        &[
            expected("blog.example/blog/wp_comments", "erase-rows", of([rows, undatable])),
            expected("blog.example/blog/wp_comments/comment_agent", "erase-column", of([agents, undatable])),
            expected(
                "blog.example/blog/wp_comments/comment_author_IP@7-days",
                "truncate-column",
                of([masked, undatable]),
            ),
            expected(
                "blog.example/blog/wp_comments/comment_author_IP@30-days",
                "erase-column",
                of([erased, undatable]),
            ),
            expected("blog.example/blog/wp_comments/comment_author_email", "erase-column", of([emails, undatable])),
        ],
    );
    assert!(database.is_same("wp_comments", "left_comments"));
    assert!(database.is_same("wp_commentmeta", "left_meta"));
    assert!(database.count("wp_comments WHERE comment_date_gmt = 0 AND comment_author_IP <> ''") > 0);
}

#[test]
fn what_wordpress_needs_to_be_granted_is_told() {
    let example = example("wordpress")
        .replace("wordpress.wp_", "wordpress_grants.wp_")
        .replace("wordpress.*", "wordpress_grants.*");
    let mut database = MariaDatabase::new("wordpress_grants", SCHEMA);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&example, &mut database);
}
