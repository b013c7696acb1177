//! From the declared URL to what the client needs. Only what is known to be safe may be asked for in the URL: the
//! client itself would also take words that switch verification off.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql::{Opts, OptsBuilder, SslOpts};

use crate::config::site::Server;

/// How long to wait for the server to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long without traffic the network is asked whether the server is still there.
const KEEPALIVE_MS: u32 = 30_000;

/// How long what was sent may stay unanswered by the other host. A server at work answers for the network meanwhile.
const USER_TIMEOUT_MS: u32 = 30_000;

/// How long to wait for a replica's answer: it is asked one short question.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(10);

/// The port of MySQL and MariaDB (IANA).
const PORT: u16 = 3306;

/// The certificates that the system trusts, where Debian, Fedora and openSUSE keep them.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Where a server is, and what the operator says of its replicas.
#[derive(Debug)]
pub(super) struct Address {
    /// For the client.
    pub(super) options: OptsBuilder,
    /// What the operator says of the replicas.
    pub(super) replicas: Replicas,
    encryption: Encryption,
}

/// What the operator says of a server's replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replicas {
    /// Nothing: the server is asked.
    Unsaid,
    /// There are none.
    None,
    /// Where each is.
    At(Vec<Place>),
}

/// Where a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The path of its socket.
    Socket(String),
    /// Over the network; an IPv6 address in brackets.
    Host(String, u16),
}

impl Place {
    /// `HOST`, `HOST:PORT`, `[V6]:PORT`, `V6` or the path of a socket.
    fn read(text: &str) -> Option<Place> {
        if text.starts_with('/') {
            return Some(Place::Socket(text.to_owned()));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Place::Host(format!("[{address}]"), PORT));
        }
        let behind_brackets = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text.get(behind_brackets..)?.find(':') {
            Some(at) => (text.get(..behind_brackets + at)?, text.get(behind_brackets + at + 1..)?.parse().ok()?),
            None => (text, PORT),
        };
        let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(['[', ']', ':', '/', '@']),
        };
        is_host.then(|| Place::Host(host.to_owned(), port))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Socket(path) => f.write_str(path),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
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
    /// A replica that cannot be reached so.
    #[error("`replica={0}` names no server: write `HOST`, `HOST:PORT`, `[IPV6]:PORT`, the path of a socket, or `none`")]
    Replica(String),
}

/// Whether connections over the network are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// Always, and the server's certificate is verified.
    Verified,
    /// Never.
    Off,
}

/// What decides whether a connection is encrypted: each address for itself.
#[derive(Debug)]
struct Encryption {
    /// What the operator says of it.
    asked_for: Option<Tls>,
    authority: Option<PathBuf>,
}

impl Encryption {
    /// Encrypts a connection, unless it is one that nobody can listen in on or the operator does not want it.
    fn applied_to(&self, options: OptsBuilder) -> OptsBuilder {
        let chosen = Opts::from(options.clone());
        let tls = match self.asked_for {
            // The protocol breaks where TLS is asked for on a socket.
            _ if chosen.get_socket().is_some() => Tls::Off,
            Some(tls) => tls,
            None if chosen.addr_is_loopback() && self.authority.is_none() => Tls::Off,
            None => Tls::Verified,
        };
        let system = || SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
        let verified = || SslOpts::default().with_root_cert_path(self.authority.clone().or_else(system));
        options.ssl_opts((tls == Tls::Verified).then(verified))
    }
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
        let mut encryption = Encryption { asked_for: None, authority: server.ca_file.clone() };
        for (name, value) in parameters {
            match name {
                "socket" => socket = Some(decoded(value)),
                "ssl-mode" => encryption.asked_for = Some(ssl_mode(value)?),
                "replica" => replicas.add(decoded(value))?,
                other => return Err(UrlMistake::Parameter(other.to_owned())),
            }
        }
        let options = OptsBuilder::from_opts(options)
            .pass(password)
            .socket(socket)
            .prefer_socket(false)
            .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS))
            .tcp_user_timeout_ms(Some(USER_TIMEOUT_MS))
            .connect_attrs(Some(HashMap::from([("program_name", "forgetd")])));
        Ok(Address { options: encryption.applied_to(options), replicas, encryption })
    }

    /// The same login on a replica.
    pub(super) fn of_replica(&self, place: &Place) -> OptsBuilder {
        let options = self.options.clone().db_name(None::<String>);
        let options = options.read_timeout(Some(REPLICA_TIMEOUT)).write_timeout(Some(REPLICA_TIMEOUT));
        self.encryption.applied_to(match place {
            Place::Socket(path) => options.socket(Some(path)),
            Place::Host(host, port) => options.socket(None::<String>).ip_or_hostname(Some(host)).tcp_port(*port),
        })
    }
}

impl Replicas {
    fn add(&mut self, place: String) -> Result<(), UrlMistake> {
        if place == "none" {
            *self = Replicas::None;
            return Ok(());
        }
        let place = Place::read(&place).ok_or(UrlMistake::Replica(place))?;
        match self {
            Replicas::At(places) => places.push(place),
            Replicas::Unsaid | Replicas::None => *self = Replicas::At(vec![place]),
        }
        Ok(())
    }
}

fn ssl_mode(word: &str) -> Result<Tls, UrlMistake> {
    match word {
        "required" => Ok(Tls::Verified),
        "disabled" => Ok(Tls::Off),
        _ => Err(UrlMistake::SslMode),
    }
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
        let host = |host: &str, port| Place::Host(host.to_owned(), port);
        assert_eq!(
            replicas("mysql://a@h:3999/d?replica=r1&replica=r2:3307&replica=2001:db8::1&replica=[2001:db8::2]:3308"),
            Replicas::At(vec![
                host("r1", 3306),
                host("r2", 3307),
                host("[2001:db8::1]", 3306),
                host("[2001:db8::2]", 3308)
            ])
        );
        assert_eq!(replicas("mysql://a@h/d?replica=/run/r"), Replicas::At(vec![Place::Socket("/run/r".to_owned())]));
    }

    #[test]
    fn what_names_no_replica_is_refused() {
        for place in ["r1:port", "r1:70000", "", ":3306", "[r1]:3306", "a@b", "r1:1:2"] {
            let url = format!("mysql://a@h/d?replica={place}");
            assert!(Address::new(&server(&url), None).is_err(), "{place}");
        }
    }

    /// Whether the password of a primary goes to its replica over TLS alone.
    #[test]
    fn each_replica_is_encrypted_by_its_own_address_and_not_by_the_primarys() {
        let encrypted = |url: &str, ca_file: Option<&str>| {
            let server = Server { url: url.to_owned(), password: None, ca_file: ca_file.map(PathBuf::from) };
            let address = Address::new(&server, None).unwrap();
            let Replicas::At(places) = &address.replicas else { panic!("{url}") };
            let [place] = places.as_slice() else { panic!("{url}") };
            Opts::from(address.of_replica(place)).get_ssl_opts().is_some()
        };
        assert!(encrypted("mysql://a@localhost/d?socket=/run/s&replica=db2.example", None));
        assert!(encrypted("mysql://a@127.0.0.1:3307/d?replica=192.0.2.7", None));
        assert!(encrypted("mysql://a@localhost/d?replica=[2001:db8::1]:3307", None));
        assert!(!encrypted("mysql://a@db.example/d?replica=/run/r", None));
        assert!(!encrypted("mysql://a@db.example/d?replica=127.0.0.1:3307", None));
        assert!(encrypted("mysql://a@localhost/d?replica=127.0.0.1:3307", Some("/ca.pem")));
        assert!(encrypted("mysql://a@localhost/d?replica=[::1]:3307&ssl-mode=required", None));
        assert!(!encrypted("mysql://a@localhost/d?replica=db2.example&ssl-mode=disabled", None));
    }

    #[test]
    fn a_replica_is_reached_at_its_own_port() {
        let address = Address::new(&server("mysql://a@db.example:3999/d?replica=db2.example"), None).unwrap();
        let Replicas::At(places) = &address.replicas else { panic!() };
        let options = Opts::from(address.of_replica(&places[0]));
        assert_eq!((options.get_ip_or_hostname().as_ref(), options.get_tcp_port()), ("db2.example", 3306));
        assert_eq!((options.get_db_name(), options.get_read_timeout()), (None, Some(&REPLICA_TIMEOUT)));
    }
}
