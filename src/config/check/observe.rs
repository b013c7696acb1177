//! `[log]` and `[metrics]` of `forgetd.toml`: what is seen of the daemon from outside.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::super::error::FileProblems;
use super::super::file::{Keyed, LoggingTable, MetricsTable, Section, Text};
use super::super::{Listen, LogLevel, Metrics};
use super::value;

/// A line for each run and each decision, and nothing while there is nothing to say.
const DEFAULT_LEVEL: LogLevel = LogLevel::Info;

/// What begins the path of a Unix socket.
const UNIX: &str = "unix:";

pub(super) fn log(section: Option<Section<LoggingTable>>, problems: &mut FileProblems<'_>) -> LogLevel {
    let Keyed(LoggingTable { level }) = section.map(Spanned::into_inner).unwrap_or_default();
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let choices = levels.map(|level| (level.key(), level));
    level.and_then(|word| value::one_of(&word, "level", &choices, problems)).unwrap_or(DEFAULT_LEVEL)
}

pub(super) fn metrics(section: Option<Section<MetricsTable>>, problems: &mut FileProblems<'_>) -> Metrics {
    let Keyed(MetricsTable { listen, textfile }) = section.map(Spanned::into_inner).unwrap_or_default();
    Metrics {
        listen: listen.and_then(|text| place(&text, problems)),
        textfile: textfile.and_then(|text| file(&text, problems)),
    }
}

fn place(text: &Text, problems: &mut FileProblems<'_>) -> Option<Listen> {
    let written = text.get_ref();
    if let Some(path) = written.strip_prefix(UNIX) {
        if Path::new(path).is_absolute() {
            return Some(Listen::Unix(path.into()));
        }
        let hint = "write it like `unix:/run/forgetd/metrics.sock`";
        problems.report_with_hint(&text.span(), "the path of the socket must be absolute", hint);
        return None;
    }
    match written.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() && address.port() > 0 => Some(Listen::Loopback(address)),
        Ok(address) if address.ip().is_loopback() => {
            problems.report_with_hint(&text.span(), "nobody would know the port", "write one, such as 9723");
            None
        }
        Ok(_) => {
            let message = "metrics name sites and tables: they are never offered beyond this machine";
            let hint = "write `127.0.0.1:9723` or a Unix socket, and let a collector on this machine pass them on";
            problems.report_with_hint(&text.span(), message, hint);
            None
        }
        Err(_) => {
            let message = format!("`{written}` is neither a Unix socket nor an address with a port");
            let hint = "write `unix:/run/forgetd/metrics.sock` or `127.0.0.1:9723`";
            problems.report_with_hint(&text.span(), message, hint);
            None
        }
    }
}

/// The node exporter's textfile collector reads the files of one directory whose names end so.
fn file(text: &Text, problems: &mut FileProblems<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(text.get_ref());
    let hint = "write it like `/var/lib/prometheus/node-exporter/forgetd.prom`";
    if !path.is_absolute() {
        problems.report_with_hint(&text.span(), "`textfile` must be an absolute path", hint);
        return None;
    }
    if path.extension().is_none_or(|extension| extension != "prom") {
        problems.report_with_hint(
            &text.span(),
            "the node exporter reads only files whose name ends with `.prom`",
            hint,
        );
        return None;
    }
    Some(path)
}
