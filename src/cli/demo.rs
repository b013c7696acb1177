//! `forgetd demo`: the whole way on sample data, told step by step.
//!
//! The sample is a complete installation: a configuration, a shop's visitor database, a state directory. Every step
//! calls what the command that it names calls; kept in a directory of the reader's, the commands work as printed.

mod sample;
pub(super) mod visitors;

use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use super::arguments::DemoOptions;
use super::output::{Output, count, instant, number_of};
use super::session::{self, Reading, Writing};
use super::{Ended, Exit, Failure};
use crate::audit;
use crate::plan::Rule;
use crate::purge::{self, Order, Outcome, Unwatched};
use crate::register::{FACT_TABLES, FinishedRun, Moment};
use crate::safety::{Assessment, State};
use crate::service::Interrupt;
use sample::Sample;

pub(super) fn run(options: &DemoOptions, output: &Output) -> Ended {
    let (directory, _temporary) = directory(options)?;
    let demo = Demo { sample: Sample::new(directory), output, keeps: options.directory.is_some() };
    let exit = demo.tell(options)?;
    if !demo.keeps {
        output.line("");
        output.line(
            "The sample was temporary and is gone: `forgetd demo DIR` keeps it, and its commands then work as printed.",
        );
    }
    Ok(exit)
}

/// The reader's directory, which must be new or empty, or a temporary one.
fn directory(options: &DemoOptions) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let Some(directory) = &options.directory else {
        let temporary = tempfile::Builder::new().prefix("forgetd-demo-").tempdir()?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", directory.display())))?;
    if std::fs::read_dir(directory)?.next().is_some() {
        return Err(Failure::usage(format!("{} is not empty: name a new directory", directory.display())));
    }
    Ok((std::fs::canonicalize(directory)?, None))
}

struct Demo<'a> {
    sample: Sample,
    output: &'a Output,
    keeps: bool,
}

impl Demo<'_> {
    fn tell(&self, options: &DemoOptions) -> Ended {
        let started = Instant::now();
        self.write(options)?;
        let mut writing = self.register()?;
        self.check()?;
        self.plan()?;
        self.approve(&mut writing)?;
        self.purge(&mut writing)?;
        self.verify()?;
        let exit = self.status()?;
        self.output.line("");
        self.output.line(format!("All of it took {:.1} s.", started.elapsed().as_secs_f64()));
        Ok(exit)
    }

    fn step(&self, title: &str) {
        self.output.line("");
        self.output.heading(title);
    }

    fn say(&self, text: impl AsRef<str>) {
        self.output.line(format!("  {}", text.as_ref()));
    }

    /// The command that shows more.
    fn more(&self, command: &str) {
        self.say(format!("$ {}", self.sample.command(command)));
    }

    fn write(&self, options: &DemoOptions) -> Result<(), Failure> {
        let started = Instant::now();
        let counts = self.sample.write(options, session::clock()?.wall)?;
        self.step("1. A shop with visitors");
        self.say(format!(
            "{} visitors of the last 14 months, {} pages, {} conversations, {} messages, written in {:.1} s.",
            count(counts.visitors),
            count(counts.pages),
            count(counts.conversations),
            count(counts.messages),
            started.elapsed().as_secs_f64()
        ));
        self.say(format!("Database {}, settings {}.", self.sample.database().display(), self.sample.site().display()));
        Ok(())
    }

    fn register(&self) -> Result<Writing, Failure> {
        let writing = Writing::begin(&self.sample.config(), self.output)?;
        let mut facts = 0;
        for table in FACT_TABLES {
            facts += writing.state.register.facts(table, Moment::Now)?.len();
        }
        self.step("2. The register: who processes what, for how long");
        self.say(format!(
            "{facts} facts recorded, each with the time since which it holds: the processor, its {} storage items, the \
             site's settings and periods.",
            writing.in_force.config.processors.values().map(|processor| processor.items.len()).sum::<usize>()
        ));
        self.more("register show storage-items");
        Ok(writing)
    }

    fn check(&self) -> Result<(), Failure> {
        let reading = Reading::begin(&self.sample.config(), self.output)?;
        self.step("3. The check: is it consistent, and is the database as it says?");
        let (sites, rules) = (reading.in_force.config.sites.len(), reading.rules.len());
        let next = reading
            .in_force
            .config
            .sites
            .values()
            .find_map(|site| site.schedule.next_after(reading.clock.wall, &site.time_zone.zone));
        self.say(format!(
            "Valid: {}, {} derived, none written by hand; next scheduled run {}.",
            number_of(sites, "site"),
            number_of(rules, "rule"),
            next.map_or_else(|| "never".to_owned(), instant)
        ));
        self.more("check --stores");
        Ok(())
    }

    fn plan(&self) -> Result<(), Failure> {
        let reading = Reading::begin(&self.sample.config(), self.output)?;
        let planned: Vec<(&Rule, Assessment)> = reading.rules.iter().map(|rule| (rule, reading.assess(rule))).collect();
        self.step("4. The plan: what would be erased now, and because of what");
        for (rule, assessment) in &planned {
            let total = assessment.survey.as_ref().map_or(0, |survey| survey.total);
            self.say(format!(
                "{:<44} {:>8} of {:>8}  {}",
                rule.name.as_str(),
                count(assessment.matches()),
                count(total),
                rule.because
            ));
        }
        let undatable = planned.iter().filter_map(|(_, a)| a.survey.as_ref()).map(|s| s.undatable).max().unwrap_or(0);
        self.say(format!(
            "Nothing was changed. {undatable} visitors have no usable date: they are kept, and counted every time."
        ));
        self.more("plan");
        Ok(())
    }

    fn approve(&self, writing: &mut Writing) -> Result<(), Failure> {
        let reading = Reading::begin(&self.sample.config(), self.output)?;
        let mut last = None;
        let mut approved = 0;
        for rule in &reading.rules {
            let assessment = reading.assess(rule);
            if let (State::Waiting, Some(token), Some(shape)) =
                (assessment.state(), &assessment.token, &assessment.shape)
            {
                super::approve::record(&mut writing.state, rule, (token, shape), &writing.clock)?;
                last = Some((rule.name.to_string(), token.to_string()));
                approved += 1;
            }
        }
        self.step("5. The approval: a new rule erases nothing until somebody has seen its plan");
        self.say(format!(
            "{approved} rules approved; each may touch what its plan counted, and a tenth more, in its next run."
        ));
        if let Some((rule, token)) = last {
            self.say(format!("For example: forgetd approve {rule} --plan {token}"));
        }
        Ok(())
    }

    fn purge(&self, writing: &mut Writing) -> Result<(), Failure> {
        let started = Instant::now();
        let interrupt = Interrupt::on_signals()?;
        let mut runs: Vec<FinishedRun> = Vec::new();
        for rule in writing.rules.clone() {
            let clock = session::clock()?;
            let order = Order {
                safety: writing.in_force.config.daemon.safety,
                pace: writing.in_force.config.daemon.pace,
                clock: &clock,
                suspended: None,
                interrupt: interrupt.flag(),
                watcher: &Unwatched,
            };
            match purge::run(&rule, &mut writing.state, &order)? {
                Outcome::Ran(run) => runs.push(*run),
                Outcome::NotReady(assessment) => {
                    return Err(Failure::new(Exit::Failed, format!("{}: {}", rule.name, assessment.reason())));
                }
                Outcome::Busy | Outcome::Unresolved(_) => {
                    return Err(Failure::new(Exit::Failed, format!("{}: another process is at work", rule.name)));
                }
            }
        }
        self.step("6. The purge: batch by batch, evidence before every commit");
        let (erased, children): (u64, u64) =
            runs.iter().fold((0, 0), |(erased, children), run| (erased + run.erased, children + run.children));
        let left: u64 = runs.iter().filter_map(|run| run.left).sum();
        self.say(format!(
            "{} records erased or masked and {} rows of child tables with them in {:.1} s; a fresh count finds {left} left.",
            count(erased),
            count(children),
            started.elapsed().as_secs_f64()
        ));
        self.more("audit list --kind run.finished");
        Ok(())
    }

    fn verify(&self) -> Result<(), Failure> {
        let verification = audit::verify(&self.sample.audit(), &[])?;
        let (verdict, exit) = super::audit::verdict(&verification.verdict);
        if exit != Exit::Done {
            return Err(Failure::new(exit, format!("the audit log is {verdict}")));
        }
        self.step("7. The evidence: anybody can check it");
        self.say(format!(
            "{verdict}: {} entries, all under a signed checkpoint. A copy of it kept elsewhere makes that `anchored`.",
            count(verification.entries)
        ));
        self.more("audit verify");
        Ok(())
    }

    fn status(&self) -> Ended {
        let reading = Reading::begin(&self.sample.config(), self.output)?;
        let assessments: Vec<Assessment> = reading.rules.iter().map(|rule| reading.assess(rule)).collect();
        let matches: u64 = assessments.iter().map(Assessment::matches).sum();
        let ready = assessments.iter().filter(|assessment| assessment.state() == State::Ready).count();
        self.step("8. The status: does everything that should go, go?");
        self.say(format!(
            "{ready} of {} rules ready, {matches} records to erase. The daemon does the same every night.",
            assessments.len()
        ));
        self.more("status");
        self.more("run");
        Ok(if matches == 0 && ready == assessments.len() { Exit::Done } else { Exit::Attention })
    }
}
