use super::*;

fn line(event: Event) -> String {
    let time = "2026-03-01T12:30:00.1234567Z".parse().unwrap();
    String::from_utf8(Entry { seq: 41, time, event }.to_line().unwrap()).unwrap()
}

#[test]
fn a_line_has_its_keys_in_the_order_of_the_format() {
    let started = Event::RunStarted {
        run: "r7".into(),
        rule: "shop.example/chat/visitors".into(),
        digest: "ab12".into(),
        shape: Some("cd34".into()),
        action: "erase".into(),
        because: "ssupp.vid: 6 months".into(),
        cutoff: Some("2025-09-01T00:00:00Z".parse().unwrap()),
        counted: 3,
        total: 10,
        undatable: 1,
        on_hold: 0,
    };
    assert_eq!(
        line(started),
        concat!(
            r#"{"seq":41,"time":"2026-03-01T12:30:00.123456Z","kind":"run.started","run":"r7","#,
            r#""rule":"shop.example/chat/visitors","digest":"ab12","shape":"cd34","action":"erase","#,
            r#""because":"ssupp.vid: 6 months","cutoff":"2025-09-01T00:00:00.000000Z","counted":3,"total":10,"undatable":1,"on_hold":0}"#
        )
    );
    let resolved =
        Event::BatchResolved { run: "r7".into(), batch: 2, outcome: BatchOutcome::RolledBack, rows: 0, children: 0 };
    assert_eq!(
        line(resolved),
        concat!(
            r#"{"seq":41,"time":"2026-03-01T12:30:00.123456Z","kind":"batch.resolved","run":"r7","batch":2,"#,
            r#""outcome":"rolled-back","rows":0,"children":0}"#
        )
    );
    assert_eq!(line(Event::Heartbeat {}), r#"{"seq":41,"time":"2026-03-01T12:30:00.123456Z","kind":"heartbeat"}"#);
}

#[test]
fn what_is_absent_is_left_out() {
    let held = Event::RuleHeld { rule: "s/t".into(), reason: "share".into(), matches: 9, overdue_since: None };
    assert_eq!(
        line(held),
        concat!(
            r#"{"seq":41,"time":"2026-03-01T12:30:00.123456Z","kind":"rule.held","rule":"s/t","#,
            r#""reason":"share","matches":9}"#
        )
    );
}

/// One of each kind.
fn all() -> Vec<Event> {
    let text = || "x".to_owned();
    let time = Some(at(1));
    vec![
        Event::LogCreated { origin: text(), version: text() },
        Event::LogRepaired { bytes: 1 },
        Event::LogReviewed { through: 1, note: "naïve “quotes” \\ and more".to_owned(), uid: 1 },
        Event::StateRestored { part: RestoredPart::Register, missing: 1 },
        Event::KeyRotated { from: text(), to: text(), uid: 1 },
        Event::ConfigApplied { version: 1, digest: text(), files: 2, changes: vec![text(), text()] },
        Event::ConfigRejected { problems: 1, suspended: vec![] },
        Event::RuleApproved {
            rule: text(),
            digest: text(),
            shape: Some(text()),
            counted: 1,
            ceiling: u64::MAX,
            uid: u32::MAX,
        },
        Event::RuleHeld { rule: text(), reason: text(), matches: 1, overdue_since: time },
        Event::RuleReleased { rule: text() },
        Event::ClockApproved { uid: 0, jump_seconds: -5 },
        Event::HoldAdded { hold: 1, prefix: text(), until: text(), reason_code: text(), uid: 1 },
        Event::HoldLifted { hold: 1, uid: 1 },
        Event::PurgesStopped { uid: 1 },
        Event::PurgesResumed { uid: 1 },
        Event::CookiesChecked {
            site: text(),
            source: text(),
            moments: vec![text()],
            items: 1,
            findings: [(text(), 1)].into(),
            notes: 1,
            uid: 1,
        },
        Event::RunStarted {
            run: text(),
            rule: text(),
            digest: text(),
            shape: None,
            action: text(),
            because: text(),
            cutoff: None,
            counted: 1,
            total: 1,
            undatable: 1,
            on_hold: 1,
        },
        Event::BatchPrepared { run: text(), batch: 1, rows: 1, children: 1, transaction: Some(text()) },
        Event::BatchCommitted { run: text(), batch: 1, rows: 1 },
        Event::BatchRolledBack { run: text(), batch: 1, reason: "line\nbreak".to_owned() },
        Event::BatchResolved { run: text(), batch: 1, outcome: BatchOutcome::Committed, rows: 1, children: 1 },
        Event::RunFinished(RunFinished {
            run: text(),
            rule: text(),
            outcome: RunOutcome::Interrupted,
            erased: 1,
            children: 1,
            left: 0,
            arrived: 0,
            batches: 1,
            millis: 1,
            pending: Some(text()),
            reason: None,
            kept: vec![Kept { records: 1, because: text(), oldest: time }],
        }),
        Event::DriftChecked(DriftChecked {
            rules: 1,
            stores: 1,
            counts: [(text(), 1)].into(),
            accepted: 1,
            findings: vec![DriftFinding { finding: text(), place: text(), records: Some(1), oldest: time }],
        }),
        Event::DaemonStarted { version: text() },
        Event::DaemonStopped {},
        Event::Heartbeat {},
    ]
}

#[test]
fn every_kind_is_written_on_one_line_and_read_back() {
    for event in all() {
        let entry = Entry { seq: 7, time: at(7), event };
        let line = entry.to_line().unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(super::super::line::check(&line, 7), Ok(at(7)));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["kind"], entry.event.kind());
        assert_eq!(value.get("rule").or(value.get("prefix")).and_then(|rule| rule.as_str()), entry.event.rule());
        assert_eq!(value.get("run").and_then(|run| run.as_str()), entry.event.run());
        assert_eq!(Entry::from_line(&line).unwrap(), entry);
    }
}

#[test]
fn reading_begins_at_any_entry_with_and_without_an_index() {
    let place = Place::with(8);
    let lines: Vec<String> = place.text().lines().map(str::to_owned).collect();
    let damages: [&Damage; 4] =
        [&|_| (), &|bytes| bytes[4 * 40 + 39] ^= 5, &|bytes| bytes.truncate(3 * 40), &|bytes| bytes.clear()];
    for damage in damages {
        rewrite(&place.paths().index, damage);
        for from in 0..10 {
            let found: Vec<u64> = read::entries(&place.dir(), from).unwrap().map(|entry| entry.unwrap().seq).collect();
            assert_eq!(found, (from..8).collect::<Vec<_>>());
            let line = read::line(&place.dir(), from).unwrap().map(|line| String::from_utf8(line).unwrap());
            assert_eq!(line.as_ref(), lines.get(usize::try_from(from).unwrap()));
            let last = read::last(&place.dir(), usize::try_from(from).unwrap()).unwrap();
            let last: Vec<u64> = last.into_iter().map(|entry| entry.seq).collect();
            assert_eq!(last, (8_u64.saturating_sub(from)..8).collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_unfinished_line_is_not_an_entry_yet() {
    let place = Place::with(3);
    place.rewrite(|bytes| bytes.extend_from_slice(b"{\"seq\":3,"));
    assert_eq!(read::entries(&place.dir(), 0).unwrap().count(), 3);
}

#[test]
fn an_entry_of_an_unknown_kind_is_told_in_its_place_and_the_rest_is_read() {
    let place = Place::with(4);
    place.rewrite(|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen("batch.prepared", "batch.predicted", 1).into_bytes();
    });
    let found: Vec<_> = read::entries(&place.dir(), 0).unwrap().collect();
    assert_eq!(found.len(), 4);
    assert!(matches!(found[1], Err(AuditError::UnknownEntry { index: 1, .. })));
    assert_eq!(found[2].as_ref().unwrap().seq, 2);
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let place = Place::new();
    assert!(matches!(read::entries(&place.dir(), 0), Err(AuditError::NotReadable { .. })));
}

#[test]
fn a_review_covers_what_was_there_and_the_furthest_one_counts() {
    let place = Place::with(5);
    let verification = verify(&place.dir(), &[]).unwrap();
    assert_eq!((verification.review, verification.unreviewed), (None, 5));
    let mut log = place.open().unwrap();
    let review = |through| Event::LogReviewed { through, note: "x".to_owned(), uid: 0 };
    log.append(at(10), &review(2), Sync::Now).unwrap();
    let verification = verify(&place.dir(), &[]).unwrap();
    assert_eq!((verification.review, verification.unreviewed), (Some(Review { through: 2, at: at(10) }), 2));
    // Not yet there, and not as far.
    log.append(at(11), &review(6), Sync::Now).unwrap();
    log.append(at(12), &review(1), Sync::Now).unwrap();
    assert_eq!(verify(&place.dir(), &[]).unwrap().review, Some(Review { through: 2, at: at(10) }));
    log.append(at(13), &review(7), Sync::Now).unwrap();
    let verification = verify(&place.dir(), &[]).unwrap();
    assert_eq!((verification.review, verification.unreviewed), (Some(Review { through: 7, at: at(13) }), 0));
}

#[test]
fn who_follows_the_log_knows_since_when_what_was_not_reviewed() {
    let place = Place::with(3);
    let mut log = place.open().unwrap();
    let mut follower = Follower::default();
    let review = |through| Event::LogReviewed { through, note: "x".to_owned(), uid: 0 };
    let mut told = |appended: &[Event]| {
        for event in appended {
            log.append(at(log.size()), event, Sync::Later).unwrap();
        }
        follower.follow(&place.dir()).unwrap();
        assert_eq!((follower.entries(), follower.last()), (log.size(), log.last_time()));
        (follower.unreviewed(), follower.unreviewed_since())
    };
    assert_eq!(told(&[]), (3, Some(at(0))));
    // The entry of a review needs none.
    assert_eq!(told(&[review(1)]), (1, Some(at(2))));
    assert_eq!(told(&[review(2)]), (0, None));
    assert_eq!(told(&[event(5), event(6)]), (2, Some(at(5))));
    // One that was read, and one that says less than is known.
    assert_eq!(told(&[review(5), review(3), event(9)]), (2, Some(at(6))));
    assert_eq!(told(&[review(9)]), (0, None));
}
