//! Tables and columns that look personal and that nobody declared.

use rstest::rstest;
use serde_json::json;

use super::installation::Installation;
use super::{RULE, drift, findings, found, shop, shop_with};

/// The text of the only finding, and its columns.
fn only(shop: &Installation) -> (String, serde_json::Value) {
    let drift = drift(shop, 3);
    let findings = drift["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{drift}");
    (findings[0]["text"].as_str().unwrap().to_owned(), findings[0]["columns"].clone())
}

#[rstest]
#[case("phone", "phone")]
#[case("telefon", "phone")]
#[case("Telefonnummer", "phone")]
#[case("příjmení", "name")]
#[case("Vorname", "name")]
#[case("name", "name")]
#[case("userAgent", "user-agent")]
#[case("client_ip", "ip-address")]
#[case("adresa", "address")]
#[case("Geburtsdatum", "birth")]
#[case("customer_id", "user-id")]
fn a_new_column_is_told_by_its_name_in_three_languages(#[case] column: &str, #[case] looks_like: &str) {
    let shop = shop_with(&format!("ALTER TABLE visitors ADD COLUMN \"{column}\" TEXT"));
    assert_eq!(findings(&drift(&shop, 3)), [found("undeclared-column", &format!("{RULE}/{column}"), None)]);
    assert_eq!(only(&shop).1, json!([{"column": column, "looks_like": looks_like, "by": "name"}]));
}

#[test]
fn a_column_of_a_child_is_told_too() {
    let shop = shop_with("ALTER TABLE pages ADD COLUMN referrer_ip TEXT");
    assert_eq!(findings(&drift(&shop, 3)), [found("undeclared-column", "shop.example/chat/pages/referrer_ip", None)]);
}

#[test]
fn a_column_is_told_by_its_values_and_none_of_them_is_shown() {
    let shop = shop().with_database("UPDATE visitors SET colour = 'canary-' || id || '@shop.example'");
    let (text, columns) = only(&shop);
    assert_eq!(columns, json!([{"column": "colour", "looks_like": "email", "by": "values"}]));
    assert!(text.contains("looks like an e-mail address (by its values)"), "{text}");
    for arguments in [&["drift"][..], &["drift", "--json"]] {
        let ran = shop.run(arguments);
        assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{ran:?}");
    }
    // Two of a kind among others say nothing of the column.
    let shop = super::shop().with_database("UPDATE visitors SET colour = '192.0.2.' || id WHERE id < 3");
    drift(&shop, 0);
}

#[test]
fn a_table_beside_the_declared_ones_is_told_if_it_says_when_and_looks_personal() {
    let shop = shop().with_database("CREATE TABLE orders (id INTEGER, customer_email TEXT, created_at TEXT)");
    assert_eq!(findings(&drift(&shop, 3)), [found("undeclared-table", "shop.example/chat/orders", None)]);
    let (text, columns) = only(&shop);
    assert_eq!(columns, json!([{"column": "customer_email", "looks_like": "email", "by": "name"}]));
    assert!(text.contains("table orders is not declared, and looks personal"), "{text}");
}

#[test]
fn a_table_is_told_by_its_values_where_its_names_say_nothing() {
    let shop = shop().with_database(
        "CREATE TABLE facts (k TEXT, v TEXT, created_at TEXT);
         INSERT INTO facts SELECT 'x', '2001:db8::' || value, '2026-01-01' FROM json_each('[1, 2, 3, 4]')",
    );
    assert_eq!(only(&shop).1, json!([{"column": "v", "looks_like": "ip-address", "by": "values"}]));
}

#[rstest]
#[case("CREATE TABLE products (id INTEGER, name TEXT, price INTEGER, created_at TEXT)")]
#[case("CREATE TABLE newsletter (email TEXT)")]
#[case("CREATE TABLE settings (key TEXT, value TEXT, updated_at TEXT)")]
#[case("CREATE VIEW recent AS SELECT id, email, last_seen FROM visitors")]
#[case("CREATE VIRTUAL TABLE found USING fts5(email, created_at)")]
fn what_is_about_things_or_is_no_table_of_its_own_is_not_told(#[case] sql: &str) {
    drift(&shop().with_database(sql), 0);
}

/// Names that would end a statement, a line, a terminal's or a spreadsheet's patience.
#[rstest]
#[case("email\"; DROP TABLE visitors; --")]
#[case("email'; --")]
#[case("e-mail\n\u{1b}[31m")]
#[case("\u{202e}email")]
#[case("=cmd|'/C calc'!email")]
#[case("email [x] `y`")]
fn a_hostile_name_is_one_name_on_one_line(#[case] column: &str) {
    let quoted = format!("\"{}\"", column.replace('"', "\"\""));
    let shop = shop_with(&format!("ALTER TABLE visitors ADD COLUMN {quoted} TEXT"));
    assert_eq!(only(&shop).1[0]["column"], column);
    let ran = shop.run(&["drift"]);
    let told: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("undeclared-column: ")).collect();
    assert_eq!(told.len(), 1, "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stdout.contains('\u{202e}'), "{ran:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 4);
}

#[test]
fn a_name_of_a_table_that_is_hostile_is_looked_at_all_the_same() {
    let table = "\"x\"\"; DROP TABLE visitors; --\"";
    let shop = shop().with_database(&format!(
        "CREATE TABLE {table} (v TEXT, created_at TEXT);
         INSERT INTO {table} SELECT '192.0.2.' || value, '' FROM json_each('[1, 2, 3]')"
    ));
    assert_eq!(findings(&drift(&shop, 3)).len(), 1);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 4);
}

#[test]
fn what_the_operator_accepts_is_counted_and_no_longer_told() {
    let shop =
        shop_with("ALTER TABLE visitors ADD COLUMN phone TEXT; CREATE TABLE staff (email TEXT, hired_date TEXT)");
    assert_eq!(findings(&drift(&shop, 3)).len(), 2);
    let daemon = std::fs::read_to_string(shop.config().join("forgetd.toml")).unwrap();
    let accepts = "[drift]\naccepts = [\"shop.example/chat/staff\", \"shop.example/chat/visitors/phone\"]\n";
    shop.write("forgetd.toml", &format!("{daemon}{accepts}"));
    assert_eq!(drift(&shop, 0)["accepted"], 2);
    assert!(shop.run(&["drift"]).stdout.contains("2 findings that the configuration accepts left out"));
    // What a record count says cannot be accepted away.
    shop.database().execute_batch("INSERT INTO visitors (last_seen) VALUES (unixepoch('2024-03-01'))").unwrap();
    shop.write("forgetd.toml", &format!("{daemon}[drift]\naccepts = [\"shop.example/chat\"]\n"));
    assert_eq!(findings(&drift(&shop, 3)), [found("overdue", RULE, 1)]);
}

#[test]
fn a_declared_column_is_not_told_whatever_it_is_called() {
    let shop = shop_with("ALTER TABLE visitors ADD COLUMN phone TEXT");
    let site = std::fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    shop.write("sites/shop.example.toml", &site.replace("email = ", "PHONE = \"contact.phone\"\nemail = "));
    assert_eq!(findings(&drift(&shop, 0)), []);
}

#[test]
fn a_database_of_two_sites_is_told_of_once_and_by_one_name() {
    let shop = shop_with(
        "CREATE TABLE orders (email TEXT, created_at TEXT);
         CREATE TABLE logins (id INTEGER PRIMARY KEY, at INTEGER, user_agent TEXT)",
    );
    let logins = "[[store.chat.table]]\nname = \"logins\"\nkey = \"id\"\nholds = \"visit\"\n\
                  time = { column = \"at\", format = \"unix-seconds\" }\n[store.chat.table.columns]\nuser_agent = \"visit\"\n";
    let other = shop.site("", logins).replace("\"shop.example\"", "\"other.example\"");
    shop.write("sites/other.example.toml", &other);
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let expected = [found("undeclared-table", "other.example/chat/orders", None)];
    assert_eq!(findings(&drift(&shop, 3)), expected);
    for site in ["shop.example", "other.example"] {
        let told = shop.json(&["drift", "--site", site], 3);
        assert_eq!(findings(&told), expected, "{site}");
        assert!(told["rules"].as_array().unwrap().iter().all(|rule| rule["rule"].as_str().unwrap().starts_with(site)));
    }
}
