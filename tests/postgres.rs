//! What is PostgreSQL's own: who is let in, what is refused before a rule runs, how a batch ends when the connection
//! does, and the forms of addresses, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{
    After, Child, Consent, Mask, Password, RowTime, Scalar, Server, SideEffect, StoreKind, TimeMeaning, Unparsed, Zone,
};
use forgetd::plan::{Action, Definition, Target, When};
use forgetd::store::address::{Masked, mask_bytes, mask_integer, mask_text};
use forgetd::store::{
    self, Finding, HeldValue, Physical, Prepared, Remainder, Resolution, Selection, Severity, Store, StoreError,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use postgres::Client;
use postgres_server::{PASSWORD, server};
use rstest::rstest;

/// Where nothing has a replica.
const MAX_LAG: Duration = Duration::ZERO;

/// An ordinary table of the application, half of it expired.
const VISITORS: &str = "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz NOT NULL, site integer NOT NULL, ip text, agreed boolean);
    CREATE INDEX ON visitors (seen);
    INSERT INTO visitors SELECT n, '2026-03-01'::timestamptz - n * interval '1 day', n % 3, '192.0.2.' || n % 250, n % 2 = 0 FROM generate_series(1, 400) AS n;";

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn cutoff() -> Timestamp {
    "2025-09-01T00:00:00Z".parse().unwrap()
}

/// Of `VISITORS`: the first whose time lies before the cutoff is the 182nd before 1 March.
const EXPIRED: u64 = 400 - 181;

fn older() -> When {
    When::Older("6 months".parse().unwrap())
}

fn zone(name: &str) -> Zone {
    Zone { name: name.to_owned(), zone: TimeZone::get(name).unwrap() }
}

fn server_of(url: String) -> Server {
    Server { url, password: None, ca_file: None }
}

/// A database with its application's connection.
struct Shop {
    name: String,
    client: Client,
}

impl Shop {
    fn new(schema: &str) -> Shop {
        let name = server().create_database();
        let mut client = server().client(&name);
        client.batch_execute(schema).unwrap();
        Shop { name, client }
    }

    fn kind(&self) -> StoreKind {
        StoreKind::Postgres { server: server_of(server().url("postgres", &self.name)), after: After::Nothing }
    }

    fn open(&self) -> Box<dyn Store> {
        store::open(&self.kind())
    }

    fn rule(&self, when: When, action: Action) -> Definition {
        Definition {
            rule: serde_json::from_value("shop.example/shop/visitors".into()).unwrap(),
            store: self.kind(),
            target: Target {
                table: "visitors".to_owned(),
                key: "id".to_owned(),
                time: RowTime {
                    column: "seen".to_owned(),
                    format: TimeFormat::Datetime,
                    zone: None,
                    meaning: TimeMeaning::Recorded,
                },
                filter: Default::default(),
                accepts: Default::default(),
            },
            when,
            action,
            zone: zone("UTC"),
        }
    }

    fn erasure(&self) -> Definition {
        self.rule(older(), Action::EraseRows { children: Vec::new() })
    }

    fn inspect(&self, rule: &Definition) -> Vec<Finding> {
        self.open().inspect(&selection(rule)).unwrap()
    }

    /// The messages and hints of what is refused.
    fn refusals(&self, rule: &Definition) -> Vec<String> {
        let refused = |finding: &Finding| finding.severity == Severity::Refusal;
        self.inspect(rule).iter().filter(|finding| refused(finding)).map(Finding::to_string).collect()
    }

    fn count(&mut self, what: &str) -> i64 {
        self.client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).unwrap().get(0)
    }
}

fn selection(rule: &Definition) -> Selection<'_> {
    let cutoff = matches!(rule.when, When::Older(_)).then(cutoff);
    Selection { rule, now: now(), cutoff, holds: Vec::new() }
}

/// Walks to the end: records, and what is left.
fn erase(store: &mut dyn Store, selection: &Selection<'_>, limit: u32) -> (u64, Remainder) {
    let mut walk = store.walk(selection, MAX_LAG).unwrap();
    let mut rows = 0;
    while let Some(batch) = walk.prepare(limit).unwrap() {
        rows += batch.rows();
        batch.commit().unwrap();
    }
    (rows, walk.remainder().unwrap())
}

fn secret_file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop-db");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn try_clock(server: Server) -> Result<Option<Timestamp>, StoreError> {
    store::open(&StoreKind::Postgres { server, after: After::Nothing }).clock()
}

/// The user `secret` of the server, who is one for all databases.
fn create_secret_user() {
    let sql = format!(
        "SELECT pg_advisory_lock(1); DO $$ BEGIN CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'; \
         EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    );
    server().client("postgres").batch_execute(&sql).unwrap();
}

#[test]
fn a_process_is_known_by_its_user_over_the_socket() {
    let mut client = server().client("postgres");
    client.batch_execute("CREATE ROLE peered LOGIN").unwrap();
    let clock = try_clock(server_of(server().url("peered", "postgres"))).unwrap().unwrap();
    let host: Timestamp = std::time::SystemTime::try_into(now_of_host()).unwrap();
    assert!(clock.duration_since(host).abs() < SignedDuration::from_secs(60));
}

#[expect(clippy::disallowed_methods, reason = "the server's clock is compared with the host's")]
fn now_of_host() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[test]
fn a_password_is_taken_from_its_file_and_a_wrong_one_is_told_without_it() {
    create_secret_user();
    let url = server().url("secret", "postgres");
    let with = |content: &str| {
        let (_directory, path) = secret_file(content, 0o600);
        try_clock(Server { password: Some(Password::File(path)), ..server_of(url.clone()) })
    };
    assert!(with(&format!("{PASSWORD}\n")).is_ok());
    let refused = with("battery staple").unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("battery"));
}

#[test]
fn a_password_that_others_may_read_is_not_used() {
    create_secret_user();
    let (_directory, path) = secret_file(PASSWORD, 0o644);
    let server = Server { password: Some(Password::File(path)), ..server_of(server().url("secret", "postgres")) };
    let refused = try_clock(server).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_credential_that_the_service_was_not_given_is_named() {
    let password = Some(Password::Credential("shop-db".to_owned()));
    let refused = try_clock(Server { password, ..server_of(server().url("secret", "postgres")) }).unwrap_err();
    assert!(refused.to_string().contains("LoadCredential=shop-db"), "{refused}");
}

#[test]
fn tls_is_verified_by_the_given_authority_and_by_nobody_else() {
    create_secret_user();
    let (_directory, password) = secret_file(PASSWORD, 0o600);
    let to = |host: &str, ca_file: Option<PathBuf>| {
        let url = format!("postgresql://secret@{host}:{}/postgres?sslmode=verify-full", server().port);
        try_clock(Server { url, password: Some(Password::File(password.clone())), ca_file })
    };
    assert!(to("127.0.0.1", Some(server().ca_file())).is_ok());
    // Not signed by the system's authorities; and the certificate is for another name.
    assert!(to("127.0.0.1", None).is_err());
    assert!(to("localhost", Some(server().ca_file())).is_err());
}

#[test]
fn a_server_that_is_not_there_is_worth_another_attempt() {
    let nowhere = server_of("postgresql://forgetd@/shop?host=/nonexistent".to_owned());
    assert!(matches!(try_clock(nowhere), Err(StoreError::Lost { .. })));
}

#[test]
fn a_database_that_does_not_exist_needs_the_operator() {
    let refused = try_clock(server_of(server().url("postgres", "nonexistent"))).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable { reason, .. } if reason.contains("3D000")), "{refused:?}");
}

#[test]
fn an_ordinary_table_has_nothing_against_it() {
    assert_eq!(Shop::new(VISITORS).inspect(&Shop::new(VISITORS).erasure()), []);
}

#[rstest]
#[case::missing("ALTER TABLE visitors RENAME TO guests", "there is no table visitors")]
#[case::view("ALTER TABLE visitors RENAME TO guests; CREATE VIEW visitors AS SELECT * FROM guests", "is a view")]
#[case::materialized(
    "ALTER TABLE visitors RENAME TO guests; CREATE MATERIALIZED VIEW visitors AS SELECT * FROM guests",
    "is a materialized view"
)]
#[case::column("ALTER TABLE visitors RENAME COLUMN seen TO last", "has no column seen (it has id, last,")]
#[case::no_key("ALTER TABLE visitors DROP CONSTRAINT visitors_pkey", "column id of table visitors is not unique")]
#[case::deferred_partial_key(
    "ALTER TABLE visitors DROP CONSTRAINT visitors_pkey; CREATE UNIQUE INDEX ON visitors (id) WHERE site = 1",
    "column id of table visitors is not unique"
)]
#[case::key_of_two(
    "ALTER TABLE visitors DROP CONSTRAINT visitors_pkey, ADD PRIMARY KEY (id, site)",
    "column id of table visitors is not unique"
)]
#[case::null_key(
    "ALTER TABLE visitors DROP CONSTRAINT visitors_pkey, ADD UNIQUE (id), ALTER id DROP NOT NULL",
    "column id of table visitors may be NULL"
)]
#[case::local_time(
    "ALTER TABLE visitors ALTER seen TYPE timestamp",
    "has type timestamp without time zone, which has no zone (say in which zone the application writes it: `time-zone = \"UTC\"`)"
)]
#[case::date("ALTER TABLE visitors ALTER seen TYPE date", "has type date, which has no zone")]
#[case::text_time("ALTER TABLE visitors ALTER seen TYPE text", "which is not datetime (write `format = \"iso-8601\"`")]
#[case::number_time(
    "ALTER TABLE visitors ALTER seen TYPE bigint USING extract(epoch FROM seen)",
    "which is not datetime (write `format = \"unix-seconds\"`"
)]
#[case::inherited("CREATE TABLE guests () INHERITS (visitors)", "other tables inherit from visitors")]
#[case::trigger(
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; \
     CREATE TRIGGER copies BEFORE DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION f()",
    "trigger copies of visitors would fire (look at what it does and, if it may, add `accepts = [\"trigger:copies\"]`"
)]
#[case::rule("CREATE RULE keep AS ON DELETE TO visitors DO INSTEAD NOTHING", "rule keep of visitors rewrites")]
#[case::cascade(
    "CREATE TABLE pages (visitor bigint REFERENCES visitors ON DELETE CASCADE)",
    "a change in visitors also changes pages.visitor (CASCADE) (if it may, add `accepts = [\"cascade:pages\"]`"
)]
#[case::set_null(
    "CREATE SCHEMA crm; CREATE TABLE crm.leads (visitor bigint REFERENCES visitors ON DELETE SET NULL)",
    "also changes crm.leads.visitor (SET NULL) (if it may, add `accepts = [\"cascade:crm.leads\"]`"
)]
#[case::set_default(
    "CREATE TABLE pages (visitor bigint DEFAULT 0 REFERENCES visitors ON DELETE SET DEFAULT)",
    "also changes pages.visitor (SET DEFAULT)"
)]
#[case::refers(
    "CREATE TABLE pages (visitor bigint REFERENCES visitors)",
    "pages.visitor refers to visitors, so that deleting from it fails \
     (declare it: `children = [ { table = \"pages\", column = \"visitor\" } ]`)"
)]
fn what_would_go_wrong_is_refused(#[case] change: &str, #[case] expected: &str) {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(change).unwrap();
    let refusals = shop.refusals(&shop.erasure());
    assert!(refusals.len() == 1 && refusals[0].contains(expected), "{refusals:#?}");
}

#[rstest]
#[case::trigger(
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; \
     CREATE TRIGGER copies BEFORE DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION f()",
    SideEffect::Trigger("copies".to_owned())
)]
#[case::cascade(
    "CREATE TABLE pages (visitor bigint REFERENCES visitors ON DELETE CASCADE)",
    SideEffect::Cascade("pages".to_owned())
)]
fn what_is_accepted_is_not_refused(#[case] change: &str, #[case] accepted: SideEffect) {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(change).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(accepted);
    assert_eq!(shop.refusals(&rule), Vec::<String>::new());
}

#[test]
fn an_accepted_cascade_is_followed_to_the_next_table() {
    let mut shop = Shop::new(VISITORS);
    let schema = "CREATE TABLE pages (id bigint PRIMARY KEY, visitor bigint REFERENCES visitors ON DELETE CASCADE);
        CREATE TABLE clicks (page bigint REFERENCES pages ON DELETE CASCADE)";
    shop.client.batch_execute(schema).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(SideEffect::Cascade("pages".to_owned()));
    let refusals = shop.refusals(&rule);
    assert!(refusals.len() == 1 && refusals[0].contains("`accepts = [\"cascade:clicks\"]`"), "{refusals:#?}");
}

#[test]
fn a_missing_index_is_a_warning_with_the_statement_to_create_it() {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute("DROP INDEX visitors_seen_idx").unwrap();
    let findings = shop.inspect(&shop.erasure());
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Warning);
    let statement = finding.hint.clone().unwrap();
    assert_eq!(statement, "CREATE INDEX CONCURRENTLY ON \"public\".\"visitors\" (\"seen\");");
    shop.client.batch_execute(&statement).unwrap();
    assert_eq!(shop.inspect(&shop.erasure()), []);
}

#[test]
fn a_zone_for_a_column_that_knows_the_instant_is_a_warning() {
    let shop = Shop::new(VISITORS);
    let mut rule = shop.erasure();
    rule.target.time.zone = Some(zone("Europe/Prague"));
    let findings = shop.inspect(&rule);
    assert!(matches!(findings.as_slice(), [finding] if finding.severity == Severity::Warning), "{findings:?}");
}

#[rstest]
#[case(Scalar::Text("1".to_owned()), "write a whole number, without quotes")]
#[case(Scalar::Boolean(true), "write a whole number, without quotes")]
fn a_filter_that_can_never_be_equal_is_refused(#[case] value: Scalar, #[case] hint: &str) {
    let shop = Shop::new(VISITORS);
    let mut rule = shop.erasure();
    rule.target.filter.insert("site".to_owned(), value);
    let refusals = shop.refusals(&rule);
    assert!(refusals.len() == 1 && refusals[0].contains(hint), "{refusals:#?}");
    assert_eq!(shop.open().survey(&selection(&rule)).unwrap().matches, 0);
}

#[test]
fn a_consent_of_another_type_erases_nothing_and_is_refused() {
    let shop = Shop::new(VISITORS);
    let consent = |given| When::WithoutConsent(Consent { column: "agreed".to_owned(), given });
    let action = || Action::EraseRows { children: Vec::new() };
    let wrong = shop.rule(consent(Scalar::Integer(1)), action());
    assert!(shop.refusals(&wrong)[0].contains("write true or false"));
    let survey = shop.open().survey(&selection(&wrong)).unwrap();
    assert_eq!((survey.matches, survey.undatable), (0, 400));
    let right = shop.rule(consent(Scalar::Boolean(true)), action());
    assert_eq!(shop.refusals(&right), Vec::<String>::new());
    assert_eq!(shop.open().survey(&selection(&right)).unwrap().matches, 200);
}

#[test]
fn the_least_grant_is_named_and_suffices() {
    let mut shop = Shop::new(VISITORS);
    let schema = "CREATE TABLE pages (id bigserial PRIMARY KEY, visitor bigint REFERENCES visitors);
        CREATE INDEX ON pages (visitor); INSERT INTO pages (visitor) SELECT id FROM visitors;
        CREATE ROLE least LOGIN; REVOKE ALL ON SCHEMA public FROM public";
    shop.client.batch_execute(schema).unwrap();
    let url = server().url("least", &shop.name);
    let kind = StoreKind::Postgres { server: server_of(url), after: After::Nothing };
    let children = vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }];
    let rules = [
        shop.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None }),
        shop.rule(older(), Action::EraseRows { children }),
    ];
    for rule in rules {
        assert!(store::open(&kind).survey(&selection(&rule)).is_err());
        let findings = store::open(&kind).inspect(&selection(&rule)).unwrap();
        assert!(!findings.is_empty());
        for finding in findings {
            assert!(finding.message.starts_with("user least lacks privileges"), "{finding}");
            shop.client.batch_execute(&finding.hint.unwrap()).unwrap();
        }
        assert_eq!(store::open(&kind).inspect(&selection(&rule)).unwrap(), []);
        assert_eq!(erase(&mut *store::open(&kind), &selection(&rule), 50), (EXPIRED, Remainder::default()));
        shop.client.batch_execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM least").unwrap();
        shop.client.batch_execute("REVOKE UPDATE (ip, id) ON visitors FROM least").unwrap();
    }
}

#[test]
fn a_policy_that_hides_rows_is_refused() {
    let mut shop = Shop::new(VISITORS);
    let schema = "CREATE ROLE hidden LOGIN; GRANT SELECT, DELETE ON visitors TO hidden;
        ALTER TABLE visitors ENABLE ROW LEVEL SECURITY;
        CREATE POLICY one_site ON visitors TO hidden USING (site = 1)";
    shop.client.batch_execute(schema).unwrap();
    let url = server().url("hidden", &shop.name);
    let kind = StoreKind::Postgres { server: server_of(url), after: After::Nothing };
    let rule = shop.erasure();
    let findings = store::open(&kind).inspect(&selection(&rule)).unwrap();
    assert!(findings.iter().any(|finding| finding.message.contains("row-level security")), "{findings:?}");
    // The superuser sees everything.
    assert_eq!(shop.inspect(&rule), []);
}

#[test]
fn names_may_be_anything_and_stand_in_any_schema() {
    let mut shop = Shop::new("");
    let schema = r#"CREATE SCHEMA "the shop";
        CREATE TABLE "the shop"."Visitors; DROP TABLE x--" ("the ""id""" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "select" timestamptz, "I'P" inet);
        CREATE TABLE "visitors.old" (id int PRIMARY KEY, seen timestamptz);
        INSERT INTO "the shop"."Visitors; DROP TABLE x--" ("select", "I'P") SELECT '2020-01-01', '192.0.2.77' FROM generate_series(1, 10);
        INSERT INTO "visitors.old" SELECT n, '2020-01-01' FROM generate_series(1, 3) AS n"#;
    shop.client.batch_execute(schema).unwrap();
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    for (action, expected) in [
        (Action::TruncateColumn { column: "I'P".to_owned(), mask, stand_in: None }, 10),
        (Action::EraseRows { children: Vec::new() }, 10),
    ] {
        let mut rule = shop.rule(older(), action);
        rule.target.table = "the shop.Visitors; DROP TABLE x--".to_owned();
        rule.target.key = "the \"id\"".to_owned();
        rule.target.time.column = "select".to_owned();
        assert_eq!(shop.refusals(&rule), Vec::<String>::new());
        assert_eq!(erase(&mut *shop.open(), &selection(&rule), 3), (expected, Remainder::default()));
    }
    let mut dotted = shop.erasure();
    dotted.target.table = "visitors.old".to_owned();
    assert_eq!(erase(&mut *shop.open(), &selection(&dotted), 100).0, 3);
}

#[test]
fn the_search_path_and_the_zone_of_the_user_do_not_matter() {
    let mut shop = Shop::new(VISITORS);
    let schema = format!(
        "CREATE SCHEMA trap; CREATE TABLE trap.visitors AS TABLE visitors; \
         CREATE FUNCTION trap.array_agg(tid) RETURNS tid[] LANGUAGE sql AS 'SELECT NULL::tid[]'; \
         ALTER DATABASE {0} SET search_path = trap, pg_catalog; ALTER DATABASE {0} SET TimeZone = 'Asia/Kolkata'; \
         ALTER DATABASE {0} SET DateStyle = 'German'; ALTER DATABASE {0} SET default_transaction_read_only = on",
        shop.name
    );
    shop.client.batch_execute(&schema).unwrap();
    let rule = shop.erasure();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50), (EXPIRED, Remainder::default()));
    assert_eq!(shop.count("trap.visitors"), 400);
    assert_eq!(shop.count("public.visitors"), 181);
}

#[rstest]
#[case::as_written("id", "300", 1)]
#[case::another_way_of_writing("id", "300.0", 1)]
#[case::of_a_boolean("agreed", "yes", 110)]
#[case::of_a_time("seen", "2025-05-05 02:00+02", 1)]
#[case::of_an_address("ip", "192.0.2.50", 1)]
#[case::nothing_like_it("id", "visitor", 0)]
fn a_hold_keeps_its_rows_however_its_value_is_written(#[case] column: &str, #[case] value: &str, #[case] kept: u64) {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: column.to_owned(), value: value.to_owned() });
    let survey = shop.open().survey(&selection).unwrap();
    assert_eq!((survey.matches, survey.on_hold), (EXPIRED - kept, kept));
    assert_eq!(erase(&mut *shop.open(), &selection, 50).0, EXPIRED - kept);
    assert_eq!(shop.count("visitors"), 181 + i64::try_from(kept).unwrap());
}

#[test]
fn two_hosts_never_purge_one_table_at_once() {
    let shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let (mut first, mut second) = (shop.open(), shop.open());
    let mut first = first.walk(&selection, MAX_LAG).unwrap();
    let mut second = second.walk(&selection, MAX_LAG).unwrap();
    let batch = first.prepare(10).unwrap().unwrap();
    assert!(matches!(second.prepare(10).err(), Some(StoreError::Busy { .. })));
    batch.commit().unwrap();
    assert_eq!(second.prepare(10).unwrap().unwrap().rows(), 10);
}

#[test]
fn a_record_that_the_application_locks_is_waited_for_with_a_bound() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    shop.client.batch_execute("BEGIN; SELECT * FROM visitors WHERE id = 390 FOR UPDATE").unwrap();
    assert!(matches!(walk.prepare(400).err(), Some(StoreError::Busy { .. })));
    shop.client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(walk.prepare(400).unwrap().unwrap().rows(), EXPIRED);
}

/// Ends the sessions of forgetd in a database once one waits for what is named.
fn terminate(database: &str, waits_for: &str) {
    let mut client = server().client("postgres");
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = $1 AND application_name = 'forgetd' AND {waits_for}"
    );
    for _ in 0..500 {
        let ended: i64 = client.query_one(&sql, &[&database]).unwrap().get(0);
        if ended > 0 {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("nobody waits for {waits_for}");
}

#[test]
fn a_connection_lost_before_a_commit_is_lost_and_another_one_goes_on() {
    let shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    walk.prepare(10).unwrap().unwrap().commit().unwrap();
    terminate(&shop.name, "true");
    assert!(matches!(walk.prepare(10).err(), Some(StoreError::Lost { .. })));
    drop(walk);
    store.reconnect();
    assert_eq!(erase(&mut *store, &selection, 50), (EXPIRED - 10, Remainder::default()));
}

fn commit_and_terminate(database: &str, batch: Box<dyn Prepared + '_>, waits_for: &str) -> StoreError {
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| terminate(database, waits_for));
        let committed = batch.commit();
        ending.join().unwrap();
        committed.unwrap_err()
    })
}

#[test]
fn a_commit_that_lost_its_connection_before_it_took_effect_is_found_to_be_rolled_back() {
    let mut shop = Shop::new(VISITORS);
    let slow =
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER DELETE ON visitors DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()";
    shop.client.batch_execute(slow).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    for _ in 0..20 {
        let mut store = shop.open();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(10).unwrap().unwrap();
        let in_flight = batch.in_flight().to_vec();
        let error = commit_and_terminate(&shop.name, batch, "wait_event = 'PgSleep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    }
    assert_eq!(shop.count("visitors"), 400);
}

#[test]
fn a_commit_that_lost_its_connection_after_it_took_effect_is_found_to_be_committed() {
    let mut shop = Shop::new(VISITORS);
    // It is durable, and waits for a replica that will never answer.
    let waits = format!("ALTER DATABASE {} SET synchronous_commit = on", shop.name);
    shop.client.batch_execute(&waits).unwrap();
    shop.client.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", &[]).unwrap();
    shop.client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    for batches in 1..=20 {
        let mut store = shop.open();
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(10).unwrap().unwrap();
        let (in_flight, transaction) = (batch.in_flight().to_vec(), batch.transaction().map(str::to_owned));
        let error = commit_and_terminate(&shop.name, batch, "wait_event = 'SyncRep'");
        assert!(matches!(error, StoreError::CommitUnknown { .. }), "{error:?}");
        assert!(transaction.is_some());
        assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
        assert_eq!(shop.count("visitors"), 400 - 10 * batches);
    }
    shop.client.execute("ALTER SYSTEM RESET synchronous_standby_names", &[]).unwrap();
}

#[test]
fn where_the_server_has_forgotten_a_transaction_the_records_tell() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(10).unwrap().unwrap();
    let transaction = batch.transaction().unwrap().to_owned();
    // A number that this server will not reach: the history is another one.
    let text = String::from_utf8(batch.in_flight().to_vec()).unwrap();
    let foreign = text.replace(&format!("\"{transaction}\""), "\"4000000000000\"").into_bytes();
    assert_ne!(foreign, text.as_bytes());
    drop(batch);
    assert_eq!(shop.open().resolve(&selection, &foreign).unwrap(), Resolution::RolledBack);
    walk.prepare(10).unwrap().unwrap().commit().unwrap();
    assert_eq!(shop.open().resolve(&selection, &foreign).unwrap(), Resolution::Committed);
    assert_eq!(shop.count("visitors"), 390);
}

const PARTITIONS: &str = "CREATE TABLE visitors (id bigint NOT NULL, seen timestamptz NOT NULL, site integer, ip text, PRIMARY KEY (id, seen)) PARTITION BY RANGE (seen);
    CREATE INDEX ON visitors (seen);
    CREATE TABLE v2025_06 PARTITION OF visitors FOR VALUES FROM ('2025-06-01Z') TO ('2025-07-01Z');
    CREATE TABLE v2025_07 PARTITION OF visitors FOR VALUES FROM ('2025-07-01Z') TO ('2025-08-01Z');
    CREATE TABLE v2025_08 PARTITION OF visitors FOR VALUES FROM ('2025-08-01Z') TO ('2025-09-01Z');
    CREATE TABLE v2025_q3 PARTITION OF visitors FOR VALUES FROM ('2025-09-01Z') TO ('2025-10-01Z');
    CREATE TABLE v2025_q4 PARTITION OF visitors FOR VALUES FROM ('2025-10-01Z') TO (MAXVALUE);
    CREATE TABLE v_rest PARTITION OF visitors DEFAULT;
    INSERT INTO visitors SELECT n, '2025-12-31'::timestamptz - n * interval '1 day', n % 3, '192.0.2.1' FROM generate_series(1, 300) AS n;";

fn has_table(shop: &mut Shop, name: &str) -> bool {
    shop.count(&format!("pg_tables WHERE tablename = '{name}'")) == 1
}

#[test]
fn partitions_before_the_cutoff_go_whole_and_only_those_in_which_everything_matches() {
    let mut shop = Shop::new(PARTITIONS);
    let rule = shop.erasure();
    assert_eq!(shop.refusals(&rule), Vec::<String>::new());
    let mut selection = selection(&rule);
    selection.cutoff = Some("2025-09-11T00:00:00Z".parse().unwrap());
    // 20 June.
    selection.holds.push(HeldValue { column: "id".to_owned(), value: "194".to_owned() });
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-11Z'")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection, 7), (expired - 1, Remainder::default()));
    let left = ["v2025_06", "v2025_07", "v2025_08", "v2025_q3", "v2025_q4"].map(|name| has_table(&mut shop, name));
    assert_eq!(left, [true, false, false, true, true]);
    assert_eq!(shop.count("visitors WHERE seen < '2025-09-11Z'"), 1);
    assert_eq!(shop.count("visitors"), 300 - i64::try_from(expired).unwrap() + 1);
}

#[test]
fn a_filter_keeps_a_partition_whole_and_erases_row_by_row() {
    let mut shop = Shop::new(PARTITIONS);
    let mut rule = shop.erasure();
    rule.target.filter.insert("site".to_owned(), Scalar::Integer(1));
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-01Z' AND site = 1")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 7), (expired, Remainder::default()));
    assert!(has_table(&mut shop, "v2025_06"));
}

#[test]
fn a_dropped_partition_that_was_rolled_back_is_still_there() {
    let mut shop = Shop::new(PARTITIONS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(7).unwrap().unwrap();
    assert_eq!(batch.rows(), 30);
    let in_flight = batch.in_flight().to_vec();
    drop(batch);
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(shop.count("v2025_06"), 30);
    let batch = walk.prepare(7).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    batch.commit().unwrap();
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
}

#[test]
fn a_partition_that_something_depends_on_is_emptied_instead() {
    let mut shop = Shop::new(PARTITIONS);
    shop.client.batch_execute("CREATE VIEW june AS SELECT * FROM v2025_06").unwrap();
    let rule = shop.erasure();
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-01Z'")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 7), (expired, Remainder::default()));
    assert_eq!(shop.count("june"), 0);
    assert!(!has_table(&mut shop, "v2025_07"));
}

#[test]
fn dead_rows_are_told_until_a_vacuum_that_nobody_hinders() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let pending = |after| {
        let mut store =
            store::open(&StoreKind::Postgres { server: server_of(server().url("postgres", &shop.name)), after });
        let _ = erase(&mut *store, &selection, 50);
        // Counts reach the statistics a moment after the transaction.
        sleep(Duration::from_millis(1_500));
        match store.settle().unwrap() {
            Physical::Pending(what) => what,
            Physical::Gone => panic!("the write-ahead log is not gone"),
        }
    };
    assert!(pending(After::Nothing).contains("219 dead rows until VACUUM"), "{}", pending(After::Nothing));
    assert!(!pending(After::Vacuum).contains("dead rows"));
    shop.client.execute("SELECT 1", &[]).unwrap();
}

/// Every form of address that text holds, and what looks like one.
const ADDRESSES: [&str; 62] = [
    "",
    "-",
    "unknown",
    "UNKNOWN",
    "un\u{212A}nown",
    " ",
    "192.0.2.77",
    "192.0.2.0",
    " 192.0.2.77 ",
    "\t192.0.2.77\u{A0}",
    "192.0.2.77:80",
    "192.0.2.0:80",
    "192.0.2.77:",
    "192.0.2.77:65535",
    "192.0.2.77:65536",
    "192.0.2.77:000080",
    "192.0.2.77:+80",
    "192.0.2.256",
    "192.0.02.7",
    "192.0.2",
    "1.2.3.4.5",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8:1:2:3:4:5:6",
    "2001:DB8:1:2::6",
    "2001:DB8:1::",
    "2001:db8::",
    "::",
    "::1",
    "::ffff:192.0.2.77",
    "::ffff:c000:24d",
    "::ffff:192.0.2.0",
    "::192.0.2.77",
    "64:ff9b::192.0.2.77",
    "2002:c000:24d::1",
    "2002:c000:200::",
    "1:2:3:4:5:6:7::",
    "1:2:3:4:5:6:7::8",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:192.0.2.77",
    "1:2:3:4:5:192.0.2.77",
    "12345::",
    "g::1",
    "fe80::1%eth0",
    "fe80::%eth0",
    "fe80::1%",
    "192.0.2.77%eth0",
    "[2001:db8:1:2::6]",
    "[2001:db8:1:2::6]:443",
    "[2001:db8:1:2::6]443",
    "[2001:db8:1:2::6",
    "[192.0.2.77]:80",
    "[fe80::1%eth0]:80",
    "192.0.2.77, 2001:db8:1:2::6,198.51.100.9",
    "unknown, 192.0.2.77",
    "visitor, 192.0.2.77",
    "192.0.2.0, unknown",
    "192.0.2.0,",
    ",",
    "localhost",
];

const MASKS: [Mask; 5] = [
    Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase },
    Mask { v4: 24, v6: 48, unparsed: Unparsed::Keep },
    Mask { v4: 16, v6: 32, unparsed: Unparsed::Erase },
    Mask { v4: 19, v6: 45, unparsed: Unparsed::Erase },
    Mask { v4: 0, v6: 0, unparsed: Unparsed::Erase },
];

/// Masks a column of `declared` type and compares with `expected`, which says what becomes of the value of each row;
/// the count must be exact, and a second run must find nothing.
fn masks(declared: &str, values: &[String], expected: impl Fn(usize, &Mask) -> Option<String>) {
    for mask in MASKS {
        let mut shop = Shop::new(&format!(
            "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz DEFAULT '2020-01-01', address {declared})"
        ));
        let insert = format!("INSERT INTO visitors (id, address) VALUES ($1, $2::text::{declared})");
        for (id, value) in (0_i64..).zip(values) {
            shop.client.execute(&insert, &[&id, value]).unwrap();
        }
        let action = Action::TruncateColumn { column: "address".to_owned(), mask, stand_in: None };
        let rule = shop.rule(older(), action);
        assert_eq!(shop.refusals(&rule), Vec::<String>::new());
        let before: Vec<Option<String>> = read(&mut shop);
        let survey = shop.open().survey(&selection(&rule)).unwrap();
        let (rows, remainder) = erase(&mut *shop.open(), &selection(&rule), 5);
        let after = read(&mut shop);
        let wanted: Vec<Option<String>> = (0..values.len()).map(|index| expected(index, &mask)).collect();
        for ((value, after), wanted) in values.iter().zip(&after).zip(&wanted) {
            assert_eq!(after, wanted, "{value:?} as {declared} by {mask:?}");
        }
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!((survey.matches, rows), (u64::try_from(changed).unwrap(), survey.matches), "{declared} by {mask:?}");
        assert_eq!(remainder, Remainder::default());
        assert_eq!(shop.open().survey(&selection(&rule)).unwrap().matches, 0, "{declared} by {mask:?}");
    }
}

fn read(shop: &mut Shop) -> Vec<Option<String>> {
    let rows = shop.client.query("SELECT address::text FROM visitors ORDER BY id", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn after<T>(masked: Masked<T>, before: &str, text: impl Fn(T) -> String) -> Option<String> {
    match masked {
        Masked::Unchanged => Some(before.to_owned()),
        Masked::To(value) => Some(text(value)),
        Masked::Unparsed => None,
    }
}

#[test]
fn addresses_as_text_are_masked_as_everywhere() {
    let values = ADDRESSES.map(str::to_owned);
    masks("text", &values, |index, mask| after(mask_text(&values[index], mask), &values[index], |text| text));
}

#[test]
fn addresses_as_numbers_are_masked_as_everywhere() {
    let numbers = [0, 1, 0xC000_024D, 0xC000_0200, u32::MAX.into(), i64::from(u32::MAX) + 1, -1, i64::MIN, i64::MAX];
    let values = numbers.map(|number| number.to_string());
    masks("bigint", &values, |index, mask| {
        after(mask_integer(numbers[index], mask), &values[index], |number| number.to_string())
    });
}

#[test]
fn addresses_as_bytes_are_masked_as_everywhere() {
    let addresses = ["2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.77", "2002:c000:24d::1", "::", "2001:db8:1::"];
    let mut bytes: Vec<Vec<u8>> =
        addresses.iter().map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()).collect();
    bytes.extend([vec![192, 0, 2, 77], vec![192, 0, 2, 0], vec![], vec![1, 2, 3], vec![0; 17]]);
    let hex = |bytes: &[u8]| bytes.iter().fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}"));
    let values: Vec<String> = bytes.iter().map(|bytes| hex(bytes)).collect();
    masks("bytea", &values, |index, mask| after(mask_bytes(&bytes[index], mask), &values[index], |bytes| hex(&bytes)));
}

#[rstest]
#[case::inet("inet")]
#[case::cidr("cidr")]
fn addresses_of_the_servers_own_type_are_masked_as_everywhere(#[case] declared: &str) {
    let addresses = ["192.0.2.77", "192.0.2.0", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.77", "2002:c000:24d::1", "::"];
    let values = addresses.map(str::to_owned);
    masks(declared, &values, |index, mask| {
        let suffix = if values[index].contains(':') { "/128" } else { "/32" };
        // The cast to text names the prefix of a single address too.
        let text = |text: String| format!("{text}{suffix}");
        after(mask_text(&values[index], mask), &text(values[index].clone()), text)
    });
}

#[test]
fn an_error_never_shows_a_record() {
    let mut shop = Shop::new(VISITORS);
    let raising =
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept: %'', OLD.ip; END';
        CREATE TRIGGER f BEFORE DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION f()";
    shop.client.batch_execute(raising).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let error = store.walk(&selection, MAX_LAG).unwrap().prepare(10).err().unwrap();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("P0001") && !shown.contains("192.0.2"), "{shown}");
}

#[test]
fn more_rows_than_fit_in_memory_are_walked_window_by_window() {
    let mut shop = Shop::new(
        "CREATE UNLOGGED TABLE visitors (id bigint PRIMARY KEY, seen timestamptz);
         INSERT INTO visitors SELECT n, '2020-01-01' FROM generate_series(1, 1100000) AS n;
         INSERT INTO visitors SELECT n, '2026-02-01' FROM generate_series(1100001, 1100100) AS n",
    );
    let rule = shop.erasure();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 100_000), (1_100_000, Remainder::default()));
    assert_eq!(shop.count("visitors"), 100);
}

/// Every second row of the first and the last quarter is expired; what lies between is not.
const LARGE: &str = "CREATE UNLOGGED TABLE visitors (id bigint PRIMARY KEY, seen timestamptz, agent text, ip text);
    INSERT INTO visitors SELECT n, CASE WHEN n % 2 = 0 AND n NOT BETWEEN 50000 AND 150000 THEN '2020-01-01' ELSE '2026-02-01' END::timestamptz, repeat('agent ', 10), '192.0.2.77'
    FROM generate_series(1, 200000) AS n; ANALYZE visitors;";

#[test]
fn a_large_table_is_erased_block_by_block_across_its_gaps() {
    let mut shop = Shop::new(LARGE);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-01-01'")).unwrap();
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let (mut rows, mut largest) = (0, 0);
    while let Some(batch) = walk.prepare(2_000).unwrap() {
        rows += batch.rows();
        largest = largest.max(batch.rows());
        batch.commit().unwrap();
    }
    assert_eq!((rows, walk.remainder().unwrap()), (expired, Remainder::default()));
    // The first range is a guess from the average of a table that is not even.
    assert!(largest < 3 * 2_000, "{largest}");
    assert_eq!(shop.count("visitors WHERE seen < '2025-01-01'"), 0);
}

#[test]
fn masking_a_large_table_ends_though_every_row_moves_on() {
    let mut shop = Shop::new(LARGE);
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let rule = shop.rule(When::NotStored, Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None });
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 5_000), (200_000, Remainder::default()));
    assert_eq!(shop.count("visitors WHERE ip = '192.0.2.0'"), 200_000);
}
