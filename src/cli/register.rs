//! `forgetd register`: what is declared, as it is, as it was, and how it changed.

use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value};

use super::arguments::RegisterCommand;
use super::output::Output;
use super::session::{self, Reading};
use super::{Ended, Exit, Failure, papers};
use crate::register::{FACT_TABLES, FactRow, FactTable, Moment, Register, RegisterError};

pub(super) fn run(directory: &Path, command: &RegisterCommand, output: &Output) -> Ended {
    match command {
        RegisterCommand::Show { what, as_of } => show(directory, what.as_deref(), *as_of, output),
        RegisterCommand::History { what } => history(directory, what.as_deref(), output),
        RegisterCommand::Export(options) => papers::export(directory, options, output),
        RegisterCommand::Check { site, lang } => papers::check(directory, site.as_deref(), lang, output),
        RegisterCommand::Diff(options) => papers::diff(directory, options, output),
    }
}

fn show(directory: &Path, what: Option<&str>, as_of: Option<Date>, output: &Output) -> Ended {
    let tables = tables(what)?;
    let (register, moment, exit) = match as_of {
        None => {
            // The files as they stand, whether or not they were ever recorded.
            let reading = Reading::begin(directory, output)?;
            let mut register = Register::in_memory()?;
            register.record(&reading.in_force.config, reading.clock.wall, |_| Ok::<(), RegisterError>(()))?;
            (register, Moment::Now, reading.exit(Exit::Done))
        }
        Some(day) => (recorded(directory)?, Moment::At(end_of(day)?), Exit::Done),
    };
    let facts = read(&register, &tables, moment)?;
    output.result(&json(&facts), |output| print(&facts, Versions::Hidden, output));
    Ok(exit)
}

fn history(directory: &Path, what: Option<&str>, output: &Output) -> Ended {
    let register = recorded(directory)?;
    let facts = read(&register, &tables(what)?, Moment::Always)?;
    output.result(&json(&facts), |output| print(&facts, Versions::Shown, output));
    Ok(Exit::Done)
}

fn recorded(directory: &Path) -> Result<Register, Failure> {
    let path = session::state_paths(directory)?.register();
    Register::open_existing(&path)?.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("{}: there is no register yet: `forgetd run` and `forgetd purge` record one", path.display()),
        )
    })
}

fn end_of(day: Date) -> Result<Timestamp, Failure> {
    Ok(day.checked_add(1.day())?.to_zoned_datetime(TimeZone::UTC)?.timestamp())
}

/// The tables that `what` means. Whole files are shown only when asked for.
fn tables(what: Option<&str>) -> Result<Vec<&'static FactTable>, Failure> {
    match what {
        None => Ok(FACT_TABLES.iter().filter(|table| table.name != "configuration_files").collect()),
        Some(name) => match Register::fact_table(table_name(name).as_str()) {
            Some(table) => Ok(vec![table]),
            None => {
                let names: Vec<String> = FACT_TABLES.iter().map(|table| table.name.replace('_', "-")).collect();
                Err(Failure::usage(format!("the register has no table `{name}`: it has {}", names.join(", "))))
            }
        },
    }
}

/// The table that people mean: its words may be joined by hyphens, and `categories` are those of data.
fn table_name(asked: &str) -> String {
    match asked {
        "categories" => "data_categories".to_owned(),
        _ => asked.replace('-', "_"),
    }
}

type Facts = Vec<(&'static FactTable, Vec<FactRow>)>;

fn read(register: &Register, tables: &[&'static FactTable], moment: Moment) -> Result<Facts, Failure> {
    tables.iter().map(|table| Ok((*table, register.facts(table, moment)?))).collect()
}

/// `{"processors": [{"processor": …, "valid_from": …}], …}`
fn json(facts: &Facts) -> Value {
    let row = |row: &FactRow| -> Value {
        let mut object: Map<String, Value> =
            row.values.iter().map(|(column, value)| ((*column).to_owned(), value.clone().into())).collect();
        object.insert("valid_from".to_owned(), row.valid_from.clone().into());
        object.insert("valid_until".to_owned(), row.valid_until.clone().into());
        Value::Object(object)
    };
    let table = |(table, rows): &(&FactTable, Vec<FactRow>)| (table.name.to_owned(), rows.iter().map(row).collect());
    Value::Object(facts.iter().map(table).collect())
}

/// Whether the times for which a fact held are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Shown,
    Hidden,
}

/// A missing fact is shown as missing: it is what a data protection officer looks for.
const MISSING: &str = "(missing)";

/// The same, of a table: no transfers declared is not the same as no transfers.
const NONE_DECLARED: &str = "(none declared)";

fn print(facts: &Facts, versions: Versions, output: &Output) {
    for (table, rows) in facts {
        output.heading(table.name);
        if rows.is_empty() {
            output.line(NONE_DECLARED);
            output.line("");
            continue;
        }
        let mut header: Vec<&str> = table.key.iter().chain(table.values).copied().collect();
        if versions == Versions::Shown {
            header.extend(["valid_from", "valid_until"]);
        }
        let row = |row: &FactRow| {
            // Where a part of the name is empty, as the class of a category is, nothing is missing.
            let absent = |column: &str| if table.key.contains(&column) { "-" } else { MISSING };
            let cell = |(column, value): &(&'static str, Option<String>)| {
                value.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| absent(column).to_owned())
            };
            let mut cells: Vec<String> = row.values.iter().map(cell).collect();
            if versions == Versions::Shown {
                cells.extend([row.valid_from.clone(), row.valid_until.clone().unwrap_or_else(|| "-".to_owned())]);
            }
            cells
        };
        output.table(&header, &rows.iter().map(row).collect::<Vec<_>>());
        output.line("");
    }
}
