//! Databases, and how to log in to a server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
