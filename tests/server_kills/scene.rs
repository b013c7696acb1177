//! An installation whose one rule is at work on a server, beside the application.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use forgetd::audit::{BatchOutcome, Event, RunFinished};

use super::Action;
use super::application::Application;
use super::database::Database;
use super::evidence::{self, Evidence, runs_agree};
use super::installation::{Installation, Ran};

/// Visitors that are expired when a night begins.
const BACKLOG: u64 = 3_000;

/// No guard in the way, and batches as small as they can be, so that there are many.
const DAEMON: &str =
    "[safety]\napproval = \"automatic\"\nmax-share = 1.0\n[pace]\nduty = 1.0\nbatch-time = \"10 ms\"\n";

const SITE: &str = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[settings]
store-ip = true
[retention]
visit = "6 months"
"visit.location" = "30 days"
"visit.ip-address" = "30 days"
[store.chat]
DECLARATION
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "visit"
children = [{ table = "pages", column = "visitor_id" }]
"#;

const COLUMNS: &str = r#"
[store.chat.table.columns]
city = "visit.location"
ip = { category = "visit.ip-address", do = "truncate" }
"#;

/// Where a purge was when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Outside,
    BetweenBatches,
    /// Between `batch.prepared` and its outcome.
    InABatch,
}

pub(crate) struct Scene {
    pub(crate) installation: Installation,
    pub(crate) application: Mutex<Application>,
    action: Action,
}

impl Scene {
    pub(crate) fn new(database: &dyn Database, action: Action, seed: u64) -> Scene {
        let installation = Installation::new(DAEMON);
        // The name of the rule over rows is also a prefix of the others.
        let columns = if action == Action::EraseRows { "" } else { COLUMNS };
        let site = SITE.replace("DECLARATION", &database.declaration()) + columns;
        installation.write("sites/shop.example.toml", &site);
        let application = Application::new(database.connect(), action, seed);
        Scene { installation, application: Mutex::new(application), action }
    }

    /// Adds a line to the declaration of a table without columns.
    pub(crate) fn declare(&self, line: &str) {
        let site = "sites/shop.example.toml";
        let text = fs::read_to_string(self.installation.config().join(site)).unwrap();
        self.installation.write(site, &format!("{text}{line}\n"));
    }

    pub(crate) fn fill_up(&self) {
        self.application.lock().unwrap().fill_up(BACKLOG);
    }

    /// A purge under way.
    pub(crate) fn begin(&self) -> Child {
        let mut command = self.installation.command(&["purge", self.action.rule(), "--yes"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A purge that is killed after a while: where it was then. `None` where it had ended before.
    pub(crate) fn killed_after(&self, after: Duration) -> Option<Whereabouts> {
        let mut purge = self.begin();
        std::thread::sleep(after);
        purge.kill().unwrap();
        let ended = purge.wait_with_output().unwrap();
        if ended.status.signal() != Some(9) {
            let ran = Ran::of(ended);
            assert_eq!(ran.code, 0, "{ran:?}");
            return None;
        }
        Some(match (self.has_batch_in_flight(), self.evidence().open.is_empty()) {
            (_, false) => Whereabouts::InABatch,
            (true, true) => Whereabouts::BetweenBatches,
            (false, true) => Whereabouts::Outside,
        })
    }

    fn has_batch_in_flight(&self) -> bool {
        let directory = self.installation.state().join("in-flight");
        fs::read_dir(directory).is_ok_and(|mut files| files.next().is_some())
    }

    pub(crate) fn evidence(&self) -> Evidence {
        Evidence::read(&self.installation.state())
    }

    /// The next run, to its end.
    pub(crate) fn finish(&self) {
        let ran = Ran::of(self.begin().wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    pub(crate) fn nothing_is_gone_without_evidence(&self) {
        let gone = self.application.lock().unwrap().find_everybody();
        self.evidence().accounts_for(gone);
    }

    /// After the last run: nothing expired is left, and the log, the register and the tables agree.
    pub(crate) fn everything_adds_up(&self) {
        let mut application = self.application.lock().unwrap();
        let (gone, expired) = (application.find_everybody(), application.expired());
        assert_eq!(gone, expired, "expired records are left");
        let children = if self.action == Action::EraseRows { 2 * gone } else { 0 };
        assert_eq!(self.evidence(), Evidence { rows: gone, children, ..Evidence::default() });
        runs_agree(&self.installation.state(), self.action.rule(), (gone, children));
        assert!(!self.has_batch_in_flight());
        let verified = self.installation.run(&["audit", "verify"]);
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    /// How the last run ended, in the log.
    pub(crate) fn last_run(&self) -> RunFinished {
        let mut ends =
            evidence::entries(&self.installation.state()).into_iter().filter_map(|entry| match entry.event {
                Event::RunFinished(end) => Some(end),
                _ => None,
            });
        ends.next_back().unwrap()
    }

    /// How often a batch without an outcome was found to be what.
    pub(crate) fn resolved(&self) -> (usize, usize) {
        let outcomes =
            evidence::entries(&self.installation.state()).into_iter().filter_map(|entry| match entry.event {
                Event::BatchResolved { outcome, .. } => Some(outcome),
                _ => None,
            });
        let (committed, rolled_back): (Vec<_>, Vec<_>) =
            outcomes.partition(|outcome| *outcome == BatchOutcome::Committed);
        (committed.len(), rolled_back.len())
    }
}
