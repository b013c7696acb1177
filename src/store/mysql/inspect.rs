//! Looking at the real table before a rule may touch it. Every refusal says what to change or to write.

use super::columns::{changed_column, compared_columns};
use super::connection::Database;
use super::grants;
use super::options::{Place, Replicas};
use super::partitions;
use super::reach;
use super::replicas::{Silence, has_replicas, is_replica, silent};
use super::schema::{Class, TableFacts, create_index};
use super::server_facts::Cluster;
use super::shape;
use super::sql::{self, qualified, quoted};
use super::time::TimeColumn;
use crate::config::TimeFormat;
use crate::config::site::Child;
use crate::plan::{Action, TableRule, Target, When};
use crate::store::{Finding, Inspection, Severity, Shape, StoreError, TableSelection};

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
    for column in rule.columns().chain(held) {
        require_column(database, &facts, column, findings)?;
    }
    let children = children(database, rule, findings)?;
    if findings.has_refusal() {
        // What is missing has no further properties.
        return Ok(None);
    }
    for hold in &selection.holds {
        let number = facts.column(&hold.column).filter(|column| column.class == Class::Integer);
        if let Some((message, hint)) = number.and_then(|column| hold.objection(&facts.name, &column.declared)) {
            findings.refuse(message, hint);
        }
    }
    key(&rule.target, &facts, &children, findings);
    time(rule, &facts, findings);
    compared_columns(rule, &facts, findings);
    changed_column(rule, &facts, findings);
    privileges(database, rule, &facts, &children, findings)?;
    if let Some(grants) = partitions::missing_grants(database, &facts, rule)? {
        let message = format!("whole expired partitions of {} could be dropped, if the user might", facts.name);
        findings.warn(message, format!("rows are deleted one by one, which takes longer, unless: {grants}"));
    }
    let fired = reach::triggers(database, rule, &facts, &children, findings)?;
    let references = reach::foreign_keys(database, rule, &facts, &children, findings)?;
    shape::of(database, rule, &fired, &references).map(Some)
}

fn server(database: &mut Database, findings: &mut Findings) -> Result<(), StoreError> {
    let facts = database.server.clone();
    let (name, oldest) = (facts.flavour.name(), facts.flavour.oldest());
    if facts.version < oldest {
        let ((major, minor, patch), (least, least_minor, least_patch)) = (facts.version, oldest);
        let message = format!("the server is {name} {major}.{minor}.{patch}");
        findings.refuse(message, format!("{name} {least}.{least_minor}.{least_patch} or newer is supported"));
    }
    if let Some(cluster) = facts.cluster {
        let message = match cluster {
            Cluster::Galera => "the server is a node of a Galera cluster",
            Cluster::GroupReplication => "the server is a member of a replication group",
            Cluster::TiDb => "the server is TiDB",
        };
        let hint = "this version does not purge there: a batch can fail on another node at its COMMIT, and GET_LOCK \
                    keeps out purgers of this node only";
        findings.refuse(message.to_owned(), hint);
    }
    if facts.read_only {
        findings.refuse("the server is read-only".to_owned(), "name the primary, not a replica, in `url`");
    }
    no_replica(database, findings)?;
    if let Some(flush) = &facts.late_flush {
        let message = format!("a COMMIT is not on the disk at once: innodb_flush_log_at_trx_commit is {flush}");
        let hint = "after a crash about a second of what the evidence says is gone may be back; the next run erases it \
                    again; set it to 1 to rule that out";
        findings.warn(message, hint);
    }
    match database.replicas().clone() {
        Replicas::None => Ok(()),
        Replicas::Unsaid => unnamed_replicas(database, findings),
        Replicas::At(places) => named_replicas(database, &places, findings),
    }
}

fn no_replica(database: &mut Database, findings: &mut Findings) -> Result<(), StoreError> {
    match is_replica(database)? {
        Some(false) => {}
        Some(true) => {
            let hint = "name the primary in `url`; where this server has become it, say so to the server: RESET REPLICA \
                        ALL; (servers that replicate each other are not supported)";
            findings.refuse("the server replicates another one".to_owned(), hint);
        }
        None => {
            let grant = grants::grant_on_server(database, database.server.flavour.replica_privilege())?;
            findings.refuse("whether the server replicates another one cannot be seen".to_owned(), grant);
        }
    }
    Ok(())
}

fn unnamed_replicas(database: &mut Database, findings: &mut Findings) -> Result<(), StoreError> {
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
    Ok(())
}

/// A walk waits for a replica that says nothing, and gives up: what will not change by itself is refused at once.
fn named_replicas(database: &mut Database, places: &[Place], findings: &mut Findings) -> Result<(), StoreError> {
    for (place, silence) in silent(database, places) {
        let message = format!("replica {place} does not say how far it is behind: {silence}");
        match silence {
            Silence::Unreachable(_) => {
                findings.warn(message, "let the user log in there as on the primary, on another host over TLS");
            }
            Silence::Stopped => findings.warn(message, "runs wait for it, a while: start it, or take it out of `url`"),
            Silence::Forbidden => {
                let grant = grants::grant_on_server(database, database.server.flavour.replica_privilege())?;
                findings.refuse(message, format!("on the primary, from where it is replicated: {grant}"));
            }
            Silence::NoReplica => {
                findings.refuse(message, "name the replicas of this server, or write `replica=none`");
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

/// The server shows a column only to who has a grant on it.
fn require_column(
    database: &mut Database,
    facts: &TableFacts,
    column: &str,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    if facts.column(column).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
    let mut hint = format!("it has {}", names.join(", "));
    if !database.may_run(&select(database, &facts.name))? {
        let grant = grants::grant(database, "SELECT", &facts.name)?;
        hint.push_str(&format!("; whether it has more is seen after {grant}"));
    }
    findings.refuse(format!("table {} has no column {column} that the user may see", facts.name), hint);
    Ok(())
}

/// A statement that only who may read all of a table may run.
fn select(database: &Database, table: &str) -> String {
    format!("SELECT * FROM {} WHERE FALSE", sql::table(&database.name, table))
}

/// The key is unique and not null, or a batch could erase a row that it did not mean.
fn key(target: &Target, facts: &TableFacts, children: &[TableFacts], findings: &mut Findings) {
    let Target { table, key, .. } = target;
    let Some(column) = facts.column(key) else { return };
    match facts.key_index(key) {
        None => findings.refuse(
            format!("column {key} of table {table} is not unique"),
            "name the primary key, or a column with a UNIQUE index of its own, as `key`",
        ),
        // A row of the same key in another partition would lose its children.
        Some(index) if index.columns.len() > 1 && !children.is_empty() => findings.refuse(
            format!("column {key} of table {table} is unique only together with what the table is partitioned by"),
            "a partitioned table cannot have `children`: give them a time column, and rules of their own",
        ),
        Some(_) => {}
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
        require_column(database, &facts, column, findings)?;
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
        // It is refused already, and MySQL does not even explain how it would be written.
        Some(column) if facts.column(column).is_some_and(|column| column.generated) => {}
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
        if !database.may_run(&probe)? || !database.may_run(&select(database, table))? {
            let grant = grants::grant(database, &privileges, table)?;
            findings.refuse(format!("the user may not do on {table} what the rule needs"), grant);
        }
    }
    Ok(())
}
