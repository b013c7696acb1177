//! From the declared URL to what the client needs. Only what is known to be safe may be asked for in the URL: the
//! client itself would also take words that switch verification off.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use mysql::{Opts, OptsBuilder, SslOpts};

use crate::config::site::Server;

/// How long to wait for the server to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long without traffic the network is asked whether the server is still there.
const KEEPALIVE_MS: u32 = 30_000;

/// The certificates that the system trusts, where Debian and most others keep them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a server is, and what the operator says of its replicas.
#[derive(Debug)]
pub(super) struct Address {
    /// For the client.
    pub(super) options: OptsBuilder,
    /// What the operator says of the replicas.
    pub(super) replicas: Replicas,
}

/// What the operator says of a server's replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replicas {
    /// Nothing: the server is asked.
    Unsaid,
    /// There are none.
    None,
    /// `HOST` or `HOST:PORT` of each.
    At(Vec<String>),
}

/// Why a URL cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum UrlMistake {
    /// Not the shape of a URL.
    #[error("the URL cannot be read: write `mysql://USER@localhost/DATABASE?socket=/run/mysqld/mysqld.sock`")]
    Shape,
    /// No database.
    #[error("the URL names no database: write it behind the host, `mysql://USER@HOST/DATABASE`")]
    NoDatabase,
    /// A parameter that is not known.
    #[error("the URL has the parameter `{0}`: only `socket`, `ssl-mode` and `replica` are known")]
    Parameter(String),
    /// Neither `required` nor `disabled`.
    #[error("`ssl-mode` is `required` (the server's certificate is verified) or `disabled`")]
    SslMode,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Verified,
    Off,
}

impl Address {
    /// Reads the declared URL.
    pub(super) fn new(server: &Server, password: Option<String>) -> Result<Address, UrlMistake> {
        let (base, parameters) = split(&server.url);
        let options = Opts::from_url(base).map_err(|_| UrlMistake::Shape)?;
        if options.get_db_name().is_none_or(str::is_empty) {
            return Err(UrlMistake::NoDatabase);
        }
        let mut socket = None;
        let mut replicas = Replicas::Unsaid;
        let mut tls = if options.addr_is_loopback() && server.ca_file.is_none() { Tls::Off } else { Tls::Verified };
        for (name, value) in parameters {
            match name {
                "socket" => socket = Some(decoded(value)),
                "ssl-mode" => tls = ssl_mode(value)?,
                "replica" => replicas.add(decoded(value)),
                other => return Err(UrlMistake::Parameter(other.to_owned())),
            }
        }
        // Nobody listens in on a socket, and the protocol breaks where TLS is asked for on one.
        let tls = if socket.is_some() { Tls::Off } else { tls };
        let options = OptsBuilder::from_opts(options)
            .pass(password)
            .socket(socket)
            .prefer_socket(false)
            .ssl_opts(ssl_options(tls, server.ca_file.as_deref()))
            .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS))
            .connect_attrs(Some(HashMap::from([("program_name", "forgetd")])));
        Ok(Address { options, replicas })
    }

    /// The same login on a replica.
    pub(super) fn of_replica(&self, place: &str) -> OptsBuilder {
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()),
            _ => (place, None),
        };
        let options = self.options.clone().db_name(None::<String>);
        if place.starts_with('/') {
            return options.socket(Some(place)).ssl_opts(None);
        }
        let options = options.socket(None::<String>).ip_or_hostname(Some(host));
        match port {
            Some(port) => options.tcp_port(port),
            None => options,
        }
    }
}

impl Replicas {
    fn add(&mut self, place: String) {
        match self {
            _ if place == "none" => *self = Replicas::None,
            Replicas::At(places) => places.push(place),
            Replicas::Unsaid | Replicas::None => *self = Replicas::At(vec![place]),
        }
    }
}

fn ssl_mode(word: &str) -> Result<Tls, UrlMistake> {
    match word {
        "required" => Ok(Tls::Verified),
        "disabled" => Ok(Tls::Off),
        _ => Err(UrlMistake::SslMode),
    }
}

fn ssl_options(tls: Tls, authority: Option<&Path>) -> Option<SslOpts> {
    let system = Path::new(SYSTEM_AUTHORITIES);
    let authority = authority.or_else(|| system.exists().then_some(system)).map(Path::to_owned);
    (tls == Tls::Verified).then(|| SslOpts::default().with_root_cert_path(authority))
}

/// The URL without its parameters, and those.
fn split(url: &str) -> (&str, Vec<(&str, &str)>) {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    (base, pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect())
}

/// Percent-decoded (RFC 3986, section 2.1); what is no such code stays.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = value_of(tail).filter(|_| *first == b'%');
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn value_of(digits: &[u8]) -> Option<u8> {
    let digits = str::from_utf8(digits.get(..2)?).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server { url: url.to_owned(), password: None, ca_file: None }
    }

    fn options(url: &str) -> Opts {
        Address::new(&server(url), None).unwrap().options.into()
    }

    #[test]
    fn a_socket_is_used_without_tls() {
        let options = options("mysql://forgetd@localhost/shop?socket=%2Frun%2Fmysqld/mysqld.sock&ssl-mode=required");
        assert_eq!(options.get_socket(), Some("/run/mysqld/mysqld.sock"));
        assert!(options.get_ssl_opts().is_none());
        assert_eq!((options.get_user(), options.get_db_name()), (Some("forgetd"), Some("shop")));
    }

    #[test]
    fn another_host_is_reached_with_verified_tls_unless_it_is_switched_off() {
        let verified = options("mysql://forgetd@db.example/shop");
        let tls = verified.get_ssl_opts().unwrap();
        assert!(!tls.skip_domain_validation() && !tls.accept_invalid_certs());
        assert!(options("mysql://forgetd@db.example/shop?ssl-mode=disabled").get_ssl_opts().is_none());
        assert!(options("mysql://forgetd@127.0.0.1:3307/shop").get_ssl_opts().is_none());
        assert!(options("mysql://forgetd@127.0.0.1/shop?ssl-mode=required").get_ssl_opts().is_some());
    }

    #[test]
    fn words_that_would_weaken_the_connection_are_refused() {
        for url in [
            "mysql://a@h/d?skip_domain_validation=true",
            "mysql://a@h/d?enable_cleartext_plugin=true",
            "mysql://a@h/d?ssl-mode=preferred",
            "mysql://a@h/",
            "mysql://",
        ] {
            assert!(Address::new(&server(url), None).is_err(), "{url}");
        }
    }

    #[test]
    fn replicas_are_named_or_denied() {
        let replicas = |url| Address::new(&server(url), None).unwrap().replicas;
        assert_eq!(replicas("mysql://a@h/d"), Replicas::Unsaid);
        assert_eq!(replicas("mysql://a@h/d?replica=none"), Replicas::None);
        assert_eq!(
            replicas("mysql://a@h/d?replica=r1&replica=r2:3307"),
            Replicas::At(vec!["r1".to_owned(), "r2:3307".to_owned()])
        );
    }
}
