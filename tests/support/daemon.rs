//! An installation of one shop, and the real daemon on it: started, watched through its evidence, sent signals.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Whatever is waited for comes much sooner, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// The rule that follows from `store-ip = false`.
pub(crate) const SETTING_RULE: &str = "shop.example/chat/visitors/ip@setting";

/// The rule that follows from the period of `visit`.
pub(crate) const AGE_RULE: &str = "shop.example/chat/visitors";

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a test varies of the shop's site file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) store_ip: bool,
    pub(crate) visit: &'static str,
    pub(crate) schedule: &'static str,
}

/// Nothing is due before the new year.
pub(crate) const QUIET: Site = Site { store_ip: true, visit: "6 months", schedule: "0 0 1 1 *" };

/// What a test varies of `forgetd.toml`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) approval: &'static str,
    /// Share of the time spent working: how long a run takes.
    pub(crate) duty: &'static str,
}

/// Without approvals, as fast as it goes.
pub(crate) const FAST: Rules = Rules { approval: "automatic", duty: "1.0" };

/// A run of some thousand records lasts for many seconds.
pub(crate) const SLOW: Rules = Rules { approval: "automatic", duty: "0.02" };

/// A directory with configuration, visitor database and state.
pub(crate) struct Installation {
    directory: TempDir,
}

impl Installation {
    /// So many visitors, each with an address; half of them are older than two years.
    pub(crate) fn new(rules: Rules, site: Site, visitors: i64) -> Installation {
        let installation = Installation { directory: TempDir::new().unwrap() };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for directory in ["processors", "sites"] {
            fs::create_dir_all(installation.config().join(directory)).unwrap();
        }
        for file in ["categories.toml", "processors/smartsupp.toml"] {
            installation.put(file, &fs::read_to_string(shipped.join(file)).unwrap());
        }
        installation.set_rules(rules);
        installation.set_site(site);
        installation.write_visitors(visitors);
        installation
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

    pub(crate) fn put(&self, file: &str, text: &str) {
        let path = self.config().join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(crate) fn set_rules(&self, rules: Rules) {
        self.put("forgetd.toml", &self.daemon_file(rules, "state"));
    }

    pub(crate) fn daemon_file(&self, Rules { approval, duty }: Rules, state: &str) -> String {
        format!(
            "state-dir = \"{}\"\n[controller]\nname = \"Shop s.r.o.\"\n[safety]\napproval = \"{approval}\"\n\
             max-share = 1.0\n[pace]\nbatch-time = \"10 ms\"\nduty = {duty}\n",
            self.path().join(state).display()
        )
    }

    pub(crate) fn set_site(&self, site: Site) {
        self.put("sites/shop.example.toml", &self.site_file(site));
    }

    pub(crate) fn site_file(&self, Site { store_ip, visit, schedule }: Site) -> String {
        format!(
            r#"domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "{schedule}"
[settings]
store-ip = {store_ip}
[retention]
visit = "{visit}"
[store.chat]
kind = "sqlite"
path = "{}"
[[store.chat.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "visit"
[store.chat.table.columns]
ip = "visit.ip-address"
"#,
            self.database().display()
        )
    }

    fn database(&self) -> PathBuf {
        self.path().join("chat.db")
    }

    /// The application's connection.
    pub(crate) fn sql(&self) -> Connection {
        let db = Connection::open(self.database()).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        db
    }

    fn write_visitors(&self, visitors: i64) {
        let db = Connection::open(self.database()).unwrap();
        db.execute_batch("CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL, ip TEXT)")
            .unwrap();
        let (old, young) = ("unixepoch('now', '-25 months')", "unixepoch('now', '-1 day')");
        let insert = format!(
            "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?1) \
             INSERT INTO visitors SELECT id, iif(id % 2, {old}, {young}), '198.51.100.' || (id % 250) FROM n"
        );
        db.execute(&insert, [visitors]).unwrap();
    }

    fn count(&self, condition: &str) -> u64 {
        let count: i64 = self
            .sql()
            .query_row(&format!("SELECT count(*) FROM visitors WHERE {condition}"), [], |row| row.get(0))
            .unwrap();
        u64::try_from(count).unwrap()
    }

    pub(crate) fn addresses(&self) -> u64 {
        self.count("ip IS NOT NULL")
    }

    pub(crate) fn visitors(&self) -> u64 {
        self.count("true")
    }

    /// Another command, as an operator would run it beside the daemon.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        forgetd(&self.config()).args(arguments).output().unwrap()
    }

    /// A command in an environment: its exit code and what it printed with `--json`.
    pub(crate) fn told(&self, environment: &[(&str, &str)], arguments: &[&str]) -> (i32, Value) {
        let mut command = forgetd(&self.config());
        let output = command.arg("--json").args(arguments).envs(environment.iter().copied()).output().unwrap();
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), value)
    }

    /// What a command prints with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[&["--json"], arguments].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Every entry of the audit log, as the file has it.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("audit/log.jsonl")).unwrap_or_default();
        // A line without its newline is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn entries_of(&self, kind: &str) -> Vec<Value> {
        self.entries().into_iter().filter(|entry| entry["kind"] == kind).collect()
    }

    /// Waits for the `count`-th entry of a kind.
    pub(crate) fn wait_for(&self, kind: &str, count: usize) -> Value {
        eventually(&format!("{count} × {kind}"), || self.entries_of(kind).into_iter().nth(count - 1))
    }

    /// Records that ended runs claim to have erased.
    pub(crate) fn erased(&self) -> u64 {
        self.entries_of("run.finished").iter().map(|entry| entry["erased"].as_u64().unwrap()).sum()
    }

    pub(crate) fn assert_log_verifies(&self) {
        let verify = self.command(&["audit", "verify"]);
        assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    }
}

fn forgetd(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgetd"));
    command.arg("--config").arg(config);
    command
}

/// A daemon of the test's own; it dies with it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Started, and ready.
    pub(crate) fn start(installation: &Installation) -> Daemon {
        let daemon = Daemon::spawn(installation, &installation.config(), &[]);
        eventually("ready", || daemon.said(" ready").then_some(()));
        daemon
    }

    /// Started on a directory that may be reached by another path.
    pub(crate) fn spawn(installation: &Installation, config: &Path, environment: &[(&str, &str)]) -> Daemon {
        let log = tempfile::Builder::new().prefix("log").tempfile_in(installation.path()).unwrap();
        let (file, log) = log.keep().unwrap();
        let child = forgetd(config)
            .arg("run")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .envs(environment.iter().copied())
            .stderr(file)
            .spawn()
            .unwrap();
        Daemon { child, log }
    }

    /// Everything on its standard error, which is a file: a JSON object a line.
    pub(crate) fn raw_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The same in the form that a person reads: message and fields.
    pub(crate) fn log(&self) -> String {
        let line = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(event)) => as_people_read(&event),
            _ => format!("{line}\n"),
        };
        self.raw_log().lines().map(line).collect()
    }

    pub(crate) fn said(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the daemon's end", || self.child.try_wait().unwrap())
    }

    /// Told to end, it ends well.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

fn as_people_read(event: &serde_json::Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut line = format!("{} {} ", text(&event["level"]), text(&event["message"]));
    for (name, value) in
        event.iter().filter(|(name, _)| !["timestamp", "level", "message", "target"].contains(&name.as_str()))
    {
        line.push_str(&format!("{name}={} ", text(value)));
    }
    line + "\n"
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
