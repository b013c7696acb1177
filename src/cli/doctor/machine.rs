//! The machine: its clock, the daemon's process and what it may do.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Finding, Installation, error};
use crate::audit::read;
use crate::plan::{Definition, Rule};
use crate::purge::{Confinement, StatePaths};
use crate::register::Register;
use crate::safety::{self, Stop};
use crate::service;

/// There once systemd-timesyncd has set the clock from a server (systemd-time-wait-sync.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Value of `Seccomp:` in /proc/PID/status for a process whose system calls are filtered (proc(5)).
const FILTERED: &str = "2";

pub(super) fn check(installation: &Installation, checks: &mut Vec<Finding>) {
    checks.push(clock(installation));
    checks.push(time_synchronisation());
    daemon(&installation.paths, checks);
    checks.push(landlock(&installation.rules));
    if installation.paths.stop() == Stop::Set {
        let stopped = Finding::warning("stop switch", "purges are stopped: nothing is erased");
        checks.push(stopped.advising("when the reason is gone: `forgetd stop-purges --lift`"));
    }
}

fn clock(installation: &Installation) -> Finding {
    const ABOUT: &str = "clock";
    let kept = match installation.register.as_ref().map(Register::clock_sample).transpose() {
        Ok(kept) => kept.flatten(),
        Err(found) => return error(ABOUT, &found),
    };
    let audit = installation.paths.audit();
    let last = read::last(&audit, 1).ok().and_then(|entries| entries.last().map(|entry| entry.time));
    match safety::clock::check(&installation.clock, kept.as_ref(), last) {
        Ok(()) => Finding::ok(ABOUT, "it agrees with the log, and with how it was last seen"),
        Err(doubt) => error(ABOUT, &doubt),
    }
}

/// A clock that nobody sets drifts, and cutoffs with it. What cannot be asked is not known.
fn time_synchronisation() -> Finding {
    const ABOUT: &str = "time synchronisation";
    let advice = "run a time service (systemd-timesyncd, chrony, ntpd-rs): `timedatectl set-ntp true`";
    if Path::new(SYNCHRONIZED).exists() {
        return Finding::ok(ABOUT, "systemd-timesyncd sets the clock");
    }
    match timedatectl().as_deref() {
        Some("yes") => Finding::ok(ABOUT, "the clock is synchronised"),
        Some("no") => Finding::warning(ABOUT, "nobody keeps this clock right").advising(advice),
        _ => Finding::warning(ABOUT, "it is not known whether anybody keeps this clock right").advising(advice),
    }
}

/// What the kernel says of its clock, by whatever sets it.
fn timedatectl() -> Option<String> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn daemon(paths: &StatePaths, checks: &mut Vec<Finding>) {
    const ABOUT: &str = "daemon";
    if !service::is_running(paths) {
        let absent = Finding::failed(ABOUT, "it does not run: nothing is erased on time");
        return checks.push(absent.advising("`systemctl enable --now forgetd`, then `journalctl -u forgetd`"));
    }
    let status = service::running_process(paths)
        .and_then(|process| fs::read_to_string(format!("/proc/{process}/status")).ok().map(|status| (process, status)));
    let Some((process, status)) = status else {
        checks.push(Finding::ok(ABOUT, "it runs"));
        checks.push(Finding::warning("sandbox", "not known: the daemon's process cannot be looked at from here"));
        return;
    };
    let user = field(&status, "Uid").and_then(|ids| ids.split_whitespace().nth(1));
    checks.push(Finding::ok(ABOUT, format!("it runs: process {process}, user id {}", user.unwrap_or("unknown"))));
    checks.push(sandbox(&status, user));
    let own = rustix::process::geteuid().as_raw().to_string();
    if user.is_some_and(|user| user != own) {
        let other = format!("this page is of user id {own}: the daemon may be refused what is allowed here");
        checks.push(Finding::warning("user", other).advising("run it as the daemon's user, too"));
    }
}

/// What the kernel says is in force, whatever the unit was meant to say.
fn sandbox(status: &str, user: Option<&str>) -> Finding {
    const ABOUT: &str = "sandbox";
    let no_new_privileges = field(status, "NoNewPrivs") == Some("1");
    let filtered = field(status, "Seccomp") == Some(FILTERED);
    let advice = "start it by the shipped unit; `systemd-analyze security forgetd` shows what is switched off";
    let yes_or_no = |is: bool| if is { "yes" } else { "no" };
    let found =
        format!("no new privileges: {}; system calls filtered: {}", yes_or_no(no_new_privileges), yes_or_no(filtered));
    if !(no_new_privileges && filtered) {
        return Finding::warning(ABOUT, found).advising(advice);
    }
    if user == Some("0") {
        return Finding::warning(ABOUT, format!("{found}; but it runs as root")).advising(advice);
    }
    Finding::ok(ABOUT, found)
}

/// Whether the kernel keeps a purge of files within its own root. It is asked as the purge asks it, since of another
/// process's thread it does not tell.
fn landlock(rules: &[Rule]) -> Finding {
    const ABOUT: &str = "landlock";
    let advice = "the checks of the stores hold without it; a kernel of Linux 6.2 or later that has `landlock` in \
                  /sys/kernel/security/lsm adds to them";
    let told = match Confinement::of_this_kernel() {
        Confinement::Full => {
            return Finding::ok(ABOUT, "full: the kernel keeps each purge of files within its own root");
        }
        Confinement::Partial => "in part: the kernel does not keep a purge of files from truncating others",
        Confinement::None => "none: the kernel does not keep a purge of files within its own root",
    };
    let about_files = |rule: &Rule| !matches!(rule.definition, Definition::Table(_));
    if rules.iter().any(about_files) {
        return Finding::warning(ABOUT, told).advising(advice);
    }
    Finding::ok(ABOUT, format!("{told}; no rule is about files"))
}

/// The value of one line of /proc/PID/status.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Condition;
    use super::*;

    #[rstest]
    #[case::as_the_unit_starts_it("1", "2", "997", Condition::Ok)]
    #[case::that_may_gain_privileges("0", "2", "997", Condition::Warning)]
    #[case::whose_calls_are_not_filtered("1", "0", "997", Condition::Warning)]
    #[case::of_root("1", "2", "0", Condition::Warning)]
    fn a_process_is_judged_by_what_the_kernel_says_of_it(
        #[case] no_new_privileges: &str,
        #[case] seccomp: &str,
        #[case] user: &str,
        #[case] condition: Condition,
    ) {
        // As in proc(5).
        let status = format!(
            "Name:\tforgetd\nUid:\t{user}\t{user}\t{user}\t{user}\nNoNewPrivs:\t{no_new_privileges}\n\
             Seccomp:\t{seccomp}\nSeccomp_filters:\t3\n"
        );
        assert_eq!(sandbox(&status, Some(user)).condition, condition);
    }
}
