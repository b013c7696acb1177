//! What the index saves, and what it is not believed.

use super::*;

/// An entry whose line is as long as a line may be.
fn longest(seq: u64) -> Event {
    let held = |length| Event::RuleHeld {
        rule: "shop.example/chat".to_owned(),
        reason: "x".repeat(length),
        matches: 1,
        overdue_since: None,
    };
    let around = Entry { seq, time: at(seq), event: held(0) }.to_line().unwrap().len();
    held(MAX_LINE - around)
}

#[test]
fn what_a_sound_index_vouches_for_is_not_read_again_at_the_start() {
    for last in [event(4), longest(4)] {
        let place = Place::with(4);
        let mut log = place.open().unwrap();
        log.append(at(4), &last, Sync::Now).unwrap();
        log.checkpoint().unwrap();
        drop(log);
        place.rewrite(|bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap().replace("\"rows\":502", "\"rows\":402");
            *bytes = text.into_bytes();
        });
        let log = place.open().unwrap();
        assert_eq!((log.size(), log.last_time()), (5, Some(at(4))));
        // Verification reads all.
        assert_eq!(place.verdict(), Verdict::Tampered { entry: Some(2), fault: Fault::Changed });
    }
}

#[test]
fn the_last_line_is_held_against_the_index_at_every_start() {
    let place = Place::with(5);
    place.rewrite(|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap().replace("\"rows\":504", "\"rows\":404");
        *bytes = text.into_bytes();
    });
    assert!(matches!(place.open(), Err(AuditError::Tampered { .. })));
}

#[test]
fn an_end_that_no_line_can_have_is_not_believed() {
    let place = Place::with(5);
    rewrite(&place.paths().index, |bytes| bytes[4 * 40 + 32] ^= 0x40);
    assert_eq!(place.open().unwrap().size(), 5);
}

#[test]
fn reading_begins_at_the_entry_that_was_asked_for() {
    let place = Place::with(6);
    let text = place.text();
    let lines: Vec<&str> = text.lines().collect();
    // From the start it would be counted wrongly: the second and the third line are one now.
    let joined = text.replacen(&format!("{}\n", lines[1]), &format!("{} ", lines[1]), 1);
    fs::write(place.paths().log, joined).unwrap();
    for (index, line) in (3..).zip(&lines[3..]) {
        let read = read::line(&place.dir(), index).unwrap();
        assert_eq!(read.as_deref(), Some(line.as_bytes()));
    }
}
