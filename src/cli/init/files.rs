//! The files of a configuration, as they are shipped, and where they are put.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cli::{Exit, Failure};
use crate::config::Config;

const DAEMON: &str = include_str!("../../../config/forgetd.toml");
const CATEGORIES: &str = include_str!("../../../config/categories.toml");
const SMARTSUPP: &str = include_str!("../../../config/processors/smartsupp.toml");

const DAEMON_FILE: &str = "forgetd.toml";
const CATEGORIES_FILE: &str = "categories.toml";

/// What the shipped file says of an example, and what stands for it until somebody says it.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "address = \"Example 1, 602 00 Brno, Czechia\"\ncontact = \"privacy@shop.example\"\n",
        "# address = \"…\"\n# contact = \"…\"\n",
    ),
    (
        "[dpo]\nname = \"Jana Example\"\ncontact = \"dpo@shop.example\"\n# address = \"…\"\n",
        "# [dpo]\n# name = \"…\"\n# contact = \"…\"\n",
    ),
    ("accepts = [\"shop.example/chat/products\"]", "accepts = []"),
];
const CONTROLLER: &str = "name = \"Shop s.r.o.\"\n";
const STATE: &str = "state-dir = \"/var/lib/forgetd\"\n";

/// A configuration directory that is begun, or that a site is added to.
pub(super) struct Beginning<'d> {
    directory: &'d Path,
}

impl<'d> Beginning<'d> {
    pub(super) fn new(directory: &'d Path) -> Beginning<'d> {
        Beginning { directory }
    }

    pub(super) fn lacks_daemon_file(&self) -> bool {
        !self.directory.join(DAEMON_FILE).exists()
    }

    /// Where the site's file will be; there must be none, and no other that declares the site.
    pub(super) fn site_file(&self, domain: &str) -> Result<PathBuf, Failure> {
        let path = self.directory.join("sites").join(format!("{domain}.toml"));
        if path.symlink_metadata().is_ok() {
            let message = format!("{} is there already and stays as it is: name another site", path.display());
            return Err(Failure::usage(message));
        }
        let declared = Config::load(self.directory).ok().and_then(|config| config.sites.get(domain).cloned());
        match declared {
            Some(site) => Err(Failure::usage(format!("the site `{domain}` is declared in {} already", site.file))),
            None => Ok(path),
        }
    }

    /// The categories that can be tagged with.
    pub(super) fn categories(&self) -> BTreeSet<String> {
        let own = fs::read_to_string(self.directory.join(CATEGORIES_FILE)).ok();
        let file: toml::Table = own.as_deref().unwrap_or(CATEGORIES).parse().unwrap_or_default();
        let categories = file.get("category").and_then(toml::Value::as_array).into_iter().flatten();
        categories.filter_map(|category| Some(category.get("id")?.as_str()?.to_owned())).collect()
    }

    /// Writes the site's file and every other that is not there. Says which.
    pub(super) fn write(
        &self,
        site: (&Path, &str),
        controller: Option<&str>,
        state_dir: &Path,
    ) -> Result<Vec<PathBuf>, Failure> {
        for directory in [self.directory.to_owned(), self.directory.join("processors"), self.directory.join("sites")] {
            make_directory(&directory).map_err(|error| failed(&directory, &error))?;
        }
        let daemon = daemon_file(controller, state_dir);
        let mut written = Vec::new();
        for (name, text) in
            [(DAEMON_FILE, daemon.as_str()), (CATEGORIES_FILE, CATEGORIES), ("processors/smartsupp.toml", SMARTSUPP)]
        {
            let path = self.directory.join(name);
            match make(&path, text) {
                Ok(()) => written.push(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, &error)),
            }
        }
        let (path, text) = site;
        make(path, text).map_err(|error| failed(path, &error))?;
        written.push(path.to_owned());
        Ok(written)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

/// A generous umask would make the configuration one that others can write, and forgetd refuse it.
fn make_directory(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// A file that is not there yet.
fn make(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The shipped file without the persons of its example.
fn daemon_file(controller: Option<&str>, state_dir: &Path) -> String {
    let name = match controller {
        Some(name) => format!("name = {}\n", string(name)),
        None => "# name = \"decide\"\n".to_owned(),
    };
    let state = format!("state-dir = {}\n", string(&state_dir.display().to_string()));
    let file = DAEMON.replacen(STATE, &state, 1).replacen(CONTROLLER, &name, 1);
    EXAMPLES.iter().fold(file, |file, (example, open)| file.replacen(example, open, 1))
}

fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_of_the_example_stays_in_the_daemons_file() {
        let file = daemon_file(Some("Café \"Brno\""), Path::new("/srv/state"));
        let read: toml::Table = file.parse().unwrap();
        assert_eq!(read["controller"]["name"].as_str(), Some("Café \"Brno\""));
        assert_eq!(read["state-dir"].as_str(), Some("/srv/state"));
        for file in [file, daemon_file(None, Path::new("/srv/state"))] {
            for example in ["Jana", "Shop s.r.o.", "shop.example", "602 00"] {
                assert!(!file.contains(example), "{example}: {file}");
            }
            assert!(file.parse::<toml::Table>().is_ok());
        }
    }
}
