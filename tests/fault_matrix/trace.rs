//! The calls of a process, and how one of them is made to fail.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Output, Stdio};

/// What changes something that lasts. Names that a machine does not have are ignored.
const CALLS: &str = "?write,?writev,?pwrite64,?pwritev,?fsync,?fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat,\
    ?ftruncate,?truncate,?fallocate,?mkdir,?mkdirat,?link,?linkat";

/// One call of the main thread.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// How many of that name came before it, and one.
    pub(crate) turn: u32,
    /// What it was called with, up to the first comma.
    pub(crate) target: String,
}

impl Call {
    pub(crate) fn is_sync_of(&self, file: &str) -> bool {
        ["fsync", "fdatasync"].contains(&&*self.name) && self.target.contains(&format!("/{file}>"))
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evil {
    Full,
    /// The disk stays full.
    FullFromThenOn,
    Broken,
    /// The disk stays broken.
    BrokenFromThenOn,
    /// The process is killed before the call takes effect.
    Killed,
}

impl Evil {
    pub(crate) const ALL: [Evil; 5] =
        [Evil::Full, Evil::Killed, Evil::Broken, Evil::FullFromThenOn, Evil::BrokenFromThenOn];

    /// Whether all later calls of that name fail too.
    pub(crate) fn lasts(self) -> bool {
        matches!(self, Evil::FullFromThenOn | Evil::BrokenFromThenOn)
    }

    /// As strace wants it.
    fn injection(self, call: &Call) -> String {
        let Call { name, turn, .. } = call;
        let what = match self {
            Evil::Full | Evil::FullFromThenOn => "error=ENOSPC",
            Evil::Broken | Evil::BrokenFromThenOn => "error=EIO",
            Evil::Killed => "signal=KILL",
        };
        let on = if self.lasts() { "+" } else { "" };
        format!("inject={name}:{what}:when={turn}{on}")
    }
}

fn strace(purge: &Command, options: &[&str]) -> Option<Output> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(options).arg(purge.get_program()).args(purge.get_args());
    let Ok(output) = strace.stdin(Stdio::null()).output() else {
        eprintln!("left out: there is no strace");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("PTRACE") || said.contains("Operation not permitted") && output.stdout.is_empty() {
        eprintln!("left out: nothing can be traced here: {said}");
        return None;
    }
    Some(output)
}

/// The calls of a whole run, in their order; `None` where nothing can be traced.
pub(crate) fn record(purge: Command) -> Option<Vec<Call>> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let path = trace.path().display().to_string();
    let output = strace(&purge, &["-y", "-s", "0", "-o", &path, "-e", &format!("trace={CALLS}")])?;
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(trace.path()).unwrap();
    let main = text.split(' ').next().unwrap();
    let mut turns: HashMap<&str, u32> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        // Elsewhere nothing lasting may be done: it would be missing in the matrix.
        assert_eq!(thread, main, "{line}");
        let turn = turns.entry(name).or_default();
        *turn += 1;
        let target = arguments.split([',', ')']).next().unwrap().to_owned();
        calls.push(Call { name: name.to_owned(), turn: *turn, target });
    }
    // What is printed when all is done says nothing of what was done.
    calls.retain(|call| !call.target.starts_with("1<") && !call.target.starts_with("2<"));
    Some(calls)
}

/// The run to which the evil happens.
pub(crate) fn suffer(purge: &Command, call: &Call, evil: Evil) -> Output {
    let options = ["-o", "/dev/null", "-e", &format!("trace={}", call.name)];
    let injection = evil.injection(call);
    strace(purge, &[&options[..], &["-e", &injection]].concat()).expect("a run was recorded")
}
