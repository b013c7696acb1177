//! `hold` and `stop-purges`.

use super::installation::{GUARDED, UNGUARDED};
use super::{purged_shop, shop, told};

#[test]
fn a_hold_keeps_its_rows_until_it_is_lifted() {
    let shop = shop(UNGUARDED);
    let place = ["hold", "add", "shop.example", "--where", "id=2", "--until", "2999-12-31", "--reason-code", "case-7"];
    let placed = shop.run(&place);
    assert_eq!((placed.code, placed.stdout.as_str()), (0, "Placed: hold 1 on shop.example until 2999-12-31\n"));
    let listed = shop.json(&["hold", "list"], 0);
    assert_eq!(listed["holds"][0]["reason_code"], "case-7");
    assert!(shop.run(&["hold", "list"]).stdout.contains("case-7"));
    assert_eq!(shop.planned("shop.example/chat/visitors")["on_hold"], 1);
    assert_eq!(shop.run(&["purge", "shop.example/chat/visitors", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id <= 3"), 1);

    assert_eq!(shop.run(&["hold", "lift", "1"]).stdout, "Lifted: hold 1\n");
    told(&shop.run(&["hold", "lift", "1"]), 2, &["no hold 1 is in force", "hold list`"]);
    assert_eq!(shop.run(&["hold", "list"]).stdout, "No holds are in force.\n");
    assert_eq!(shop.run(&["purge", "shop.example/chat/visitors", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id <= 3"), 0);
}

#[test]
fn a_hold_that_cannot_be_meant_is_refused() {
    let shop = shop(GUARDED);
    let add = |more: &[&str]| shop.run(&[&["hold", "add", "shop.example"], more].concat());
    told(&add(&["--until", "2020-01-01", "--reason-code", "x"]), 2, &["--until 2020-01-01 is in the past"]);
    told(
        &add(&["--until", "tomorrow", "--reason-code", "x"]),
        2,
        &["'tomorrow'", "--until <DATE>", "such as 2026-03-01"],
    );
    told(&add(&["--until", "2999-01-01", "--reason-code", "a b"]), 2, &["'a b'", "1 to 40 letters"]);
    told(&add(&["--until", "2999-01-01", "--reason-code", "x", "--where", "id"]), 2, &["'id'", "COLUMN=VALUE"]);
    told(&add(&["--until", "2999-01-01"]), 2, &["--reason-code <CODE>"]);
    assert!(!shop.state().exists());
}

#[test]
fn stopped_purges_erase_nothing_until_they_are_let_go_on() {
    let shop = shop(UNGUARDED);
    let stopped = shop.run(&["stop-purges"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(stopped.stdout.starts_with("Stopped: no batch begins until "), "{stopped:?}");
    assert!(shop.state().join("stop").exists());
    let held = shop.run(&["purge", "--yes"]);
    assert_eq!(held.code, 3);
    assert!(held.stdout.contains("purges are stopped") && held.stdout.contains("stop-purges --lift`"), "{held:?}");
    assert_eq!(shop.json(&["status"], 3)["purges"], "stopped");
    assert_eq!(shop.run(&["stop-purges", "--lift"]).stdout, "Purges go on.\n");
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 7);
}

#[test]
fn holds_and_the_stop_switch_work_while_the_configuration_is_invalid() {
    let shop = purged_shop();
    shop.write("sites/shop.example.toml", "domain = \"shop.example\"\n");
    let place = ["hold", "add", "shop.example", "--until", "2999-12-31", "--reason-code", "case-7"];
    for command in [&place[..], &["hold", "list"], &["hold", "lift", "1"], &["stop-purges"], &["stop-purges", "--lift"]]
    {
        let ran = shop.run(command);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
    }
    let suspended = shop.run(&["plan"]);
    told(&suspended, 78, &["sites/shop.example.toml:", "the version in force is used"]);
    assert!(suspended.stdout.contains("suspended"), "{suspended:?}");
}
