//! `[store.NAME]` with `kind = "postgres"` or `kind = "mysql"`: a database server and how to log in to it.

use std::ops::Range;

use super::super::error::FileProblems;
use super::super::file::{ServerTable, Text};
use super::super::site::{After, DatabaseKind, Password, Server, Store};
use super::site::Declared;
use super::store::tables;
use super::table::DatetimeZone;
use super::{Targets, value};

/// Schemes of a PostgreSQL URL (libpq accepts both).
const POSTGRES: [&str; 2] = ["postgresql://", "postgres://"];

/// Schemes of a MySQL URL.
const MYSQL: [&str; 1] = ["mysql://"];

const AFTER: [(&str, After); 1] = [("vacuum", After::Vacuum)];

pub(super) fn postgres(
    mut store: ServerTable,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let after = match store.after.take() {
        None => Some(After::Nothing),
        Some(word) => value::one_of(&word, "work after a run", &AFTER, problems),
    };
    let sections = std::mem::take(&mut store.table);
    let hint = "add `url = \"postgresql://forgetd@/shop?host=/run/postgresql\"`";
    let server = server(store, place, &POSTGRES, hint, problems);
    let kind = server.zip(after).map(|(server, after)| DatabaseKind::Postgres { server, after });
    tables(kind, sections, DatetimeZone::ByColumn, declared, targets, problems)
}

pub(super) fn mysql(
    mut store: ServerTable,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    if let Some(word) = store.after.take() {
        problems.report_with_hint(&word.span(), "`after` is for kind `postgres`", "remove it: InnoDB purges by itself");
    }
    let sections = std::mem::take(&mut store.table);
    let hint = "add `url = \"mysql://forgetd@localhost/shop?socket=/run/mysqld/mysqld.sock\"`";
    let kind = server(store, place, &MYSQL, hint, problems).map(|server| DatabaseKind::Mysql { server });
    tables(kind, sections, DatetimeZone::ByColumn, declared, targets, problems)
}

fn server(
    store: ServerTable,
    place: &Range<usize>,
    schemes: &[&str],
    hint: &str,
    problems: &mut FileProblems<'_>,
) -> Option<Server> {
    let ServerTable { url, credential, password_file, ca_file, after: _, table: _ } = store;
    let url = problems.required(place, "url", url, hint).and_then(|url| self::url(url, schemes, hint, problems));
    let password = password(credential, password_file, problems);
    let path = |text: Option<Text>, key: &str, problems: &mut FileProblems<'_>| match text {
        Some(text) => value::absolute_path(place, key, Some(text), "", problems).map(Some),
        None => Some(None),
    };
    let ca_file = path(ca_file, "ca-file", problems);
    Some(Server { url: url?, password: password?, ca_file: ca_file? })
}

/// The scheme must be the kind's, and a password must not stand in it.
fn url(url: Text, schemes: &[&str], hint: &str, problems: &mut FileProblems<'_>) -> Option<String> {
    if !schemes.iter().any(|scheme| url.get_ref().starts_with(scheme)) {
        problems.report_with_hint(&url.span(), "this is not a URL of this kind of store", hint);
        return None;
    }
    if Server::holds_password(url.get_ref()) {
        let hint = "remove it, and name where it is: `credential = \"shop-db\"` or `password-file = \"/…\"`";
        problems.report_with_hint(&url.span(), "a password must not stand in the configuration", hint);
        return None;
    }
    Some(url.into_inner())
}

/// The outer `None` stands for a mistake.
fn password(credential: Option<Text>, file: Option<Text>, problems: &mut FileProblems<'_>) -> Option<Option<Password>> {
    match (credential, file) {
        (None, None) => Some(None),
        (Some(credential), None) => value::filled(credential, problems).map(|name| Some(Password::Credential(name))),
        (None, Some(file)) => {
            let place = file.span();
            value::absolute_path(&place, "password-file", Some(file), "", problems)
                .map(|path| Some(Password::File(path)))
        }
        (Some(_), Some(file)) => {
            let message = "`credential` and `password-file` exclude each other";
            problems.report_with_hint(&file.span(), message, "keep the one that holds the password");
            None
        }
    }
}
