//! What every database server asks of its client: a password, and certificate authorities to check the server by.
//!
//! Secrets are read when a connection is made and not before, so that a password changed by its owner needs no
//! restart. They never stand in an error or a log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::config::site::{Password, Server};

/// Where systemd puts a service's credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A longer file holds something else than a password.
const LONGEST_PASSWORD: u64 = 4_096;

/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;

/// A password. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Its bytes, for the client library alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a server cannot be spoken to with what is declared.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The process was started without credentials.
    #[error("there is no credential {0}: start forgetd as a service with `LoadCredential={0}:PATH`")]
    NoCredential(String),
    /// The name would lead out of the credentials' directory.
    #[error("{0} is no name of a credential")]
    CredentialName(String),
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else may know or change the password.
    #[error("{path} must belong to root or to the user of this process, and only its owner may read it: chmod 600")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no password.
    #[error("{path} holds no password of at most {LONGEST_PASSWORD} bytes")]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to check a server's certificate by.
    #[error("{place} holds no certificate authority in PEM form")]
    NoAuthority {
        /// The file, or the system.
        place: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The password that `server` names; `None` where it names none.
///
/// # Errors
/// It is not there, or others could have read it.
pub fn password(server: &Server) -> Result<Option<Secret>, ServerError> {
    match &server.password {
        None => Ok(None),
        Some(Password::Credential(name)) => {
            credential(name, std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from)).map(Some)
        }
        Some(Password::File(path)) => owner_only(path).map(Some),
    }
}

/// systemd itself guards the directory: its files may show a group, which is the service's own.
fn credential(name: &str, directory: Option<PathBuf>) -> Result<Secret, ServerError> {
    if name.contains('/') || matches!(name, "." | "..") {
        return Err(ServerError::CredentialName(name.to_owned()));
    }
    let Some(path) = directory.map(|directory| directory.join(name)) else {
        return Err(ServerError::NoCredential(name.to_owned()));
    };
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ServerError::NoCredential(name.to_owned())),
        Err(source) => Err(ServerError::Unreadable { path, source }),
    }
}

/// The open file is what is checked, so that it cannot be exchanged in between.
fn owner_only(path: &Path) -> Result<Secret, ServerError> {
    let unreadable = |source| ServerError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let trusted = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !trusted || metadata.mode() & OTHERS != 0 {
        return Err(ServerError::Exposed { path: path.to_owned() });
    }
    read(file, path)
}

/// The first line: editors end files with a newline, which no password contains.
fn read(file: File, path: &Path) -> Result<Secret, ServerError> {
    let mut content = Vec::new();
    file.take(LONGEST_PASSWORD + 1)
        .read_to_end(&mut content)
        .map_err(|source| ServerError::Unreadable { path: path.to_owned(), source })?;
    let is_whole = u64::try_from(content.len()).is_ok_and(|length| length <= LONGEST_PASSWORD);
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || !is_whole {
        return Err(ServerError::NoPassword { path: path.to_owned() });
    }
    Ok(Secret(line.to_vec()))
}

/// The certificate authorities to check `server` by: those of its file, or the system's.
///
/// # Errors
/// There are none.
pub fn authorities(server: &Server) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let (place, found) = match &server.ca_file {
        Some(path) => {
            let content =
                std::fs::read(path).map_err(|source| ServerError::Unreadable { path: path.clone(), source })?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
            (path.display().to_string(), found.unwrap_or_default())
        }
        None => ("the system".to_owned(), rustls_native_certs::load_native_certs().certs),
    };
    if found.is_empty() { Err(ServerError::NoAuthority { place }) } else { Ok(found) }
}

/// A TLS client that believes nobody but [`authorities`], and checks the server's name.
///
/// # Errors
/// There are no authorities.
pub fn tls(server: &Server) -> Result<ClientConfig, ServerError> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(authorities(server)?);
    if usable == 0 {
        let place = server.ca_file.as_ref().map_or("the system".to_owned(), |path| path.display().to_string());
        return Err(ServerError::NoAuthority { place });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What to do about a server that TLS does not trust.
pub(super) fn hint_of_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "add `ca-file = PATH` with the authority that signed the server's certificate"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "write as host in `url` a name that stands in the certificate",
        _ => "is the server's certificate in order?",
    }
}

/// What the network says of a connection that could not be made, with what to look at.
pub(super) fn with_hint_of_network(reason: String) -> String {
    // The system's words for a name that it does not know.
    let hint = match reason.contains("failed to lookup address") {
        true => "is it the right host in `url`?",
        false => "is the server running?",
    };
    format!("{reason}; {hint}")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop-db");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    fn server(password: Option<Password>, ca_file: Option<PathBuf>) -> Server {
        Server { url: "postgresql://forgetd@/shop".to_owned(), password, ca_file }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            let (_directory, path) = file(content, 0o600);
            let secret = password(&server(Some(Password::File(path)), None)).unwrap().unwrap();
            assert_eq!(secret.expose(), b"s3cret");
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let (_directory, path) = file("s3cret\n", mode);
            let refused = owner_only(&path);
            assert!(matches!(refused, Err(ServerError::Exposed { .. })), "{mode:o}: {refused:?}");
        }
    }

    #[test]
    fn an_empty_file_is_no_password_and_neither_is_a_long_one() {
        for content in ["", "\n", &"x".repeat(5_000)] {
            let (_directory, path) = file(content, 0o400);
            assert!(matches!(owner_only(&path), Err(ServerError::NoPassword { .. })));
        }
    }

    #[test]
    fn a_credential_is_found_by_its_name_and_nowhere_else() {
        let (directory, _) = file("s3cret", 0o440);
        let within = |name| credential(name, Some(directory.path().to_owned()));
        assert_eq!(within("shop-db").unwrap().expose(), b"s3cret");
        assert!(matches!(within("other"), Err(ServerError::NoCredential(_))));
        assert!(matches!(within("../shop-db"), Err(ServerError::CredentialName(_))));
        assert!(matches!(credential("shop-db", None), Err(ServerError::NoCredential(_))));
    }

    #[test]
    fn a_password_is_never_shown() {
        assert!(!format!("{:?}", Secret(b"s3cret".to_vec())).contains("s3cret"));
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let (_directory, path) = file("-----BEGIN NONSENSE-----\n", 0o644);
        assert!(matches!(tls(&server(None, Some(path))), Err(ServerError::NoAuthority { .. })));
    }
}
