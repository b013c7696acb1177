//! Drift: whether what is declared is what is enforced, and whether what is observed in the stores agrees with both.
//!
//! Three sources, each read by a module that knows nothing of the others: [`Declared`] is the configuration and the
//! rules that follow from it, [`Enforced`] what the register says was run and once covered, [`Observed`] what the
//! stores hold now. `judge` lays them side by side, and every disagreement is a [`Finding`].
//!
//! An observation is a list of [`Errand`]s, because it must not be in anybody's way: a command does one after the other,
//! the daemon one at a time and only while it purges nothing. Each counts as `plan` does, over the same connections and
//! within the same bounds; of values only a few are looked at, and none is kept.

mod database;
mod declared;
mod enforced;
mod finding;
mod former;
mod judge;
pub mod likeness;
mod observed;
mod record;

pub use database::SeenDatabase;
pub use declared::Declared;
pub use enforced::Enforced;
pub use finding::{By, Drift, Finding, Kind, RuleDrift, StoreDrift};
pub use former::{Former, Whereabouts, read as formerly};
pub use judge::{GRACE, is_overdue, judge};
pub use observed::{Errand, Moment, Observed, Presence, Seen, SeenRule, Stores, Task, look};
pub use record::entry;
