//! The proposal as a site file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::database::{ColumnTag, PersonalColumn, Proposed, ProposedTable};
use super::files::Files;
use super::toml_text::{key, remark, remarked, string};
use super::{Origin, Proposal, ProposedStore};
use crate::config::site::{Child, DatabaseKind, LogFormat, Password, Scalar, Server, TimeMeaning};
use crate::store::log::Guess;

/// Stands for a period that nobody has decided on: it is none, so that it cannot be taken for one.
pub const PERIOD_TO_DECIDE: &str = "decide";

/// The category of lines and files, about whose contents nobody knows more.
const VISIT: &str = "visit";

/// The category of the addresses in logs.
const IP_ADDRESS: &str = "visit.ip-address";

/// The whole file.
pub fn text(proposal: &Proposal) -> String {
    let mut writing = Writing { proposal, used: BTreeSet::new(), text: String::new() };
    for (name, store) in &proposal.stores {
        writing.store(name, store);
    }
    let Writing { used, text: stores, .. } = writing;
    let mut text = head(proposal);
    text.push_str(&retention(&used, proposal));
    text.push_str(&stores);
    if proposal.stores.is_empty() {
        text.push_str(
            "\n# What the site stores, and where: `[store.NAME]`. docs/configuration.md and the examples show how.\n",
        );
    }
    text
}

fn head(proposal: &Proposal) -> String {
    let (zone, origin) = &proposal.time_zone;
    let zone = format!("time-zone = {}", string(zone));
    let zone = match origin {
        Origin::Said => format!("{zone}\n"),
        Origin::Machine => remarked(&zone, "this machine's; for the schedule and for calendar days and months"),
    };
    format!(
        "# A proposal by `forgetd init`. Whatever has a remark `review:` is a guess: compare it with what you\n\
         # know, and remove the remark. Periods are not guessed: decide on them under [retention].\n\n\
         domain = {domain}\n{zone}\
         schedule = \"30 3 * * *\"               # daily, at half past three\n\n\
         [settings]\n\
         # store-ip = true                     # IP addresses are not kept, unless this stands here\n\n\
         # The processors that the site uses, each described by a file in ../processors:\n\
         # [[processor]]\n\
         # id = \"smartsupp\"\n\
         # chat-key = \"…\"\n\
         # features = [\"chat\"]\n\
         # agreement = 2026-01-10              # date of the data processing agreement\n\n",
        domain = string(&proposal.domain),
    )
}

/// What needs a period, each without one.
fn retention(used: &BTreeSet<&str>, proposal: &Proposal) -> String {
    let mut text = "# How long what may be kept. There is no default, and no proposal: write periods such as \"6 months\" for\n\
                    # \"decide\", and remove the \"#\" before them. What is part of a category may go earlier: \"visit.location\".\n\
                    [retention]\n"
        .to_owned();
    let root = |category: &&str| category.split('.').next().unwrap_or(category).to_owned();
    let roots: BTreeSet<String> = used.iter().map(root).filter(|root| proposal.categories.contains(root)).collect();
    for category in roots {
        // Writing into a string has no way to fail.
        let _ = writeln!(text, "# {} = \"{PERIOD_TO_DECIDE}\"", key(&category));
    }
    text
}

struct Writing<'p> {
    proposal: &'p Proposal,
    /// Categories that were tagged with.
    used: BTreeSet<&'p str>,
    text: String,
}

impl<'p> Writing<'p> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn remarked(&mut self, line: &str, why: &str) {
        self.text.push_str(&remarked(line, why));
    }

    fn remark(&mut self, text: &str) {
        self.text.push_str(&remark(text));
    }

    fn store(&mut self, name: &str, store: &'p ProposedStore) {
        self.line(&format!("\n[store.{}]", key(name)));
        match store {
            ProposedStore::Database(kind, proposed) => self.database(name, kind, proposed),
            ProposedStore::Directory(path, files) => self.directory(path, files),
            ProposedStore::Log(path, guess) => self.log(name, path, guess.as_ref()),
        }
    }

    fn database(&mut self, name: &str, kind: &DatabaseKind, proposed: &'p Proposed) {
        self.line(&format!("kind = {}", string(kind.key())));
        match kind {
            DatabaseKind::Sqlite { path } => self.path(path),
            DatabaseKind::Postgres { server, .. } | DatabaseKind::Mysql { server } => self.server(server),
        }
        let (proposals, seen) = (proposed.tables.len(), proposed.seen);
        self.remark(&format!(
            "{proposals} of {seen} tables: remove those that hold no visitor records, add those that were not recognised"
        ));
        for rejected in &proposed.rejected {
            let lacks = rejected.lacks;
            self.remark(&format!("table {} looks personal as well, and has not got {lacks}", rejected.name));
        }
        for table in &proposed.tables {
            self.table(name, table);
        }
    }

    fn path(&mut self, path: &Path) {
        self.line(&format!("path = {}", string(&path.display().to_string())));
    }

    fn server(&mut self, server: &Server) {
        self.line(&format!("url = {}", string(&server.url)));
        match &server.password {
            Some(Password::File(path)) => {
                self.line(&format!("password-file = {}", string(&path.display().to_string())));
            }
            Some(Password::Credential(name)) => self.line(&format!("credential = {}", string(name))),
            None => {}
        }
    }

    fn table(&mut self, store: &str, table: &'p ProposedTable) {
        self.line(&format!("\n[[store.{}.table]]", key(store)));
        self.line(&format!("name = {}", string(&table.name)));
        self.remarked(&format!("key = {}", string(&table.key)), "it is unique, and never empty");
        self.time(table);
        self.holds(table.holds, "guessed from the table's name; it says how long a row lives");
        if let Some(column) = &table.consent {
            let line = format!("# consent = {{ column = {}, given = 1 }}", string(column));
            self.remarked(&line, "it looks as if it said that consent was given: by which value?");
        }
        self.children(table);
        self.columns(store, &table.columns);
    }

    fn time(&mut self, table: &ProposedTable) {
        let time = &table.time;
        let word = match time.meaning {
            TimeMeaning::Recorded => "time",
            TimeMeaning::Expires => "expires",
        };
        let zone = if time.needs_zone { ", time-zone = \"UTC\"" } else { "" };
        let column = string(&time.column);
        let others = match table.other_times.as_slice() {
            [] => String::new(),
            others => format!("; others that say when: {}", others.join(", ")),
        };
        let line = format!("{word} = {{ column = {column}, format = \"{}\"{zone} }}", time.format);
        self.remarked(&line, &format!("{}{others}", time.because));
    }

    fn holds(&mut self, category: &'p str, why: &str) {
        if self.proposal.categories.contains(category) {
            self.used.insert(category);
            self.remarked(&format!("holds = {}", string(category)), why);
        } else {
            self.remarked("# holds = \"…\"", "one of your categories; it says how long a row lives");
        }
    }

    fn children(&mut self, table: &ProposedTable) {
        let child =
            |child: &Child| format!("{{ table = {}, column = {} }}", string(&child.table), string(&child.column));
        if !table.children.is_empty() {
            self.remark("they refer to this table by a foreign key, and go with their row");
            let children: Vec<String> = table.children.iter().map(child).collect();
            self.line(&format!("children = [{}]", children.join(", ")));
        }
        for (perhaps, why) in &table.perhaps_children {
            self.remark(&format!("perhaps also among `children`: {} ({why})", child(perhaps)));
        }
    }

    fn columns(&mut self, store: &str, columns: &'p [PersonalColumn]) {
        let is_known = |category: &str| self.proposal.categories.contains(category);
        let (tagged, others): (Vec<&PersonalColumn>, Vec<&PersonalColumn>) = columns
            .iter()
            .partition(|column| matches!(column.tag, ColumnTag::Tagged(category, _) if is_known(category)));
        for column in others {
            let why = match column.tag {
                ColumnTag::GoesWithRow(why) => why,
                ColumnTag::Tagged(..) => "none of your categories says that",
            };
            let looks = looks(column);
            self.remark(&format!("column {} {looks}, and goes with its row, not earlier: {why}", column.name));
        }
        if tagged.is_empty() {
            return;
        }
        self.line(&format!("\n[store.{}.table.columns]", key(store)));
        for column in tagged {
            let ColumnTag::Tagged(category, stand_in) = &column.tag else { continue };
            self.used.insert(category);
            let value = match stand_in {
                None => string(category),
                Some(value) => format!("{{ category = {}, value = {} }}", string(category), scalar(value)),
            };
            self.remarked(&format!("{} = {value}", key(&column.name)), &looks(column));
        }
    }

    fn directory(&mut self, path: &Path, files: &Files) {
        self.line("kind = \"directory\"");
        self.path(path);
        match &files.pattern {
            Some(pattern) => {
                self.remarked(&format!("pattern = {}", string(pattern)), "most names that were seen are like that")
            }
            None => {
                self.remarked("# pattern = \"…\"", "the names that were seen have nothing in common: which may go?")
            }
        }
        if let Some(form) = files.day {
            self.remarked(
                &format!("age = {{ name = {} }}", string(form)),
                "the names tell a day; without this line, when a file was last written",
            );
        }
        self.holds(VISIT, "it says how long a file lives");
    }

    fn log(&mut self, name: &str, path: &Path, guess: Option<&Guess>) {
        self.line("kind = \"log\"");
        self.path(path);
        match guess {
            Some(guess) => self.format(guess),
            None => self.remarked("# format = \"…\"", "no lines in a format that is known were found"),
        }
        self.holds(VISIT, "it says how long a line lives");
        if self.proposal.categories.contains(IP_ADDRESS) {
            self.line(&format!("\n[store.{}.address]", key(name)));
            self.remarked(&format!("category = {}", string(IP_ADDRESS)), "the addresses in the lines");
            self.remarked("do = \"truncate\"", "their network stays; \"erase\" leaves nothing");
            self.used.insert(IP_ADDRESS);
        }
    }

    fn format(&mut self, guess: &Guess) {
        const WHY: &str = "most of the first lines are in it";
        match &guess.format {
            LogFormat::Json { time, addresses } => {
                let addresses: Vec<String> = addresses.iter().map(|name| string(name)).collect();
                self.remarked("format = \"json\"", WHY);
                self.remarked(&format!("time-field = {}", string(time)), "it holds a time");
                self.remarked(&format!("address-fields = [{}]", addresses.join(", ")), "they hold addresses");
            }
            format => self.remarked(&format!("format = {}", string(word(format))), WHY),
        }
        if guess.needs_zone {
            let zone = string(&self.proposal.time_zone.0);
            self.remarked(&format!("time-zone = {zone}"), "the lines tell no zone: is it the server's?");
        }
    }
}

/// The word of a format that needs nothing else.
fn word(format: &LogFormat) -> &'static str {
    match format {
        LogFormat::Common => "common",
        LogFormat::Combined => "combined",
        LogFormat::VhostCombined => "vhost_combined",
        LogFormat::NginxError => "nginx-error",
        LogFormat::ApacheError => "apache-error",
        LogFormat::Json { .. } => "json",
        LogFormat::Custom(_) => "custom",
    }
}

fn looks(column: &PersonalColumn) -> String {
    let (likeness, by) = column.looks_like;
    format!("looks like {} (by its {})", likeness.words(), by.words())
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Text(text) => string(text),
    }
}
