//! The drop-in, as systemd.unit(5) reads it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What `ProtectHome=yes` of the unit hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// What `PrivateTmp=yes` of the unit replaces.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What a unit needs besides what is shipped.
#[derive(Debug)]
pub(super) struct DropIn<'p> {
    paths: &'p BTreeSet<PathBuf>,
    /// Another user than the unit's.
    pub(super) user: Option<String>,
    pub(super) groups: BTreeSet<String>,
    pub(super) capabilities: BTreeSet<&'static str>,
    /// Whether openat2(2) is needed.
    pub(super) opens_beneath: bool,
    pub(super) remarks: Vec<&'static str>,
}

impl<'p> DropIn<'p> {
    pub(super) fn new(paths: &'p BTreeSet<PathBuf>) -> DropIn<'p> {
        DropIn {
            paths,
            user: None,
            groups: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            opens_beneath: false,
            remarks: Vec::new(),
        }
    }

    fn words<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
        paths.map(|path| word(path)).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for DropIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DropIn { paths, user, groups, capabilities, opens_beneath, remarks } = self;
        let is_below = |path: &Path, roots: &[&str]| roots.iter().any(|root| path.starts_with(root));
        for remark in remarks {
            writeln!(f, "# {remark}")?;
        }
        writeln!(f, "[Service]")?;
        if let Some(user) = user {
            writeln!(f, "User={user}")?;
        }
        let (hidden, seen): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(|path| is_below(path, &HOMES));
        if !seen.is_empty() {
            writeln!(f, "ReadWritePaths={}", Self::words(seen.into_iter()))?;
        }
        if !hidden.is_empty() {
            writeln!(f, "ProtectHome=tmpfs\nBindPaths={}", Self::words(hidden.into_iter()))?;
        }
        if paths.iter().any(|path| is_below(path, &TEMPORARY)) {
            writeln!(f, "PrivateTmp=no")?;
        }
        if !groups.is_empty() {
            writeln!(f, "SupplementaryGroups={}", groups.iter().cloned().collect::<Vec<_>>().join(" "))?;
        }
        if *opens_beneath {
            writeln!(f, "RestrictSUIDSGID=no")?;
        }
        if !capabilities.is_empty() {
            let list = capabilities.iter().copied().collect::<Vec<_>>().join(" ");
            writeln!(f, "CapabilityBoundingSet={list}\nAmbientCapabilities={list}\nPrivateUsers=no")?;
        }
        if capabilities.contains("CAP_CHOWN") {
            writeln!(f, "SystemCallFilter=@chown")?;
        }
        if capabilities.contains("CAP_SYS_PTRACE") {
            writeln!(f, "ProtectProc=default")?;
        }
        Ok(())
    }
}

/// A path as a word of a list. Where it is missing the service starts all the same.
fn word(path: &Path) -> String {
    let text = format!("-{}", path.display());
    let mut word = String::with_capacity(text.len() + 2);
    let mut is_plain = true;
    for letter in text.chars() {
        match letter {
            '%' => word.push_str("%%"),
            '"' | '\\' => word.extend(['\\', letter]),
            letter if letter.is_control() => {
                letter.to_string().bytes().for_each(|byte| word.push_str(&format!("\\x{byte:02x}")))
            }
            letter => word.push(letter),
        }
        is_plain &= !letter.is_whitespace() && !letter.is_control() && !matches!(letter, '"' | '\'' | '\\' | ':');
    }
    if is_plain { word } else { format!("\"{word}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_it_is_called() {
        for (path, expected) in [
            ("/var/log/nginx", "-/var/log/nginx"),
            ("/srv/a shop", "\"-/srv/a shop\""),
            ("/srv/100%", "-/srv/100%%"),
            ("/srv/a\"b\\c", "\"-/srv/a\\\"b\\\\c\""),
            ("/srv/a\nUser=root", "\"-/srv/a\\x0aUser=root\""),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}
