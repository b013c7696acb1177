//! `[store.NAME]` with `kind = "directory"`: files that hold visitor records.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::super::error::FileProblems;
use super::super::file::{AgeTable, AgeValue, DirectoryTable, Keyed, Text};
use super::super::site::{Directory, FileAge, NamePattern, Store};
use super::site::Declared;
use super::table::holds_of;
use super::{Targets, value};

/// A restore from backup brings old dates with it: whoever notices has a day to say so.
const DEFAULT_SETTLE: Duration = Duration::from_hours(24);

/// Longer is a retention period, not time to settle.
const LONGEST_SETTLE: Duration = Duration::from_hours(31 * 24);

/// A directory nearer to the root than this belongs to the system, or to everybody.
const FEWEST_COMPONENTS: usize = 2;

const PATTERN_HINT: &str =
    "write a name with `*` for any characters, such as `sess_*`; directories below are always entered";

/// Directories that are the system's own, with all that is below them.
const SYSTEM: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/proc", "/root", "/sbin", "/snap", "/sys",
    "/usr",
];

/// Memory for everybody lies among the devices; sites do keep their sessions there.
const MEMORY: &str = "/dev/shm";

/// Directories in which a program keeps what only it can take apart, with all that is below them: a database without
/// one of its files is no database.
const PROGRAMS: [&str; 14] = [
    "/run/systemd",
    "/var/lib/apt",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/libvirt",
    "/var/lib/mongodb",
    "/var/lib/mysql",
    "/var/lib/pgsql",
    "/var/lib/postgresql",
    "/var/lib/redis",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/var/spool/cron",
];

/// Directories that everybody shares: what is below them may be one site's, they themselves never are.
const SHARED: [&str; 16] = [
    MEMORY,
    "/run/lock",
    "/run/user",
    "/srv/www",
    "/var/backups",
    "/var/cache",
    "/var/lib",
    "/var/lib/private",
    "/var/local",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/spool",
    "/var/tmp",
    "/var/www",
];

pub(super) fn check(
    table: DirectoryTable,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let DirectoryTable { path, pattern, age, holds, settle } = table;
    let path_at = path.as_ref().map_or_else(|| place.clone(), Spanned::span);
    let hint = "add `path = \"/var/lib/php/sessions\"`: the directory";
    let path = value::absolute_path(place, "path", path, hint, problems);
    let path = path.filter(|path| {
        is_clean(path, &path_at, problems)
            && is_own(path, &path_at, problems)
            && is_no_evidence(path, declared.scope.known.state_dir.as_deref(), &path_at, problems)
    });
    let hint = "add `pattern = \"sess_*\"`: the names of the files that may go";
    let pattern =
        problems.required(place, "pattern", pattern, hint).and_then(|text| name_pattern(text, PATTERN_HINT, problems));
    let age = match age {
        None => Some(FileAge::Modified),
        Some(age) => self::age(age, problems),
    };
    let settle = match settle {
        None => Some(DEFAULT_SETTLE),
        Some(text) => self::settle(&text, problems),
    };
    let (holds, _) = holds_of(place, holds, declared, problems)?;
    let directory = Directory { path: path?, pattern: pattern?, age: age?, settle: settle? };
    targets.claim_directory(&directory, &path_at, problems);
    Some(Store::Directory { directory, holds })
}

/// Without `.` and `..`: what is written is what is opened.
pub(super) fn is_clean(path: &Path, place: &Range<usize>, problems: &mut FileProblems<'_>) -> bool {
    let clean: PathBuf =
        path.components().filter(|part| matches!(part, Component::RootDir | Component::Normal(_))).collect();
    let is_clean = clean.as_os_str() == path.as_os_str();
    if !is_clean {
        let hint = format!("write it in full: `{}`", clean.display());
        problems.report_with_hint(place, "`.`, `..`, `//` and a `/` at the end cannot stand in this path", hint);
    }
    is_clean
}

/// A directory of which one site's files are a part only must not be purged as if it were the site's.
fn is_own(path: &Path, place: &Range<usize>, problems: &mut FileProblems<'_>) -> bool {
    let is_own = may_be_one_sites(path);
    if !is_own {
        let message = format!("`{}` is not a directory of one site", path.display());
        problems.report_with_hint(place, message, "name the directory that holds the visitors' files alone");
    }
    is_own
}

fn may_be_one_sites(path: &Path) -> bool {
    let depth = path.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let in_home = path.starts_with("/home") && depth <= FEWEST_COMPONENTS;
    let is_shared = SHARED.iter().any(|shared| path == Path::new(shared));
    depth >= FEWEST_COMPONENTS && !in_home && !is_the_systems(path) && !is_shared
}

/// Whether a directory is the system's or another program's.
pub(super) fn is_the_systems(path: &Path) -> bool {
    !path.starts_with(MEMORY) && SYSTEM.iter().chain(&PROGRAMS).any(|system| path.starts_with(system))
}

/// What the daemon itself keeps must not be purged: least of all the evidence.
pub(super) fn is_no_evidence(
    path: &Path,
    state_dir: Option<&Path>,
    place: &Range<usize>,
    problems: &mut FileProblems<'_>,
) -> bool {
    let overlaps = state_dir.is_some_and(|state| path.starts_with(state) || state.starts_with(path));
    if overlaps {
        let message = format!("the register and the evidence are in `{}`", path.display());
        problems.report_with_hint(place, message, "name the directory that holds the visitors' files alone");
    }
    !overlaps
}

/// A pattern for names.
pub(super) fn name_pattern(text: Text, hint: &str, problems: &mut FileProblems<'_>) -> Option<NamePattern> {
    let span = text.span();
    let text = value::filled(text, problems)?;
    match NamePattern::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            problems.report_with_hint(&span, format!("`{text}` is not a pattern for names: {reason}"), hint);
            None
        }
    }
}

fn age(age: Spanned<AgeValue>, problems: &mut FileProblems<'_>) -> Option<FileAge> {
    let place = age.span();
    match age.into_inner() {
        AgeValue::Word(word) if word == "mtime" => Some(FileAge::Modified),
        AgeValue::Word(word) => {
            let hint = "write `\"mtime\"`, or `{ name = \"%Y-%m-%d\" }` for a date in the name";
            problems.report_with_hint(&place, format!("unknown age `{word}`"), hint);
            None
        }
        AgeValue::Table(Keyed(AgeTable { name })) => {
            let hint = "add `name = \"%Y-%m-%d\"`: how the date is written in the name";
            let text = problems.required(&place, "name", name, hint)?;
            let span = text.span();
            let format = value::filled(text, problems)?;
            if is_day(&format) {
                return Some(FileAge::Named(format));
            }
            let hint = "write `%Y`, `%m` and `%d`, each once, or `%s` for seconds since 1970; `%H`, then `%M`, then `%S` \
                        may follow";
            problems.report_with_hint(&span, format!("`{format}` does not name a day"), hint);
            None
        }
    }
}

/// Whether the conversions tell a day, and none is there that a name's date cannot have.
fn is_day(format: &str) -> bool {
    // A `%` alone, or twice, is no conversion.
    let conversions: Vec<char> = format.split('%').skip(1).map(|part| part.chars().next().unwrap_or('%')).collect();
    let has = |letter| conversions.iter().filter(|found| **found == letter).count() == 1;
    let known = conversions.iter().all(|letter| "YmdHMSs".contains(*letter));
    let distinct = conversions
        .iter()
        .enumerate()
        .all(|(index, letter)| !conversions.iter().skip(index + 1).any(|later| later == letter));
    // A minute without its hour would be any of the day's.
    let without_gap = (has('H') || !has('M')) && (has('M') || !has('S'));
    known && distinct && without_gap && (has('s') || (has('Y') && has('m') && has('d')))
}

fn settle(text: &Text, problems: &mut FileProblems<'_>) -> Option<Duration> {
    if text.get_ref() == "none" {
        return Some(Duration::ZERO);
    }
    let hours = |number: &str, each: u64| number.parse::<u64>().ok().and_then(|number| number.checked_mul(each));
    let settle = text.get_ref().split_once(' ').and_then(|(number, unit)| match unit {
        "hour" | "hours" => hours(number, 1),
        "day" | "days" => hours(number, 24),
        _ => None,
    });
    let settle = settle.and_then(|hours| hours.checked_mul(3600)).map(Duration::from_secs);
    let settle = settle.filter(|settle| !settle.is_zero() && *settle <= LONGEST_SETTLE);
    if settle.is_none() {
        let message = format!("`{}` is not a time to settle", text.get_ref());
        problems.report_with_hint(
            &text.span(),
            message,
            "write `\"1 day\"`, `\"6 hours\"` or `\"none\"`; 31 days at most",
        );
    }
    settle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_the_system_or_of_everybody_is_never_one_sites() {
        for path in [
            "/",
            "/etc",
            "/home",
            "/var",
            "/srv",
            "/opt",
            "/tmp",
            "/home/shop",
            "/etc/forgetd",
            "/usr/share/php",
            "/dev",
            "/dev/shm",
            "/dev/mqueue/x",
            "/var/lib",
            "/var/lib/mysql/shop",
            "/var/log",
            "/var/www",
            "/var/tmp",
            "/proc/1/fd",
            "/sys/fs/cgroup",
            "/boot/efi",
            "/root/shop",
            "/nix/store",
            "/run/systemd/units",
            "/var/spool/cron/crontabs",
        ] {
            assert!(!may_be_one_sites(Path::new(path)), "{path}");
        }
        for path in [
            "/home/shop/uploads",
            "/var/lib/php/sessions",
            "/srv/shop",
            "/var/www/shop",
            "/dev/shm/sessions",
            "/etcetera/x",
            "/var/log/shop",
            "/var/lib/private/shop",
            "/tmp/forms",
        ] {
            assert!(may_be_one_sites(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_date_in_a_name_needs_a_day() {
        for format in ["%Y-%m-%d", "chat-%Y%m%d-%H%M%S", "%d.%m.%Y", "%s"] {
            assert!(is_day(format), "{format}");
        }
        for format in [
            "%Y-%m",
            "%m-%d",
            "%y-%m-%d",
            "%Y-%j",
            "backup",
            "%Y-%m-%d-%Y",
            "100%",
            "%Y-%m-%d%%",
            "%Y-%m-%d %M",
            "%Y-%m-%d %H%S",
        ] {
            assert!(!is_day(format), "{format}");
        }
    }
}
