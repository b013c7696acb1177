//! Stores of files: directories of records, and logs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Zone;

/// Files below a directory, at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The directory: absolute, without `.` and `..`.
    pub path: PathBuf,
    /// Which names.
    pub pattern: NamePattern,
    /// What a file's age is measured by.
    pub age: FileAge,
    /// How long a file's inode must have been left alone before it may go, whatever its age: a restore brings old
    /// dates with it.
    pub settle: Duration,
}

/// What a file's age is measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAge {
    /// When its contents were last written.
    Modified,
    /// The date in its name, in the conversions of strftime(3).
    Named(String),
}

impl Directory {
    /// The directory and the pattern, as one path.
    pub fn location(&self) -> String {
        self.path.join(self.pattern.as_str()).display().to_string()
    }
}

/// A glob over the names of files, `*`, `?` and `[…]`: one name, never a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamePattern(String);

impl NamePattern {
    /// The pattern that `text` writes.
    ///
    /// # Errors
    /// It is no pattern for one name; the reason.
    pub fn new(text: &str) -> Result<NamePattern, String> {
        if text.contains('/') {
            return Err("it is about one name, and `/` is never part of one".to_owned());
        }
        globset::Glob::new(text).map_err(|error| error.kind().to_string())?;
        Ok(NamePattern(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A log: the file that a server writes, and its rotated predecessors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The directory the files lie in.
    pub directory: PathBuf,
    /// Which of them.
    pub pattern: NamePattern,
    /// How a line is written.
    pub format: LogFormat,
    /// Zone of times that carry none.
    pub zone: Option<Zone>,
    /// What happens to addresses in a line that is not in this format.
    pub unparsed: UnparsedLine,
    /// Parameters of queries and cookies whose values are addresses.
    pub parameters: BTreeSet<String>,
}

impl Log {
    /// The directory and the pattern, as one path.
    pub fn location(&self) -> String {
        self.directory.join(self.pattern.as_str()).display().to_string()
    }
}

/// How the lines of a log are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// The Common Log Format of Apache and nginx.
    Common,
    /// With referrer and user agent.
    Combined,
    /// With the virtual host before it (Apache's `vhost_combined`).
    VhostCombined,
    /// nginx's error log.
    NginxError,
    /// Apache's error log.
    ApacheError,
    /// One JSON object a line.
    Json {
        /// The field with the time: RFC 3339, or seconds or milliseconds since 1970. A dot goes into an object.
        time: String,
        /// Fields with addresses.
        addresses: Vec<String>,
    },
    /// Named parts between fixed text: `{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}`.
    Custom(String),
}

/// What happens to addresses in a line that is not in the format of its log. Such a line is never dropped by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnparsedLine {
    /// They are looked for anywhere in it. The default.
    Scan,
    /// They stay, because the operator said so.
    Keep,
}
