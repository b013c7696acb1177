//! Passwords on real servers that ask for one: from a systemd credential, and from a file that only its owner can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::database::{Connection, Database, OnMariaDb, OnPostgres};
use super::installation::Ran;
use super::postgres_server::{self, PASSWORD};
use super::{EXPIRED, fill, installation, mariadb};

fn secret(directory: &Path, mode: u32) -> PathBuf {
    let path = directory.join("shop-db");
    fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn postgresql_takes_a_password_from_a_credential_or_an_owner_only_file() {
    let server = postgres_server::start();
    let database = OnPostgres::new(&server);
    let mut connection = database.connect();
    fill(&mut *connection);
    connection.execute(&format!("CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'"));
    connection.execute("GRANT SELECT, DELETE ON visitors TO secret");
    takes(&format!("kind = \"postgres\"\nurl = \"{}\"", server.url("secret", &database.name)), &mut *connection);
}

#[test]
fn mariadb_takes_a_password_from_a_credential_or_an_owner_only_file() {
    let server = mariadb::shared();
    let database = OnMariaDb::new(server);
    let mut connection = database.connect();
    fill(&mut *connection);
    let name = &database.database.name;
    connection.execute(&format!("CREATE USER keeper@localhost IDENTIFIED BY '{PASSWORD}'"));
    connection.execute(&format!("GRANT {} ON *.* TO keeper@localhost", mariadb::key_privilege()));
    if mariadb::is_mysql() {
        connection.execute("GRANT REPLICATION CLIENT ON *.* TO keeper@localhost");
    }
    connection.execute(&format!("GRANT SELECT, DELETE, TRIGGER ON {name}.visitors TO keeper@localhost"));
    let url = format!("mysql://keeper@localhost/{name}?socket={}&replica=none", server.socket().display());
    takes(&format!("kind = \"mysql\"\nurl = \"{url}\""), &mut *connection);
}

fn takes(declaration: &str, connection: &mut dyn Connection) {
    let directory = tempfile::tempdir().unwrap();
    let by_credential = installation(&format!("{declaration}\ncredential = \"shop-db\""), "store-ip = true");
    let run = |arguments: &[&str], credentials: Option<&Path>| {
        let mut command = by_credential.command(arguments);
        command.env_remove("CREDENTIALS_DIRECTORY");
        credentials.map(|path| command.env("CREDENTIALS_DIRECTORY", path));
        Ran::of(command.output().unwrap())
    };
    let everything = |ran: &Ran| format!("{}{}", ran.stdout, ran.stderr);
    let refused = run(&["check", "--stores"], None);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(everything(&refused).contains("`LoadCredential=shop-db:PATH`"), "{refused:?}");
    // systemd's own mode: the directory is the service's.
    secret(directory.path(), 0o440);
    let checked = run(&["check", "--stores"], Some(directory.path()));
    assert_eq!(checked.code, 0, "{checked:?}");

    let path = secret(directory.path(), 0o640);
    let by_file = installation(&format!("{declaration}\npassword-file = \"{}\"", path.display()), "store-ip = true");
    for mode in [0o640, 0o604] {
        secret(directory.path(), mode);
        let refused = by_file.run(&["check", "--stores"]);
        assert_eq!(refused.code, 3, "{mode:o}: {refused:?}");
        assert!(refused.stdout.contains("chmod 600"), "{mode:o}: {refused:?}");
        let purged = by_file.run(&["purge", "--yes"]);
        assert_eq!(purged.code, 3, "{mode:o}: {purged:?}");
    }
    assert_eq!(connection.row("SELECT count(*) FROM visitors"), [2 * EXPIRED.cast_signed()]);
    secret(directory.path(), 0o600);
    let checked = by_file.run(&["check", "--stores"]);
    assert_eq!(checked.code, 0, "{checked:?}");

    let purged = run(&["purge", "--yes"], Some(directory.path()));
    assert_eq!(purged.code, 0, "{purged:?}");
    assert_eq!(connection.row("SELECT count(*) FROM visitors"), [EXPIRED.cast_signed()]);
    let purged = by_file.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    for ran in [refused, checked, purged] {
        assert!(!everything(&ran).contains(PASSWORD), "{ran:?}");
    }
}
