//! A process that suffers: one run, in a child of the test, to which something happens when it reaches a step.
//!
//! The test file that uses it has an ignored test `the_process_that_suffers`, which calls [`live`].
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use forgetd::purge::{Outcome, Step, Watcher};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::shop::{self, Shop, UNLIMITED, clock, noon, run};

const SCENE: &str = "FORGETD_TEST_SCENE";
const CHILD: &str = "the_process_that_suffers";

/// What the child ends with, told apart from the test harness's own 101.
pub(crate) const RAN: i32 = 10;
pub(crate) const REFUSED: i32 = 11;
pub(crate) const FAILED: i32 = 12;

pub(crate) const STEPS: [&str; 10] = [
    "Started",
    "Erased",
    "InFlight",
    "Prepared",
    "Committed",
    "Recorded",
    "Walked",
    "Finished",
    "Sealed",
    "Registered",
];

/// A step by the name of its variant.
fn name_of(step: Step) -> &'static str {
    let position = match step {
        Step::Started { .. } => 0,
        Step::Erased => 1,
        Step::InFlight => 2,
        Step::Prepared => 3,
        Step::Committed => 4,
        Step::Recorded { .. } => 5,
        Step::Walked => 6,
        Step::Finished => 7,
        Step::Sealed => 8,
        Step::Registered => 9,
    };
    STEPS[position]
}

/// Starts the child: a run of the rule, to which `evil` happens at `step`.
pub(crate) fn child(shop: &Shop, rule: &str, step: &str, evil: &str) -> Child {
    let scene = format!("{}\n{rule}\n{step}\n{evil}", shop.root().display());
    // Ignored, the signal of a file that grew too long becomes an error of write(2).
    Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; exec \"$0\" --exact {CHILD} --ignored --quiet --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(SCENE, scene)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the child does. `suffer` is told the shop's directory, what shall happen, and where.
#[expect(clippy::disallowed_methods, reason = "its parent wants more of it than passed or failed")]
pub(crate) fn live(suffer: fn(&Path, &str, Step)) -> ! {
    let scene = std::env::var(SCENE).expect("started by another test");
    let mut scene = scene.lines();
    let mut next = || scene.next().unwrap().to_owned();
    let (root, rule, step, evil) = (PathBuf::from(next()), next(), next(), next());
    let rule = shop::rule(&forgetd::config::Config::load(&root.join("config")).unwrap(), &rule);
    let mut state = Shop::state_of(&root, noon());
    let suffering = Suffering { root, step, evil, suffer, passes: AtomicU32::new(0) };
    let code = match run(&rule, &mut state, UNLIMITED, &clock(noon()), &suffering) {
        Ok(Outcome::Ran(finished)) if finished.outcome.as_deref() == Some("done") => RAN,
        Ok(Outcome::Ran(_) | Outcome::Unresolved(_)) => FAILED,
        Ok(other) => panic!("{other:?}"),
        Err(_) => REFUSED,
    };
    std::process::exit(code);
}

/// Does the evil when the step is reached; within a batch, in the second one.
struct Suffering {
    root: PathBuf,
    step: String,
    evil: String,
    suffer: fn(&Path, &str, Step),
    passes: AtomicU32,
}

impl Watcher for Suffering {
    fn reached(&self, step: Step) {
        if name_of(step) != self.step {
            return;
        }
        let of_a_batch =
            matches!(step, Step::Erased | Step::InFlight | Step::Prepared | Step::Committed | Step::Recorded { .. });
        let pass = self.passes.fetch_add(1, Ordering::Relaxed) + 1;
        if pass == if of_a_batch { 2 } else { 1 } {
            (self.suffer)(&self.root, &self.evil, step);
        }
    }
}

/// From now on no file of this process grows beyond so many bytes.
pub(crate) fn limit_files(bytes: u64) {
    let now = rustix::process::getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum: now.maximum }).unwrap();
}
