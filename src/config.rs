//! The configuration: a directory of TOML files turned into checked values, whole or not at all.
//!
//! The files say which processors a site uses, what its stores hold and which settings apply; nobody writes a purge
//! rule. [`Config`] existing is the proof that every file was read, every name resolved and every period found, so
//! the stages after this one have nothing left to check. File formats stay in `file`; `check` turns them into the
//! values below; [`Problems`] says everything that is wrong in one go.

mod category;
mod check;
mod daemon;
mod error;
mod file;
pub mod line_pattern;
pub mod period;
mod processor;
mod read;
mod resolve;
pub mod schedule;
pub mod site;
pub mod time_format;

use std::collections::BTreeMap;

pub use category::{Category, CategoryId, Setting};
pub use daemon::{ApprovalMode, Contact, Controller, Daemon, Listen, LogLevel, Metrics, Pace, Safety, Share};
pub use error::{Problem, Problems};
pub use period::Period;
pub use processor::{
    Class, DataGroup, Feature, ItemKind, LawfulBasis, Lifetime, Location, Processor, Statement, StorageItem,
    SubProcessor, SubProcessors, Transfer,
};
pub use read::{Source, Trust, hex, read_directory, state_directory};
pub use resolve::{NotStored, PeriodSource, StatedPeriod};
pub use schedule::Schedule;
pub use site::Site;
pub use time_format::TimeFormat;

/// Everything that is declared, checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// `forgetd.toml`.
    pub daemon: Daemon,
    /// `categories.toml`, by category.
    pub categories: BTreeMap<CategoryId, Category>,
    /// `processors/*.toml`, by the processor's id.
    pub processors: BTreeMap<String, Processor>,
    /// `sites/*.toml`, by domain.
    pub sites: BTreeMap<String, Site>,
    /// The files as they were read, by their path below the directory.
    pub sources: BTreeMap<String, Source>,
}
