//! What is said of one item: what is wrong with it, why that matters, and what to do.

use serde::Serialize;

use super::Moment;
use crate::config::ItemKind;

/// How much a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The overview is not true, or the visitor's answer does not count.
    Finding,
    /// Worth knowing, and perhaps nothing wrong.
    Note,
}

/// What a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// It needs consent and was there before the visitor answered.
    BeforeConsent,
    /// It needs consent and was there though the visitor refused.
    AfterRefusal,
    /// No processor in use declares it.
    Undeclared,
    /// Nor is it the site's own.
    ThirdPartyUndeclared,
    /// The site says that the feature which sets it is off.
    FeatureOff,
    /// It lives longer than is declared.
    LivesLonger,
    /// It is declared for another place in the browser.
    WrongKind,
    /// It is declared as the site's own, and stands with a third party.
    ThirdParty,
    /// It needs consent, and nobody said what the visitor had answered.
    ConsentNotSaid,
    /// The capture does not tell how long it lives.
    LifetimeNotSaid,
    /// It is declared with an end, and browsers keep such an item without one.
    NoEnd,
    /// It is declared, and the capture does not have it.
    NotSeen,
    /// The capture cannot answer a question.
    NotLookedFor,
    /// The capture is empty, or is not one of this site.
    NothingOfSite,
}

impl Topic {
    /// How much remarks of this topic weigh.
    pub fn level(self) -> Level {
        match self {
            Topic::BeforeConsent
            | Topic::AfterRefusal
            | Topic::Undeclared
            | Topic::ThirdPartyUndeclared
            | Topic::FeatureOff
            | Topic::LivesLonger
            | Topic::WrongKind
            | Topic::ThirdParty => Level::Finding,
            Topic::ConsentNotSaid
            | Topic::LifetimeNotSaid
            | Topic::NoEnd
            | Topic::NotSeen
            | Topic::NotLookedFor
            | Topic::NothingOfSite => Level::Note,
        }
    }

    /// The word for programs.
    pub fn key(self) -> &'static str {
        match self {
            Topic::BeforeConsent => "before-consent",
            Topic::AfterRefusal => "after-refusal",
            Topic::Undeclared => "undeclared",
            Topic::ThirdPartyUndeclared => "third-party-undeclared",
            Topic::FeatureOff => "feature-off",
            Topic::LivesLonger => "lives-longer",
            Topic::WrongKind => "wrong-kind",
            Topic::ThirdParty => "third-party",
            Topic::ConsentNotSaid => "consent-not-said",
            Topic::LifetimeNotSaid => "lifetime-not-said",
            Topic::NoEnd => "no-end",
            Topic::NotSeen => "not-seen",
            Topic::NotLookedFor => "not-looked-for",
            Topic::NothingOfSite => "nothing-of-site",
        }
    }

    /// The topic in words.
    pub fn words(self) -> &'static str {
        match self {
            Topic::BeforeConsent => "set before consent",
            Topic::AfterRefusal => "there after refusal",
            Topic::Undeclared => "undeclared",
            Topic::ThirdPartyUndeclared => "undeclared, of a third party",
            Topic::FeatureOff => "of a feature that is off",
            Topic::LivesLonger => "lives longer than declared",
            Topic::WrongKind => "stands elsewhere than declared",
            Topic::ThirdParty => "of a third party, declared as the site's own",
            Topic::ConsentNotSaid => "consent not said",
            Topic::LifetimeNotSaid => "lifetime not said",
            Topic::NoEnd => "has no end",
            Topic::NotSeen => "not seen",
            Topic::NotLookedFor => "not looked for",
            Topic::NothingOfSite => "nothing of this site",
        }
    }
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// What it is about.
    pub topic: Topic,
    /// The item's name as the browser has it, or as it is declared; none where it is about the whole capture.
    pub name: Option<String>,
    /// Where in the browser it stands.
    pub kind: Option<ItemKind>,
    /// The hosts that it belongs to.
    pub hosts: Vec<String>,
    /// When it was seen.
    pub moments: Vec<Moment>,
    /// What exactly.
    pub what: String,
    /// What to do.
    pub remedy: String,
}
