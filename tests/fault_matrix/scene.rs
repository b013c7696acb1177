//! A shop before a purge, again and again as it was; what is true after a purge to which something happened.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::Night;
use crate::evidence::{Evidence, runs_agree};
use crate::installation::{Installation, UNGUARDED};
use crate::trace::{self, Call, Evil};

pub(crate) const RULE: &str = "shop.example/chat/visitors";

/// Two batches: the first of a run takes 500 records.
pub(crate) const EXPIRED: u64 = 900;
const KEPT: u64 = 100;

const TABLE: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "visit"
children = [{ table = "pages", column = "visitor_id" }]
"#;

/// As the system and SQLite call them.
const CAUSES: [&str; 4] = ["No space left on device", "Input/output error", "disk is full", "disk I/O error"];

/// What the operator is told to do, or that nothing is erased as long as it is so.
const REMEDIES: [&str; 4] =
    ["free space", "look after the disk", "nothing is erased until", "nothing is erased before"];

const SCHEMA: &str = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL, ip TEXT);
    CREATE INDEX visitors_last_seen ON visitors (last_seen);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER NOT NULL REFERENCES visitors (id), url TEXT);
    CREATE INDEX pages_visitor_id ON pages (visitor_id);";

/// Visitors with one page each.
fn insert(count: u64, days_ago: u32) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO visitors (last_seen, ip) SELECT unixepoch('now', '-{days_ago} days'), '192.0.2.77' FROM n;
         INSERT INTO pages (visitor_id, url) SELECT id, '/' FROM visitors
         WHERE id NOT IN (SELECT visitor_id FROM pages);"
    )
}

pub(crate) struct Scene {
    pub(crate) shop: Installation,
    /// Records that went in an earlier night.
    pub(crate) before: u64,
}

impl Scene {
    pub(crate) fn new(night: Night) -> Scene {
        let shop = Installation::in_memory(UNGUARDED).with_tables(TABLE);
        let mode = if night == Night::First { "DELETE" } else { "WAL" };
        shop.database().pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        let shop = shop.with_database(SCHEMA).with_database(&insert(KEPT, 3));
        let mut before = 0;
        if night == Night::Second {
            before = 10;
            shop.database().execute_batch(&insert(before, 300)).unwrap();
            assert_eq!(shop.json(&["purge", "--yes"], 0)["runs"][0]["erased"], before);
        }
        shop.database().execute_batch(&insert(EXPIRED, 300)).unwrap();
        let scene = Scene { shop, before };
        scene.copy("chat.db", "before/chat.db");
        scene.copy("state", "before/state");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.shop.path().join(name)
    }

    /// With owners and modes; nothing where there is nothing.
    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.exists() {
            assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
        }
    }

    /// Everything as it was before the purge.
    pub(crate) fn begin_again(&mut self) {
        let old: Vec<PathBuf> =
            ["state", "chat.db", "chat.db-wal", "chat.db-shm", "chat.db-journal"].map(|name| self.path(name)).into();
        assert!(Command::new("rm").arg("-rf").args(old).status().unwrap().success());
        self.copy("before/chat.db", "chat.db");
        self.copy("before/state", "state");
    }

    pub(crate) fn purge(&self) -> Command {
        self.shop.command(&["purge", "--yes", "--json"])
    }

    /// A purge with an evil, and the next one. Whether it struck.
    pub(crate) fn suffer(&self, call: &Call, evil: Evil) -> bool {
        let case = format!("{evil:?} at {} {} of {}", call.name, call.turn, call.target);
        let output = trace::suffer(&self.purge(), call, evil);
        let gone = self.nothing_is_gone_unannounced(&case);
        self.the_log_is_not_damaged(&case);
        let killed = output.status.signal() == Some(9);
        // What it says is written too.
        let can_speak = !(call.name == "write" && evil.lasts());
        if !killed && can_speak {
            self.it_says_what_happened(&output, gone, &case);
        }
        self.the_next_run_ends_it(&case);
        match evil {
            Evil::Killed => killed,
            // A cache, a file that is not needed any more: not every failure has an effect.
            _ => true,
        }
    }

    /// Records that are gone from the table: all of them in batches that the log announced, with their pages, and none
    /// inside its retention.
    pub(crate) fn nothing_is_gone_unannounced(&self, case: &str) -> u64 {
        let count = |query: &str| self.shop.number(query).unsigned_abs();
        let old = count("SELECT count(*) FROM visitors WHERE last_seen < unixepoch('now', '-100 days')");
        let young = count("SELECT count(*) FROM visitors WHERE last_seen >= unixepoch('now', '-100 days')");
        assert_eq!(young, KEPT, "{case}: inside retention");
        let pages = count("SELECT count(*) FROM pages JOIN visitors ON visitors.id = visitor_id");
        assert_eq!((pages, count("SELECT count(*) FROM pages")), (old + young, old + young), "{case}: pages");
        let gone = EXPIRED - old;
        let evidence = Evidence::read(&self.shop.state());
        let open: u64 = evidence.open.values().map(|(rows, _)| *rows).sum();
        let accounted = self.before + gone == evidence.rows || self.before + gone == evidence.rows + open;
        assert!(accounted && evidence.open.len() <= 1, "{case}: {gone} are gone: {evidence:?}");
        gone
    }

    /// It verifies, but for what was not signed yet. Before the key stands in its place no log has begun.
    fn the_log_is_not_damaged(&self, case: &str) {
        if self.shop.state().join("keys/audit.key").exists() {
            let verified = self.shop.run(&["audit", "verify"]);
            assert!([0, 3].contains(&verified.code), "{case}: {verified:?}");
        }
    }

    /// Done is said only of what is done; of a failure the operator is told the place, the cause and what to do.
    fn it_says_what_happened(&self, output: &Output, gone: u64, case: &str) {
        let (code, out) = (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if code == 0 {
            assert_eq!(gone, EXPIRED, "{case}: {out}");
            return;
        }
        let reason = out.split("\"reason\": ").nth(1).unwrap_or_default();

        let told = said + reason;
        assert!(CAUSES.iter().any(|cause| told.contains(cause)), "{case}: no cause: {told}");
        assert!(REMEDIES.iter().any(|remedy| told.contains(remedy)), "{case}: no remedy: {told}");
        assert!(told.contains(&self.shop.path().display().to_string()), "{case}: no place: {told}");
    }

    /// What another program finds that reads the database file and its write-ahead log anew, as after a crash of the
    /// machine: records that are gone.
    pub(crate) fn gone_for_who_reads_anew(&self) -> u64 {
        for name in ["chat.db", "chat.db-wal"] {
            self.copy(name, &format!("anew/{name}"));
        }
        let copy = rusqlite::Connection::open(self.path("anew/chat.db")).unwrap();
        let left: i64 = copy.query_row("SELECT count(*) FROM visitors", [], |row| row.get(0)).unwrap();
        EXPIRED + KEPT - left.unsigned_abs()
    }

    pub(crate) fn the_next_run_ends_it(&self, case: &str) {
        let ran = self.shop.run(&["purge", "--yes", "--json"]);
        assert_eq!(ran.code, 0, "{case}: {ran:?}");
        assert_eq!(self.nothing_is_gone_unannounced(case), EXPIRED, "{case}");
        let all = self.before + EXPIRED;
        let expected = Evidence { rows: all, children: all, ..Evidence::default() };
        assert_eq!(Evidence::read(&self.shop.state()), expected, "{case}");
        runs_agree(&self.shop.state(), RULE, (all, all));
        let verified = self.shop.run(&["audit", "verify"]);
        assert_eq!(verified.code, 0, "{case}: {verified:?}");
        assert_eq!(fs::read_dir(self.shop.state().join("in-flight")).unwrap().count(), 0, "{case}");
    }
}
