//! `[store.NAME]` with `kind = "log"`: lines that a server writes about its visitors.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::super::error::{FileProblems, suggest};
use super::super::file::{ColumnValue, LogTable, Text};
use super::super::line_pattern::{LinePattern, Offset};
use super::super::site::{Column, Log, LogFormat, NamePattern, Store, UnparsedLine};
use super::column::{self, Row};
use super::directory::{is_clean, is_no_evidence, is_the_systems, name_pattern};
use super::site::Declared;
use super::table::holds_of;
use super::{Targets, value};

/// Formats that need no further key.
const FIXED: [(&str, LogFormat); 5] = [
    ("common", LogFormat::Common),
    ("combined", LogFormat::Combined),
    ("vhost_combined", LogFormat::VhostCombined),
    ("nginx-error", LogFormat::NginxError),
    ("apache-error", LogFormat::ApacheError),
];

const PATTERN_HINT: &str = "write a name with `*` for any characters, such as `shop.access.log*`";

const UNPARSED: [(&str, UnparsedLine); 2] = [("scan", UnparsedLine::Scan), ("keep", UnparsedLine::Keep)];

pub(super) fn check(
    table: LogTable,
    place: &Range<usize>,
    declared: Declared<'_>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Store> {
    let LogTable {
        path,
        format,
        time_zone,
        time_field,
        address_fields,
        address_parameters,
        pattern,
        unparsed,
        holds,
        address,
    } = table;
    let path_at = path.as_ref().map_or_else(|| place.clone(), Spanned::span);
    let files = files(path, place, problems).filter(|(directory, _)| {
        is_for_logs(directory, &path_at, problems)
            && is_no_evidence(directory, declared.scope.known.state_dir.as_deref(), &path_at, problems)
    });
    let format = self::format(Format { format, time_field, address_fields, pattern }, place, problems);
    let zone = zone(time_zone, format.as_ref(), place, problems);
    let unparsed = match unparsed {
        None => Some(UnparsedLine::Scan),
        Some(word) => value::one_of(&word, "word", &UNPARSED, problems),
    };
    let parameters: BTreeSet<String> =
        address_parameters.into_iter().filter_map(|name| value::filled(name, problems)).collect();
    let (holds, kept) = holds_of(place, holds, declared, problems)?;
    let line = Row { taken: [("", None); 3], meaning: None, kept, declared };
    if let (Some(address), Some(format)) = (&address, &format) {
        refuse_address_without_a_place(format, &address.span(), problems);
    }
    let address = address.and_then(|value| self::address(value, line, problems));
    let (directory, pattern) = files?;
    let log = Log { directory, pattern, format: format?, zone: zone?, unparsed: unparsed?, parameters };
    targets.claim_log(&log, &path_at, problems);
    Some(Store::Log { log, holds, address })
}

/// What happens to the addresses of a line.
fn address(value: Spanned<ColumnValue>, line: Row<'_>, problems: &mut FileProblems<'_>) -> Option<Column> {
    let place = value.span();
    let address = column::column("address".to_owned(), value, line, problems)?;
    if address.stand_in.is_some() {
        problems.report_with_hint(&place, "an address in a log is erased by writing `-`", "remove `value`");
    }
    Some(address)
}

/// Some formats say where addresses stand, the others must be told.
fn refuse_address_without_a_place(format: &LogFormat, address: &Range<usize>, problems: &mut FileProblems<'_>) {
    let (message, hint) = match format {
        LogFormat::Json { addresses, .. } if addresses.is_empty() => (
            "nothing says which fields hold addresses",
            "add `address-fields = [\"request.remote_ip\", \"request.client_ip\"]`",
        ),
        LogFormat::Custom(pattern) if LinePattern::new(pattern).is_ok_and(|pattern| !pattern.has_addresses()) => {
            ("nothing says where addresses stand", "write `{address}` in `pattern` in each of their places")
        }
        _ => return,
    };
    problems.report_with_hint(address, message, hint);
}

/// The directory, and the pattern of the names in it.
fn files(path: Option<Text>, place: &Range<usize>, problems: &mut FileProblems<'_>) -> Option<(PathBuf, NamePattern)> {
    let span = path.as_ref().map_or_else(|| place.clone(), Spanned::span);
    let hint = "add `path = \"/var/log/nginx/shop.access.log*\"`: the log and its rotated predecessors";
    let path = value::absolute_path(place, "path", path, hint, problems)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        problems.report_with_hint(&span, "this path names no file", hint);
        return None;
    };
    if !is_clean(&path, &span, problems) {
        return None;
    }
    if directory == Path::new("/") || directory.to_string_lossy().contains(['*', '?', '[', '{']) {
        let hint = "write one directory in full, and a pattern for the names in it";
        problems.report_with_hint(&span, "a pattern can stand in the name of the file only", hint);
        return None;
    }
    Some((directory.to_owned(), name_pattern(Spanned::new(span, name.to_owned()), PATTERN_HINT, problems)?))
}

/// Configuration and programs are no logs, whatever is written in them.
fn is_for_logs(directory: &Path, place: &Range<usize>, problems: &mut FileProblems<'_>) -> bool {
    let refused = is_the_systems(directory);
    if refused {
        let message = format!("`{}` is not a directory for logs", directory.display());
        problems.report_with_hint(place, message, "logs lie below `/var/log`, or in a directory of the site's own");
    }
    !refused
}

/// The keys that together say how a line is written.
struct Format {
    format: Option<Text>,
    time_field: Option<Text>,
    address_fields: Option<Spanned<Vec<Text>>>,
    pattern: Option<Text>,
}

fn format(keys: Format, place: &Range<usize>, problems: &mut FileProblems<'_>) -> Option<LogFormat> {
    let Format { format, time_field, address_fields, pattern } = keys;
    let word = problems.required(place, "format", format, "add `format = \"combined\"`: how a line is written")?;
    if word.get_ref() != "json" {
        refuse("time-field", time_field.as_ref().map(Spanned::span), "json", problems);
        refuse("address-fields", address_fields.as_ref().map(Spanned::span), "json", problems);
    }
    if word.get_ref() != "custom" {
        refuse("pattern", pattern.as_ref().map(Spanned::span), "custom", problems);
    }
    if let Some((_, fixed)) = FIXED.iter().find(|(name, _)| name == word.get_ref()) {
        return Some(fixed.clone());
    }
    match word.get_ref().as_str() {
        "json" => {
            let hint = "add `time-field = \"ts\"`: the field with the time";
            let time = value::required(place, "time-field", time_field, hint, problems);
            let fields = address_fields.map(Spanned::into_inner).unwrap_or_default();
            let addresses = fields.into_iter().filter_map(|name| value::filled(name, problems)).collect();
            Some(LogFormat::Json { time: time?, addresses })
        }
        "custom" => {
            let hint = "add `pattern = \"{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}\"`: how a line is written";
            let at = pattern.as_ref().map_or_else(|| place.clone(), Spanned::span);
            let pattern = value::required(place, "pattern", pattern, hint, problems)?;
            match LinePattern::new(&pattern) {
                Ok(_) => Some(LogFormat::Custom(pattern)),
                Err(error) => {
                    let hint = "write it like `{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}`";
                    problems.report_with_hint(&at, error.to_string(), hint);
                    None
                }
            }
        }
        unknown => {
            let known = FIXED.iter().map(|(name, _)| *name).chain(["json", "custom"]);
            problems.report_with_hint(
                &word.span(),
                format!("unknown log format `{unknown}`"),
                suggest::hint(unknown, known),
            );
            None
        }
    }
}

fn refuse(key: &str, place: Option<Range<usize>>, format: &str, problems: &mut FileProblems<'_>) {
    if let Some(place) = place {
        let message = format!("`{key}` goes with `format = \"{format}\"` only");
        problems.report_with_hint(&place, message, "remove it");
    }
}

/// Some logs carry no zone; it must be said which one they mean.
#[expect(clippy::option_option, reason = "no zone needed, and a zone that could not be read, are two things")]
fn zone(
    name: Option<Text>,
    format: Option<&LogFormat>,
    place: &Range<usize>,
    problems: &mut FileProblems<'_>,
) -> Option<Option<super::super::site::Zone>> {
    let named_at = name.as_ref().map(Spanned::span);
    let zone = name.map(|name| value::zone(&name, problems));
    let offset = match format {
        None | Some(LogFormat::Json { .. }) => None,
        Some(LogFormat::NginxError | LogFormat::ApacheError) => Some(Offset::Unstated),
        Some(LogFormat::Common | LogFormat::Combined | LogFormat::VhostCombined) => Some(Offset::Stated),
        Some(LogFormat::Custom(pattern)) => LinePattern::new(pattern).ok().map(|pattern| pattern.offset()),
    };
    match (offset, named_at) {
        (Some(Offset::Unstated), None) => {
            let hint = "add `time-zone = \"Europe/Prague\"`: the zone of the server, which its lines do not carry";
            problems.required(place, "time-zone", None::<()>, hint)?;
        }
        (Some(Offset::Stated), Some(span)) => {
            problems.report_with_hint(&span, "lines of this format carry their zone", "remove `time-zone`");
        }
        _ => {}
    }
    match zone {
        None => Some(None),
        Some(zone) => zone.map(Some),
    }
}
