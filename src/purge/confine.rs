//! A purge of files, confined by the kernel: whatever goes wrong in it, nothing outside of the rule's own root and the
//! state can be written, removed or renamed.
//!
//! Landlock restricts a thread for good, so the purge gets one of its own. It is the net under the checks of the stores,
//! not one of them: where a kernel has none, the purge goes on as before. Reading is not confined.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use super::in_flight::InFlight;
use super::state::{self, StatePaths};
use crate::plan::{Definition, Rule};
use crate::store::outside;

/// The first version that also knows of truncating (Linux 6.2). Of an older kernel, what it has is taken.
const VERSION: ABI = ABI::V3;

/// How far the kernel confines a thread that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// In everything that is asked for.
    Full,
    /// In part: the kernel is older than Linux 6.2.
    Partial,
    /// Not at all: the kernel has no Landlock, or it is switched off.
    None,
}

impl Confinement {
    /// What this kernel does.
    pub fn of_this_kernel() -> Confinement {
        std::thread::scope(|scope| scope.spawn(|| restrict(&[])).join()).unwrap_or(Confinement::None)
    }
}

/// Does the work of a purge of `rule`, confined where it is about files.
pub fn confined<T: Send>(rule: &Rule, paths: &StatePaths, work: impl FnOnce() -> T + Send) -> T {
    let Some(root) = root(&rule.definition) else { return work() };
    let mut writable = vec![root.to_owned(), paths.dir().to_owned()];
    // What an earlier run was about is finished first; its root may have been another one.
    if let Ok(Some((header, _))) = InFlight::of(paths, &state::file_name(&rule.name)).read() {
        writable.extend(self::root(&header.definition).map(Path::to_owned));
    }
    outside::prepare();
    let confined = || {
        let confinement = restrict(&writable);
        tracing::debug!(rule = rule.name.as_str(), ?confinement, "landlock");
        work()
    };
    match std::thread::scope(|scope| scope.spawn(confined).join()) {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Below which nothing is out of bounds for a rule about files.
fn root(definition: &Definition) -> Option<&Path> {
    match definition {
        Definition::Table(_) => None,
        Definition::Directory(rule) => Some(&rule.directory.path),
        Definition::Log(rule) => Some(&rule.log.directory),
    }
}

/// From here on this thread changes files below `writable` only.
fn restrict(writable: &[PathBuf]) -> Confinement {
    match try_to_restrict(writable) {
        Ok(RulesetStatus::FullyEnforced) => Confinement::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Confinement::Partial,
        Ok(RulesetStatus::NotEnforced) | Err(_) => Confinement::None,
    }
}

fn try_to_restrict(writable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let changes = AccessFs::from_write(VERSION);
    let mut ruleset = Ruleset::default().handle_access(changes)?.create()?;
    for path in writable {
        // One that is not there needs no rule: the store says that it is missing.
        if let Ok(directory) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(directory, changes))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(definition: &str) -> Rule {
        let definition: Definition = serde_json::from_str(definition).unwrap();
        let (name, site) = (definition.rule().clone(), "shop.example".to_owned());
        Rule { name, site, definition, because: String::new(), goes_along: Vec::new(), beside: Vec::new() }
    }

    #[test]
    fn a_purge_of_files_changes_those_below_its_root_and_the_state_and_one_of_rows_is_not_confined() {
        let [root, state, outside] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let paths = StatePaths::new(state.path());
        let root_name = root.path().display();
        let files = format!(
            r#"{{"directory":{{"rule":"shop.example/files","directory":{{"path":"{root_name}","pattern":"*",
            "age":"modified","settle":{{"secs":0,"nanos":0}}}},"when":"not-stored","zone":"UTC"}}}}"#
        );
        let lines = format!(
            r#"{{"log":{{"rule":"shop.example/log","log":{{"directory":"{root_name}","pattern":"*","format":"combined",
            "zone":null,"unparsed":"scan","parameters":[]}},"when":"not-stored","action":"drop","zone":"UTC"}}}}"#
        );
        let rows = r#"{"table":{"rule":"shop.example/rows","store":{"sqlite":{"path":"/srv/x.db"}},"target":{
            "table":"t","key":"id","time":{"column":"at","format":"unix-seconds","zone":null,"meaning":"recorded"},
            "filter":{},"accepts":[]},"when":"not-stored","action":{"action":"erase-rows","children":[]},"zone":"UTC"}}"#;
        let can_write = |rule: &Rule| {
            let write = |place: &tempfile::TempDir| std::fs::write(place.path().join("x"), "x").is_ok();
            confined(rule, &paths, || [&root, &state, &outside].map(write))
        };
        let elsewhere = Confinement::of_this_kernel() == Confinement::None;
        assert_eq!(can_write(&rule(&files)), [true, true, elsewhere]);
        assert_eq!(can_write(&rule(&lines)), [true, true, elsewhere]);
        assert_eq!(can_write(&rule(rows)), [true; 3]);
    }

    #[test]
    fn a_confined_thread_changes_nothing_outside() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let writable = [inside.path().to_owned()];
        let confinement = std::thread::scope(|scope| {
            let confined = || {
                let confinement = restrict(&writable);
                if confinement == Confinement::None {
                    return confinement;
                }
                let refused = |done: std::io::Result<()>| assert_eq!(done.unwrap_err().raw_os_error(), Some(13));
                refused(std::fs::remove_file(outside.path().join("kept")));
                refused(std::fs::rename(outside.path().join("kept"), outside.path().join("moved")));
                refused(std::fs::write(outside.path().join("kept"), "y"));
                refused(std::fs::create_dir(outside.path().join("new")));
                std::fs::write(inside.path().join("new"), "x").unwrap();
                std::fs::rename(inside.path().join("new"), inside.path().join("moved")).unwrap();
                std::fs::remove_file(inside.path().join("moved")).unwrap();
                confinement
            };
            scope.spawn(confined).join().unwrap()
        });
        assert_eq!(confinement, Confinement::of_this_kernel());
        assert_eq!(std::fs::read_to_string(outside.path().join("kept")).unwrap(), "x");
        // The thread that asked is not confined.
        std::fs::remove_file(outside.path().join("kept")).unwrap();
    }
}
