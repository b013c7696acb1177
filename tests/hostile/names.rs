//! Names of tables and columns with every trouble of quoting, on three databases: declared, checked, planned, purged.

use rstest::rstest;
use serde_json::Value;

use crate::database::{Connection, Database, OnMariaDb, OnPostgres};
use crate::installation::{Installation, UNGUARDED};
use crate::{acts, assert_plain, mariadb, postgres_server, toml};

const SITE: &str = "sites/shop.example.toml";
const DAY: i64 = 24 * 3_600;

/// Whatever a table may be called everywhere. No name is a part of another one with `k`, `t`, `p` or `f` before it.
const NAMES: [&str; 42] = [
    "a\"b",
    "a`b",
    "a'b",
    "a\\b",
    "a\\",
    "\"",
    "``",
    "''",
    "100%_s",
    "--",
    "x;-- ",
    "/* x */",
    "a b",
    " lead",
    "line\nbreak",
    "carriage\rreturn",
    "tab\there",
    "ěščřžýáíé",
    "中文表",
    "select",
    "Order",
    "MiXeD",
    "null",
    "0",
    "1e5",
    "-1",
    "$1",
    "?1",
    ":name",
    "@@p",
    "{0}",
    "a/b",
    "a@setting",
    "a.b",
    "[brackets]",
    "⟨U+000A⟩",
    "\u{202e}evil",
    "zero\u{200b}width",
    "erased\u{1b}[2J\u{1b}[1;1Hforged",
    "c1\u{9b}31mred",
    "x\"; DROP TABLE bystander; --.",
    "x`; DROP TABLE bystander; --.",
];

/// The same for values: `filter` takes any text.
const WANTED: &str = "it's \\ \"quoted\" `x` %_ \n\u{202e}; DROP TABLE bystander; --";

/// SQLite, PostgreSQL, MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Kind {
    /// Names that only some allow, and the longest.
    fn names(self) -> Vec<String> {
        let further: &[String] = match self {
            // PostgreSQL counts 63 bytes; one is left for the letter before the columns.
            Kind::Postgres => &["🍪 emoji".to_owned(), "n".repeat(62), "ž".repeat(31), " trail ".to_owned()],
            // MariaDB counts 64 characters of the basic plane, and lets none end with a space.
            Kind::MariaDb => &["n".repeat(63), "ž".repeat(63)],
            Kind::Sqlite => &["🍪 emoji".to_owned(), "n".repeat(200), " trail ".to_owned(), "\u{1}\u{7f}".to_owned()],
        };
        let common = NAMES.iter().map(|name| match self {
            Kind::MariaDb => name.trim_end_matches(' ').to_owned(),
            _ => (*name).to_owned(),
        });
        common.chain(further.iter().cloned()).collect()
    }

    fn quoted(self, name: &str) -> String {
        match self {
            Kind::MariaDb => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            Kind::MariaDb => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            _ => format!("'{}'", text.replace('\'', "''")),
        }
    }
}

struct OnSqlite(rusqlite::Connection);

impl Connection for OnSqlite {
    fn execute(&mut self, sql: &str) -> u64 {
        let changed = self.0.execute(sql, []).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"));
        u64::try_from(changed).unwrap()
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let mut statement = self.0.prepare(sql).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"));
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn is_alive(&mut self) -> bool {
        true
    }
}

/// A database whose tables are called so, with an installation that declares them all.
struct Scene {
    kind: Kind,
    installation: Installation,
    connection: Box<dyn Connection>,
    names: Vec<String>,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let installation = Installation::new(UNGUARDED);
        let (mut connection, declaration): (Box<dyn Connection>, String) = match kind {
            Kind::Sqlite => {
                let path = installation.database_path();
                let declaration = format!("kind = \"sqlite\"\npath = \"{}\"", path.display());
                (Box::new(OnSqlite(rusqlite::Connection::open(path).unwrap())), declaration)
            }
            Kind::Postgres => {
                let database = OnPostgres::new(postgres_server::server());
                (database.connect(), database.declaration())
            }
            Kind::MariaDb => {
                let database = OnMariaDb::new(mariadb::shared());
                (database.connect(), database.declaration())
            }
        };
        let names = kind.names();
        connection.execute("CREATE TABLE bystander (id bigint PRIMARY KEY)");
        connection.execute("INSERT INTO bystander VALUES (1)");
        names.iter().enumerate().for_each(|(index, name)| fill(kind, &mut *connection, index, name));
        let tables: Vec<String> = names.iter().enumerate().map(|(index, name)| declared(index, name)).collect();
        installation.write(SITE, &site(&declaration, &tables.concat()));
        Scene { kind, installation, connection, names }
    }

    /// What is left of a table: its keys, which of its rows still have something personal, and the keys in its child.
    fn left(&mut self, index: usize, name: &str) -> [Vec<Vec<i64>>; 3] {
        let quoted = |name: &str| self.kind.quoted(name);
        let (table, key, personal) = (quoted(name), quoted(&format!("k{name}")), quoted(&format!("p{name}")));
        let child = quoted(&child(index, name));
        [
            self.connection.rows(&format!("SELECT {key} FROM {table} ORDER BY {key}")),
            self.connection.rows(&format!("SELECT {key} FROM {table} WHERE {personal} IS NOT NULL ORDER BY {key}")),
            self.connection.rows(&format!("SELECT {key} FROM {child} ORDER BY {key}")),
        ]
    }
}

/// A child of a hostile name where there is room for one letter more.
fn child(index: usize, name: &str) -> String {
    if name.chars().count() < 60 { format!("c{name}") } else { format!("child of {index}") }
}

/// Row 1 is expired. Row 2 is so in its personal column, row 3 not at all, row 4 belongs to another site.
fn fill(kind: Kind, connection: &mut dyn Connection, index: usize, name: &str) {
    let quoted = |prefix: &str| kind.quoted(&format!("{prefix}{name}"));
    let (table, key, time, personal, filter) = (quoted(""), quoted("k"), quoted("t"), quoted("p"), quoted("f"));
    let child = kind.quoted(&child(index, name));
    connection.execute(&format!(
        "CREATE TABLE {table} ({key} bigint NOT NULL PRIMARY KEY, {time} bigint, {personal} varchar(80), \
         {filter} varchar(200)){}",
        // The server's own set is latin1.
        if kind == Kind::MariaDb { " CHARACTER SET utf8mb4" } else { "" }
    ));
    connection.execute(&format!("CREATE INDEX by_time_{index} ON {table} ({time})"));
    connection.execute(&format!("CREATE TABLE {child} (id bigint NOT NULL PRIMARY KEY, {key} bigint)"));
    connection.execute(&format!("CREATE INDEX by_key_{index} ON {child} ({key})"));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let (wanted, other) = (kind.text(WANTED), kind.text("other"));
    for (id, days, site) in [(1, 400, &wanted), (2, 60, &wanted), (3, 1, &wanted), (4, 400, &other)] {
        let seen = now - days * DAY;
        connection.execute(&format!("INSERT INTO {table} VALUES ({id}, {seen}, 'Brno', {site})"));
        connection.execute(&format!("INSERT INTO {child} VALUES ({id}, {id})"));
    }
}

fn declared(index: usize, name: &str) -> String {
    let with = |prefix: &str| toml(&format!("{prefix}{name}"));
    format!(
        "[[store.shop.table]]\nname = {table}\nkey = {key}\nholds = \"visit\"\n{id}\
         time = {{ column = {time}, format = \"unix-seconds\" }}\nfilter = {{ {filter} = {wanted} }}\n\
         children = [{{ table = {child}, column = {key} }}]\n\
         columns = {{ {personal} = \"visit.location\" }}\n",
        table = toml(name),
        key = with("k"),
        time = with("t"),
        filter = with("f"),
        personal = with("p"),
        wanted = toml(WANTED),
        child = toml(&child(index, name)),
        id = "",
    )
}

fn site(declaration: &str, tables: &str) -> String {
    format!(
        "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"0 0 1 1 *\"\n\
         [retention]\nvisit = \"6 months\"\n\"visit.location\" = \"30 days\"\n[store.shop]\n{declaration}\n{tables}"
    )
}

#[rstest]
fn tables_and_columns_of_any_name_lose_exactly_what_is_expired(
    #[values(Kind::Sqlite, Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let mut scene = Scene::new(kind);
    let checked = scene.installation.json(&["check", "--stores"], 0);
    assert_eq!(checked["stores"], serde_json::json!([]));

    let plan = scene.installation.json(&["plan"], 0);
    let rules = plan["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2 * scene.names.len());
    for rule in rules {
        // Row 1 under both rules, row 2 under that of the column.
        let expected = if rule["action"] == "erase-rows" { 1 } else { 2 };
        assert_eq!((&rule["matches"], &rule["state"]), (&expected.into(), &"ready".into()), "{rule}");
    }
    let rules = rules.iter().map(|rule| rule["rule"].as_str().unwrap());
    rules.clone().for_each(|rule| assert!(!rule.chars().any(acts), "{rule:?}"));
    // What is printed is what a command takes.
    for rule in rules.step_by(9) {
        let one = scene.installation.json(&["plan", rule], 0);
        let own = one["rules"].as_array().unwrap();
        assert_eq!(own[0]["rule"], rule);
    }

    let purged = scene.installation.json(&["purge", "--yes"], 0);
    let runs = purged["runs"].as_array().unwrap();
    assert!(runs.iter().all(|run| run["outcome"] == "done" && run["erased"] == 1), "{purged}");
    for (index, name) in scene.names.clone().iter().enumerate() {
        let keys = |keys: &[i64]| keys.iter().map(|key| vec![*key]).collect::<Vec<_>>();
        let expected = [keys(&[2, 3, 4]), keys(&[3, 4]), keys(&[2, 3, 4])];
        assert_eq!(scene.left(index, name), expected, "{name:?}");
    }
    assert_eq!(scene.connection.rows("SELECT id FROM bystander"), [[1]]);
    everything_said_is_plain(&scene);
}

/// Every output that repeats names, and what stands in files.
fn everything_said_is_plain(scene: &Scene) {
    let installation = &scene.installation;
    let out = installation.path().join("report");
    let report = |format: &str| {
        let day = "2026-01-01";
        let words = ["audit", "report", "--from", day, "--to", "2099-01-01", "--format", format, "--out"];
        let ran = installation.run(&[&words[..], &[out.to_str().unwrap()]].concat());
        assert!(ran.code == 0 || ran.code == 3, "{ran:?}");
        let text = std::fs::read_to_string(&out).unwrap();
        std::fs::remove_file(&out).unwrap();
        text
    };
    for format in ["html", "md", "json"] {
        assert_plain(format, &report(format));
    }
    // RFC 4180 has carriage returns at the ends of lines; the byte order mark is for spreadsheets.
    assert_plain("csv", &report("csv").replace("\r\n", "\n").replacen('\u{feff}', "", 1));
    let reads: [&[&str]; 7] = [
        &["check", "--stores"],
        &["plan"],
        &["status"],
        &["audit", "list"],
        &["audit", "show", "1"],
        &["register", "show"],
        &["register", "history"],
    ];
    for command in reads {
        for ran in [installation.run(command), installation.run(&[command, &["--json"]].concat())] {
            assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
            assert_plain(&format!("{command:?}"), &ran.stdout);
            assert_plain(&format!("{command:?}"), &ran.stderr);
        }
    }
    let log = std::fs::read_to_string(installation.state().join("audit/log.jsonl")).unwrap();
    assert_plain("the log", &log);
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[rstest]
fn a_refusal_of_a_store_repeats_no_character_that_acts(
    #[values(Kind::Sqlite, Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let mut scene = Scene::new(kind);
    // The tables are gone, or have lost their keys and gained a trigger's worth of other trouble.
    for (index, name) in scene.names.clone().iter().enumerate() {
        let (table, personal) = (kind.quoted(name), kind.quoted(&format!("p{name}")));
        match index % 3 {
            0 => drop(scene.connection.execute(&format!("DROP TABLE {table}"))),
            1 => drop(scene.connection.execute(&format!("ALTER TABLE {table} RENAME COLUMN {personal} TO other"))),
            _ => drop(scene.connection.execute(&format!("DROP TABLE {}", kind.quoted(&child(index, name))))),
        }
    }
    for command in [&["check", "--stores"][..], &["plan"], &["status"], &["purge", "--yes"], &["audit", "list"]] {
        for ran in [scene.installation.run(command), scene.installation.run(&[command, &["--json"]].concat())] {
            assert!(ran.code == 3 || ran.code == 0, "{command:?}: {ran:?}");
            assert_plain(&format!("{command:?}"), &ran.stdout);
            assert_plain(&format!("{command:?}"), &ran.stderr);
        }
    }
}

#[test]
fn a_terminal_is_sent_colours_and_a_line_of_progress_and_nothing_else_that_it_obeys() {
    let scene = Scene::new(Kind::Sqlite);
    assert_eq!(scene.installation.run(&["purge", "--yes"]).code, 0);
    for command in [&["plan"][..], &["status"], &["audit", "list"], &["audit", "show", "1", "--json"], &["check"]] {
        for columns in [60, 200] {
            let shown = scene.installation.on_a_terminal(columns, command, "").stdout.replace('\r', "");
            let mut pieces = shown.split('\u{1b}');
            let plain: String = pieces.next().into_iter().chain(pieces.map(without_style)).collect();
            assert_plain(&format!("{command:?}"), &plain);
        }
    }
}

/// What follows a style, or an order by which progress writes its line anew: numbers between `[` and a letter, without
/// styles that hide text.
fn without_style(text: &str) -> &str {
    let ordered = text.strip_prefix('[').and_then(|text| text.split_once(['m', 'K', 'A', 'B']));
    let (numbers, rest) = ordered.unwrap_or_else(|| panic!("{text:?}"));
    let hidden = ["8", "30", "40", "7"];
    assert!(numbers.split(';').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()) && !hidden.contains(&part)));
    rest
}

#[test]
fn no_two_tables_and_columns_give_rules_of_one_name() {
    let installation = Installation::new(UNGUARDED).with_database(
        "CREATE TABLE a (k INTEGER PRIMARY KEY, t INTEGER, b TEXT);
         CREATE TABLE \"a/b\" (k INTEGER PRIMARY KEY, t INTEGER, b TEXT);
         CREATE TABLE \"a\nb\" (k INTEGER PRIMARY KEY, t INTEGER, b TEXT);
         CREATE TABLE \"a⟨U+000A⟩b\" (k INTEGER PRIMARY KEY, t INTEGER, b TEXT);",
    );
    let table = |name: &str| {
        format!(
            "[[store.chat.table]]\nname = {}\nkey = \"k\"\ntime = {{ column = \"t\", format = \"unix-seconds\" }}\n\
             holds = \"visit\"\ncolumns = {{ b = \"visit.location\" }}\n",
            toml(name)
        )
    };
    let tables: String = ["a", "a/b", "a\nb", "a⟨U+000A⟩b"].into_iter().map(table).collect();
    let installation = installation.with_tables(&tables);
    let plan = installation.json(&["plan"], 0);
    let mut names: Vec<&str> =
        plan["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    let found = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), found), (8, 8), "{names:?}");
}

#[test]
fn tables_that_differ_in_case_alone_are_two_in_a_database_that_says_so() {
    let kind = Kind::Postgres;
    let mut scene = Scene::new(kind);
    for (index, name) in [(900, "Visitors"), (901, "visitors")] {
        fill(kind, &mut *scene.connection, index, name);
    }
    let site = std::fs::read_to_string(scene.installation.config().join(SITE)).unwrap();
    let (head, _) = site.split_once("[[store.shop.table]]").unwrap();
    let with_id = |index, name, id| declared(index, name).replacen("key = ", &format!("id = \"{id}\"\nkey = "), 1);
    let tables = [with_id(900, "Visitors", "upper"), with_id(901, "visitors", "lower")].concat();
    scene.installation.write(SITE, &format!("{head}{tables}"));
    let purged = scene.installation.json(&["purge", "shop.example/shop/upper", "--yes"], 0);
    assert_eq!(purged["runs"].as_array().unwrap().len(), 2, "{purged}");
    let keys = |scene: &mut Scene, index, name| scene.left(index, name)[0].len();
    assert_eq!((keys(&mut scene, 900, "Visitors"), keys(&mut scene, 901, "visitors")), (3, 4));
}
