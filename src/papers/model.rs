//! What the papers of one site say, in one language: plain values that a table, JSON or a template shows.
//!
//! `None` means that the register does not know it. The types of the JSON exports are published as schemas in
//! `docs/schemas`.

use serde::Serialize;

use super::Paper;

/// Which version of the register a paper was written from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stamp {
    /// The version's number; none while the files were not applied yet.
    pub version: Option<u64>,
    /// The day on which it came into force, or on which the files were read that were not applied yet.
    pub date: String,
    /// The beginning of the SHA-256 over all files.
    pub digest: String,
}

/// How much a gap matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The law wants it said.
    Missing,
    /// It should be looked at.
    Note,
}

/// Something that a paper should say and the register does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// How much it matters.
    pub level: Level,
    /// What is not known.
    pub what: String,
    /// What asks for it.
    pub because: &'static str,
    /// What to write where.
    pub remedy: String,
    /// Papers in which it stands as missing.
    #[serde(serialize_with = "keys")]
    pub papers: &'static [Paper],
}

fn keys<S: serde::Serializer>(papers: &&'static [Paper], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(papers.iter().map(|paper| paper.key()))
}

/// Everything that is told of one site.
#[derive(Debug, Serialize)]
pub(super) struct Papers {
    pub(super) stamp: Stamp,
    pub(super) program: &'static str,
    pub(super) site: String,
    pub(super) language: String,
    /// The stamp as a sentence.
    pub(super) stamped: String,
    pub(super) policy: Option<String>,
    pub(super) controller: Party,
    pub(super) joint_controller: Option<Party>,
    pub(super) representative: Option<Party>,
    pub(super) dpo: Option<Party>,
    /// Who runs the server.
    pub(super) operator: Party,
    pub(super) operator_representative: Option<Party>,
    pub(super) operator_dpo: Option<Party>,
    /// Whether the site's controller is somebody else.
    pub(super) on_behalf: bool,
    /// The operator as a privacy policy names a company, where it processes for somebody else and no file says so.
    pub(super) operator_line: Option<String>,
    /// What the operator does for somebody else: nothing where it keeps no records.
    pub(super) processing: Option<Processing>,
    pub(super) data_subjects: String,
    pub(super) processors: Vec<Processor>,
    pub(super) activities: Vec<Activity>,
    /// What is in the site's own stores and in no processor's list.
    pub(super) own_data: Vec<String>,
    /// Stored with its last part removed only.
    pub(super) shortened: Vec<String>,
    pub(super) not_stored: Vec<String>,
    pub(super) periods: Vec<Period>,
    /// What a rule erases when its period is over.
    pub(super) enforced: Vec<String>,
    pub(super) stores: Vec<Place>,
    pub(super) classes: Vec<Class>,
    pub(super) measures: Vec<String>,
    /// What the operator says beyond that.
    pub(super) other_measures: Option<String>,
    /// What happens to the data when an agreement ends, as far as the operator says it.
    pub(super) end_of_agreement: Option<String>,
    pub(super) uses_consent: bool,
    pub(super) uses_legitimate_interest: bool,
    /// Companies that take part in a chat.
    pub(super) chats: Vec<String>,
    /// Whether a visitor must give data, as far as the operator says it.
    pub(super) provision: Option<String>,
    /// Whether a chat rests on the legitimate interest in supporting customers.
    pub(super) supports_customers: bool,
    /// Whether a processor states that it processes data by automated means.
    pub(super) is_automated: bool,
    /// What is not known, for programs.
    pub(super) gaps: Vec<Gap>,
}

impl Papers {
    /// What a paper must say and does not know.
    pub(super) fn missing_in(&self, paper: Paper) -> Vec<&str> {
        let of_paper = self.gaps.iter().filter(|gap| gap.level == Level::Missing && gap.papers.contains(&paper));
        of_paper.map(|gap| gap.what.as_str()).collect()
    }
}

impl Stamp {
    /// The version's number; nothing where there is none.
    pub(super) fn number(&self) -> String {
        self.version.map(|version| version.to_string()).unwrap_or_default()
    }
}

/// Somebody with a way to reach him.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) contact: Option<String>,
}

/// A processor as the site uses it.
#[derive(Debug, Serialize)]
pub(super) struct Processor {
    pub(super) id: String,
    /// Whether it is the controller itself, whose own items and purposes stand in such a file too.
    pub(super) own: bool,
    pub(super) product: String,
    pub(super) party: Party,
    pub(super) identification: Option<String>,
    pub(super) dpo: Option<Party>,
    pub(super) agreement: Option<String>,
    /// Name, identification number and registered office in one line.
    pub(super) line: String,
    pub(super) features: Vec<Feature>,
    pub(super) data: Vec<Group>,
    pub(super) locations: Vec<Location>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) sub_processors: SubProcessors,
    pub(super) statements: Vec<Statement>,
}

/// A feature that is switched on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Feature {
    pub(super) id: String,
    pub(super) purpose: String,
    pub(super) basis: &'static str,
    pub(super) basis_name: String,
}

/// A group of personal data.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) categories: Vec<String>,
}

/// Where data are stored.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Location {
    pub(super) region: String,
    pub(super) primary: bool,
    pub(super) promise: Option<String>,
}

/// A transfer to a third country.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Transfer {
    /// The processor that transfers.
    pub(super) processor: String,
    pub(super) country: String,
    pub(super) safeguard: Option<String>,
    pub(super) valid_until: Option<String>,
    /// What the processor promises about it.
    pub(super) promise: Option<String>,
}

/// Sub-processors, as far as they are known.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SubProcessors {
    pub(super) exist: Option<bool>,
    pub(super) selection: Option<String>,
    pub(super) known: Vec<SubProcessor>,
}

/// One of them.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SubProcessor {
    #[serde(flatten)]
    pub(super) party: Party,
    pub(super) purpose: Option<String>,
    pub(super) country: Option<String>,
}

/// A fact that a processor states.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Statement {
    pub(super) topic: String,
    pub(super) text: String,
}

/// One processing activity: a purpose with its basis, who takes part, and what of.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Activity {
    /// `site/processor/feature`, for other papers to refer to.
    pub(super) reference: String,
    /// The product or the server.
    pub(super) function: String,
    pub(super) purpose: Option<String>,
    pub(super) lawful_basis: Option<&'static str>,
    pub(super) lawful_basis_name: Option<String>,
    pub(super) data: Vec<Group>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) agreement: Option<String>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) locations: Vec<String>,
}

/// What somebody does with personal data on behalf of a controller.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Processing {
    /// `site/server`, for other papers to refer to.
    pub(super) reference: String,
    pub(super) categories_of_processing: String,
    pub(super) data: Vec<Group>,
    /// Null where no processor's file tells of the operator.
    pub(super) transfers: Option<Vec<Transfer>>,
    pub(super) locations: Vec<String>,
}

/// Who receives data: a processor with its sub-processors.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Recipient {
    #[serde(flatten)]
    pub(super) party: Party,
    pub(super) identification: Option<String>,
    /// Whether there are sub-processors; null where that is not known.
    pub(super) has_sub_processors: Option<bool>,
    pub(super) sub_processors: Vec<SubProcessor>,
}

/// How long something is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Period {
    pub(super) subject: String,
    pub(super) period: Option<String>,
    /// What happens earlier than that.
    pub(super) steps: Vec<String>,
}

/// A place on the site's own server.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) kind: String,
}

/// A class of storage items and those of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Class {
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) needs_consent: bool,
    pub(super) items: Vec<Item>,
}

/// A storage item.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Item {
    pub(super) name: String,
    /// The processor's id.
    pub(super) processor: String,
    /// Product and company.
    pub(super) provider: String,
    pub(super) purpose: String,
    pub(super) duration: String,
    pub(super) kind: &'static str,
    pub(super) kind_name: String,
    pub(super) party: &'static str,
    pub(super) party_name: String,
}
