//! Modes and owners as they are met, and the least that the unit needs for them (capabilities(7), path_resolution(7)).

use super::facts::Needed;
use super::*;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:\nforgetd:x:900:900::/:\nshop:x:1001:1001::/:\n";
const GROUP: &str = "root:x:0:\nadm:x:4:syslog\nwww-data:x:33:\nforgetd:x:900:\nshop:x:1001:\nlogs:x:50:forgetd\n";

fn at(uid: u32, gid: u32, mode: u32, bits: u32) -> Needed {
    Needed { owner: Owner { uid, gid }, mode, list: None, bits }
}

fn directory(needed: Needed) -> Facts {
    let sticky = if needed.mode & 0o1000 != 0 { vec![needed.owner] } else { vec![] };
    Facts { needed: vec![needed], sticky, rewritten: vec![] }
}

fn log(directory: Needed, file: Needed) -> Facts {
    let rewritten = vec![file.owner];
    Facts { needed: vec![directory, file], sticky: vec![], rewritten }
}

/// The lines of the drop-in for stores below `/srv/shop`, without remarks and what is always said.
fn lines(places: Places) -> Vec<String> {
    let places = Places { paths: BTreeSet::from(["/srv/shop".into()]), ..places };
    let drop_in = places.drop_in(&Accounts::parse(PASSWD, GROUP)).unwrap();
    assert!(drop_in.contains("[Service]\n") && drop_in.contains("ReadWritePaths=-/srv/shop\n"), "{drop_in}");
    let always = |line: &str| line.starts_with('#') || line == "[Service]" || line.starts_with("ReadWritePaths=");
    drop_in.lines().filter(|line| !always(line)).map(str::to_owned).collect()
}

fn of_directory(needed: Needed) -> Vec<String> {
    lines(Places { directories: vec![directory(needed)], ..Places::default() })
}

fn with(capabilities: &str, further: &[&str]) -> Vec<String> {
    let mut lines = vec!["RestrictSUIDSGID=no".to_owned()];
    lines.push(format!("CapabilityBoundingSet={capabilities}"));
    lines.push(format!("AmbientCapabilities={capabilities}"));
    lines.push("PrivateUsers=no".to_owned());
    lines.extend(further.iter().map(|line| (*line).to_owned()));
    lines
}

#[test]
fn a_directory_of_the_services_own_needs_no_capability() {
    for needed in [at(900, 900, 0o40700, 7), at(33, 50, 0o40770, 7), at(33, 33, 0o40777, 7)] {
        assert_eq!(of_directory(needed.clone()), ["RestrictSUIDSGID=no"], "{needed:?}");
    }
}

#[test]
fn a_group_is_enough_where_it_may_write() {
    assert_eq!(of_directory(at(33, 33, 0o42770, 7)), ["SupplementaryGroups=www-data", "RestrictSUIDSGID=no"]);
}

#[test]
fn no_group_helps_where_it_may_not_write_or_is_roots() {
    for needed in [at(33, 33, 0o40750, 7), at(33, 0, 0o40770, 7), at(33, 777, 0o40770, 7), at(900, 33, 0o40570, 7)] {
        assert_eq!(of_directory(needed.clone()), with("CAP_DAC_OVERRIDE", &[]), "{needed:?}");
    }
}

#[test]
fn where_only_owners_may_remove_one_must_pass_for_an_owner() {
    assert_eq!(of_directory(at(0, 0, 0o41733, 7)), with("CAP_DAC_OVERRIDE CAP_FOWNER", &[]), "Debian's PHP sessions");
}

#[test]
fn a_log_of_others_is_given_back_to_them() {
    let nginx = log(at(0, 4, 0o40755, 7), at(33, 4, 0o100_640, 4));
    let expected = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_PTRACE";
    let further = ["SystemCallFilter=@chown", "ProtectProc=default"];
    assert_eq!(lines(Places { logs: vec![nginx], ..Places::default() }), with(expected, &further));
    let own = log(at(900, 900, 0o40755, 7), at(900, 900, 0o100_640, 4));
    let expected = with("CAP_SYS_PTRACE", &["ProtectProc=default"]);
    assert_eq!(lines(Places { logs: vec![own], ..Places::default() }), expected, "who writes is asked all the same");
}

#[test]
fn a_sqlite_file_makes_its_owner_the_user() {
    let of = |owners: &[u32]| lines(Places { owners: owners.iter().copied().collect(), ..Places::default() });
    assert!(of(&[900]).is_empty());
    assert_eq!(of(&[33]), ["User=www-data"]);
    assert_eq!(of(&[4711]), ["User=4711"]);
    assert_eq!(of(&[33, 1001])[..2], ["User=root", "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE"]);
    let mixed = Places {
        owners: BTreeSet::from([33]),
        directories: vec![directory(at(33, 33, 0o40700, 7))],
        ..Places::default()
    };
    assert_eq!(lines(mixed), ["User=www-data", "RestrictSUIDSGID=no"], "it is judged by the user that it will be");
}

#[test]
fn homes_and_temporary_directories_are_shown_to_the_service() {
    let paths = BTreeSet::from(["/home/shop/data".into(), "/tmp/x".into()]);
    let places = Places { paths, owners: BTreeSet::from([900]), ..Places::default() };
    let drop_in = places.drop_in(&Accounts::parse(PASSWD, GROUP)).unwrap();
    let expected = "[Service]\nReadWritePaths=-/tmp/x\nProtectHome=tmpfs\nBindPaths=-/home/shop/data\nPrivateTmp=no\n";
    assert_eq!(drop_in, expected);
}

#[test]
fn servers_alone_need_nothing_of_files() {
    assert_eq!(Places::default().drop_in(&Accounts::parse(PASSWD, GROUP)), None);
}
