//! A web server on loopback with the pages of these tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A page that sets what Smartsupp sets; `?plant=…` adds mistakes.
pub(crate) const SHOP: &str = include_str!("shop.html");

/// What the server adds to its answers where `plant=tracker` is asked for: a cookie that no script can see.
const TRACKER: &str = "Set-Cookie: _tracker=canary; Path=/; Max-Age=31536000; HttpOnly\r\n";

/// A running server. It lives as long as the test process: nothing else reaches its port for long.
pub(crate) struct Server {
    port: u16,
}

impl Server {
    /// Serves these texts under these paths.
    pub(crate) fn start(pages: &[(&str, &str)]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pages: BTreeMap<String, String> =
            pages.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let pages = Arc::new(pages);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = Arc::clone(&pages);
                thread::spawn(move || answer(stream, &pages));
            }
        });
        Server { port }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Answers one request. A browser that goes away meanwhile is none of the test's business.
fn answer(mut stream: TcpStream, pages: &BTreeMap<String, String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    if reader.read_line(&mut request).is_err() {
        return;
    }
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
        header.clear();
    }
    let target = request.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let cookie = if query.contains("plant=tracker") { TRACKER } else { "" };
    let (status, text) = match pages.get(path) {
        Some(text) => ("200 OK", text.as_str()),
        None => ("404 Not Found", ""),
    };
    let kind = match path.rsplit_once('.') {
        Some((_, "js")) => "text/javascript",
        Some((_, "css")) => "text/css",
        _ => "text/html",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n{cookie}\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
}
