//! A configuration directory that somebody filled in bad faith: every file is refused whole, in plain words that end.

use rstest::rstest;

use crate::installation::{Installation, UNGUARDED};
use crate::{assert_plain, bounded, toml};

const SITE: &str = "sites/shop.example.toml";
const GOOD: &str =
    "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"0 0 1 1 *\"\n[retention]\nvisit = \"6 months\"\n";

/// Largest file that is read.
const MEBIBYTE: usize = 1024 * 1024;

/// A hundred problems, each of a few lines.
const LONGEST_ANSWER: usize = 500 * 1024;

/// `part`, as often as it fits into a file.
fn filled_with(part: &str) -> String {
    part.repeat((MEBIBYTE - GOOD.len()) / part.len())
}

fn hostile_texts() -> Vec<(&'static str, String)> {
    let many = |key: fn(usize) -> String| (0..20_000).map(key).collect::<String>();
    vec![
        ("lists in lists", format!("{GOOD}x = {}", "[".repeat(400_000))),
        ("lists in lists, closed", format!("{GOOD}x = {}{}", "[".repeat(400_000), "]".repeat(400_000))),
        ("tables in tables", format!("{GOOD}x = {}", filled_with("{a="))),
        ("tables in tables, closed", format!("{GOOD}x = {}1{}", "{a=".repeat(200_000), "}".repeat(200_000))),
        ("a key of many parts", format!("x{} = 1\n{GOOD}", filled_with(".a"))),
        ("a table of many parts", format!("{GOOD}[x{}]\n", filled_with(".a"))),
        ("a store of many parts", format!("{GOOD}[store{}]\nkind = \"sqlite\"\n", filled_with(".a"))),
        ("a list of tables of many parts", format!("{GOOD}[[x{}]]\n", filled_with(".a"))),
        ("one word", filled_with("x")),
        ("one string", format!("{GOOD}x = \"{}\"\n", "x".repeat(1_000_000))),
        ("one domain", GOOD.replace("shop.example", &"x".repeat(1_000_000))),
        ("one time zone", GOOD.replace("UTC", &"x".repeat(1_000_000))),
        ("one schedule", GOOD.replace("0 0 1 1 *", &"1,".repeat(500_000))),
        ("one period", GOOD.replace("6 months", &"9".repeat(1_000_000))),
        ("one category", GOOD.replace("visit =", &format!("{} =", "x".repeat(1_000_000)))),
        ("one category of many parts", GOOD.replace("visit =", &format!("\"visit{}\" =", ".x".repeat(400_000)))),
        ("opening brackets", filled_with("[")),
        ("closing brackets", filled_with("]")),
        ("quotes", filled_with("\"")),
        ("single quotes", filled_with("'")),
        ("equals signs", filled_with("=")),
        ("equals signs on lines", filled_with("=\n")),
        ("commas", filled_with(",")),
        ("dots", filled_with(".")),
        ("backslashes in a string", format!("x = \"{}", filled_with("\\"))),
        ("carriage returns", filled_with("\r")),
        ("newlines and a mistake", format!("{}=", filled_with("\n"))),
        ("half a table on each line", filled_with("[a\n")),
        ("unknown keys", format!("{}{GOOD}", many(|number| format!("key-{number} = 1\n")))),
        ("unknown tables", format!("{GOOD}{}", many(|number| format!("[table-{number}]\n")))),
        ("unknown stores", format!("{GOOD}{}", many(|number| format!("[store.s{number}]\nkind = \"x\"\n")))),
        ("unknown categories", format!("{GOOD}{}", many(|number| format!("c{number} = \"x\"\n")))),
        ("NUL characters", format!("{GOOD}{}", "\0".repeat(10_000))),
        ("escapes of a terminal", format!("{GOOD}\u{1b}[2J\u{1b}]0;forged\u{7}\u{9b}31m = 1\n")),
        ("escapes in a string", format!("{GOOD}[store.\"\\u001b[2J\\u009b31m\\u202e\"]\nkind = \"\\u001b[1;1H\"\n")),
        ("a direction in a name", format!("{GOOD}\u{202e}x\u{2066}y = 1\n\"\u{202e}z\u{200b}\" = 2\n")),
        ("an escape behind a comment", format!("{GOOD}x = # \u{202e}\u{2066}\n")),
    ]
}

#[test]
fn every_hostile_file_is_refused_in_plain_words_that_end() {
    let installation = Installation::new(UNGUARDED);
    let others = ["processors/other.toml", "categories.toml", "forgetd.toml"];
    for (index, (what, text)) in hostile_texts().into_iter().enumerate() {
        for (file, form) in [(SITE, &["check"][..]), (others[index % others.len()], &["check", "--json"])] {
            let before = std::fs::read_to_string(installation.config().join(file)).ok();
            installation.write(file, &text);
            let ran = bounded(&installation, form);
            assert_eq!(ran.code, 78, "{what} in {file}: {:.2000} {:.2000}", ran.stdout, ran.stderr);
            assert!(ran.stdout.len() + ran.stderr.len() < LONGEST_ANSWER, "{what} in {file}");
            assert_plain(&format!("{what} in {file}"), &ran.stdout);
            assert_plain(&format!("{what} in {file}"), &ran.stderr);
            match before {
                Some(before) => installation.write(file, &before),
                None => std::fs::remove_file(installation.config().join(file)).unwrap(),
            }
        }
    }
}

#[test]
fn a_file_name_that_acts_is_told_in_plain_words() {
    let installation = Installation::new(UNGUARDED);
    installation.write("sites/a\n\u{1b}[2J\u{202e}b.toml", "domain = 1\n");
    for command in [&["check"][..], &["check", "--json"], &["plan"], &["purge", "--yes"]] {
        let ran = bounded(&installation, command);
        assert_eq!(ran.code, 78, "{ran:?}");
        assert_plain(&format!("{command:?}"), &ran.stdout);
        assert_plain(&format!("{command:?}"), &ran.stderr);
    }
}

/// What is meant to end a quoted name and go on as SQL, wherever a name can be declared.
const INJECTIONS: [&str; 6] = [
    "id\" = 1 OR 1=1 --",
    "id`; DROP TABLE visitors; --",
    "id'; DROP TABLE visitors; --",
    "visitors\" WHERE 1; DELETE FROM visitors; --",
    "id) OR (1=1",
    "rowid IN (SELECT 1)",
];

#[rstest]
#[case::table("name = NAME\nkey = \"id\"", "t", "")]
#[case::key("name = \"visitors\"\nkey = NAME", "t", "")]
#[case::time("name = \"visitors\"\nkey = \"id\"", "NAME", "")]
#[case::filter("name = \"visitors\"\nkey = \"id\"\nfilter = { NAME = 1 }", "t", "")]
#[case::child("name = \"visitors\"\nkey = \"id\"\nchildren = [{ table = NAME, column = NAME }]", "t", "")]
#[case::column("name = \"visitors\"\nkey = \"id\"", "t", "columns = { NAME = \"visit.location\" }")]
#[case::consent("name = \"visitors\"\nkey = \"id\"\nconsent = { column = NAME, given = NAME }", "t", "")]
fn a_name_that_tries_to_be_sql_names_nothing_and_erases_nothing(
    #[case] table: &str,
    #[case] time: &str,
    #[case] columns: &str,
) {
    for injection in INJECTIONS {
        let installation = Installation::new(UNGUARDED).with_database(
            "CREATE TABLE visitors (id INTEGER PRIMARY KEY, t INTEGER, city TEXT);
             INSERT INTO visitors VALUES (1, unixepoch() - 400 * 86400, 'Brno'), (2, unixepoch(), 'Brno');",
        );
        let named = |text: &str| text.replace("NAME", &toml(injection));
        let time = if time == "t" { "\"t\"".to_owned() } else { named(time) };
        let declared = format!(
            "[[store.chat.table]]\n{}\nholds = \"ssupp.vid\"\ntime = {{ column = {time}, format = \"unix-seconds\" }}\n{}\n",
            named(table),
            named(columns)
        );
        let installation = installation.with_tables(&declared);
        for command in [&["check", "--stores"][..], &["plan"], &["purge", "--yes"]] {
            let ran = installation.run(command);
            assert!(ran.code == 3 || ran.code == 0, "{injection}: {command:?}: {ran:?}");
        }
        // Rows whose rule is good in itself may go: the expired one, and no other.
        assert_eq!(
            installation.number("SELECT count(*) FROM visitors WHERE id = 2 AND city = 'Brno'"),
            1,
            "{injection}"
        );
    }
}

/// Twenty sites of five hundred tables in one database.
#[test]
fn ten_thousand_rules_are_checked_planned_and_recorded() {
    let installation =
        Installation::new(UNGUARDED).with_database("CREATE TABLE t0 (id INTEGER PRIMARY KEY, t INTEGER)");
    for site in 0..20 {
        let tables: String = (0..500)
            .map(|table| {
                format!(
                    "[[store.chat.table]]\nname = \"t{table}\"\nkey = \"id\"\nholds = \"visit\"\n\
                     time = {{ column = \"t\", format = \"unix-seconds\" }}\nfilter = {{ site = {site} }}\n"
                )
            })
            .collect();
        let path = installation.database_path();
        let text = format!(
            "domain = \"s{site}.example\"\ntime-zone = \"UTC\"\nschedule = \"0 0 1 1 *\"\n[retention]\n\
             visit = \"6 months\"\n[store.chat]\nkind = \"sqlite\"\npath = \"{}\"\n{tables}",
            path.display()
        );
        installation.write(&format!("sites/s{site}.example.toml"), &text);
    }
    let checked = installation.json(&["check"], 0);
    let rules: u64 = checked["sites"].as_array().unwrap().iter().map(|site| site["rules"].as_u64().unwrap()).sum();
    assert_eq!(rules, 10_000);
    // Recorded in the register and told in one entry; one rule of a table without the column `site` is refused.
    let purged = bounded(&installation, &["purge", "s7.example/chat/t0", "--yes"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    let applied = installation.json(&["audit", "list", "--kind", "config"], 0);
    assert_eq!(applied["entries"].as_array().unwrap().len(), 1, "{applied}");
}
