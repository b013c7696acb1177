//! Chatwoot: times in UTC that do not say so, messages as children, children of children, an address inside JSON.

use std::collections::BTreeSet;

use jiff::ToSpan;

use super::servers::{Database, PostgresDatabase};
use super::{cutoff, example, expected, grants_are_found_one_by_one, install, purge, told, utc};

const SCHEMA: &str = include_str!("chatwoot.sql");

/// Two accounts. Contacts of three years, some of whom never wrote; conversations of twenty months, some without a
/// message; attachments as old as their messages.
const CONVERSATIONS: &str = "
INSERT INTO contacts (name, email, account_id, created_at, updated_at, last_activity_at, location, country_code, additional_attributes)
  SELECT 'Visitor ' || n, n || '@mail.example', CASE WHEN n % 5 = 0 THEN 2 ELSE 1 END, at, at,
    CASE WHEN n % 50 <> 1 THEN at END, CASE WHEN n % 3 = 0 THEN 'Brno' ELSE '' END, CASE WHEN n % 3 = 0 THEN 'CZ' ELSE '' END,
    CASE n % 4 WHEN 0 THEN '{}' WHEN 1 THEN NULL ELSE jsonb_build_object('created_at_ip', '203.0.113.' || n % 256, 'city', 'Brno', 'browser', 'Firefox') END
  FROM generate_series(1, 20000) AS n, LATERAL (SELECT current_date::timestamp - interval '1 day' * (1 + n % 1097) + interval '12 hours' AS at) AS t;
INSERT INTO contact_inboxes (contact_id, inbox_id, source_id, created_at, updated_at) SELECT id, 1, md5(id::text), created_at, created_at FROM contacts;
INSERT INTO notes (content, account_id, contact_id, created_at, updated_at) SELECT 'called back', account_id, id, created_at, created_at FROM contacts WHERE id % 4 = 0;
INSERT INTO conversations (account_id, inbox_id, display_id, created_at, updated_at, contact_id, additional_attributes, last_activity_at)
  SELECT CASE WHEN n % 4 = 0 THEN 2 ELSE 1 END, 1, 0, at, at, 1 + n % 20000,
    CASE WHEN n % 5 = 0 THEN '{}' ELSE '{\"referer\": \"https://shop.example/boots\", \"browser\": {\"browser_name\": \"Firefox\"}}'::jsonb END, at
  FROM generate_series(1, 50000) AS n, LATERAL (SELECT current_date::timestamp - interval '1 day' * (1 + n % 599)
    + (ARRAY[interval '12 hours', interval '21 hours 30 minutes', interval '23 hours 30 minutes'])[1 + n % 3] AS at) AS t;
INSERT INTO messages (content, account_id, inbox_id, conversation_id, message_type, created_at, updated_at)
  SELECT 'Do you have it in red?', account_id, 1, id, 0, created_at, created_at FROM conversations, generate_series(1, 3) AS n WHERE n <= id % 4;
INSERT INTO attachments (message_id, account_id, external_url, created_at, updated_at)
  SELECT id, account_id, 'https://files.example/' || id, created_at, created_at FROM messages WHERE id % 7 = 0;
INSERT INTO mentions (user_id, conversation_id, account_id, mentioned_at, created_at, updated_at)
  SELECT 1, id, account_id, created_at, created_at, created_at FROM conversations WHERE id % 9 = 0;
INSERT INTO conversation_participants (account_id, user_id, conversation_id, created_at, updated_at)
  SELECT account_id, 1, id, created_at, created_at FROM conversations WHERE id % 2 = 0;
INSERT INTO csat_survey_responses (account_id, conversation_id, message_id, rating, feedback_message, contact_id, created_at, updated_at)
  SELECT account_id, id, id, 5, 'thanks', contact_id, created_at, created_at FROM conversations WHERE id % 11 = 0;
ANALYZE;
";

const OF_A_CONVERSATION: [&str; 4] = ["messages", "mentions", "conversation_participants", "csat_survey_responses"];
const OF_A_CONTACT: [&str; 2] = ["contact_inboxes", "notes"];

/// What must be left, in tables of its own.
fn expect(database: &mut PostgresDatabase) {
    let [month, year, two_years] = [30.days(), 1.year(), 2.years()].map(|period| utc(cutoff(period)));
    database.execute(&format!(
        "CREATE TABLE left_conversations AS SELECT * FROM conversations WHERE account_id <> 1 OR last_activity_at >= {year};
        UPDATE left_conversations SET additional_attributes = '{{}}' WHERE account_id = 1 AND last_activity_at < {month};
        CREATE TABLE left_attachments AS SELECT * FROM attachments WHERE account_id <> 1 OR created_at >= {year};
        CREATE TABLE left_contacts AS SELECT * FROM contacts
          WHERE account_id <> 1 OR last_activity_at IS NULL OR last_activity_at >= {two_years};
        UPDATE left_contacts SET additional_attributes = '{{}}' WHERE account_id = 1 AND additional_attributes IS NOT NULL;
        UPDATE left_contacts SET location = '', country_code = '' WHERE account_id = 1 AND last_activity_at < {month};"
    ));
    let children = OF_A_CONVERSATION
        .map(|child| (child, "conversation"))
        .into_iter()
        .chain(OF_A_CONTACT.map(|child| (child, "contact")));
    for (child, parent) in children {
        database.execute(&format!(
            "CREATE TABLE left_{child} AS SELECT * FROM {child} WHERE {parent}_id IN (SELECT id FROM left_{parent}s)"
        ));
    }
}

#[test]
fn chatwoot_conversations_go_with_their_messages_and_contacts_lose_the_json_that_holds_an_address() {
    let example = example("chatwoot");
    let mut database = PostgresDatabase::new("chatwoot", SCHEMA);
    database.execute(CONVERSATIONS);
    database.create_user("forgetd");
    for statement in [told(&example, "GRANT"), told(&example, "CREATE INDEX")].concat() {
        database.execute(statement);
    }

    let [month, year, two_years] = [30.days(), 1.year(), 2.years()].map(|period| utc(cutoff(period)));
    let mut count = |table: &str, which: &str| database.count(&format!("{table} WHERE account_id = 1 AND {which}"));
    let (conversations, contacts, attachments) =
        (count("conversations", "true"), count("contacts", "true"), count("attachments", "true"));
    let never_wrote = count("contacts", "last_activity_at IS NULL");
    let silent = |which: &str| format!("last_activity_at < {month} AND {which}");
    let rules = [
        expected(
            "support.example/chatwoot/conversations",
            "erase-rows",
            [count("conversations", &format!("last_activity_at < {year}")), conversations, 0],
        ),
        expected(
            "support.example/chatwoot/conversations/additional_attributes",
            "erase-column",
            [count("conversations", &silent("additional_attributes <> '{}'")), conversations, 0],
        ),
        expected(
            "support.example/chatwoot/attachments",
            "erase-rows",
            [count("attachments", &format!("created_at < {year}")), attachments, 0],
        ),
        expected(
            "support.example/chatwoot/contacts",
            "erase-rows",
            [count("contacts", &format!("last_activity_at < {two_years}")), contacts, never_wrote],
        ),
        expected(
            "support.example/chatwoot/contacts/additional_attributes@setting",
            "erase-column",
            [count("contacts", "additional_attributes <> '{}'"), contacts, 0],
        ),
        expected(
            "support.example/chatwoot/contacts/country_code",
            "erase-column",
            [count("contacts", &silent("country_code <> ''")), contacts, never_wrote],
        ),
        expected(
            "support.example/chatwoot/contacts/location",
            "erase-column",
            [count("contacts", &silent("location <> ''")), contacts, never_wrote],
        ),
    ];
    assert!(rules.iter().all(|rule| rule.matches > 500) && never_wrote > 300);
    assert!(
        database
            .count("conversations AS c WHERE NOT EXISTS (SELECT FROM messages AS m WHERE m.conversation_id = c.id)")
            > 5_000
    );
    expect(&mut database);

    purge(&install(&example, &database, "forgetd"), &rules);
    for table in ["conversations", "attachments", "contacts"].iter().chain(&OF_A_CONVERSATION).chain(&OF_A_CONTACT) {
        assert!(database.count(table) > 0 && database.is_same(table, &format!("left_{table}")), "{table}");
    }
    assert_eq!(database.count("contacts WHERE account_id = 1 AND additional_attributes::text LIKE '%203.0.113%'"), 0);
    let orphans =
        "attachments AS a WHERE account_id = 1 AND NOT EXISTS (SELECT FROM messages AS m WHERE m.id = a.message_id)";
    assert_eq!(database.count(orphans), 0);
}

#[test]
fn what_chatwoot_needs_to_be_granted_is_told() {
    let example = example("chatwoot");
    let mut database = PostgresDatabase::new("chatwoot_grants", SCHEMA);
    database.create_user("forgetd");
    told(&example, "GRANT").into_iter().for_each(|grant| database.execute(grant));
    grants_are_found_one_by_one(&example, &mut database);
}

#[test]
fn the_indexes_that_chatwoot_lacks_are_told_as_the_example_tells_them() {
    let one = example("chatwoot");
    let mut database = PostgresDatabase::new("chatwoot_indexes", SCHEMA);
    database.create_user("forgetd");
    told(&one, "GRANT").into_iter().for_each(|grant| database.execute(grant));
    let missing = |site: &str| -> BTreeSet<String> {
        let checked = install(site, &database, "forgetd").run(&["check", "--stores"]);
        assert_eq!(checked.code, 0, "{checked:?}");
        let told = checked.stdout.split("(CREATE INDEX ").skip(1).filter_map(|rest| rest.split_once(';'));
        told.map(|(index, _)| format!("CREATE INDEX {};", index.replace('"', ""))).collect()
    };
    let mut expected: BTreeSet<String> = told(&one, "CREATE INDEX").into_iter().map(str::to_owned).collect();
    assert_eq!(missing(&one), expected);
    // Without an account in front, the contacts' index serves as little.
    expected.insert("CREATE INDEX CONCURRENTLY ON public.contacts (last_activity_at);".to_owned());
    assert_eq!(missing(&one.replace("\nfilter = ", "\n# filter = ")), expected);
}
