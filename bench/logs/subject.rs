//! forgetd on a copy of the log: one pass in this process, and a whole purge by the built program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use forgetd::config::site::{ColumnAction, Log, LogFormat, Mask, NamePattern, Unparsed, UnparsedLine, Zone};
use forgetd::plan::{LineAction, LogRule, When};
use forgetd::store::{self, Selection};
use jiff::tz::TimeZone;

use crate::Work;
use crate::written::cutoff;

/// How often the memory of a run is looked at; the kernel keeps the peak, so only the very end can be missed.
const GLANCE: Duration = Duration::from_millis(2);

/// A copy of the log, and an installation beside it.
pub(crate) struct Subject {
    dir: PathBuf,
    pub(crate) log: PathBuf,
}

impl Subject {
    pub(crate) fn new(dir: &Path, source: &Path, work: Work) -> Subject {
        let dir = dir.join("subject");
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("logs")).unwrap();
        let log = dir.join("logs/access.log.1");
        fs::copy(source, &log).unwrap();
        fs::write(dir.join("logs/access.log"), "").unwrap();
        let old = SystemTime::try_from(cutoff()).unwrap();
        fs::File::options().write(true).open(&log).unwrap().set_modified(old).unwrap();
        let subject = Subject { dir, log };
        subject.install(work);
        subject
    }

    fn install(&self, work: Work) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/categories.toml");
        self.put("categories.toml", &fs::read_to_string(shipped).unwrap());
        let (state, logs) = (self.dir.join("state"), self.dir.join("logs/access.log*"));
        self.put(
            "forgetd.toml",
            &format!(
                "state-dir = {state:?}\n[controller]\nname = \"Shop s.r.o.\"\n[safety]\napproval = \"automatic\"\n\
                 max-share = 1.0\nmax-rows = 100_000_000\n[pace]\nduty = 1.0\n"
            ),
        );
        // So many days before today as the cutoff is.
        let today =
            jiff::Timestamp::try_from(fs::metadata(self.dir.join("logs/access.log")).unwrap().modified().unwrap());
        let days = today.unwrap().duration_since(cutoff()).as_hours() / 24;
        let (period, address) = match work {
            Work::Drop => (format!("{days} days"), ""),
            Work::Mask | Work::MaskCompressed => {
                ("2 years".to_owned(), "address = { category = \"visit.ip-address\", do = \"truncate\" }\n")
            }
        };
        self.put(
            "sites/shop.example.toml",
            &format!(
                "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"30 3 * * *\"\n\
                 [retention]\nvisit = \"{period}\"\n\
                 [store.access]\nkind = \"log\"\npath = {logs:?}\nformat = \"combined\"\nholds = \"visit\"\n{address}"
            ),
        );
    }

    /// Writes a file of the configuration, not writable by others whatever the umask.
    fn put(&self, name: &str, text: &str) {
        let path = self.dir.join("config").join(name);
        let parent = path.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        for closed in [self.dir.join("config").as_path(), parent] {
            fs::set_permissions(closed, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// One pass over the file, without counts before or after.
pub(crate) fn write_anew(subject: &Subject, work: Work) -> u64 {
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let (when, action, cutoff) = match work {
        Work::Drop => (When::Older("180 days".parse().unwrap()), LineAction::Drop, Some(cutoff())),
        Work::Mask | Work::MaskCompressed => {
            (When::NotStored, LineAction::Addresses(ColumnAction::Truncate(mask)), None)
        }
    };
    let rule = LogRule {
        rule: serde_json::from_value("shop.example/access".into()).unwrap(),
        log: Log {
            directory: subject.dir.join("logs"),
            pattern: NamePattern::new("access.log*").unwrap(),
            format: LogFormat::Combined,
            zone: None,
            unparsed: UnparsedLine::Scan,
            parameters: BTreeSet::new(),
        },
        when,
        action,
        zone: Zone { name: "UTC".to_owned(), zone: TimeZone::UTC },
    };
    let now = jiff::Timestamp::try_from(fs::metadata(&subject.log).unwrap().accessed().unwrap()).unwrap();
    let now = now.max(cutoff_later());
    let selection = Selection { rule: (&rule).into(), now, cutoff, holds: Vec::new() };
    let mut store = store::open(&rule);
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    while let Some(batch) = walk.prepare(1).unwrap() {
        assert!(batch.commit().unwrap().rows > 0);
    }
    0
}

/// After every line.
fn cutoff_later() -> jiff::Timestamp {
    cutoff() + jiff::SignedDuration::from_hours(30 * 24)
}

/// The built program, from its start to its end. Its peak memory in KiB.
pub(crate) fn purge(subject: &Subject) -> u64 {
    let mut forgetd = Command::new(env!("CARGO_BIN_EXE_forgetd"));
    forgetd.arg("--config").arg(subject.dir.join("config")).args(["purge", "--yes", "--json"]);
    let mut running = forgetd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", running.id());
    let mut peak = 0;
    while running.try_wait().unwrap().is_none() {
        peak = peak_of(&status).map_or(peak, |now| now.max(peak));
        std::thread::sleep(GLANCE);
    }
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["runs"][0]["outcome"], &result["runs"][0]["left"]), (&"done".into(), &0.into()), "{result}");
    peak
}

/// `VmHWM` of a process, in KiB; nothing once it has ended.
fn peak_of(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
