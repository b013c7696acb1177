use rstest::rstest;

use super::*;
use crate::config::{Config, Source};
use crate::plan;
use crate::register::{FinishedRun, RunStart};
use crate::safety::approval::PlanToken;
use crate::store::Shape;

const AGE: &str = "shop.example/chat/visitors";
const SETTING: &str = "shop.example/chat/visitors/ip@setting";

/// Everything that a moment of the daemon's life consists of.
struct Life {
    config: Config,
    rules: Vec<Rule>,
    register: Register,
    agenda: Agenda,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config(schedule: &str, store_ip: bool) -> Config {
    let site = format!(
        r#"domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "{schedule}"
settings.store-ip = {store_ip}
retention.visit = "6 months"
[store.chat]
kind = "sqlite"
path = "/srv/shop/chat.db"
[[store.chat.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "visit"
columns = {{ ip = "visit.ip-address" }}
"#
    );
    let files = [
        ("forgetd.toml", "state-dir = \"/var/lib/forgetd\"\n[controller]\nname = \"Shop s.r.o.\"\n".to_owned()),
        ("categories.toml", include_str!("../../../config/categories.toml").to_owned()),
        ("sites/shop.example.toml", site),
    ];
    Config::parse(files.map(|(path, text)| (path.to_owned(), Source::new(path, text))).into()).unwrap()
}

impl Life {
    /// The site was declared at `declared`.
    fn of(config: Config, declared: &str) -> Life {
        let mut register = Register::in_memory().unwrap();
        register.record(&config, at(declared), |_| Ok::<(), RegisterError>(())).unwrap();
        let rules = plan::derive(&config);
        Life { config, rules, register, agenda: Agenda::default() }
    }

    /// Every night at half past three in Prague, which is half past two in UTC in winter.
    fn nightly(declared: &str) -> Life {
        Life::of(config("30 3 * * *", true), declared)
    }

    fn rule(&self, name: &str) -> Rule {
        self.rules.iter().find(|rule| rule.name.as_str() == name).unwrap().clone()
    }

    /// The daemon starts, or the configuration is applied anew.
    fn update(&mut self, now: &str) {
        let Config { daemon, sites, .. } = &self.config;
        self.agenda.update(&self.rules, sites, daemon.safety, &self.register, at(now)).unwrap();
    }

    fn next(&self) -> Option<Timestamp> {
        self.agenda.next_due()
    }

    fn take(&mut self, now: &str) -> Option<String> {
        self.agenda.take_due(at(now)).map(|name| name.to_string())
    }

    /// A run from `started` on, with its row in the register.
    fn ran(&mut self, rule: &str, started: &str, outcome: &str) -> Outcome {
        let run = FinishedRun {
            run: started.to_owned(),
            rule: rule.to_owned(),
            started_at: at(started),
            finished_at: Some(at(started)),
            outcome: Some(outcome.to_owned()),
            counted: 1,
            erased: 1,
            children: 0,
            left: Some(0),
            pending: None,
            reason: None,
        };
        let start = RunStart { run: &run.run, rule, digest: "", cutoff: None, counted: 1 };
        self.register.start_run(&start, at(started)).unwrap();
        self.register.finish_run(&run, at(started)).unwrap();
        Outcome::Ran(Box::new(run))
    }

    /// As [`Life::ran`], where only the register matters.
    fn has_run(&mut self, rule: &str, started: &str, outcome: &str) {
        let _ = self.ran(rule, started, outcome);
    }

    fn after(&mut self, rule: &str, outcome: &Outcome, now: &str) -> Option<Timestamp> {
        let (rule, site) = (self.rule(rule), &self.config.sites["shop.example"]);
        self.agenda.after(&rule, site, outcome, at(now))
    }

    fn approve(&mut self, rule: &str, now: &str) {
        self.register.approve(rule, "{}", (1, 1), 0, at(now)).unwrap();
    }

    fn reconsider(&mut self, now: &str) {
        self.agenda.reconsider(&self.rules, &self.config.sites, &self.register, at(now)).unwrap();
    }
}

fn not_ready(reason: Reason) -> Outcome {
    Outcome::NotReady(Box::new(Assessment {
        reasons: vec![reason],
        warnings: Vec::new(),
        now: at("2027-01-10T02:30:00Z"),
        cutoff: None,
        holds: Vec::new(),
        shape: None,
        survey: None,
        ceiling: 0,
        token: None,
        overdue_since: None,
    }))
}

fn waits_for_approval(life: &Life) -> Outcome {
    let (rule, token) = (AGE.to_owned(), token(life));
    not_ready(Reason::New { rule, token })
}

fn token(life: &Life) -> PlanToken {
    PlanToken::new(&life.rule(AGE), &Shape::default(), 1, at("2027-01-10T02:30:00Z"))
}

#[test]
fn a_site_declared_by_day_is_first_due_the_next_night_in_its_own_zone() {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    assert_eq!(life.next(), Some(at("2027-01-10T02:30:00Z")));
}

#[test]
fn in_summer_the_same_schedule_is_an_hour_earlier_in_utc() {
    let mut life = Life::nightly("2027-07-09T12:00:00Z");
    life.update("2027-07-09T12:00:00Z");
    assert_eq!(life.next(), Some(at("2027-07-10T01:30:00Z")));
}

#[test]
fn nothing_is_due_before_its_time() {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    assert_eq!(life.take("2027-01-10T02:29:59Z"), None);
    assert_eq!(life.take("2027-01-10T02:30:00Z").as_deref(), Some(AGE));
}

#[test]
fn a_rule_under_way_is_not_due_a_second_time() {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    assert!(life.take("2027-01-10T02:30:00Z").is_some());
    assert_eq!((life.take("2027-01-10T02:30:01Z"), life.next()), (None, None));
}

#[test]
fn nights_that_were_missed_are_made_up_by_exactly_one_run() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-05T02:30:00Z", "done");
    // Down for five nights, up again in the morning.
    life.update("2027-01-10T08:00:00Z");
    assert_eq!(life.take("2027-01-10T08:00:00Z").as_deref(), Some(AGE));
    let outcome = life.ran(AGE, "2027-01-10T08:00:00Z", "done");
    assert_eq!(life.after(AGE, &outcome, "2027-01-10T08:00:02Z"), Some(at("2027-01-11T02:30:00Z")));
    // A restart right afterwards makes up nothing again.
    life.agenda = Agenda::default();
    life.update("2027-01-10T08:01:00Z");
    assert_eq!(life.next(), Some(at("2027-01-11T02:30:00Z")));
}

#[test]
fn a_start_after_a_run_that_was_killed_takes_it_up_at_once() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.has_run(AGE, "2027-01-10T02:30:00Z", "interrupted");
    life.update("2027-01-10T02:40:00Z");
    assert_eq!(life.take("2027-01-10T02:40:00Z").as_deref(), Some(AGE));
}

#[rstest]
#[case::done("done", "2027-01-11T02:30:00Z")]
#[case::interrupted_by_a_change("interrupted", "2027-01-10T02:31:00Z")]
#[case::failed("failed", "2027-01-10T02:46:00Z")]
#[case::held_by_a_guard("held", "2027-01-11T02:30:00Z")]
#[case::stopped("stopped", "2027-01-11T02:30:00Z")]
fn the_next_run_depends_on_how_this_one_ended(#[case] outcome: &str, #[case] next: &str) {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    let ran = life.ran(AGE, "2027-01-10T02:30:00Z", outcome);
    assert_eq!(life.after(AGE, &ran, "2027-01-10T02:31:00Z"), Some(at(next)));
}

#[test]
fn a_retry_never_comes_later_than_the_schedule() {
    let mut life = Life::of(config("*/5 * * * *", true), "2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-09T12:05:00Z");
    let failed = life.ran(AGE, "2027-01-09T12:05:00Z", "failed");
    assert_eq!(life.after(AGE, &failed, "2027-01-09T12:06:00Z"), Some(at("2027-01-09T12:10:00Z")));
}

#[test]
fn a_setting_that_is_off_is_due_at_once_and_later_by_the_schedule() {
    let mut life = Life::of(config("30 3 * * *", false), "2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    assert_eq!(life.take("2027-01-09T12:00:00Z").as_deref(), Some(SETTING));
    let outcome = life.ran(SETTING, "2027-01-09T12:00:00Z", "done");
    assert_eq!(life.after(SETTING, &outcome, "2027-01-09T12:00:05Z"), Some(at("2027-01-10T02:30:00Z")));
}

#[test]
fn a_setting_switched_off_while_running_is_due_at_once() {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    life.config = config("30 3 * * *", false);
    life.rules = plan::derive(&life.config);
    life.update("2027-01-09T15:00:00Z");
    assert_eq!(life.take("2027-01-09T15:00:00Z").as_deref(), Some(SETTING));
    assert_eq!(life.next(), Some(at("2027-01-10T02:30:00Z")));
}

#[test]
fn another_schedule_counts_from_the_last_run() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-10T02:30:00Z", "done");
    life.update("2027-01-10T08:00:00Z");
    life.config = config("0 12 * * *", true);
    life.update("2027-01-10T08:00:00Z");
    assert_eq!(life.next(), Some(at("2027-01-10T11:00:00Z")));
}

#[test]
fn a_rule_that_is_gone_is_not_due() {
    let mut life = Life::nightly("2027-01-09T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    life.rules.clear();
    life.update("2027-01-09T13:00:00Z");
    assert_eq!(life.next(), None);
}

#[test]
fn an_approval_lets_a_waiting_rule_make_up_the_night_that_it_missed() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    let outcome = waits_for_approval(&life);
    assert_eq!(life.after(AGE, &outcome, "2027-01-10T02:30:01Z"), Some(at("2027-01-11T02:30:00Z")));
    life.reconsider("2027-01-10T08:00:00Z");
    assert_eq!(life.next(), Some(at("2027-01-11T02:30:00Z")), "nobody approved it");
    life.approve(AGE, "2027-01-10T09:00:00Z");
    life.reconsider("2027-01-10T09:00:00Z");
    assert_eq!(life.take("2027-01-10T09:00:00Z").as_deref(), Some(AGE));
}

#[test]
fn a_rule_whose_table_has_changed_is_due_again_once_it_is_approved() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    let (rule, token) = (AGE.to_owned(), token(&life));
    let outcome = not_ready(Reason::SchemaChanged { rule, changes: vec!["a column was added".to_owned()], token });
    assert_eq!(life.after(AGE, &outcome, "2027-01-10T02:30:01Z"), Some(at("2027-01-11T02:30:00Z")));
    life.reconsider("2027-01-10T08:00:00Z");
    assert_eq!(life.next(), Some(at("2027-01-11T02:30:00Z")), "nobody approved it");
    life.approve(AGE, "2027-01-10T09:00:00Z");
    life.reconsider("2027-01-10T09:00:00Z");
    assert_eq!(life.take("2027-01-10T09:00:00Z").as_deref(), Some(AGE));
}

#[rstest]
#[case::stop_switch(Reason::Stopped)]
#[case::hold(Reason::OnHold(7))]
fn what_an_operator_may_lift_is_looked_at_again_after_every_decision(#[case] reason: Reason) {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    life.after(AGE, &not_ready(reason), "2027-01-10T02:30:01Z");
    life.reconsider("2027-01-10T09:00:00Z");
    assert_eq!(life.take("2027-01-10T09:00:00Z").as_deref(), Some(AGE));
}

#[test]
fn a_suspended_rule_makes_up_its_night_once_the_configuration_is_applied_again() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    life.after(AGE, &not_ready(Reason::Suspended("a mistake".to_owned())), "2027-01-10T02:30:01Z");
    life.update("2027-01-10T10:00:00Z");
    assert_eq!(life.take("2027-01-10T10:00:00Z").as_deref(), Some(AGE));
}

#[test]
fn a_change_of_another_file_does_not_count_a_waiting_rule_anew_but_other_limits_do() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.has_run(AGE, "2027-01-09T02:30:00Z", "done");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    let outcome = waits_for_approval(&life);
    life.after(AGE, &outcome, "2027-01-10T02:30:01Z");
    life.update("2027-01-10T10:00:00Z");
    assert_eq!(life.next(), Some(at("2027-01-11T02:30:00Z")));
    life.config.daemon.safety.max_rows += 1;
    life.update("2027-01-10T11:00:00Z");
    assert_eq!(life.take("2027-01-10T11:00:00Z").as_deref(), Some(AGE));
}

#[test]
fn a_rule_that_another_process_runs_is_looked_at_again_in_a_minute() {
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    life.update("2027-01-09T12:00:00Z");
    life.take("2027-01-10T02:30:00Z");
    assert_eq!(life.after(AGE, &Outcome::Busy, "2027-01-10T02:30:00Z"), Some(at("2027-01-10T02:31:00Z")));
}

#[test]
fn the_stop_switch_a_hold_and_an_approval_are_decisions() {
    let directory = tempfile::TempDir::new().unwrap();
    let paths = StatePaths::new(directory.path());
    let mut life = Life::nightly("2027-01-01T12:00:00Z");
    let now = at("2027-01-10T08:00:00Z");
    let decisions = |life: &Life| Decisions::now(&paths, &life.register, now).unwrap();
    let before = decisions(&life);
    assert_eq!(decisions(&life), before);

    std::fs::write(paths.stop_switch(), "").unwrap();
    let stopped = decisions(&life);
    life.approve(AGE, "2027-01-10T08:00:00Z");
    let approved = decisions(&life);
    let until = jiff::civil::date(2027, 1, 12);
    let hold = crate::register::NewHold { prefix: AGE, rows: None, until, reason_code: "court", uid: 0 };
    life.register.add_hold(&hold, now).unwrap();
    let held = decisions(&life);
    assert!(before != stopped && stopped != approved && approved != held);
    // A hold that ran out is no longer one.
    let later = Decisions::now(&paths, &life.register, at("2027-01-14T08:00:00Z")).unwrap();
    assert_eq!(later, approved);
}

#[test]
fn a_run_that_a_clock_from_the_future_wrote_down_does_not_put_the_next_one_off_until_then() {
    let mut life = Life::nightly("2026-11-01T12:00:00Z");
    life.has_run(AGE, "2026-12-30T02:30:00Z", "done");
    life.update("2026-12-01T12:00:00Z");
    assert_eq!(life.next(), Some(at("2026-12-02T02:30:00Z")));
}
