//! Looking at the real table before a rule may touch it. Every refusal says what to change or to write.

use super::columns::{changed_column, compared_columns};
use super::connection::{Database, Flavour};
use super::grants;
use super::options::Replicas;
use super::reach;
use super::replicas::has_replicas;
use super::schema::{Class, TableFacts, create_index};
use super::shape;
use super::sql::{self, qualified, quoted};
use super::time::TimeColumn;
use crate::config::TimeFormat;
use crate::config::site::Child;
use crate::plan::{Action, TableRule, Target, When};
use crate::store::{Finding, Inspection, Severity, Shape, StoreError, TableSelection};

/// The oldest versions that are known to keep what this store relies on.
const OLDEST_MARIADB: (u32, u32) = (10, 6);
const OLDEST_MYSQL: (u32, u32) = (8, 0);

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// The rule must not run.
    pub(super) fn refuse(&mut self, message: String, hint: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Refusal, message, hint: Some(hint.into()) });
    }

    /// The operator should know.
    pub(super) fn warn(&mut self, message: String, hint: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Warning, message, hint: Some(hint.into()) });
    }

    fn has_refusal(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Refusal)
    }
}

/// Looks at everything that the rule and its holds rely on.
pub(super) fn inspect(database: &mut Database, selection: &TableSelection<'_>) -> Result<Inspection, StoreError> {
    let mut findings = Findings::default();
    let shape = look(database, selection, &mut findings)?;
    Ok(Inspection::new(findings.0, shape))
}

fn look(
    database: &mut Database,
    selection: &TableSelection<'_>,
    findings: &mut Findings,
) -> Result<Option<Shape>, StoreError> {
    let rule = selection.rule;
    server(database, findings)?;
    let Some(facts) = real_table(database, &rule.target.table, findings)? else { return Ok(None) };
    let held = selection.holds.iter().map(|hold| hold.column.as_str());
    for column in columns(rule).chain(held) {
        require_column(&facts, column, findings);
    }
    let children = children(database, rule, findings)?;
    if findings.has_refusal() {
        // What is missing has no further properties.
        return Ok(None);
    }
    key(&rule.target, &facts, findings);
    time(rule, &facts, findings);
    compared_columns(rule, &facts, findings);
    changed_column(rule, &facts, findings);
    privileges(database, rule, &facts, &children, findings)?;
    let fired = reach::triggers(database, rule, &facts, &children, findings)?;
    reach::foreign_keys(database, rule, &facts, findings)?;
    shape::of(database, rule, &fired).map(Some)
}

fn server(database: &mut Database, findings: &mut Findings) -> Result<(), StoreError> {
    let facts = database.server.clone();
    let (name, oldest) = match facts.flavour {
        Flavour::MariaDb => ("MariaDB", OLDEST_MARIADB),
        Flavour::MySql => ("MySQL", OLDEST_MYSQL),
    };
    if facts.version < oldest {
        let ((major, minor), (least, least_minor)) = (facts.version, oldest);
        let message = format!("the server is {name} {major}.{minor}");
        findings.refuse(message, format!("{name} {least}.{least_minor} or newer is supported"));
    }
    if facts.galera {
        let message = "the server is a node of a Galera cluster".to_owned();
        let hint = "this version does not purge there: a batch can fail on another node at its COMMIT, and GET_LOCK \
                    keeps out purgers of this node only";
        findings.refuse(message, hint);
    }
    if facts.read_only {
        findings.refuse("the server is read-only".to_owned(), "name the primary, not a replica, in `url`");
    }
    if *database.replicas() == Replicas::Unsaid {
        match has_replicas(database)? {
            Some(false) => {}
            Some(true) => findings.refuse(
                "the server has replicas, and only they know how far they lag behind".to_owned(),
                "add `&replica=HOST:PORT` to `url` for each of them, or `&replica=none` if no replica matters",
            ),
            None => {
                let grant = grants::grant_on_server(database, "PROCESS")?;
                let message = "the server writes a binary log, and whether replicas read it cannot be seen".to_owned();
                findings.refuse(message, format!("{grant} or add `&replica=HOST:PORT`, or `&replica=none`, to `url`"));
            }
        }
    }
    Ok(())
}

/// The table's facts, if it is a table that records can be erased from.
pub(super) fn real_table(
    database: &mut Database,
    name: &str,
    findings: &mut Findings,
) -> Result<Option<TableFacts>, StoreError> {
    // A grant on the database shows the table, but none of its columns.
    let Some(facts) = TableFacts::read(database, name)?.filter(|facts| !facts.columns.is_empty()) else {
        let grant = grants::grant(database, "SELECT, DELETE", name)?;
        let hint =
            format!("write the table's name as the database has it; a table without a grant cannot be seen: {grant}");
        findings.refuse(format!("there is no table {name} that the user may see"), hint);
        return Ok(None);
    };
    let (message, hint) = match (facts.kind.as_str(), facts.engine.as_str()) {
        ("BASE TABLE", "InnoDB") => return Ok(Some(facts)),
        ("BASE TABLE", engine) => (
            format!("{name} is of the engine {engine}, which has no transactions: what is erased could not be proven"),
            format!("ALTER TABLE {} ENGINE=InnoDB;", quoted(name)),
        ),
        ("VIEW", _) => (format!("{name} is a view"), "name the table that the view reads from".to_owned()),
        ("SYSTEM VERSIONED", _) => (
            format!("{name} keeps every old version of its rows: nothing that is deleted from it is gone"),
            format!("ALTER TABLE {} DROP SYSTEM VERSIONING;", quoted(name)),
        ),
        (kind, _) => (
            format!("{name} is no ordinary table but a {kind}"),
            "name the table that the application writes to".to_owned(),
        ),
    };
    findings.refuse(message, hint);
    Ok(None)
}

/// Columns of the target that the rule names.
fn columns(rule: &TableRule) -> impl Iterator<Item = &str> {
    let consent = match &rule.when {
        When::WithoutConsent(consent) => Some(consent.column.as_str()),
        When::Older(_) | When::Expired | When::NotStored => None,
    };
    let target = &rule.target;
    [target.key.as_str(), target.time.column.as_str()]
        .into_iter()
        .chain(consent)
        .chain(rule.action.column())
        .chain(target.filter.keys().map(String::as_str))
}

fn require_column(facts: &TableFacts, column: &str, findings: &mut Findings) {
    if facts.column(column).is_none() {
        let names: Vec<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
        let message = format!("table {} has no column {column} that the user may see", facts.name);
        findings.refuse(message, format!("it has {}", names.join(", ")));
    }
}

/// The key is unique and not null, or a batch could erase a row that it did not mean.
fn key(target: &Target, facts: &TableFacts, findings: &mut Findings) {
    let Target { table, key, .. } = target;
    let Some(column) = facts.column(key) else { return };
    if facts.key_index(key).is_none() {
        findings.refuse(
            format!("column {key} of table {table} is not unique"),
            "name the primary key, or a column with a UNIQUE index of its own, as `key`",
        );
    }
    if column.nullable {
        findings.refuse(
            format!("column {key} of table {table} may be NULL"),
            "declare the column NOT NULL, or name another unique column as `key`",
        );
    }
    if !matches!(column.class, Class::Integer | Class::Text { .. } | Class::Binary { .. } | Class::Uuid) {
        findings.refuse(
            format!("column {key} of table {table} is of type {}", column.declared),
            "name a column of whole numbers, text or bytes as `key`",
        );
    }
}

fn time(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let Target { table, time, .. } = &rule.target;
    let Some(column) = facts.column(&time.column) else { return };
    let place = format!("column {} of table {table} is of type {}", time.column, column.declared);
    let as_is = TimeColumn::new(qualified(table, &time.column), column, time, jiff::Timestamp::UNIX_EPOCH);
    if !as_is.is_possible() {
        let hint = match column.class {
            Class::Date | Class::Datetime | Class::Timestamp => "write `format = \"datetime\"`",
            Class::Integer => "write `format = \"unix-seconds\"`, or the unit that the numbers have",
            Class::Text { .. } => "write `format = \"iso-8601\"` or `\"mediawiki\"`",
            Class::Binary { .. } => "write `format = \"mediawiki\"` if it holds fourteen digits",
            _ => "name a column that holds an instant",
        };
        findings.refuse(format!("{place}, which cannot hold the format {}", time.format), hint);
    }
    match (time.format, column.class, &time.zone) {
        (TimeFormat::Datetime, Class::Date | Class::Datetime, None) => {
            findings
                .refuse(format!("{place}, which has no zone"), "add `time-zone = \"UTC\"`, or the zone of its values");
        }
        (TimeFormat::Datetime, Class::Timestamp, Some(_)) => {
            findings.refuse(format!("{place}, which is an instant already"), "remove `time-zone`");
        }
        _ => {}
    }
    if matches!(rule.when, When::Older(_) | When::Expired)
        && !facts.has_index_behind(&fixed(&rule.target, facts), &time.column)
    {
        findings.warn(
            format!("no index begins with {table}.{}: every run reads the whole table", time.column),
            create_index(table, &time.column),
        );
    }
}

/// Columns of the filter by whose values an index finds rows.
fn fixed<'r>(target: &'r Target, facts: &TableFacts) -> Vec<&'r str> {
    let is_found = |class| !matches!(class, Class::Enum | Class::Uuid | Class::Other);
    let names = target.filter.keys().map(String::as_str);
    names.filter(|name| facts.column(name).is_some_and(|column| is_found(column.class))).collect()
}

fn children(database: &mut Database, rule: &TableRule, findings: &mut Findings) -> Result<Vec<TableFacts>, StoreError> {
    let Action::EraseRows { children } = &rule.action else { return Ok(Vec::new()) };
    let parent = TableFacts::read(database, &rule.target.table)?;
    let key = parent.as_ref().and_then(|parent| parent.column(&rule.target.key)).map(|key| key.class);
    let mut tables = Vec::new();
    for Child { table, column } in children {
        let Some(facts) = real_table(database, table, findings)? else { continue };
        require_column(&facts, column, findings);
        if !facts.has_index_on(column) {
            findings.warn(
                format!("no index begins with {table}.{column}: every batch reads the whole of {table}"),
                create_index(table, column),
            );
        }
        if let (Some(key), Some(child)) = (key, facts.column(column))
            && !suits(key, child.class)
        {
            let message = format!("{table}.{column} is of type {}, unlike the key it should hold", child.declared);
            findings.refuse(message, "name the column that holds the key of the parent");
        }
        tables.push(facts);
    }
    Ok(tables)
}

/// Whether a column can hold a key as it is.
fn suits(key: Class, child: Class) -> bool {
    matches!(
        (key, child),
        (Class::Integer, Class::Integer | Class::Text { .. })
            | (Class::Text { .. } | Class::Uuid, Class::Text { .. } | Class::Uuid)
            | (Class::Binary { .. }, Class::Binary { .. })
    )
}

/// The least that the rule needs. The server itself is asked, since roles and patterns may grant it as well.
fn privileges(
    database: &mut Database,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut needed = Vec::new();
    match rule.action.column() {
        Some(column) => {
            let automatic = facts.columns.iter().filter(|other| other.on_update && other.name != column);
            let written: Vec<String> =
                std::iter::once(column).chain(automatic.map(|column| column.name.as_str())).map(quoted).collect();
            let set: Vec<String> = written.iter().map(|column| format!("{column} = {column}")).collect();
            let probe = format!("UPDATE {} SET {} WHERE FALSE", facts.quoted(), set.join(", "));
            needed.push((&facts.name, probe, format!("SELECT, UPDATE ({})", written.join(", "))));
        }
        None => {
            for table in std::iter::once(facts).chain(children) {
                let probe = format!("DELETE FROM {} WHERE FALSE", table.quoted());
                needed.push((&table.name, probe, "SELECT, DELETE".to_owned()));
            }
        }
    }
    for (table, probe, privileges) in needed {
        let select = format!("SELECT * FROM {} WHERE FALSE", sql::table(&database.name, table));
        if !grants::may_run(database, &probe)? || !grants::may_run(database, &select)? {
            let grant = grants::grant(database, &privileges, table)?;
            findings.refuse(format!("the user may not do on {table} what the rule needs"), grant);
        }
    }
    Ok(())
}
