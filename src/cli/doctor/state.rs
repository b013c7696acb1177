//! The state: its directory, the space for it, the register, the key and the log.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

use super::{Finding, error};
use crate::audit::{self, AuditError, Compared, Verdict};
use crate::cli::audit::{explanation, verdict};
use crate::cli::output::{count, instant};
use crate::purge::StatePaths;
use crate::register::Register;
use crate::service;

/// With less, the next entries may not find room, and nothing is erased without one.
const LITTLE_SPACE: u64 = 64 << 20;

/// With less, somebody should look before it becomes little: a busy year of evidence takes some hundred MiB.
const SCARCE_SPACE: u64 = 1 << 30;

/// A daemon that runs writes an entry a day; so much later it should be there.
const LATE_HEARTBEAT: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// The daemon looks every day, and may need hours for it.
const OLD_DRIFT: jiff::SignedDuration = jiff::SignedDuration::from_hours(48);

/// Permissions of those who are neither the daemon's user nor of its group.
const OTHERS: u32 = 0o007;

/// Write permission of anybody but the daemon's user.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What there is of a state.
pub(super) enum Access {
    /// This user may not look into it: whatever depends on it is not known.
    Closed,
    /// It was looked at; the register, where it can be worked with.
    Open(Option<Register>),
}

/// Looks at everything in the state.
pub(super) fn check(paths: &StatePaths, now: Timestamp, checks: &mut Vec<Finding>) -> Access {
    match directory(paths.dir(), checks) {
        Directory::Closed => Access::Closed,
        Directory::Absent => Access::Open(None),
        Directory::Open => {
            checks.push(space(paths.dir()));
            let register = register(paths, checks);
            checks.push(key(paths));
            log(paths, now, checks);
            Access::Open(register)
        }
    }
}

enum Directory {
    Absent,
    Closed,
    Open,
}

fn directory(dir: &Path, checks: &mut Vec<Finding>) -> Directory {
    const ABOUT: &str = "state directory";
    let path = dir.display();
    let metadata = match fs::read_dir(dir).and_then(|_| fs::metadata(dir)) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let none = Finding::warning(ABOUT, format!("{path} is not there: nothing was ever recorded"));
            checks.push(none.advising("start the daemon: `systemctl enable --now forgetd`"));
            return Directory::Absent;
        }
        Err(error) => {
            let closed = Finding::failed(ABOUT, format!("{path}: {error}"));
            checks.push(closed.advising("run this as root or as the user the daemon runs as"));
            return Directory::Closed;
        }
    };
    let mode = metadata.mode() & 0o7777;
    let found = format!("{path} belongs to uid {}, mode {mode:04o}", metadata.uid());
    checks.push(if mode & WRITABLE_BY_OTHERS != 0 {
        Finding::failed(ABOUT, format!("{found}: others can write there, and replace register, log and key"))
            .advising(format!("run `chmod 750 {path}`"))
    } else if mode & OTHERS != 0 {
        Finding::warning(ABOUT, format!("{found}: everybody can look into it"))
            .advising(format!("run `chmod 750 {path}`"))
    } else {
        Finding::ok(ABOUT, found)
    });
    Directory::Open
}

fn space(dir: &Path) -> Finding {
    const ABOUT: &str = "free space";
    let found = match rustix::fs::statvfs(dir) {
        Ok(found) => found,
        Err(error) => return Finding::warning(ABOUT, format!("not known: {}: {error}", dir.display())),
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let finding = format!("{} MiB for {}", count(free >> 20), dir.display());
    let advice = "free space: without room for an entry nothing is erased";
    match free {
        free if free < LITTLE_SPACE => Finding::failed(ABOUT, finding).advising(advice),
        free if free < SCARCE_SPACE => Finding::warning(ABOUT, finding).advising(advice),
        _ => Finding::ok(ABOUT, finding),
    }
}

fn register(paths: &StatePaths, checks: &mut Vec<Finding>) -> Option<Register> {
    const ABOUT: &str = "register";
    let register = match paths.existing_register() {
        Ok(Some(register)) => register,
        Ok(None) => {
            checks.push(Finding::warning(ABOUT, "there is none yet: nothing was ever applied"));
            return None;
        }
        Err(found) => {
            checks.push(error(ABOUT, &found));
            return None;
        }
    };
    let damaged = "stop the daemon, keep the file, and restore the register together with the audit log from a backup";
    match register.faults() {
        Ok(faults) if faults.is_empty() => {
            checks.push(Finding::ok(ABOUT, format!("{} is whole", paths.register().display())));
        }
        Ok(faults) => {
            let found = format!("{} is damaged: {}", paths.register().display(), faults.join("; "));
            checks.push(Finding::failed(ABOUT, found).advising(damaged));
        }
        Err(found) => checks.push(error(ABOUT, &found).advising(damaged)),
    }
    Some(register)
}

fn key(paths: &StatePaths) -> Finding {
    const ABOUT: &str = "key";
    match audit::check_key(&paths.audit(), &paths.key()) {
        Ok(Some(name)) => Finding::ok(ABOUT, format!("{name}: the log's own, closed to others")),
        Ok(None) => Finding::warning(ABOUT, "there is none yet: it is made with the first entry of the log"),
        // Only the service is given its credentials.
        Err(found @ AuditError::CredentialMissing { .. }) => Finding::warning(ABOUT, super::chain(&found)),
        Err(found) => error(ABOUT, &found),
    }
}

fn log(paths: &StatePaths, now: Timestamp, checks: &mut Vec<Finding>) {
    const ABOUT: &str = "audit log";
    if !paths.audit().exists() {
        checks.push(Finding::warning(ABOUT, "there is none yet: nothing was ever recorded"));
        return;
    }
    let verification = match audit::verify(&paths.audit(), &[]) {
        Ok(verification) => verification,
        Err(found) => return checks.push(error(ABOUT, &found)),
    };
    let (word, _) = verdict(&verification.verdict);
    let found = format!("{word}: {}", explanation(&verification, &[]));
    let running = service::is_running(paths);
    checks.push(match verification.verdict {
        Verdict::Anchored { .. } | Verdict::SelfConsistent { .. } => Finding::ok(ABOUT, found),
        // Entries of a run under way are signed at its end.
        Verdict::UnsignedTail { .. } if running => Finding::ok(ABOUT, found),
        Verdict::UnsignedTail { .. } => {
            Finding::warning(ABOUT, found).advising("start the daemon: it signs them, once it has found them whole")
        }
        Verdict::Truncated { .. } | Verdict::Tampered { .. } => Finding::failed(ABOUT, found)
            .advising("keep the audit directory as it is; `forgetd audit verify --anchor FILE` says how far it holds"),
    });
    if let Some(last) = verification.last {
        checks.push(heartbeat(last, now, running));
    }
    checks.push(drift(verification.drift.as_ref(), now));
    if verification.unreviewed > 0 {
        let unreviewed = format!("{} entries were not reviewed yet", count(verification.unreviewed));
        checks.push(Finding::ok("review", unreviewed));
    }
}

fn heartbeat(last: Timestamp, now: Timestamp, running: bool) -> Finding {
    const ABOUT: &str = "heartbeat";
    let found = format!("the log's last entry is of {}", instant(last));
    let longest = service::HEARTBEAT.saturating_add(LATE_HEARTBEAT);
    if running && now.duration_since(last) > longest {
        let advice = "look into the daemon's journal, then `systemctl restart forgetd`";
        return Finding::failed(ABOUT, format!("{found}, although the daemon runs")).advising(advice);
    }
    Finding::ok(ABOUT, found)
}

/// What the daily comparison with the stores came to.
fn drift(compared: Option<&Compared>, now: Timestamp) -> Finding {
    const ABOUT: &str = "drift";
    let Some(Compared { at, found }) = compared else {
        let never = "nobody has looked yet whether the stores are as declared";
        return Finding::warning(ABOUT, never).advising("the daemon looks once a day, and `forgetd drift` at once");
    };
    let at_instant = instant(*at);
    if now.duration_since(*at) > OLD_DRIFT {
        let old = format!("the last look whether the stores are as declared was at {at_instant}");
        return Finding::warning(ABOUT, old)
            .advising("is the daemon running all the time? `forgetd drift` looks at once");
    }
    if found.counts.is_empty() {
        return Finding::ok(ABOUT, format!("none at {at_instant}: the stores were as declared"));
    }
    let counts: Vec<String> = found.counts.iter().map(|(kind, many)| format!("{many} {kind}")).collect();
    Finding::warning(ABOUT, format!("at {at_instant} {}", counts.join(", "))).advising("`forgetd drift` says where")
}
