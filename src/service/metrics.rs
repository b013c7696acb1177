//! Metrics for Prometheus: what an operator's alarms need to know of every rule, of the evidence and of the
//! configuration.
//!
//! The daemon says what it [knows](Known) whenever that changes; the figures come from the register and the audit log
//! when somebody asks. No store is opened for them, and nothing of a record is in them: names of sites and rules,
//! counts, instants.

mod figures;
mod page;
mod serve;
mod text;
mod textfile;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::clock::read_clock;
use crate::config::site::Zone;
use crate::config::{ApprovalMode, Listen, Metrics, Schedule};
use crate::plan::Rule;
use crate::purge::StatePaths;
use crate::register::InForce;
use figures::Reader;
use serve::Listener;

/// Who asks more often gets the same page again.
const FRESH: Duration = Duration::from_secs(1);

/// What the daemon knows by itself: the rules in force, and whether the directory is valid.
#[derive(Debug)]
struct Known {
    /// Tells one from the next.
    version: u64,
    valid: bool,
    approval: ApprovalMode,
    rules: Vec<KnownRule>,
    schedules: BTreeMap<String, (Schedule, Zone)>,
}

#[derive(Debug)]
struct KnownRule {
    name: String,
    site: String,
    suspended: bool,
}

impl Known {
    /// Before anything is in force.
    fn nothing() -> Known {
        Known {
            version: 0,
            valid: false,
            approval: ApprovalMode::Required,
            rules: Vec::new(),
            schedules: BTreeMap::new(),
        }
    }

    fn of(in_force: &InForce, rules: &[Rule], version: u64) -> Known {
        let rule = |rule: &Rule| KnownRule {
            name: rule.name.to_string(),
            site: rule.site.clone(),
            suspended: in_force.suspended.contains_key(&rule.site),
        };
        let schedule =
            |site: &crate::config::Site| (site.domain.clone(), (site.schedule.clone(), site.time_zone.clone()));
        Known {
            version,
            valid: in_force.problems.is_none(),
            approval: in_force.config.daemon.safety.approval,
            rules: rules.iter().map(rule).collect(),
            schedules: in_force.config.sites.values().map(schedule).collect(),
        }
    }

    fn next_run(&self, site: &str, after: Timestamp) -> Option<Timestamp> {
        let (schedule, zone) = self.schedules.get(site)?;
        schedule.next_after(after, &zone.zone)
    }
}

/// What the tasks that answer share with the daemon.
#[derive(Debug, Clone)]
struct Shared {
    known: Arc<Mutex<Arc<Known>>>,
    made: Arc<Mutex<Made>>,
    /// Held while the file is written or removed: one that is not wanted any more is not written once more.
    textfile: Arc<Mutex<Textfile>>,
}

/// The file for the node exporter.
#[derive(Debug, Default)]
struct Textfile {
    path: Option<PathBuf>,
    /// A thread is at work on it.
    writing: bool,
    /// Something happened since that thread looked.
    again: bool,
}

/// The reader, and the last page that somebody asked for.
#[derive(Debug)]
struct Made {
    reader: Reader,
    last: Option<(Instant, u64, Arc<String>)>,
}

/// Whoever panicked with a lock held has left nothing half done behind it.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn known(&self) -> Arc<Known> {
        Arc::clone(&locked(&self.known))
    }

    /// Writes the file until nothing has happened meanwhile. Blocks.
    fn write_file(&self) {
        loop {
            // It is not kept: between two minutes nobody needs it, and of a thousand sites it has megabytes.
            let (_, page) = self.make(&mut locked(&self.made).reader);
            let mut textfile = locked(&self.textfile);
            if let Some(path) = &textfile.path
                && let Err(error) = textfile::write(path, &page)
            {
                warn!(path = %path.display(), %error, "metrics are not written: see `textfile` under [metrics]");
            }
            textfile.writing = textfile.again;
            if !std::mem::take(&mut textfile.again) {
                return;
            }
        }
    }

    /// Whether a thread must begin to write the file; one that is at work looks again.
    fn must_begin_to_write(&self) -> bool {
        let mut textfile = locked(&self.textfile);
        if textfile.path.is_none() {
            return false;
        }
        textfile.again = textfile.writing;
        !std::mem::replace(&mut textfile.writing, true)
    }

    /// From now on the file is this one.
    fn set_file(&self, wanted: Option<&PathBuf>) {
        let mut textfile = locked(&self.textfile);
        if let Some(former) = textfile.path.take().filter(|former| wanted != Some(former)) {
            // Nobody would write it anew, and its figures would grow old.
            let _ = std::fs::remove_file(former);
        }
        textfile.path = wanted.cloned();
    }

    /// The page for who asks, at most a second old. Blocks.
    fn page(&self) -> Arc<String> {
        let mut made = locked(&self.made);
        match &made.last {
            Some((at, version, page)) if at.elapsed() < FRESH && *version == self.known().version => Arc::clone(page),
            _ => {
                // Of a thousand sites it has megabytes: the former one goes first.
                made.last = None;
                let (version, page) = self.make(&mut made.reader);
                let page = Arc::new(page);
                made.last = Some((Instant::now(), version, Arc::clone(&page)));
                page
            }
        }
    }

    /// Forgets a page that nobody would be given any more; not where one is being made just now.
    fn forget_page(&self) {
        if let Ok(mut made) = self.made.try_lock() {
            made.last.take_if(|(at, ..)| at.elapsed() >= FRESH);
        }
    }

    /// The page at this moment, and the version of what is known that it tells of.
    fn make(&self, reader: &mut Reader) -> (u64, String) {
        let known = self.known();
        let figures = match read_clock() {
            Ok(clock) => reader.read(&known, clock.wall).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let figures = figures.inspect_err(|error| debug!(error, "metrics without figures")).ok();
        (known.version, page::page(&known, figures.as_ref()))
    }
}

/// Offers the metrics where the configuration says.
#[derive(Debug)]
pub(super) struct Exporter {
    shared: Shared,
    settings: Metrics,
    listening: Option<JoinHandle<()>>,
    versions: u64,
    /// What could not be done last time, told once.
    complaint: Option<String>,
}

impl Exporter {
    pub(super) fn new(paths: &StatePaths) -> Exporter {
        let made = Made { reader: Reader::new(paths.clone()), last: None };
        let shared = Shared {
            known: Arc::new(Mutex::new(Arc::new(Known::nothing()))),
            made: Arc::new(Mutex::new(made)),
            textfile: Arc::default(),
        };
        Exporter { shared, settings: Metrics::default(), listening: None, versions: 0, complaint: None }
    }

    /// Takes over what is in force now.
    pub(super) fn update(&mut self, in_force: &InForce, rules: &[Rule]) {
        let settings = in_force.config.daemon.metrics.clone();
        if settings.listen != self.settings.listen {
            self.stop_listening();
            self.complaint = None;
        }
        self.shared.set_file(settings.textfile.as_ref());
        self.settings = settings;
        if self.settings == Metrics::default() {
            return;
        }
        self.versions += 1;
        let known = Arc::new(Known::of(in_force, rules, self.versions));
        *locked(&self.shared.known) = known;
        self.refresh();
    }

    /// Listens, unless it does already, and writes the file anew.
    pub(super) fn refresh(&mut self) {
        self.shared.forget_page();
        if let Some(listen) = self.settings.listen.clone()
            && self.listening.is_none()
        {
            self.listen(&listen);
        }
        self.write_file();
    }

    fn listen(&mut self, listen: &Listen) {
        match Listener::bind(listen) {
            Ok(listener) => {
                info!(at = %listen, "metrics are offered");
                self.complaint = None;
                self.listening = Some(tokio::spawn(listener.serve(self.shared.clone())));
            }
            // Erasing is not for metrics to stop; it is tried again with the next poll.
            Err(error) => {
                let complaint = format!("{listen}: {error}");
                if self.complaint.as_ref() != Some(&complaint) {
                    warn!(at = %listen, %error, "metrics are not offered: see `listen` under [metrics]");
                }
                self.complaint = Some(complaint);
            }
        }
    }

    /// In a thread of its own, one at a time.
    fn write_file(&self) {
        if self.shared.must_begin_to_write() {
            let shared = self.shared.clone();
            tokio::task::spawn_blocking(move || shared.write_file());
        }
    }

    fn stop_listening(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop_listening();
    }
}
