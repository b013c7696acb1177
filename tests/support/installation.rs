//! An installation in a temporary directory: configuration, state, a shop's SQLite database, and the built binary.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// What guards and pace say where a test does not care: no approval, no limit in the way, no rest.
pub(crate) const UNGUARDED: &str =
    "[safety]\napproval = \"automatic\"\nmax-share = 1.0\n[pace]\nduty = 1.0\nbatch-time = \"1 s\"\n";

/// The safety settings that a fresh installation has.
pub(crate) const GUARDED: &str = "[pace]\nduty = 1.0\n";

/// Everything of one site but its stores.
const SITE: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[[processor]]
id = "smartsupp"
chat-key = "8f3c2a"
features = ["chat", "marketing"]
[retention]
visit = "6 months"
contact = "2 years"
conversation = "2 years"
"visit.location" = "30 days"
[store.chat]
kind = "sqlite"
"#;

pub(crate) struct Installation {
    directory: TempDir,
}

impl Installation {
    /// The shipped categories and processors, no site yet.
    pub(crate) fn new(daemon: &str) -> Installation {
        Installation::in_directory(tempfile::tempdir().unwrap(), daemon)
    }

    /// The same where a sync costs nothing, for tests of many runs.
    pub(crate) fn in_memory(daemon: &str) -> Installation {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Installation::in_directory(directory.unwrap(), daemon)
    }

    fn in_directory(directory: TempDir, daemon: &str) -> Installation {
        let installation = Installation { directory };
        for directory in ["config/processors", "config/sites"] {
            fs::create_dir_all(installation.path().join(directory)).unwrap();
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for file in ["categories.toml", "processors/smartsupp.toml"] {
            installation.write(file, &fs::read_to_string(shipped.join(file)).unwrap());
        }
        let state = installation.state();
        let daemon = format!("state-dir = \"{}\"\n[controller]\nname = \"Shop s.r.o.\"\n{daemon}", state.display());
        installation.write("forgetd.toml", &daemon);
        installation
    }

    /// With the site whose store holds these tables.
    pub(crate) fn with_tables(self, tables: &str) -> Installation {
        self.write("sites/shop.example.toml", &self.site("", tables));
        self
    }

    /// With the result of these statements in the shop's database.
    pub(crate) fn with_database(self, sql: &str) -> Installation {
        self.database().execute_batch(sql).unwrap();
        self
    }

    /// A site file: lines of `[settings]`, and tables of its store.
    pub(crate) fn site(&self, settings: &str, tables: &str) -> String {
        format!("{SITE}path = \"{}\"\n[settings]\n{settings}\n{tables}", self.database_path().display())
    }

    /// Replaces a file of the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.config().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.path().join("chat.db")
    }

    /// A connection as the application has one.
    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.database_path()).unwrap()
    }

    /// The one number that a query returns.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.database().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// The built binary, told which configuration to use.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = forgetd();
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    /// Runs the binary in pipes, with nothing to read.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the binary, which must end with `code`, with `--json`.
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"))
    }

    /// Runs the binary on a terminal of that width, where a person types `input`.
    pub(crate) fn on_a_terminal(&self, columns: u16, arguments: &[&str], input: &str) -> Ran {
        let words: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_forgetd").to_owned())
            .chain(["--config".to_owned(), self.config().display().to_string()])
            .chain(arguments.iter().map(|argument| (*argument).to_owned()))
            .collect();
        let line = format!("stty cols {columns}; {}", words.join(" "));
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = script.spawn().expect("script(1) of bsdutils is there");
        running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(running.wait_with_output().unwrap())
    }

    /// One rule as `plan --json` tells it.
    pub(crate) fn planned(&self, rule: &str) -> Value {
        let ran = self.run(&["plan", rule, "--json"]);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let rules = plan["rules"].as_array().unwrap();
        rules.iter().find(|planned| planned["rule"] == rule).unwrap_or_else(|| panic!("no {rule} in {plan}")).clone()
    }

    /// Approves a rule with the token that `plan` prints for it.
    pub(crate) fn approve(&self, rule: &str) -> Ran {
        let token = self.planned(rule)["plan"].as_str().unwrap().to_owned();
        self.run(&["approve", rule, "--plan", &token])
    }

    /// Every file below the directory with its contents, and every directory.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        tree(self.path())
    }
}

/// The built binary, in an environment that does not change what it prints.
pub(crate) fn forgetd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgetd"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("RUST_LOG");
    command
}

/// Every file below a directory with its contents, and every directory.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut unseen = vec![root.to_owned()];
    while let Some(directory) = unseen.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                unseen.push(path.clone());
                found.insert(path, None);
            } else {
                match fs::read(&path) {
                    // A process at work renames and removes files between the list and this.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    contents => drop(found.insert(path, Some(contents.unwrap()))),
                }
            }
        }
    }
    found
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}")),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
