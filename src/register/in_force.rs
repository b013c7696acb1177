//! What is in force while the configuration directory may be invalid.
//!
//! A valid directory is in force as it stands. While it is invalid nothing new is applied: the last version that was
//! stays in force, and a site is suspended if any file it depends on has a mistake or differs from that version,
//! since an older, shorter rule could erase what the edit meant to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Register, RegisterError};
use crate::config::{Config, Problems, Source};

/// The configuration in force and what is in doubt about it.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// Sites whose rules are suspended, and why.
    pub suspended: BTreeMap<String, String>,
    /// What is wrong with the directory, where something is.
    pub problems: Option<Problems>,
}

/// There is no configuration to work from.
#[derive(Debug, thiserror::Error)]
pub enum NothingInForce {
    /// The directory is invalid and no version was ever applied.
    #[error("the configuration is invalid, and none was ever applied")]
    Invalid(Problems),
    /// The register cannot be read.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl InForce {
    /// The directory's configuration where it is valid, else the version that `register` has in force.
    ///
    /// # Errors
    /// Neither is there.
    pub fn determine(
        directory: &Path,
        loaded: Result<Config, Problems>,
        register: Option<&Register>,
    ) -> Result<InForce, NothingInForce> {
        let problems = match loaded {
            Ok(config) => return Ok(InForce { config, suspended: BTreeMap::new(), problems: None }),
            Err(problems) => problems,
        };
        let files = register.map(Register::files_in_force).transpose()?.flatten();
        // Files that an earlier version of the program accepted and this one does not are no policy either.
        match files.map(Config::parse) {
            Some(Ok(config)) => Ok(InForce::while_invalid(directory, config, problems)),
            Some(Err(_)) | None => Err(NothingInForce::Invalid(problems)),
        }
    }

    /// `config` stays in force while `directory` has `problems`.
    pub fn while_invalid(directory: &Path, config: Config, problems: Problems) -> InForce {
        let faulty = problems.files();
        let doubt = |site: &crate::config::Site| {
            let file = config.depends_on(site).find(|file| is_in_doubt(directory, file, &faulty, &config.sources))?;
            Some((site.domain.clone(), format!("{file} has a mistake or differs from the version in force")))
        };
        let suspended = config.sites.values().filter_map(doubt).collect();
        InForce { config, suspended, problems: Some(problems) }
    }
}

/// Whether `file` has a mistake, or is no longer what it was when it was applied.
fn is_in_doubt(directory: &Path, file: &str, faulty: &BTreeSet<&str>, applied: &BTreeMap<String, Source>) -> bool {
    let covers = |faulty: &&str| {
        faulty.is_empty() || file.strip_prefix(*faulty).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if faulty.iter().any(covers) {
        return true;
    }
    let path = directory.join(file);
    // Something that is not a file might never end.
    let is_file = std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
    match (is_file.then(|| std::fs::read(&path)), applied.get(file)) {
        (Some(Ok(bytes)), Some(source)) => bytes != source.text.as_bytes(),
        _ => true,
    }
}
