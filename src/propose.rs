//! A proposal for a site file, made from what the stores themselves look like.
//!
//! Whoever begins has a database and an empty directory. What the tables are called, which column says when and which
//! look personal stands in the database already, and is written down here: as a file that a person reads, every guess
//! with its reason. **Nothing in it is armed.** How long something may be kept is decided by whoever answers for it:
//! the periods are left open, so that the file is not valid before somebody has read it.
//!
//! A look at a database is that of [`drift`](crate::drift): its catalog, and a glance at a few values of which none is
//! kept.

mod database;
mod files;
mod instants;
mod people;
mod site_file;
mod toml_text;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::site::DatabaseKind;
use crate::store::log::Guess;

pub use database::{Proposed, ProposedTable, Rejected, look};
pub use files::{Files, look_at_directory};
pub use site_file::{PERIOD_TO_DECIDE, text};

/// What is proposed of one site.
#[derive(Debug)]
pub struct Proposal {
    /// The site's domain.
    pub domain: String,
    /// Its time zone, and where that is from.
    pub time_zone: (String, Origin),
    /// What it stores, by the store's name.
    pub stores: Vec<(String, ProposedStore)>,
    /// The categories that are declared: no others can be tagged with.
    pub categories: BTreeSet<String>,
}

/// Where a statement is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody said it.
    Said,
    /// It is what this machine has.
    Machine,
}

/// What is proposed of one store.
#[derive(Debug)]
pub enum ProposedStore {
    /// A database, and the tables in it that look as if they held visitor records.
    Database(DatabaseKind, Proposed),
    /// Files of a directory.
    Directory(PathBuf, Files),
    /// Lines of a log, and how they look written.
    Log(PathBuf, Option<Guess>),
}
