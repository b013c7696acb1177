//! One website: its settings, the processors it uses, how long it keeps what, and the stores that hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CategoryId, Class, Contact, Controller, Period, Schedule, Setting, TimeFormat};

/// `sites/*.toml`.
#[derive(Debug, Clone)]
pub struct Site {
    /// The site's name everywhere.
    pub domain: String,
    /// Zone of the schedule and of calendar days.
    pub time_zone: Zone,
    /// When its rules run.
    pub schedule: Schedule,
    /// Instead of the daemon's.
    pub controller: Option<Controller>,
    /// Instead of the daemon's.
    pub dpo: Option<Contact>,
    /// What is stored at all, as far as the file says so.
    pub settings: BTreeMap<Setting, bool>,
    /// Further categories that must not be kept.
    pub not_stored: BTreeSet<CategoryId>,
    /// Processors in use.
    pub processors: Vec<SiteProcessor>,
    /// Where a visitor answers for cookies.
    pub cookie_bar: CookieBar,
    /// How long what may be kept.
    pub retention: BTreeMap<Tag, Period>,
    /// Where visitor records lie, by the store's name.
    pub stores: BTreeMap<String, Store>,
    /// The file, below the directory.
    pub file: String,
}

/// Longest host name (RFC 1035 §2.3.4, without the dots of the wire form).
const LONGEST_DOMAIN: usize = 253;

/// Longest label of a host name (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// Whether `name` is a host name in lower case: letters, digits and hyphens between dots (RFC 1123 §2.1).
pub fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= LONGEST_DOMAIN && name.split('.').all(label)
}

/// A time zone with the name it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// IANA name.
    pub name: String,
    /// Its rules.
    pub zone: TimeZone,
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = TimeZone::get(&name).map_err(serde::de::Error::custom)?;
        Ok(Zone { name, zone })
    }
}

/// A processor as one site uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteProcessor {
    /// The processor's id.
    pub id: String,
    /// Fills `<CHAT_KEY>` in the names of its storage items.
    pub chat_key: Option<String>,
    /// Features switched on.
    pub features: BTreeSet<String>,
    /// Date of the data processing agreement (GDPR Article 28(3)).
    pub agreement: Option<Date>,
}

/// The buttons of the site's cookie bar, by CSS selectors, for a check that presses them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CookieBar {
    /// The button that agrees to everything.
    pub accept: Option<String>,
    /// The button that refuses everything that may be refused.
    pub refuse: Option<String>,
}

/// What a table or column holds: a data category or a storage item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// A data category.
    Category(CategoryId),
    /// A storage item, by the name it has in the processor's file.
    Item {
        /// The processor that sets it.
        processor: String,
        /// Name with `<CHAT_KEY>` unfilled.
        name: String,
        /// Class, which is part of the identity: one name may stand in two.
        class: Class,
    },
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tag::Category(id) => id.fmt(f),
            Tag::Item { name, .. } => f.write_str(name),
        }
    }
}

/// A place on the server that holds visitor records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Tables of a database.
    Tables {
        /// The database.
        database: DatabaseKind,
        /// Its tables.
        tables: Vec<Table>,
    },
    /// Files of a directory.
    Directory {
        /// Which.
        directory: Directory,
        /// How long a file lives.
        holds: Tag,
    },
    /// Lines of a log.
    Log {
        /// Which.
        log: Log,
        /// How long a line lives.
        holds: Tag,
        /// What happens to the addresses in it; `name` is `address`.
        address: Option<Column>,
    },
}

impl Store {
    /// The word used in files and in the register.
    pub fn key(&self) -> &'static str {
        match self {
            Store::Tables { database, .. } => database.key(),
            Store::Directory { .. } => "directory",
            Store::Log { .. } => "log",
        }
    }

    /// Where it is: a path or a URL. Names the store in the register and in errors.
    pub fn location(&self) -> String {
        match self {
            Store::Tables { database, .. } => database.location(),
            Store::Directory { directory, .. } => directory.location(),
            Store::Log { log, .. } => log.location(),
        }
    }

    /// Its tables; a directory and a log have none.
    pub fn tables(&self) -> &[Table] {
        match self {
            Store::Tables { tables, .. } => tables,
            Store::Directory { .. } | Store::Log { .. } => &[],
        }
    }
}

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

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseKind {
    /// A SQLite database file.
    Sqlite {
        /// Absolute path.
        path: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres {
        /// How to reach it.
        server: Server,
        /// What is done after a run.
        after: After,
    },
    /// A MySQL or MariaDB database.
    Mysql {
        /// How to reach it.
        server: Server,
    },
}

/// A database server and how to log in to it. No secret stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `postgresql://user@host/database?host=/run/postgresql`, `mysql://user@localhost/database?socket=…`.
    pub url: String,
    /// Where the password is; none where the server knows the user by its process (peer, unix_socket).
    pub password: Option<Password>,
    /// Certificate authority that signed the server's certificate, as PEM; the system's where there is none.
    pub ca_file: Option<PathBuf>,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// A systemd credential of this name.
    Credential(String),
    /// A file that only its owner can read.
    File(PathBuf),
}

impl Server {
    /// Whether a password stands in a URL, where it must not be.
    pub fn holds_password(url: &str) -> bool {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let in_authority = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        in_authority || rest.split(['?', '&']).skip(1).any(|pair| pair.starts_with("password="))
    }
}

/// What is done to a database after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// Nothing: the server's own upkeep removes what is dead.
    Nothing,
    /// VACUUM of the tables that were purged.
    Vacuum,
}

impl DatabaseKind {
    /// The word used in files and in the register.
    pub fn key(&self) -> &'static str {
        match self {
            DatabaseKind::Sqlite { .. } => "sqlite",
            DatabaseKind::Postgres { .. } => "postgres",
            DatabaseKind::Mysql { .. } => "mysql",
        }
    }

    /// Where it is: a path or a URL. Names the store in the register and in errors.
    pub fn location(&self) -> String {
        match self {
            DatabaseKind::Sqlite { path } => path.display().to_string(),
            DatabaseKind::Postgres { server, .. } | DatabaseKind::Mysql { server } => server.url.clone(),
        }
    }
}

/// A table with visitor records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in the names of rules: the table's own, unless the file says `id = …`. Unique in its store.
    pub id: String,
    /// Its name in the database.
    pub name: String,
    /// Unique, not null.
    pub key: String,
    /// What a row's age is measured by.
    pub time: RowTime,
    /// How long a row lives.
    pub holds: Tag,
    /// Where the visitor's consent is recorded.
    pub consent: Option<Consent>,
    /// Rows of other tables that are erased with a row of this one.
    pub children: Vec<Child>,
    /// Columns that go earlier than their row.
    pub columns: Vec<Column>,
    /// Only rows with these values.
    pub filter: BTreeMap<String, Scalar>,
    /// Side effects of a deletion that the operator has looked at: `trigger:NAME`, `cascade:TABLE`.
    pub accepts: BTreeSet<SideEffect>,
}

/// What a row's age is measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowTime {
    /// The column.
    pub column: String,
    /// How it is written.
    pub format: TimeFormat,
    /// Zone of values that carry none.
    pub zone: Option<Zone>,
    /// What the instant means.
    pub meaning: TimeMeaning,
}

/// What the instant in a time column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeMeaning {
    /// The record was last written or seen then: it expires a period later.
    Recorded,
    /// The record expires then.
    Expires,
}

/// Where consent is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The column.
    pub column: String,
    /// The value that means consent was given.
    pub given: Scalar,
}

/// A value in the configuration that is compared with or written to a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` and `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Boolean(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// Rows of another table that belong to a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Child {
    /// The other table.
    pub table: String,
    /// Its column that holds the parent's key.
    pub column: String,
}

/// A column that must go earlier than its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: Tag,
    /// What happens to it.
    pub treatment: Treatment,
    /// Written instead of NULL where the column may not be NULL.
    pub stand_in: Option<Scalar>,
}

/// What happens to a column when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// One action, at the end of its category's period or as soon as its setting is off.
    Once(ColumnAction),
    /// Several actions, each a period after the record's time.
    Ladder(Vec<Step>),
}

/// One step of a ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long after the record's time.
    pub after: Period,
    /// What then happens.
    pub action: ColumnAction,
}

/// What is done to a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum ColumnAction {
    /// NULL, or the stand-in.
    Erase,
    /// An IP address keeps only its network.
    Truncate(Mask),
}

/// How much of an IP address stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    /// Leading bits of an IPv4 address that stay.
    pub v4: u8,
    /// Leading bits of an IPv6 address that stay.
    pub v6: u8,
    /// What happens to a value that is no address.
    pub unparsed: Unparsed,
}

/// What happens to a value that should be an IP address and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparsed {
    /// It is erased: it may be an address in a form that is not known. The default.
    Erase,
    /// It stays, because the operator said so.
    Keep,
}

/// A side effect of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffect {
    /// A trigger by its name.
    Trigger(String),
    /// A foreign key that erases or changes rows of this table.
    Cascade(String),
}

impl std::fmt::Display for SideEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SideEffect::Trigger(name) => write!(f, "trigger:{name}"),
            SideEffect::Cascade(table) => write!(f, "cascade:{table}"),
        }
    }
}
