//! `forgetd.toml` as values: where the daemon keeps its state, who answers for it, how careful and how gentle it is.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// `forgetd.toml`: the daemon and who answers for it.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Where the register, the audit log and the keys live. Absolute.
    pub state_dir: PathBuf,
    /// Who decides on the processing, unless a site says otherwise.
    pub controller: Controller,
    /// The data protection officer, where there is one.
    pub dpo: Option<Contact>,
    /// How much one run may erase without being asked.
    pub safety: Safety,
    /// How gently it works.
    pub pace: Pace,
    /// How much the daemon says.
    pub log: LogLevel,
    /// Where its figures can be had.
    pub metrics: Metrics,
    /// Places that look as if they held personal data, or once did, and of which the operator says that they do not:
    /// names as rules have them, or their beginnings.
    pub drift_accepts: BTreeSet<String>,
}

/// The controller of GDPR Article 4(7), with what Article 30(1)(a) asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Name and contact.
    #[serde(flatten)]
    pub party: Contact,
    /// Who decides together with it (Article 26).
    pub joint_controller: Option<Contact>,
    /// Its representative in the Union (Article 27).
    pub representative: Option<Contact>,
}

/// A person or company with a way to reach it. What is not known is `None`, never invented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Name of the company or person.
    pub name: String,
    /// Postal address.
    pub address: Option<String>,
    /// E-mail address, telephone number or web form.
    pub contact: Option<String>,
}

/// Limits of section `[safety]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety {
    /// Whether a new or loosened rule waits for an approval.
    pub approval: ApprovalMode,
    /// Largest share of a table that one run may touch.
    pub max_share: Share,
    /// Most records that one run may touch.
    pub max_rows: u64,
}

/// Whether new and loosened rules wait to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalMode {
    /// They wait: the default.
    Required,
    /// They run at once; the limits on share and rows still apply.
    Automatic,
}

/// A share between 0 and 1, kept exactly in millionths so that limits never depend on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// The whole.
    pub const WHOLE: Share = Share(1_000_000);
    /// One half.
    pub const HALF: Share = Share(500_000);
    /// One tenth.
    pub const TENTH: Share = Share(100_000);

    /// A share of `millionths`, at most one whole.
    pub fn from_millionths(millionths: u32) -> Option<Share> {
        (millionths <= Self::WHOLE.0).then_some(Share(millionths))
    }

    /// The share in millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// This share of `total`, rounded down.
    pub fn of(self, total: u64) -> u64 {
        let exact = u128::from(total) * u128::from(self.0) / 1_000_000;
        u64::try_from(exact).unwrap_or(total)
    }
}

/// Section `[pace]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What one batch aims at.
    pub batch_time: Duration,
    /// Share of the time spent working.
    pub duty: Share,
    /// Longest lag of a replica that is still worked against.
    pub max_lag: Duration,
}

/// Section `[log]`: the least grave events that are still told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What stops or endangers the work.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And every run: the default.
    Info,
    /// And every change of the configuration.
    Debug,
    /// And what libraries say.
    Trace,
}

impl LogLevel {
    /// The word that the file uses.
    pub fn key(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Section `[metrics]`: nowhere, unless something is written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they can be asked for.
    pub listen: Option<Listen>,
    /// The file that the node exporter reads. Absolute.
    pub textfile: Option<PathBuf>,
}

/// Where metrics can be asked for. They name sites and tables: never beyond this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket at this path. Absolute.
    Unix(PathBuf),
    /// A port of this machine's own address.
    Loopback(SocketAddr),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Loopback(address) => address.fmt(f),
        }
    }
}
