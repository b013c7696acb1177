//! The sample installation: its files, and how its commands are called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::visitors::{self, Counts};
use super::{Exit, Failure};
use crate::cli::arguments::DemoOptions;
use crate::cli::output::quoted;

/// The shipped files that need no change.
const CATEGORIES: &str = include_str!("../../../config/categories.toml");
const SMARTSUPP: &str = include_str!("../../../config/processors/smartsupp.toml");

/// Where everything of the sample stands.
pub(super) struct Sample {
    directory: PathBuf,
}

impl Sample {
    pub(super) fn new(directory: PathBuf) -> Sample {
        Sample { directory }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("config")
    }

    pub(super) fn site(&self) -> PathBuf {
        self.config().join("sites/shop.example.toml")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("shop/chat.db")
    }

    pub(super) fn audit(&self) -> PathBuf {
        self.directory.join("state/audit")
    }

    /// A command line that works in the shell the demonstration was started from.
    pub(super) fn command(&self, command: &str) -> String {
        let program = std::env::current_exe().ok();
        let here = std::env::current_dir().ok();
        let short = |path: &Path| match &here {
            Some(here) => path.strip_prefix(here).map(|below| Path::new(".").join(below)).unwrap_or(path.to_owned()),
            None => path.to_owned(),
        };
        let program = program.map_or_else(|| "forgetd".to_owned(), |program| quoted(&short(&program)));
        format!("{program} --config {} {command}", quoted(&self.config()))
    }

    /// Writes configuration and database.
    pub(super) fn write(&self, options: &DemoOptions, now: Timestamp) -> Result<Counts, Failure> {
        for directory in ["config/processors", "config/sites", "shop"] {
            fs::create_dir_all(self.directory.join(directory))?;
        }
        // A generous umask would make the configuration one that others can write, and forgetd refuse it.
        for directory in ["config", "config/processors", "config/sites"] {
            fs::set_permissions(self.directory.join(directory), fs::Permissions::from_mode(0o755))?;
        }
        self.put("forgetd.toml", &self.daemon_file())?;
        self.put("categories.toml", CATEGORIES)?;
        self.put("processors/smartsupp.toml", SMARTSUPP)?;
        self.put("sites/shop.example.toml", &self.site_file())?;
        let size = visitors::Sample { visitors: options.visitors, seed: options.seed, now };
        visitors::write(&self.database(), &size)
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", self.database().display())))
    }

    fn put(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.config().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(())
    }

    fn daemon_file(&self) -> String {
        format!(
            r#"# The sample's daemon: everything stands in one directory.
state-dir = {state}

[controller]
name = "Shop s.r.o."
address = "Example 1, 602 00 Brno, Czechia"
contact = "privacy@shop.example"

[dpo]
name = "Jana Example"
contact = "dpo@shop.example"

[pace]
duty = 1.0                            # nobody else works with this database
"#,
            state = toml_string(&self.directory.join("state"))
        )
    }

    fn site_file(&self) -> String {
        format!(
            r#"# The sample's shop: what it stores, for how long, and where.
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"

[settings]
store-ip = false                      # IP addresses are not kept

[[processor]]
id = "smartsupp"
chat-key = "8f3c2a"
features = ["chat", "marketing"]
agreement = 2026-01-10

[retention]
visit = "6 months"
contact = "1 year"
conversation = "1 year"
"visit.location" = "30 days"

[store.chat]
kind = "sqlite"
path = {database}

[[store.chat.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "ssupp.vid"                   # a cookie that lives 6 months: so long lives the row
consent = {{ column = "marketing_consent", given = 1 }}
children = [{{ table = "pages", column = "visitor_id" }}]

[store.chat.table.columns]
ip = "visit.ip-address"
country = "visit.location"
city = "visit.location"
visits = "ssupp.visits"               # a marketing cookie: only with consent

[[store.chat.table]]
name = "conversations"
key = "id"
time = {{ column = "last_message_at", format = "unix-seconds" }}
holds = "conversation"
children = [{{ table = "messages", column = "conversation_id" }}]
"#,
            database = toml_string(&self.database())
        )
    }
}

/// A path as TOML writes it.
fn toml_string(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}
