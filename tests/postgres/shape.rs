//! What changes the shape of a table, and what does not.

use forgetd::config::site::Child;
use forgetd::plan::Action;
use forgetd::store::Shape;
use rstest::rstest;

use super::{Shop, VISITORS, older, selection};

const PAGES: &str =
    "CREATE TABLE pages (id bigint PRIMARY KEY, visitor_id bigint REFERENCES visitors ON DELETE SET NULL);
    CREATE INDEX ON pages (visitor_id);";

fn shop() -> Shop {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(PAGES).unwrap();
    shop
}

/// Of the visitors and their pages.
fn shape(shop: &Shop) -> Shape {
    let children = vec![Child { table: "pages".to_owned(), column: "visitor_id".to_owned() }];
    let rule = shop.rule(older(), Action::EraseRows { children });
    shop.open().inspect(&selection(&rule)).unwrap().shape.unwrap()
}

#[rstest]
#[case::type_changed(
    "ALTER TABLE visitors ALTER ip TYPE varchar(45)",
    &["column `ip` of visitors was text, is now character varying(45)"]
)]
#[case::not_null("ALTER TABLE visitors ALTER agreed SET NOT NULL", &["column `agreed` of visitors was boolean, is now boolean NOT NULL"])]
#[case::type_of_its_own(
    "CREATE TYPE answer AS ENUM ('yes', 'no'); ALTER TABLE visitors ADD COLUMN newsletter answer",
    &["column `newsletter` of visitors was added"]
)]
#[case::computed(
    "ALTER TABLE visitors DROP COLUMN ip; ALTER TABLE visitors ADD COLUMN ip text GENERATED ALWAYS AS ('') STORED",
    &["column `ip` of visitors was text, is now text GENERATED"]
)]
#[case::unique("CREATE UNIQUE INDEX ON visitors (site, id)", &["UNIQUE (id, site) of visitors was added"])]
#[case::unique_in_part(
    "CREATE UNIQUE INDEX ON visitors (lower(ip)) WHERE false",
    &["UNIQUE (an expression) for some rows of visitors was added"]
)]
#[case::cascade(
    "ALTER TABLE pages DROP CONSTRAINT pages_visitor_id_fkey, \
     ADD FOREIGN KEY (visitor_id) REFERENCES visitors ON DELETE CASCADE",
    &[
        "foreign key public.pages FOREIGN KEY (visitor_id) REFERENCES public.visitors(id) ON DELETE SET NULL was removed",
        "foreign key public.pages FOREIGN KEY (visitor_id) REFERENCES public.visitors(id) ON DELETE CASCADE was added",
    ]
)]
fn a_change_that_a_rule_relies_on_is_told(#[case] statements: &str, #[case] told: &[&str]) {
    let mut shop = shop();
    let before = shape(&shop);
    shop.client.batch_execute(statements).unwrap();
    assert_eq!(shape(&shop).changes_since(&before), told);
}

#[rstest]
#[case::index("CREATE INDEX ON visitors (ip)")]
#[case::statistics("ANALYZE visitors; CREATE STATISTICS site_and_ip ON site, ip FROM visitors")]
#[case::comment("COMMENT ON COLUMN visitors.ip IS 'an address'")]
#[case::privilege(
    "CREATE ROLE reader_of_shapes; GRANT SELECT ON visitors TO reader_of_shapes; DROP OWNED BY reader_of_shapes; DROP ROLE reader_of_shapes"
)]
#[case::default("ALTER TABLE visitors ALTER ip SET DEFAULT ''")]
#[case::constraint_renamed("ALTER TABLE pages RENAME CONSTRAINT pages_visitor_id_fkey TO of_visitor")]
#[case::rewritten("UPDATE visitors SET site = 1; CLUSTER visitors USING visitors_pkey")]
#[case::restored("ALTER TABLE visitors DROP COLUMN agreed; ALTER TABLE visitors ADD COLUMN agreed boolean")]
#[case::trigger_of_an_insert(
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TRIGGER note AFTER INSERT OR UPDATE ON visitors FOR EACH ROW EXECUTE FUNCTION note()"
)]
fn a_change_that_no_rule_relies_on_is_none(#[case] statements: &str) {
    let mut shop = shop();
    let before = shape(&shop);
    shop.client.batch_execute(statements).unwrap();
    assert_eq!(shape(&shop), before);
}
