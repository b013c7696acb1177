//! The records of processing activities: Article 30(1), the controller's, and Article 30(2), of who processes on its
//! behalf.
//!
//! The columns of the tables are those of the registers that the ICO and the CNIL publish, as far as a website's visitors
//! are concerned. The evidence of forgetd answers what the ICO's asks last: whether data were erased as planned.

use serde::Serialize;

use super::language::Language;
use super::model::{Activity, Papers, Party, Period, Processing, Stamp};
use super::table::{Cells, Table};

/// The record of Article 30(1), as JSON.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Record<'a> {
    register: &'a Stamp,
    language: &'a str,
    site: &'a str,
    controller: &'a Party,
    joint_controller: &'a Option<Party>,
    representative: &'a Option<Party>,
    data_protection_officer: &'a Option<Party>,
    data_subjects: &'a str,
    activities: &'a [Activity],
    periods: &'a [Period],
    security_measures: &'a [String],
    other_security_measures: &'a Option<String>,
    /// What must be said and is not known.
    missing: Vec<&'a str>,
}

/// The record of Article 30(2), as JSON.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProcessorRecord<'a> {
    register: &'a Stamp,
    language: &'a str,
    site: &'a str,
    processor: &'a Party,
    representative: &'a Option<Party>,
    data_protection_officer: &'a Option<Party>,
    /// For whom; null where the operator of the server is itself the controller of the site.
    controller: Option<&'a Party>,
    controllers_representative: Option<&'a Party>,
    controllers_data_protection_officer: Option<&'a Party>,
    /// None where the operator keeps no record of the site's visitors.
    processing: Option<&'a Processing>,
    security_measures: &'a [String],
    other_security_measures: &'a Option<String>,
    /// What must be said and is not known.
    missing: Vec<&'a str>,
}

pub(super) fn record(papers: &Papers) -> Record<'_> {
    Record {
        register: &papers.stamp,
        language: &papers.language,
        site: &papers.site,
        controller: &papers.controller,
        joint_controller: &papers.joint_controller,
        representative: &papers.representative,
        data_protection_officer: &papers.dpo,
        data_subjects: &papers.data_subjects,
        activities: &papers.activities,
        periods: &papers.periods,
        security_measures: &papers.measures,
        other_security_measures: &papers.other_measures,
        missing: papers.missing_in(super::Paper::Article30),
    }
}

pub(super) fn processor_record(papers: &Papers) -> ProcessorRecord<'_> {
    ProcessorRecord {
        register: &papers.stamp,
        language: &papers.language,
        site: &papers.site,
        processor: &papers.operator,
        representative: &papers.operator_representative,
        data_protection_officer: &papers.operator_dpo,
        controller: papers.on_behalf.then_some(&papers.controller),
        controllers_representative: papers.representative.as_ref().filter(|_| papers.on_behalf),
        controllers_data_protection_officer: papers.dpo.as_ref().filter(|_| papers.on_behalf),
        processing: papers.processing.as_ref(),
        security_measures: &papers.measures,
        other_security_measures: &papers.other_measures,
        missing: papers.missing_in(super::Paper::Article30Processor),
    }
}

const COLUMNS: [&str; 23] = [
    "reference",
    "controller",
    "controller-address",
    "controller-contact",
    "representative",
    "dpo",
    "function",
    "purpose",
    "joint-controller",
    "data-subjects",
    "data",
    "recipients",
    "agreement",
    "countries",
    "safeguards",
    "retention",
    "measures",
    "lawful-basis",
    "location",
    "adherence",
    "site",
    "register-date",
    "register-version",
];

/// The table of Article 30(1): one line for each activity.
pub(super) fn table(papers: &Papers, language: &Language) -> Table {
    let cells = Cells(language);
    let row = |activity: &Activity| {
        vec![
            activity.reference.clone(),
            papers.controller.name.clone(),
            cells.known(papers.controller.address.as_ref()),
            cells.known(papers.controller.contact.as_ref()),
            cells.person(papers.representative.as_ref()),
            cells.person(papers.dpo.as_ref()),
            activity.function.clone(),
            cells.known(activity.purpose.as_ref()),
            cells.person(papers.joint_controller.as_ref()),
            papers.data_subjects.clone(),
            cells.data(&activity.data),
            cells.recipients(&activity.recipients),
            agreement(activity, cells),
            cells.countries(&activity.transfers),
            cells.safeguards(&activity.transfers),
            cells.periods(&papers.periods),
            cells.measures(&papers.measures, papers.other_measures.as_ref()),
            cells.known(activity.lawful_basis_name.as_ref()),
            cells.locations(activity),
            language.text(if papers.enforced.is_empty() { "adherence-unknown" } else { "adherence" }),
            papers.site.clone(),
            papers.stamp.date.clone(),
            papers.stamp.number(),
        ]
    };
    Table { columns: &COLUMNS, rows: papers.activities.iter().map(row).collect() }
}

/// Where nobody receives data there is nothing to agree on.
fn agreement(activity: &Activity, cells: Cells<'_>) -> String {
    if activity.recipients.is_empty() {
        cells.0.text("none")
    } else {
        cells.known(activity.agreement.as_ref().map(|date| cells.0.date(date)).as_ref())
    }
}

const PROCESSOR_COLUMNS: [&str; 15] = [
    "reference",
    "operator",
    "operator-representative",
    "operator-dpo",
    "on-behalf-of",
    "controllers-representative",
    "controllers-dpo",
    "categories-of-processing",
    "data",
    "countries",
    "safeguards",
    "location",
    "measures",
    "register-date",
    "register-version",
];

/// The table of Article 30(2). Without a line where the operator of the server is itself the controller, or keeps no
/// record of the site's visitors.
pub(super) fn processor_table(papers: &Papers, language: &Language) -> Table {
    let cells = Cells(language);
    let row = |processing: &Processing| {
        vec![
            processing.reference.clone(),
            cells.party(&papers.operator),
            cells.person(papers.operator_representative.as_ref()),
            cells.person(papers.operator_dpo.as_ref()),
            cells.party(&papers.controller),
            cells.person(papers.representative.as_ref()),
            cells.person(papers.dpo.as_ref()),
            processing.categories_of_processing.clone(),
            cells.data(&processing.data),
            cells.known(processing.transfers.as_ref().map(|transfers| cells.countries(transfers)).as_ref()),
            cells.known(processing.transfers.as_ref().map(|transfers| cells.safeguards(transfers)).as_ref()),
            processing.locations.join("; "),
            cells.measures(&papers.measures, papers.other_measures.as_ref()),
            papers.stamp.date.clone(),
            papers.stamp.number(),
        ]
    };
    Table { columns: &PROCESSOR_COLUMNS, rows: papers.processing.iter().map(row).collect() }
}
