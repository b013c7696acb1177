//! Answering `GET /metrics`, over a Unix socket or a loopback port.
//!
//! A minimal HTTP/1.1: one request a connection, its head bounded in size and time, few connections at once. The page
//! is made in a thread of its own, so that neither a slow client nor a long log delays the daemon.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::Shared;
use super::text::CONTENT_TYPE;
use crate::config::Listen;

/// A collector or two, and somebody who looks: whoever comes beyond is turned away.
const MOST_CONNECTIONS: usize = 8;

/// From the first byte of the request to the last of the answer. Prometheus itself gives up after as long.
const LONGEST: Duration = Duration::from_secs(10);

/// A request for metrics has some hundred bytes.
const LARGEST_HEAD: usize = 8 * 1024;

/// Between two attempts to accept, when the kernel grants no descriptor.
const PAUSE: Duration = Duration::from_secs(1);

/// The daemon's group may ask too.
const SOCKET_MODE: u32 = 0o660;

/// A place that is listened at.
pub(super) enum Listener {
    Unix { listener: UnixListener, _socket: Socket },
    Loopback(TcpListener),
}

/// A socket of ours in the file system; it goes when the daemon ends.
pub(super) struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    pub(super) fn bind(listen: &Listen) -> io::Result<Listener> {
        match listen {
            Listen::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                let socket = Socket(path.clone());
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
                Ok(Listener::Unix { listener, _socket: socket })
            }
            Listen::Loopback(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Listener::Loopback)
            }
        }
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self, shared: Shared) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let accepted = match &self {
                Listener::Unix { listener, .. } => {
                    listener.accept().await.map(|(stream, _)| begin(stream, &room, &shared))
                }
                Listener::Loopback(listener) => {
                    listener.accept().await.map(|(stream, _)| begin(stream, &room, &shared))
                }
            };
            if let Err(error) = accepted {
                tracing::debug!(%error, "a request for metrics could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A daemon that was killed leaves its socket behind. Anything else at its path is somebody's.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Answers in a task of its own, if there is room.
fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, room: &Arc<Semaphore>, shared: &Shared) {
    let Ok(place) = Arc::clone(room).try_acquire_owned() else { return };
    let shared = shared.clone();
    tokio::spawn(async move {
        // Who is too slow, or goes away, gets no answer.
        let _ = tokio::time::timeout(LONGEST, converse(stream, &shared)).await;
        drop(place);
    });
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> io::Result<()> {
    let answer = match head(&mut stream).await? {
        None => answer("431 Request Header Fields Too Large", "", "the request is too long\n"),
        Some(head) => match Request::of(&head) {
            Request::Metrics => {
                let shared = shared.clone();
                let page = tokio::task::spawn_blocking(move || shared.page()).await.map_err(io::Error::other)?;
                // Not copied behind its head: whoever asks at the same time shares it.
                stream.write_all(head_of_answer("200 OK", "", page.len()).as_bytes()).await?;
                stream.write_all(page.as_bytes()).await?;
                return stream.shutdown().await;
            }
            Request::Elsewhere => answer("404 Not Found", "", "there is only /metrics\n"),
            Request::NoGet => answer("405 Method Not Allowed", "Allow: GET\r\n", "there is only GET\n"),
            Request::Malformed => answer("400 Bad Request", "", "this is no HTTP request\n"),
        },
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The request up to its empty line; `None` where it is too long.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let got = stream.read(&mut chunk).await?;
        let part = chunk.get(..got).unwrap_or_default();
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(part);
        if head.len() > LARGEST_HEAD {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Metrics,
    Elsewhere,
    NoGet,
    Malformed,
}

impl Request {
    fn of(head: &[u8]) -> Request {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let Ok(line) = std::str::from_utf8(line) else { return Request::Malformed };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["GET", target, version] if version.starts_with("HTTP/1.") => {
                let path = target.split('?').next().unwrap_or_default();
                if path == "/metrics" { Request::Metrics } else { Request::Elsewhere }
            }
            [_, _, version] if version.starts_with("HTTP/1.") => Request::NoGet,
            _ => Request::Malformed,
        }
    }
}

fn answer(status: &str, header: &str, body: &str) -> String {
    head_of_answer(status, header, body.len()) + body
}

fn head_of_answer(status: &str, header: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n{header}Connection: close\r\n\r\n"
    )
}
