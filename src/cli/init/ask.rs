//! What has to be known before anything can be written: by options, or asked on a terminal.

use std::path::{Path, PathBuf};

use super::files::Beginning;
use crate::cli::Failure;
use crate::cli::arguments::InitOptions;
use crate::cli::output::Output;
use crate::config::site::{After, DatabaseKind, Password, Server, is_domain};
use crate::propose::Origin;

/// Where the state of a system service is kept.
const STATE: &str = "/var/lib/forgetd";

/// Everything that was said.
pub(super) struct Answers {
    pub(super) domain: String,
    pub(super) time_zone: (String, Origin),
    /// Who decides on the processing, as far as it was said.
    pub(super) controller: Option<String>,
    pub(super) state_dir: PathBuf,
    pub(super) databases: Vec<DatabaseKind>,
    pub(super) directories: Vec<PathBuf>,
    pub(super) logs: Vec<PathBuf>,
}

/// Takes the options, and asks for what they do not say where somebody is there to answer.
pub(super) fn answers(beginning: &Beginning<'_>, options: &InitOptions, output: &Output) -> Result<Answers, Failure> {
    let InitOptions { site, time_zone, controller, database, password_file, directory, log, state_dir } = options;
    let asks = output.is_interactive();
    let domain = match site {
        Some(domain) => domain.clone(),
        None if asks => required(output, "Domain of the site, such as shop.example:")?,
        None => return Err(Failure::usage("which site? Add `--site shop.example`")),
    };
    if !is_domain(&domain) {
        return Err(Failure::usage(format!("`{domain}` is no host name in lower case, such as shop.example")));
    }
    beginning.site_file(&domain)?;
    let time_zone = match time_zone {
        Some(name) => (zone(name)?, Origin::Said),
        None => asked_zone(asks, output)?,
    };
    let controller = match controller {
        None if asks && beginning.lacks_daemon_file() => output
            .asks("Who decides on the processing, the controller's name (empty: later):")
            .filter(|name| !name.is_empty()),
        said => said.clone(),
    };
    // Whoever names a store by an option has named all of them.
    let asks_for_stores = asks && database.is_empty() && directory.is_empty() && log.is_empty();
    let several = |said: &[String], question: &str| {
        if asks_for_stores { asked_several(output, question) } else { said.to_vec() }
    };
    let databases = several(database, "A database to look at, a URL or the path of a SQLite file (empty: no more):");
    let paths = |said: &[PathBuf], question: &str| match asks_for_stores {
        true => asked_several(output, question).into_iter().map(PathBuf::from).collect(),
        false => said.to_vec(),
    };
    let directories = paths(directory, "A directory of visitors' files to look at (empty: no more):");
    let logs = paths(log, "A log to look at, such as /var/log/nginx/shop.access.log* (empty: no more):");
    Ok(Answers {
        domain,
        time_zone,
        controller,
        state_dir: absolute(state_dir.as_deref().unwrap_or(Path::new(STATE)))?,
        databases: databases
            .iter()
            .map(|written| database_kind(written, password_file.as_deref()))
            .collect::<Result<_, _>>()?,
        directories: directories.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
        logs: logs.iter().map(|path| absolute(path).map(with_rotated)).collect::<Result<_, _>>()?,
    })
}

fn required(output: &Output, question: &str) -> Result<String, Failure> {
    output.asks(question).filter(|answer| !answer.is_empty()).ok_or_else(|| Failure::usage("nothing was answered"))
}

fn asked_several(output: &Output, question: &str) -> Vec<String> {
    std::iter::from_fn(|| output.asks(question).filter(|answer| !answer.is_empty())).collect()
}

fn asked_zone(asks: bool, output: &Output) -> Result<(String, Origin), Failure> {
    let machine = jiff::tz::TimeZone::system();
    let machine = machine.iana_name().unwrap_or("UTC").to_owned();
    let answer = if asks { output.asks(&format!("Its time zone [{machine}]:")) } else { None };
    match answer.filter(|answer| !answer.is_empty()) {
        Some(name) => Ok((zone(&name)?, Origin::Said)),
        None => Ok((machine, Origin::Machine)),
    }
}

fn zone(name: &str) -> Result<String, Failure> {
    match jiff::tz::TimeZone::get(name) {
        Ok(zone) if !zone.is_unknown() => Ok(zone.iana_name().unwrap_or(name).to_owned()),
        _ => Err(Failure::usage(format!("`{name}` is no time zone: write a name such as Europe/Prague"))),
    }
}

/// A URL by its scheme, a path otherwise. A password is not repeated, not even to complain of it.
fn database_kind(written: &str, password_file: Option<&Path>) -> Result<DatabaseKind, Failure> {
    let is_postgres = written.starts_with("postgresql://") || written.starts_with("postgres://");
    if !is_postgres && !written.starts_with("mysql://") {
        if written.contains("://") {
            return Err(Failure::usage(
                "this is no URL of a database that is known: write postgresql://USER@HOST/DATABASE, \
                 mysql://USER@HOST/DATABASE, or the path of a SQLite file",
            ));
        }
        return Ok(DatabaseKind::Sqlite { path: absolute(Path::new(written))? });
    }
    if Server::holds_password(written) {
        return Err(Failure::usage(
            "a password must not stand in the URL, which is kept in the configuration: write it into a file that only \
             its owner can read, and add `--password-file PATH`",
        ));
    }
    let password = password_file.map(absolute).transpose()?.map(Password::File);
    let server = Server { url: written.to_owned(), password, ca_file: None };
    Ok(if is_postgres {
        DatabaseKind::Postgres { server, after: After::Nothing }
    } else {
        DatabaseKind::Mysql { server }
    })
}

/// As the configuration wants it: from the root, without `.` and `..`.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    match std::fs::canonicalize(path) {
        Ok(path) => Ok(path),
        // A state directory is made later, and a pattern is no file.
        Err(_) => std::path::absolute(path).map_err(failed),
    }
}

/// A log whose rotated files are not meant is hardly ever meant.
fn with_rotated(path: PathBuf) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.contains(['*', '?', '[', '{']) { path } else { path.with_file_name(format!("{name}*")) }
}
