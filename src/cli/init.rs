//! `forgetd init`: the beginning of a configuration, for whoever has none.
//!
//! First everything is asked and looked at, then it is written, so that a mistake leaves nothing behind. What is there
//! already stays as it is: a file is made new or not at all.

mod ask;
mod files;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arguments::InitOptions;
use super::output::{Output, number_of, quoted};
use super::{Ended, Exit, Failure, session};
use crate::config::site::DatabaseKind;
use crate::propose::{self, Proposal, ProposedStore};
use crate::store::{self, log};
use crate::visible::visible;
use ask::Answers;
use files::Beginning;

/// What was done, for `--json`.
#[derive(Debug, Serialize)]
struct Begun {
    written: Vec<PathBuf>,
    site: PathBuf,
    /// Whether somebody just said who decides on the processing.
    #[serde(skip)]
    knows_controller: bool,
}

pub(super) fn run(directory: &Path, options: &InitOptions, output: &Output) -> Ended {
    let beginning = Beginning::new(directory);
    let answers = ask::answers(&beginning, options, output)?;
    let site = beginning.site_file(&answers.domain)?;
    let proposal = propose(&beginning, &answers)?;
    let text = propose::text(&proposal);
    let knows_controller = beginning.lacks_daemon_file() && answers.controller.is_some();
    let written = beginning.write((&site, &text), answers.controller.as_deref(), &answers.state_dir)?;
    let begun = Begun { written, site, knows_controller };
    output.result(&begun, |output| tell(&begun, &proposal, output));
    Ok(Exit::Done)
}

/// Looks at every store that was named. One that cannot be looked at ends it all, before anything is written.
fn propose(beginning: &Beginning<'_>, answers: &Answers) -> Result<Proposal, Failure> {
    let now = session::clock()?.wall;
    let mut stores: Vec<(String, ProposedStore)> = Vec::new();
    for kind in &answers.databases {
        let looked = propose::look(kind, &mut *store::open_database(kind), now)?;
        let name = free_name(&database_name(kind), &stores);
        stores.push((name, ProposedStore::Database(kind.clone(), looked)));
    }
    let failed =
        |path: &Path, error: std::io::Error| Failure::new(Exit::Failed, format!("{}: {error}", path.display()));
    for path in &answers.directories {
        let files = propose::look_at_directory(path).map_err(|error| failed(path, error))?;
        stores.push((free_name(&last_part(path), &stores), ProposedStore::Directory(path.clone(), files)));
    }
    for path in &answers.logs {
        let guess = log::guess(path).map_err(|error| failed(path, error))?;
        stores.push((free_name(&last_part(path), &stores), ProposedStore::Log(path.clone(), guess)));
    }
    let Answers { domain, time_zone, .. } = answers;
    let (domain, time_zone) = (domain.clone(), time_zone.clone());
    Ok(Proposal { domain, time_zone, stores, categories: beginning.categories() })
}

/// What a database is called: its file or, on a server, itself.
fn database_name(kind: &DatabaseKind) -> String {
    match kind {
        DatabaseKind::Sqlite { path } => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        DatabaseKind::Postgres { server, .. } | DatabaseKind::Mysql { server } => {
            let path = server.url.split('?').next().and_then(|url| url.rsplit_once('/'));
            path.map(|(_, name)| name.to_owned())
        }
    }
    .unwrap_or_default()
}

fn last_part(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A name for a store, of the letters that one may have, and no other store's.
fn free_name(wanted: &str, stores: &[(String, ProposedStore)]) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let plain: String = wanted.chars().map(plain).collect();
    let name = match plain.trim_matches('-') {
        "" => "store",
        name => name,
    };
    let is_free = |name: &String| stores.iter().all(|(taken, _)| taken != name);
    let numbered = (2..=stores.len() + 1).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| name.to_owned())
}

fn tell(begun: &Begun, proposal: &Proposal, output: &Output) {
    for path in &begun.written {
        output.line(format!("Written: {}", path.display()));
    }
    for (name, store) in &proposal.stores {
        output.line(format!("  {name}: {}", found(store)));
    }
    output.line("");
    output.line("Nothing is armed: no period is decided, and no rule runs before it is approved. Next:");
    output.line(format!("  1. Edit {}: decide on the periods under [retention], and go through", quoted(&begun.site)));
    output.line("     every `review:`. A wrong guess there erases the wrong records.");
    if !begun.knows_controller {
        output.line("     In forgetd.toml beside it say who decides on the processing.");
    }
    output.line(
        output.advice(
            "  2. `forgetd check` says what is missing, then `forgetd check --stores` whether the stores agree.",
        ),
    );
    output
        .line(output.advice(
            "  3. `forgetd plan` shows what would be erased, and `forgetd approve` releases it, rule by rule.",
        ));
}

fn found(store: &ProposedStore) -> String {
    match store {
        ProposedStore::Database(_, proposed) => {
            let names: Vec<String> = proposed.tables.iter().map(|table| visible(&table.name).into_owned()).collect();
            let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            let proposals = proposed.tables.len();
            format!("{} of {} proposed{names}", proposals, number_of(proposed.seen, "table"))
        }
        ProposedStore::Directory(_, files) => match &files.pattern {
            Some(pattern) => format!("{} seen, most of them like {pattern}", number_of(to_usize(files.seen), "file")),
            None => format!("{} seen, with nothing in common", number_of(to_usize(files.seen), "file")),
        },
        ProposedStore::Log(_, Some(_)) => "the format of its lines was recognised".to_owned(),
        ProposedStore::Log(_, None) => "the format of its lines was not recognised".to_owned(),
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
