//! The demonstration: a newcomer's first command, and the commands it names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use installation::{Ran, forgetd, tree};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// Enough that every rule finds something, few enough to be quick.
const VISITORS: &str = "2000";

fn demo(directory: &Path, more: &[&str]) -> Ran {
    let mut command = forgetd();
    Ran::of(command.arg("demo").arg(directory).args(["--visitors", VISITORS]).args(more).output().unwrap())
}

/// A demonstration in a directory whose name a shell would take apart.
fn kept_demo() -> (TempDir, Ran) {
    let temporary = tempfile::Builder::new().prefix("a shop's ").tempdir().unwrap();
    let ran = demo(&temporary.path().join("demo"), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    (temporary, ran)
}

#[test]
fn every_command_that_it_names_works_as_printed() {
    let (_directory, ran) = kept_demo();
    let commands: Vec<&str> = ran.stdout.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect();
    let daemon = commands.iter().filter(|command| command.ends_with(" run")).count();
    assert_eq!((commands.len() >= 7, daemon), (true, 1), "{commands:?}");
    for command in commands.iter().filter(|command| !command.ends_with(" run")) {
        let ran = Ran::of(Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command}");
        assert!(ran.stdout.lines().count() > 1, "{command}: shows more: {ran:?}");
    }
}

#[test]
fn it_goes_the_whole_way_and_leaves_nothing_to_erase() {
    let (directory, ran) = kept_demo();
    assert!(!ran.stdout.contains('\u{1b}'), "plain in a pipe: {}", ran.stdout);
    let steps: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(steps.len(), 8, "{steps:?}");
    assert!(ran.stdout.contains("a fresh count finds 0 left"), "{}", ran.stdout);
    let shop = Connection::open(directory.path().join("demo/shop/chat.db")).unwrap();
    let number = |query: &str| shop.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(number("SELECT count(*) FROM visitors") > 0);
    // Half a year is at most 184 days; a day more for the zone.
    assert_eq!(number("SELECT count(*) FROM visitors WHERE last_seen BETWEEN 1 AND unixepoch() - 86400 * 185"), 0);
    assert_eq!(number("SELECT count(ip) FROM visitors"), 0);
    assert_eq!(number("SELECT count(visits) FROM visitors WHERE marketing_consent IS NOT 1"), 0);
    assert_eq!(number("SELECT count(*) FROM pages WHERE visitor_id NOT IN (SELECT id FROM visitors)"), 0);
    assert!(number("SELECT count(*) FROM visitors WHERE last_seen = 0") > 0, "what has no usable date is kept");
}

/// A table's rows without the columns that say when.
fn timeless(directory: &Path, table: &str, columns: &str) -> Vec<Vec<Value>> {
    let shop = Connection::open(directory.join("shop/chat.db")).unwrap();
    let mut statement = shop.prepare(&format!("SELECT {columns} FROM {table} ORDER BY id")).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..width).map(|column| row.get(column)).collect();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_same_seed_draws_the_same_sample_and_another_seed_another() {
    let directory = tempfile::tempdir().unwrap();
    let seeds = [("first", "7"), ("again", "7"), ("other", "8")];
    let [first, again, other] = seeds.map(|(name, seed)| {
        let directory = directory.path().join(name);
        assert_eq!(demo(&directory, &["--seed", seed]).code, 0);
        let columns = "id, vid, name, surname, email, phone, social, screen, device, browser, os";
        [
            timeless(&directory, "visitors", columns),
            timeless(&directory, "messages", "id, conversation_id, author, body"),
        ]
    });
    assert!(first[0].len() > 100 && first[1].len() > 100);
    assert!(first == again, "the same seed drew another sample");
    assert!(first != other, "another seed drew the same sample");
}

#[test]
fn a_directory_that_is_not_empty_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mine"), "mine").unwrap();
    let before = tree(directory.path());
    let ran = demo(directory.path(), &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("is not empty: name a new directory"), "{ran:?}");
    assert!(tree(directory.path()) == before);
}

#[test]
fn without_a_directory_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = forgetd();
    let command = command.args(["demo", "--visitors", VISITORS]).env("TMPDIR", temporary.path());
    let ran = Ran::of(command.current_dir(temporary.path()).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("`forgetd demo DIR` keeps it"), "{ran:?}");
    assert_eq!(tree(temporary.path()).len(), 0, "{:?}", tree(temporary.path()).keys());
}
