//! Events for the journal, in its own protocol: one datagram an event, with every field by its name
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
//!
//! `tracing-journald` does this too, but the line that `journalctl` shows is then the bare message: an operator would
//! read "run", and neither of which rule nor how it ended. Here that line holds the fields as well, and each stands
//! under its own name besides: `journalctl FORGETD_RULE=shop.example/chat/visitors`.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::visible::visible;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// What fields of ours begin with, so that they are nobody else's.
const PREFIX: &str = "FORGETD_";

/// How the journal knows us, however the binary is called.
const IDENTIFIER: &str = "forgetd";

/// The name of the field that holds an event's text.
const MESSAGE: &str = "message";

/// The journal takes names of so many characters.
const LONGEST_NAME: usize = 64;

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// The journal of this machine.
    pub(super) fn open() -> io::Result<Journal> {
        Journal::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Journal> {
        let socket = UnixDatagram::unbound()?;
        let journal = Journal { socket, path: path.to_owned() };
        // An empty datagram is ignored: this only asks whether anybody is there.
        journal.send(&[])?;
        Ok(journal)
    }

    /// By its path every time: a journal that was restarted listens at a new socket.
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, &self.path).map(drop)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        let text = line.text();
        let mut datagram = Vec::with_capacity(1024);
        put(&mut datagram, "MESSAGE", &text);
        put(&mut datagram, "PRIORITY", priority(*metadata.level()));
        put(&mut datagram, "SYSLOG_IDENTIFIER", IDENTIFIER);
        put(&mut datagram, &name("target"), metadata.target());
        for (field, value) in &line.fields {
            put(&mut datagram, &name(field), value);
        }
        if self.send(&datagram).is_err() {
            // The stream leads to the journal as well.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Severities of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// A field as the journal names it: upper case letters, digits and underscores.
fn name(field: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(field.chars().map(allowed)).take(LONGEST_NAME).collect()
}

/// A value of one line stands behind `=`, any other behind its length.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        datagram.push(b'\n');
        datagram.extend_from_slice(&length.to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

/// The message and the fields of one event.
#[derive(Debug, Default)]
struct Line {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    /// In one line for people, as on a terminal.
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name}={value}");
        }
        visible(&text).into_owned()
    }

    fn take(&mut self, field: &Field, value: String) {
        if field.name() == MESSAGE { self.message = value } else { self.fields.push((field.name(), value)) }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What a journal would be sent for these events.
    fn sent(events: impl FnOnce()) -> Vec<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let journal = Journal::at(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), events);
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = listener.recv(&mut buffer) {
            found.push(buffer[..length].to_vec());
        }
        found.into_iter().filter(|datagram| !datagram.is_empty()).collect()
    }

    #[test]
    fn an_event_has_one_whole_line_and_every_field_by_its_name() {
        let sent = sent(|| tracing::warn!(target: "forgetd::x", rule = "shop/visitors", erased = 12_u64, "run"));
        let expected = "MESSAGE=run rule=shop/visitors erased=12\nPRIORITY=4\nSYSLOG_IDENTIFIER=forgetd\n\
                        FORGETD_TARGET=forgetd::x\nFORGETD_RULE=shop/visitors\nFORGETD_ERASED=12\n";
        assert_eq!(sent.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_value_of_several_lines_is_sent_with_its_length_and_cannot_forge_a_field() {
        let sent = sent(|| tracing::info!(reason = "one\nPRIORITY=0", "told"));
        let mut expected = b"FORGETD_REASON\n".to_vec();
        expected.extend(14_u64.to_le_bytes());
        expected.extend(b"one\nPRIORITY=0\n");
        assert!(sent[0].ends_with(&expected), "{}", String::from_utf8_lossy(&sent[0]));
        assert!(sent[0].starts_with("MESSAGE=told reason=one⟨U+000A⟩PRIORITY=0\nPRIORITY=6\n".as_bytes()));
    }

    #[test]
    fn where_no_journal_listens_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        Journal::at(&directory.path().join("socket")).unwrap_err();
    }
}
