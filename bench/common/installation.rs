//! forgetd as it is installed: a configuration, a state, the built program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::figures::{Took, measured};

/// The program.
const FORGETD: &str = env!("CARGO_BIN_EXE_forgetd");

/// The rule that erases visitors.
pub(crate) const VISITORS: &str = "shop.example/chat/visitors";

/// How often the memory of a run is looked at; the kernel keeps the peak, so only the very end can be missed.
const GLANCE: Duration = Duration::from_millis(5);

/// How fast forgetd may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// No rests: what it can do.
    Full,
    /// As shipped.
    Default,
}

/// A configuration directory and a state directory, in one place, and the rule that is measured.
pub(crate) struct Installation {
    dir: PathBuf,
    rule: String,
}

/// What a site file says, and the rule in it that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration<'a> {
    pub(crate) rule: &'a str,
    /// The periods.
    pub(crate) retention: &'a str,
    /// The keys of the store.
    pub(crate) store: &'a str,
    /// Those of its table `visitors`, which holds visits and has the key `id`.
    pub(crate) table: &'a str,
}

/// What a purge took.
pub(crate) struct Purge {
    pub(crate) took: Took,
    /// Peak resident memory of the process, in KiB.
    pub(crate) peak_kib: u64,
    pub(crate) erased: u64,
}

impl Installation {
    /// Writes everything in `dir`; the state is new.
    pub(crate) fn new(dir: &Path, pace: Pace, declaration: &Declaration<'_>) -> Installation {
        let Declaration { rule, retention, store, table } = declaration;
        let installation = Installation { dir: dir.join("installation"), rule: (*rule).to_owned() };
        let _absent = fs::remove_dir_all(installation.dir.join("state"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let duty = match pace {
            Pace::Full => "duty = 1.0",
            Pace::Default => "",
        };
        let state = installation.dir.join("state");
        installation.put(
            "forgetd.toml",
            &format!("state-dir = {state:?}\n[controller]\nname = \"Shop s.r.o.\"\n[pace]\n{duty}\n"),
        );
        installation.put("categories.toml", &fs::read_to_string(root.join("categories.toml")).unwrap());
        installation.put(
            "sites/shop.example.toml",
            &format!(
                "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
                 [retention]\n{retention}\n\
                 [store.chat]\n{store}\n\
                 [[store.chat.table]]\nname = \"visitors\"\nkey = \"id\"\nholds = \"visit\"\n{table}\n"
            ),
        );
        installation
    }

    /// Reads the plan and releases the rule, as an operator would.
    pub(crate) fn approve(&self) {
        // 3: the rule waits for its approval.
        let plan = json(&finished(self.command(&["plan", "--json", &self.rule]), &[0, 3]));
        let token = plan["rules"][0]["plan"].as_str().unwrap();
        finished(self.command(&["approve", &self.rule, "--plan", token]), &[0]);
    }

    /// `forgetd purge`, from its start to its end.
    pub(crate) fn purge(&self) -> Purge {
        let mut purge = self.command(&["purge", "--yes", "--json", &self.rule]);
        let ((output, peak_kib), took) = measured(|| watched(purge.spawn().unwrap()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let run = &json(&output)["runs"][0];
        assert_eq!((run["outcome"].as_str(), run["left"].as_u64()), (Some("done"), Some(0)), "{run}");
        Purge { took, peak_kib, erased: run["erased"].as_u64().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FORGETD);
        command.arg("--config").arg(self.dir.join("config")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Writes a file of the configuration, not writable by others whatever the umask.
    fn put(&self, name: &str, text: &str) {
        let path = self.dir.join("config").join(name);
        let parent = path.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// `forgetd audit verify` over the log in `log`.
#[allow(dead_code, reason = "measured once is enough")]
pub(crate) fn verify(log: &Path) -> Took {
    let mut command = Command::new(FORGETD);
    command.args(["audit", "verify", "--json", "--log"]).arg(log);
    measured(|| finished(command, &[0])).1
}

fn finished(mut command: Command, accepted: &[i32]) -> Output {
    let output = command.output().unwrap();
    let code = output.status.code().unwrap_or(-1);
    assert!(accepted.contains(&code), "exit {code}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits for a process, with an eye on its memory.
fn watched(child: Child) -> (Output, u64) {
    let status = format!("/proc/{}/status", child.id());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak_of(&status).unwrap_or(0).max(peak);
                thread::sleep(GLANCE);
            }
            peak
        });
        let output = child.wait_with_output().unwrap();
        ended.store(true, Ordering::Relaxed);
        (output, peak.join().unwrap())
    })
}

/// `VmHWM` of a process, in KiB; nothing once it has ended.
fn peak_of(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
