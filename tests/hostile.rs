//! Whoever names a table, edits the configuration, writes into a log or hands over a file is not a friend: nothing but
//! what is declared and expired goes, nothing that a terminal obeys comes out, and time and memory have an end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "hostile/configuration.rs"]
mod configuration;
#[path = "support/database.rs"]
mod database;
#[path = "hostile/evidence.rs"]
mod evidence;
#[path = "support/installation.rs"]
mod installation;
#[path = "hostile/lines.rs"]
mod lines;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "hostile/names.rs"]
mod names;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::process::{Command, Stdio};

use installation::{Installation, Ran};

/// More than any input here needs (a file of half a million mistakes wants 350 MB), and a small part of what a test
/// machine has: a reader that takes a file as large as it comes ends with an error.
const MEMORY_KIB: u64 = 800 * 1024;

/// Whether a terminal, a browser or an editor would act on the character or hide it: Unicode's `Cc`, `Bidi_Control`,
/// `Zl`, `Zp`, and what has no width (UAX #9, UTR #36).
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{ad}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Text for people or programs, in which only newlines act.
#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let found: Vec<&str> = text.lines().filter(|line| line.chars().any(acts)).take(3).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
}

/// A string of TOML, whatever is in it.
fn toml(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        ' '..='~' if character != '"' && character != '\\' => character.to_string(),
        _ => format!("\\U{:08X}", u32::from(character)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Runs with little memory: whoever wants more is killed or says so.
fn bounded(installation: &Installation, arguments: &[&str]) -> Ran {
    let words: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_forgetd").to_owned())
        .chain(["--config".to_owned(), installation.config().display().to_string()])
        .chain(arguments.iter().map(|word| (*word).to_owned()))
        .collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$@\""), "sh"]).args(&words).env_remove("RUST_LOG");
    Ran::of(shell.stdin(Stdio::null()).output().unwrap())
}
