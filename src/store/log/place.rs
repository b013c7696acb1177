//! How a file that was written anew takes the place of the old one.
//!
//! The two change places in a single exchange, so that at every moment one of them stands there whole. The old one is let
//! go only after that, under a name of forgetd's own where nobody can reach it any more, once it is certain that nobody
//! has it open or wrote to it; otherwise it gets its place back and waits for another run. A file in which nothing stays
//! is not exchanged but taken away, and looked at in the same manner before it is removed. **No line is lost on any
//! path**, also where another program renames files meanwhile. After a crash the names that only forgetd uses tell what
//! happened: the new file stands there (nothing was done), the old one (all but letting go was done), or none (all was
//! done).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::carry::{Carried, carry_over};
use super::files::{Identity, LogDirectory};
use super::openers::{Openers, Standing};
use super::rewrite::OwnName;
use super::rotation;
use crate::store::{Resolution, StoreError, Unknown};

/// How often a place is looked for that others keep moving.
const ATTEMPTS: u32 = 100;

/// What becomes of a file in which no line stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Emptied {
    /// It is removed.
    Removed,
    /// It stays, empty: a server may open it next, and may not be allowed to make it again.
    Kept,
}

/// What is needed to find out how it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InFlight {
    pub(super) name: Vec<u8>,
    pub(super) old: Identity,
    pub(super) new: Identity,
    pub(super) emptied: Emptied,
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    InPlace,
    /// Somebody wrote to the old file or moved it: everything is as it was.
    TurnedBack,
}

/// A replacement, and the directory it is in.
struct Placing<'p> {
    directory: &'p LogDirectory,
    own: &'p OwnName,
    said: &'p InFlight,
}

/// Puts the new file in the place of the old one, or takes the old one away where nothing of it stays.
pub(super) fn take_place(directory: &LogDirectory, own: &OwnName, said: &InFlight) -> Result<Placed, StoreError> {
    let placing = Placing { directory, own, said };
    let name = OsStr::from_bytes(&said.name);
    if directory.identity_at(name) != Ok(said.old) {
        return Ok(Placed::TurnedBack);
    }
    let moved = match said.emptied {
        Emptied::Kept => directory.exchange(OsStr::new(&own.new), name),
        Emptied::Removed => directory.move_to_nothing(name, OsStr::new(&own.taken)),
    };
    match moved {
        Ok(()) => placing.confirm(),
        // Somebody moved it away.
        Err(Errno::NOENT) => Ok(Placed::TurnedBack),
        Err(Errno::INVAL | Errno::NOSYS) => {
            Err(directory.failed("its file system cannot exchange two names", "renameat2(2)"))
        }
        Err(error) => Err(directory.failed("a file cannot be exchanged for its successor", error)),
    }
}

/// How a replacement ended whose process died.
pub(super) fn resolve(directory: &LogDirectory, own: &OwnName, in_flight: &[u8]) -> Result<Resolution, StoreError> {
    let failed = |error: &dyn std::fmt::Display| directory.failed("an interrupted batch cannot be resolved", error);
    let mut said: InFlight = serde_json::from_slice(in_flight).map_err(|_| failed(&"it is none of a log"))?;
    for file in [&mut said.old, &mut said.new] {
        file.device = directory.device_of(file)?.unwrap_or(file.device);
    }
    let placing = Placing { directory, own, said: &said };
    if placing.holds_anothers() {
        return match placing.confirm()? {
            Placed::InPlace => Ok(Resolution::Committed),
            Placed::TurnedBack => {
                own.clear(directory)?;
                Ok(Resolution::RolledBack)
            }
        };
    }
    match directory.identity_at(own.new.as_str()) {
        Ok(here) if here.is_file(&said.new) => {
            placing.carry_over()?;
            own.clear(directory)?;
            Ok(Resolution::RolledBack)
        }
        Err(Errno::NOENT) if directory.name_of(|file| file.is_file(&said.new))?.is_some() => Ok(Resolution::Committed),
        Err(Errno::NOENT) if placing.stands_again()? => Ok(Resolution::RolledBack),
        Err(Errno::NOENT) => Ok(Resolution::Committed),
        Ok(_) => Err(failed(&"another file has taken its place")),
        Err(error) => Err(failed(&error)),
    }
}

impl Placing<'_> {
    /// The name under which the old file waits to be let go.
    fn waiting(&self) -> &OsStr {
        OsStr::new(match self.said.emptied {
            Emptied::Kept => &self.own.new,
            Emptied::Removed => &self.own.taken,
        })
    }

    /// Whether the old file waits there, or one that took its place in the moment of the exchange.
    fn holds_anothers(&self) -> bool {
        self.directory.identity_at(self.waiting()).is_ok_and(|here| !here.is_file(&self.said.new))
    }

    /// Whether the old file has its place again, and the new one is gone. Its number may be another file's by now, which
    /// is told by its state; but where it was given back lines may have come to it since.
    fn stands_again(&self) -> Result<bool, StoreError> {
        let Placing { directory, said: InFlight { old, emptied, .. }, .. } = self;
        let grew = |file: &Identity| *emptied == Emptied::Kept && file.is_file(old) && file.size > old.size;
        Ok(directory.name_of(|file| file == old || grew(file))?.is_some())
    }

    /// Lets the old file go, or gives it back: another file stood there in that moment, or somebody has the old one open
    /// or wrote to it.
    fn confirm(&self) -> Result<Placed, StoreError> {
        let Placing { directory, said, .. } = self;
        let unchanged = || directory.identity_at(self.waiting()) == Ok(said.old);
        let is_idle = || match Openers::look_patiently(&directory.file, said.old).standing(&said.old) {
            Standing::Idle => true,
            // After a crash less may be seen than before it.
            Standing::Unknown => rotation::is_compressed_copy(OsStr::from_bytes(&said.name)),
            Standing::Read | Standing::Written => false,
        };
        // Whoever had it open and let go again may have written in between: its state is looked at last.
        let placed = if unchanged() && is_idle() && unchanged() {
            self.let_go()?;
            Placed::InPlace
        } else {
            self.give_back()?;
            Placed::TurnedBack
        };
        directory.sync().map_err(|error| self.unknown(error))?;
        Ok(placed)
    }

    fn let_go(&self) -> Result<(), StoreError> {
        // The new one goes first: as long as it stands there and the old one does not, nothing was done.
        let names = match self.said.emptied {
            Emptied::Kept => [&self.own.new].into_iter().chain(None),
            Emptied::Removed => [&self.own.new].into_iter().chain(Some(&self.own.taken)),
        };
        names.into_iter().try_for_each(|name| self.directory.remove_own(name)).map_err(|error| self.unknown(error))
    }

    /// What was taken gets a name again under which it can be seen.
    fn give_back(&self) -> Result<(), StoreError> {
        let Placing { directory, own, said } = self;
        if said.emptied == Emptied::Removed {
            return self.show(OsStr::new(&own.taken));
        }
        let ours = OsStr::new(&own.new);
        let is_new = |file: &Identity| file.is_file(&said.new);
        for _ in 0..ATTEMPTS {
            // Rotation may have moved the new file on, and what stands under the name now is another log.
            let found = directory.name_of(is_new).map_err(|error| self.unknown(error))?;
            let Some(name) = found else { break };
            match directory.exchange(ours, &name) {
                Ok(()) if directory.identity_at(ours).is_ok_and(|here| is_new(&here)) => {
                    return self.carry_over();
                }
                // Moved in this very moment: what was hit instead is exchanged back, and all begins anew.
                Ok(()) => {
                    let _ = directory.exchange(ours, &name);
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(self.unknown(error)),
            }
        }
        self.show(ours)
    }

    /// Gives a file under a name of forgetd's own the name it had, or else the next that is free and in the pattern.
    fn show(&self, ours: &OsStr) -> Result<(), StoreError> {
        let Placing { directory, said, .. } = self;
        let other = |number: u32| {
            let behind = OsString::from_vec([&said.name[..], format!(".{number}").as_bytes()].concat());
            let before = OsString::from_vec([format!("{number}-").as_bytes(), &said.name[..]].concat());
            if directory.matches(&behind) || !directory.matches(&before) { behind } else { before }
        };
        let names = std::iter::once(OsString::from_vec(said.name.clone())).chain((1..ATTEMPTS).map(other));
        for name in names {
            match directory.move_to_nothing(ours, &name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(self.unknown(error)),
            }
        }
        Err(self.unknown("no name is free"))
    }

    /// Lines that came to the new file while it stood in the place of the old one follow those of the old one.
    fn carry_over(&self) -> Result<(), StoreError> {
        let Placing { directory, own, said } = self;
        // Where no line stays the new file never stood anywhere.
        if said.emptied == Emptied::Removed {
            return Ok(());
        }
        match carry_over(directory, &own.new, said).map_err(|error| self.unknown(error))? {
            Carried::Over => Ok(()),
            // With what it holds of the old one: rather twice than not at all.
            Carried::Nowhere => self.show(OsStr::new(&own.new)),
        }
    }

    fn unknown(&self, error: impl std::fmt::Display) -> StoreError {
        let (place, reason) = (self.directory.place.clone(), error.to_string());
        StoreError::CommitUnknown { place, reason, because: Unknown::InUse }
    }
}
