//! What is refused before a rule runs, and what is said instead.

use forgetd::config::site::{After, Child, Consent, DatabaseKind, Scalar, SideEffect};
use forgetd::plan::{Action, When};
use forgetd::store::{self, Remainder, Severity};
use rstest::rstest;

use super::postgres_server::server;
use super::{EXPIRED, Shop, VISITORS, erase, older, selection, server_of, zone};

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
    let kind = DatabaseKind::Postgres { server: server_of(url), after: After::Nothing };
    let children = vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }];
    let rules = [
        shop.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None }),
        shop.rule(older(), Action::EraseRows { children }),
    ];
    for rule in rules {
        assert!(store::open_database(&kind).survey(&selection(&rule)).is_err());
        let findings = store::open_database(&kind).inspect(&selection(&rule)).unwrap().findings;
        assert!(!findings.is_empty());
        for finding in findings {
            assert!(finding.message.starts_with("user least lacks privileges"), "{finding}");
            shop.client.batch_execute(&finding.hint.unwrap()).unwrap();
        }
        assert_eq!(store::open_database(&kind).inspect(&selection(&rule)).unwrap().findings, []);
        assert_eq!(erase(&mut *store::open_database(&kind), &selection(&rule), 50), (EXPIRED, Remainder::default()));
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
    let kind = DatabaseKind::Postgres { server: server_of(url), after: After::Nothing };
    let rule = shop.erasure();
    let findings = store::open_database(&kind).inspect(&selection(&rule)).unwrap().findings;
    assert!(findings.iter().any(|finding| finding.message.contains("row-level security")), "{findings:?}");
    // The superuser sees everything.
    assert_eq!(shop.inspect(&rule), []);
}
