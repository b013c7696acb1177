//! Metrics as a collector gets them: asked for where they are offered, looked at where they are written.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Installation};
use crate::cli::output::instant;
use crate::config::Listen;
use crate::service;

const ABOUT: &str = "metrics";

/// Prometheus itself gives up after as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page is read so far: the names of a hundred thousand rules, and no endless answer of somebody else.
const LARGEST: u64 = 256 << 20;

/// In every page, whatever else is known.
const ALWAYS_THERE: &str = "forgetd_configuration_valid ";

/// The daemon writes the file every minute; an alert would wait as long.
const OLD: SignedDuration = SignedDuration::from_mins(5);

/// Nothing is said where none are wanted, and where no daemon runs that could offer them.
pub(super) fn check(installation: &Installation, checks: &mut Vec<Finding>) {
    let Some(in_force) = &installation.in_force else { return };
    if !service::is_running(&installation.paths) {
        return;
    }
    let metrics = &in_force.config.daemon.metrics;
    checks.extend(metrics.listen.as_ref().map(endpoint));
    checks.extend(metrics.textfile.as_deref().map(|path| textfile(path, installation.clock.wall)));
}

fn endpoint(listen: &Listen) -> Finding {
    let advice = "the daemon's log says what keeps it from answering there; see `listen` under [metrics]";
    match ask(listen) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") && answer.contains(ALWAYS_THERE) => {
            Finding::ok(ABOUT, format!("{listen} answers"))
        }
        Ok(_) => Finding::warning(ABOUT, format!("{listen} answers, and not with metrics of forgetd")).advising(advice),
        Err(error) => Finding::warning(ABOUT, format!("{listen} does not answer: {error}")).advising(advice),
    }
}

fn ask(listen: &Listen) -> io::Result<String> {
    match listen {
        Listen::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            converse(stream)
        }
        Listen::Loopback(address) => {
            let stream = TcpStream::connect_timeout(address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            converse(stream)
        }
    }
}

fn converse(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn textfile(path: &Path, now: Timestamp) -> Finding {
    let advice = "the daemon's log says what keeps it from writing there; see `textfile` under [metrics]";
    let written = fs::metadata(path).and_then(|file| file.modified());
    match written.map(Timestamp::try_from) {
        Ok(Ok(written)) if now.duration_since(written) <= OLD => {
            Finding::ok(ABOUT, format!("{} is of {}", path.display(), instant(written)))
        }
        Ok(Ok(written)) => {
            let old = format!("{} is of {}, and is to be written every minute", path.display(), instant(written));
            Finding::warning(ABOUT, old).advising(advice)
        }
        Ok(Err(error)) => Finding::warning(ABOUT, format!("{}: {error}", path.display())).advising(advice),
        Err(error) => Finding::warning(ABOUT, format!("{}: {error}", path.display())).advising(advice),
    }
}
