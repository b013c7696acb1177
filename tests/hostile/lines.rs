//! Lines of a log that a visitor, or a broken writer, filled with whatever came to mind.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::assert_plain;
use crate::installation::{Installation, UNGUARDED};

const SITE: &str = "sites/shop.example.toml";

fn installation(log: &str) -> Installation {
    let installation = Installation::new(UNGUARDED);
    fs::create_dir(installation.path().join("logs")).unwrap();
    let path = installation.path().join("logs/access.log*");
    installation.write(
        SITE,
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"0 0 1 1 *\"\n\
             [retention]\nvisit = \"6 months\"\n[store.access]\nkind = \"log\"\npath = \"{}\"\n\
             holds = \"visit\"\n{log}\n",
            path.display()
        ),
    );
    installation
}

/// Writes the rotated log. The one that is being written to is the younger one beside it.
fn rotated(installation: &Installation, text: &[u8]) -> PathBuf {
    let path = installation.path().join("logs/access.log.1");
    fs::write(&path, text).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    fs::File::open(&path).unwrap().set_modified(written - Duration::from_secs(86_400)).unwrap();
    fs::write(installation.path().join("logs/access.log"), "").unwrap();
    path
}

/// A line of the combined format, of that many days ago, with something in its request.
fn line(days: i64, address: &str, request: &[u8]) -> Vec<u8> {
    let now: jiff::Timestamp = (UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap();
    let time = now - jiff::SignedDuration::from_hours(24 * days);
    let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let head = format!("{address} - - [{time}] \"GET /");
    [head.as_bytes(), request, b" HTTP/1.1\" 200 5 \"-\" \"-\"\n"].concat()
}

/// What a visitor can put into a request, without a newline.
fn hostile_requests() -> Vec<Vec<u8>> {
    let megabyte = 1024 * 1024;
    vec![
        vec![b'a'; megabyte],
        vec![0; megabyte],
        vec![0xFF; megabyte],
        b"\x1b[2J\x1b]0;x\x07\r".to_vec(),
        "\u{202e}\u{9b}31m\u{200b}".as_bytes().to_vec(),
        b"\\x22 [01/Jan/1970:00:00:00 +0000] \\x22".to_vec(),
        b"'; DROP TABLE visitors; --".to_vec(),
        b"[[[[[[[[[[".repeat(10_000),
        b"1.2.3.4,".repeat(100_000),
    ]
}

#[test]
fn lines_of_any_contents_go_when_they_are_expired_and_stay_byte_for_byte_else() {
    let installation = installation("format = \"combined\"");
    let of = |days| hostile_requests().iter().map(|request| line(days, "192.0.2.7", request)).collect::<Vec<_>>();
    let (expired, kept) = (of(400), of(1));
    // Lines without a readable time are kept, whatever they are.
    let unreadable = [vec![0; 1024 * 1024], vec![0xFF; 70_000], b"\x1b[2J".to_vec(), b"[".repeat(1024 * 1024)];
    let unreadable: Vec<Vec<u8>> = unreadable.iter().map(|line| [&line[..], b"\n"].concat()).collect();
    let all: Vec<u8> =
        expired.iter().zip(&kept).flat_map(|(expired, kept)| [expired.clone(), kept.clone()]).flatten().collect();
    let path = rotated(&installation, &[all, unreadable.concat()].concat());

    let planned = installation.planned("shop.example/access");
    assert_eq!((&planned["matches"], &planned["undatable"]), (&expired.len().into(), &unreadable.len().into()));
    let purged = installation.json(&["purge", "--yes"], 0);
    assert_eq!(purged["runs"][0]["erased"], expired.len());
    assert!(fs::read(&path).unwrap() == [kept.concat(), unreadable.concat()].concat(), "other bytes are left");
    for command in [&["plan"][..], &["status"], &["audit", "list"]] {
        assert_plain(&format!("{command:?}"), &installation.run(command).stdout);
    }
    let state = installation.tree().into_iter().filter(|(path, _)| path.starts_with(installation.state()));
    for (path, bytes) in state.filter_map(|(path, bytes)| Some((path, bytes?))) {
        assert!(!bytes.windows(12).any(|part| part == b"DROP TABLE v"), "{}", path.display());
    }
}

#[test]
fn addresses_in_lines_of_any_contents_lose_their_host_and_nothing_else_changes() {
    let installation =
        installation("format = \"combined\"\naddress = { category = \"visit.ip-address\", do = \"truncate\" }");
    // A request that is itself a list of addresses is another matter.
    let requests: Vec<Vec<u8>> =
        hostile_requests().into_iter().filter(|request| !request.starts_with(b"1.2.3.4,")).collect();
    let with = |address: &str| requests.iter().map(|request| line(1, address, request)).collect::<Vec<_>>().concat();
    let path = rotated(&installation, with("192.0.2.7").as_slice());
    let expected = with("192.0.2.0");
    let purged = installation.json(&["purge", "--yes"], 0);
    let erased: Vec<u64> =
        purged["runs"].as_array().unwrap().iter().map(|run| run["erased"].as_u64().unwrap()).collect();
    assert_eq!(erased, [0, u64::try_from(requests.len()).unwrap()]);
    // Seconds have passed between the two.
    assert_eq!(fs::read(&path).unwrap().len(), expected.len());
    let left = fs::read(&path).unwrap();
    let hosts = |text: &[u8]| text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"192.0.2.0 ")).count();
    assert_eq!((hosts(&left), left.split(|byte| *byte == b'\n').count()), (requests.len(), requests.len() + 1));
}
