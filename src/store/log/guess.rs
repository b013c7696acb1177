//! How the lines of a log look written, for whoever has not declared it yet.
//!
//! The formats are tried by what reads logs anyway, so that what is guessed is what will be understood.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use globset::Glob;
use serde_json::Value;

use super::codec::Codec;
use super::field::Fields;
use super::reader::{LineReader, Want};
use crate::config::site::{Log, LogFormat, NamePattern, UnparsedLine};
use crate::store::address::is_address_in_log;

/// Bytes of a log that are looked at.
const MOST_BYTES: u64 = 64 * 1024;

/// Names of fields with the time in logs of JSON: Caddy's, Traefik's, those of others.
const TIME_FIELDS: [&str; 9] =
    ["ts", "time", "StartUTC", "timestamp", "@timestamp", "time_iso8601", "datetime", "date", "msec"];

/// How lines look written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The format that most of them are in.
    pub format: LogFormat,
    /// Whether their times tell no zone.
    pub needs_zone: bool,
}

/// Looks at the first lines of the newest file of a log; `None` where there is none with lines in a format that is
/// known.
///
/// # Errors
/// The directory or the file cannot be read.
pub fn guess(path: &Path) -> io::Result<Option<Guess>> {
    let (Some(directory), Some(pattern)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let Ok(glob) = Glob::new(pattern) else { return Ok(None) };
    let matcher = glob.compile_matcher();
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
        // Links are not followed, here as anywhere.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && metadata.len() > 0 && matcher.is_match(entry.file_name()) {
            files.push((metadata.modified()?, entry));
        }
    }
    let Some((_, newest)) = files.into_iter().max_by_key(|(modified, _)| *modified) else { return Ok(None) };
    let file = File::open(newest.path())?;
    let mut head = Vec::new();
    (&file).take(16).read_to_end(&mut head)?;
    let codec = Codec::of_file(&newest.file_name(), &head);
    if codec == Codec::Unknown {
        return Ok(None);
    }
    io::Seek::rewind(&mut &file)?;
    let mut bytes = Vec::new();
    codec.reader(&file)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let end = memchr::memrchr(b'\n', &bytes).unwrap_or(bytes.len());
    Ok(of_lines(bytes.get(..end).unwrap_or_default()))
}

/// The format that most lines are in.
fn of_lines(bytes: &[u8]) -> Option<Guess> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let readable = |format: &LogFormat| lines.iter().filter(|line| is_in(line, format)).count() > lines.len() / 2;
    let json = lines.iter().find_map(|line| json(line)).into_iter();
    let known = [LogFormat::Combined, LogFormat::NginxError, LogFormat::ApacheError];
    let format = json.chain(known).find(|format| readable(format))?;
    let needs_zone = matches!(format, LogFormat::NginxError | LogFormat::ApacheError);
    let format = if format == LogFormat::Combined { of_family(&lines) } else { format };
    Some(Guess { format, needs_zone })
}

fn is_in(line: &[u8], format: &LogFormat) -> bool {
    reader(format).is_some_and(|mut reader| reader.read(line, Want::Time, &mut Fields::default()).is_some())
}

fn reader(format: &LogFormat) -> Option<LineReader> {
    LineReader::new(&Log {
        directory: std::path::PathBuf::new(),
        pattern: NamePattern::new("*").ok()?,
        format: format.clone(),
        zone: None,
        unparsed: UnparsedLine::Keep,
        parameters: std::collections::BTreeSet::new(),
    })
}

/// The formats of the Common Log Format's family differ in what stands before the client and behind the size.
fn of_family(lines: &[&[u8]]) -> LogFormat {
    let most = |is: &dyn Fn(&str) -> bool| {
        lines.iter().filter(|line| std::str::from_utf8(line).is_ok_and(is)).count() > lines.len() / 2
    };
    let is_address = |word: Option<&str>| word.is_some_and(is_address_in_log);
    let begins_with_host = |line: &str| {
        let mut words = line.split(' ');
        !is_address(words.next()) && is_address(words.next())
    };
    let has_agent = |line: &str| line.matches('"').count() >= 6;
    match () {
        () if most(&begins_with_host) => LogFormat::VhostCombined,
        () if most(&has_agent) => LogFormat::Combined,
        () => LogFormat::Common,
    }
}

/// An object with a time, and its fields with addresses.
fn json(line: &[u8]) -> Option<LogFormat> {
    let Value::Object(object) = serde_json::from_slice(line).ok()? else { return None };
    let with_time = |name: &&&str| {
        object.contains_key(**name)
            && is_in(line, &LogFormat::Json { time: (**name).to_string(), addresses: Vec::new() })
    };
    let time = (*TIME_FIELDS.iter().find(with_time)?).to_owned();
    let mut addresses = Vec::new();
    for (name, value) in &object {
        let is_plain = |name: &String| !name.contains('.');
        match value {
            Value::String(text) if is_plain(name) && is_address_in_log(text) => addresses.push(name.clone()),
            Value::Object(inner) => {
                let texts = inner.iter().filter(|(_, value)| value.as_str().is_some_and(is_address_in_log));
                addresses.extend(
                    texts
                        .filter(|(inner, _)| is_plain(name) && is_plain(inner))
                        .map(|(inner, _)| format!("{name}.{inner}")),
                );
            }
            _ => {}
        }
    }
    Some(LogFormat::Json { time, addresses })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CLIENT: &str = "192.0.2.7 - - [01/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 612";

    fn json_format(time: &str, addresses: &[&str]) -> LogFormat {
        LogFormat::Json { time: time.to_owned(), addresses: addresses.iter().map(|&name| name.to_owned()).collect() }
    }

    #[rstest]
    #[case(CLIENT.to_owned(), LogFormat::Common, false)]
    #[case(format!("{CLIENT} \"-\" \"curl/8.5\""), LogFormat::Combined, false)]
    #[case(format!("shop.example:443 {CLIENT} \"-\" \"curl/8.5\""), LogFormat::VhostCombined, false)]
    #[case("2026/03/01 10:00:00 [error] 7#7: *1 open() failed, client: 192.0.2.7, server: _".to_owned(), LogFormat::NginxError, true)]
    #[case("[Sun Mar 01 10:00:00.123456 2026] [core:error] [pid 7] [client 192.0.2.7:5000] AH00128".to_owned(), LogFormat::ApacheError, true)]
    #[case(r#"{"ts":1772355600.5,"request":{"remote_ip":"192.0.2.7","uri":"/"},"status":200}"#.to_owned(), json_format("ts", &["request.remote_ip"]), false)]
    #[case(r#"{"ClientHost":"192.0.2.7","time":"2026-03-01T10:00:00Z"}"#.to_owned(), json_format("time", &["ClientHost"]), false)]
    fn the_lines_of_known_servers_are_recognised(
        #[case] line: String,
        #[case] format: LogFormat,
        #[case] needs_zone: bool,
    ) {
        let lines = format!("{line}\n{line}\nsomething else\n");
        assert_eq!(of_lines(lines.as_bytes()), Some(Guess { format, needs_zone }));
    }

    #[rstest]
    #[case("")]
    #[case("Mar  1 10:00:00 host sshd[7]: Accepted publickey\n")]
    #[case("{\"message\":\"no time\"}\n")]
    fn what_is_not_known_is_not_guessed(#[case] lines: &str) {
        assert_eq!(of_lines(lines.as_bytes()), None);
    }
}
