//! forgetd makes a website forget its visitors on time, and proves it.
//!
//! **The register is the policy.** Nobody writes a purge rule by hand: a table is tagged with what it holds, how
//! long that may be kept stands in the register, and the rule follows. The modules are the stages of that way, and
//! each calls only those before it:
//!
//! * [`config`] turns a directory of TOML files into checked values, whole or not at all;
//! * [`register`] keeps what is declared in SQLite, with every earlier version, and what was approved, held and run;
//! * [`plan`] derives the retention rules: which records, which action, which period, and because of what;
//! * [`store`] is the contract of a place that holds visitor records, and its kinds;
//! * [`audit`] is the evidence: an append-only log, its Merkle tree and signed checkpoints;
//! * [`safety`] holds a rule whenever there is a doubt;
//! * [`purge`] executes one rule, batch by batch, evidence first;
//! * [`drift`] compares what is declared with what was enforced and with what the stores hold;
//! * [`report`] lays the evidence of a period beside what was declared for it, for a data protection officer;
//! * [`papers`] writes from the declaration what the law and the visitors want to read: records of processing, notices,
//!   the cookie overview;
//! * [`propose`] writes a site file for whoever has none, from what the stores look like;
//! * [`cookies`] lays what a browser really holds beside what is declared for it;
//! * [`service`] and [`cli`] stand on top: the only ones that read the clock, and the command line the only one that
//!   prints.
//!
//! The core is synchronous and takes `now` as an argument.
//!
//! forgetd erases what the operator's own server holds. What a processor keeps on its side is the processor's to
//! erase; the register says who that is and under which agreement.

pub mod audit;
pub mod cli;
pub mod config;
pub mod cookies;
pub mod drift;
mod durable;
pub mod papers;
pub mod plan;
pub mod propose;
pub mod purge;
pub mod register;
pub mod report;
pub mod safety;
pub mod service;
pub mod store;
mod visible;
