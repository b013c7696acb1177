//! The built binary on a server: from the declaration to the evidence, once and as the daemon.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::installation::{Installation, UNGUARDED};
use super::postgres_server::server;
use super::{EXPIRED, Shop, VISITORS};

/// The shop's table in a site file, on the server.
fn site(shop: &Shop, settings: &str) -> String {
    format!(
        r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "0 0 1 1 *"
[settings]
{settings}
[retention]
visit = "6 months"
[store.shop]
kind = "postgres"
url = "{}"
after = "vacuum"
[[store.shop.table]]
name = "visitors"
key = "id"
time = {{ column = "seen", format = "datetime" }}
holds = "visit"
[store.shop.table.columns]
ip = "visit.ip-address"
"#,
        server().url("postgres", &shop.name)
    )
}

/// A shop whose visitors are half a year old or more, seen from today.
fn shop() -> Shop {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute("UPDATE visitors SET seen = seen + (now() - '2026-03-01 12:00Z')").unwrap();
    shop
}

#[test]
fn a_purge_on_a_server_leaves_evidence_with_the_servers_transactions() {
    let mut shop = shop();
    let installation = Installation::new(UNGUARDED);
    installation.write("sites/shop.example.toml", &site(&shop, "store-ip = true"));
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let matches = installation.planned("shop.example/shop/visitors")["matches"].as_u64().unwrap();
    assert!(matches.abs_diff(EXPIRED) < 5, "{matches}");
    let purged = installation.run(&["purge", "shop.example/shop/visitors", "--yes"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    assert_eq!(shop.count("visitors"), 400 - i64::try_from(matches).unwrap());
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let log = std::fs::read_to_string(installation.state().join("audit/log.jsonl")).unwrap();
    let prepared = log.lines().find(|line| line.contains("batch.prepared")).unwrap();
    let transaction = prepared.split("\"transaction\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let status = "SELECT pg_xact_status($1::text::xid8)";
    assert_eq!(shop.client.query_one(status, &[&transaction]).unwrap().get::<_, String>(0), "committed");
    let finished = log.lines().rfind(|line| line.contains("run.finished")).unwrap();
    assert!(finished.contains("write-ahead log") && !finished.contains("dead rows"), "{finished}");
}

#[test]
fn the_daemon_erases_at_once_what_a_setting_forbids() {
    let mut shop = shop();
    let installation = Installation::new(UNGUARDED);
    installation.write("sites/shop.example.toml", &site(&shop, "store-ip = false"));
    let mut daemon = installation.command(&["run"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let gone = (0..200).any(|_| {
        sleep(Duration::from_millis(100));
        shop.count("visitors WHERE ip IS NOT NULL") == 0
    });
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(gone);
}
