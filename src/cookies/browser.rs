//! An installed Chromium, driven through pipes by its DevTools protocol.
//!
//! Pipes and not a port: a port on loopback would let every user of the machine drive the browser, and needs a
//! WebSocket. Pipes are two files with messages between NUL bytes. Chromium takes them as descriptors 3 and 4, which a
//! shell puts there: it ends when they are closed, and the shell then removes what it wrote, so that nothing is left behind
//! when this process dies.
//!
//! Each look gets a context of its own, which Chromium keeps in memory alone: no cookie of a visit reaches the disk.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process_group, test_kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What browsers of this family are called, the most usual first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Makes descriptors 3 and 4 of the two pipes, runs the browser, and removes its profile: also where this process was
/// killed meanwhile. Parts of the browser that are still ending may write once more, so it looks again until nothing is
/// there. Whoever waits for the end of the browser sees the pipes closed before that.
const SHELL: &str = "profile=$1; shift; \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1; exec <&- >&-; \
                     for again in 1 2 3 4 5 6 7 8 9; do rm -rf -- \"$profile\"; sleep 2; [ -e \"$profile\" ] || exit; done";

/// What it is started with: no window, no services of its maker, every frame in one process, so that the storage of
/// frames can be asked for, and no word to pages that nobody sits before it: consent managers hide from robots.
const FLAGS: [&str; 17] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-blink-features=AutomationControlled",
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,Translate,MediaRouter,OptimizationHints",
];

/// How long it may take to start: minutes on a machine that is busy.
const START: Duration = Duration::from_secs(120);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// A longer message is not read: a list of all cookies has some hundred KiB.
const LONGEST_MESSAGE: u64 = 64 << 20;

/// Messages that wait to be read; then the browser waits.
const WAITING: usize = 256;

/// Why a browser cannot be driven. What it answers is never told: it may quote a cookie.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// None is installed.
    #[error("there is no browser: install one (`apt-get install chromium`), or say where it is with `--browser PATH`")]
    NotFound,
    /// It cannot be started.
    #[error("{path} cannot be started: {source}")]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended.
    #[error("the browser ended while it was asked for {asked}: is it a Chromium, and does it start by hand?")]
    Ended {
        /// What was asked.
        asked: &'static str,
    },
    /// It does not answer.
    #[error("the browser did not answer {asked} within {} s", .after.as_secs())]
    Silent {
        /// What was asked.
        asked: &'static str,
        /// After how long.
        after: Duration,
    },
    /// It refuses.
    #[error("the browser refused {asked}")]
    Refused {
        /// What was asked.
        asked: &'static str,
    },
}

/// Whether the browser keeps pages in its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// It does.
    On,
    /// Chromium has none for root.
    OffForRoot,
}

/// Whether a browser that is started by this process keeps pages in its sandbox.
pub fn sandbox() -> Sandbox {
    if geteuid().is_root() { Sandbox::OffForRoot } else { Sandbox::On }
}

/// A running browser.
#[derive(Debug)]
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Vec<u8>>,
    asked: u64,
    /// What it calls itself to pages.
    pub(super) agent: String,
    events: Vec<Event>,
    /// Removed when the browser is gone, where the shell could not.
    _profile: TempDir,
}

/// Something that happened in a page.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) session: String,
    pub(super) method: String,
}

impl Browser {
    /// Starts the browser at `path`, or the first one that is found.
    pub(super) fn start(path: Option<&Path>) -> Result<Browser, BrowserError> {
        let program = path.map(Path::to_owned).or_else(installed).ok_or(BrowserError::NotFound)?;
        let failed = |source| BrowserError::Start { path: program.clone(), source };
        // The shell would say so to nobody.
        std::fs::metadata(&program).map_err(failed)?;
        let profile = tempfile::Builder::new().prefix("forgetd-browser-").tempdir().map_err(failed)?;
        let mut user_data = OsString::from("--user-data-dir=");
        user_data.push(profile.path());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SHELL, "sh"]).arg(profile.path()).arg(&program).args(FLAGS).arg(user_data);
        if sandbox() == Sandbox::OffForRoot {
            command.arg("--no-sandbox");
        }
        // Fonts, certificates, crash reports and what it needs for a while belong to the profile as well.
        for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
            command.env(variable, profile.path());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let missing = || failed(std::io::ErrorKind::BrokenPipe.into());
        let to = child.stdin.take().ok_or_else(missing)?;
        let answers = child.stdout.take().ok_or_else(missing)?;
        let (sender, from) = sync_channel(WAITING);
        std::thread::spawn(move || listen(answers, &sender));
        let mut browser =
            Browser { child, to, from, asked: 0, agent: String::new(), events: Vec::new(), _profile: profile };
        let version = browser.ask_within(START, None, "Browser.getVersion", &json!({}))?;
        let agent = version.get("userAgent").and_then(Value::as_str).unwrap_or_default();
        browser.agent = agent.replace("HeadlessChrome", "Chrome");
        Ok(browser)
    }

    /// Asks for something, of a page by its session, and returns the answer.
    pub(super) fn ask(
        &mut self,
        session: Option<&str>,
        method: &'static str,
        parameters: &Value,
    ) -> Result<Value, BrowserError> {
        self.ask_within(ANSWER, session, method, parameters)
    }

    fn ask_within(
        &mut self,
        within: Duration,
        session: Option<&str>,
        method: &'static str,
        parameters: &Value,
    ) -> Result<Value, BrowserError> {
        let number = self.send(session, method, parameters)?;
        let until = Instant::now() + within;
        loop {
            let Some(mut message) = self.message(until, method)? else {
                return Err(BrowserError::Silent { asked: method, after: within });
            };
            if message.get("id").and_then(Value::as_u64) == Some(number) {
                return match message.get_mut("result") {
                    Some(result) => Ok(result.take()),
                    None => Err(BrowserError::Refused { asked: method }),
                };
            }
        }
    }

    /// Sends a message without waiting for the answer.
    fn send(&mut self, session: Option<&str>, method: &'static str, parameters: &Value) -> Result<u64, BrowserError> {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let (Some(session), Some(message)) = (session, message.as_object_mut()) {
            message.insert("sessionId".to_owned(), session.into());
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let ended = |_| BrowserError::Ended { asked: method };
        self.to.write_all(&bytes).and_then(|()| self.to.flush()).map_err(ended)?;
        Ok(self.asked)
    }

    /// The next answer; what happens meanwhile is noted. None when there is none in time.
    fn message(&mut self, until: Instant, asked: &'static str) -> Result<Option<Value>, BrowserError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let bytes = match self.from.recv_timeout(left) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(BrowserError::Ended { asked }),
            };
            let Ok(message) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
            let Some(method) = text("method") else { return Ok(Some(message)) };
            let session = text("sessionId").unwrap_or_default();
            match method.as_str() {
                "Page.javascriptDialogOpening" => self.dismiss(&session, message.pointer("/params/type"))?,
                "Page.loadEventFired" => self.events.push(Event { session, method }),
                _ => {}
            }
        }
    }

    /// A question of the page holds it up. It is answered with no, lest it be the question for consent; only a page that
    /// does not want to be left is left.
    fn dismiss(&mut self, session: &str, kind: Option<&Value>) -> Result<(), BrowserError> {
        let is_leaving = kind.and_then(Value::as_str) == Some("beforeunload");
        self.send(Some(session), "Page.handleJavaScriptDialog", &json!({ "accept": is_leaving }))?;
        Ok(())
    }

    /// Waits until something happened in a page; whether it did, in time.
    pub(super) fn happened(
        &mut self,
        session: &str,
        method: &'static str,
        within: Duration,
    ) -> Result<Happened, BrowserError> {
        let until = Instant::now() + within;
        loop {
            if let Some(position) = self.events.iter().position(|e| e.session == session && e.method == method) {
                self.events.remove(position);
                return Ok(Happened::Yes);
            }
            if Instant::now() >= until {
                return Ok(Happened::NotInTime);
            }
            // An answer to nothing that is waited for: one that was sent without waiting.
            let _ = self.message((Instant::now() + LOOK).min(until), method)?;
        }
    }

    /// Lets the page work.
    pub(super) fn let_pass(&mut self, time: Duration) -> Result<(), BrowserError> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let _ = self.message(until, "time to pass")?;
        }
        Ok(())
    }

    /// Forgets what has happened in a page so far.
    pub(super) fn forget_events(&mut self, session: &str) {
        self.events.retain(|event| event.session != session);
    }
}

/// Whether something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Yes,
    NotInTime,
}

/// It is asked to end; what does not end then is killed with all its processes.
impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.send(None, "Browser.close", &json!({}));
        // Until it closes its end. It is not waited for yet, so that its number stays its own.
        let until = Instant::now() + END;
        while let Ok(Some(_)) = self.message(until, "to end") {}
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        // Those of its group that are still ending may write into the profile, which is removed next.
        let until = Instant::now() + END;
        while test_kill_process_group(group).is_ok() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }
}

/// Passes the browser's messages on until it ends.
fn listen(from: ChildStdout, to: &SyncSender<Vec<u8>>) {
    let mut from = BufReader::new(from);
    loop {
        let mut message = Vec::new();
        let read = from.by_ref().take(LONGEST_MESSAGE).read_until(0, &mut message);
        if read.is_err() || message.pop() != Some(0) || to.send(message).is_err() {
            return;
        }
    }
}

/// The first browser of the search path.
fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|candidate| candidate.is_file())
}
