//! Approvals: an operator has seen what a rule would erase, and releases it.
//!
//! A plan token carries what was seen: the digests of the rule and of its tables' shape, the count and the instant.
//! Nothing is stored when it is printed; approving compares it with the rule, the tables and the records as they are
//! then.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::plan::{Definition, Rule};
use crate::register::{Approval, Register, RegisterError};
use crate::store::Shape;

/// How long a plan may be approved after it was printed: the records it counted are still the ones meant.
pub const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Hex digits of each of the two digests in a token: enough that no two forms of a rule an operator ever sees share
/// them. It protects from mistakes; whoever may approve needs no forged token.
const DIGEST_DIGITS: usize = 8;

/// What a plan said, in a form that can be typed: `3f2a9c1b7d804e55-182000-1795540382`. The first half of the digits
/// is of the rule, the second of its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanToken {
    rule: String,
    shape: String,
    counted: u64,
    at: i64,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// It was printed for another rule or another state of it.
    #[error("the plan was made for another rule or an earlier form of it: run `forgetd plan {rule}` again")]
    OtherRule {
        /// The rule.
        rule: String,
    },
    /// The tables are no longer what the plan saw.
    #[error("the store has changed since the plan: run `forgetd plan {rule}` again")]
    TableChanged {
        /// The rule.
        rule: String,
    },
    /// It is older than a day, or from the future.
    #[error("the plan is not from the last 24 hours: run `forgetd plan {rule}` again")]
    Stale {
        /// The rule.
        rule: String,
    },
    /// There are now more records than were seen.
    #[error(
        "the plan counted {counted} records, now there are {found}, more than 10 % above: run `forgetd plan {rule}` again"
    )]
    Grown {
        /// The rule.
        rule: String,
        /// As the plan said.
        counted: u64,
        /// As it is.
        found: u64,
    },
}

impl PlanToken {
    /// The token for what a plan has just counted.
    pub fn new(rule: &Rule, shape: &Shape, counted: u64, now: Timestamp) -> PlanToken {
        let begin = |digest: String| digest.chars().take(DIGEST_DIGITS).collect();
        PlanToken { rule: begin(rule.digest()), shape: begin(shape.digest()), counted, at: now.as_second() }
    }

    /// What the plan counted.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Records that the approved run may touch: those counted and a tenth more, since visitors keep coming.
    pub fn ceiling(&self) -> u64 {
        self.counted.saturating_add(self.counted / 10)
    }

    /// Whether the token still says what is true of `rule`, whose tables have this shape, and of which `found` records
    /// match now.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, rule: &Rule, shape: &Shape, found: u64, now: Timestamp) -> Result<(), ApprovalError> {
        let rule_name = || rule.name.to_string();
        if !rule.digest().starts_with(&self.rule) {
            return Err(ApprovalError::OtherRule { rule: rule_name() });
        }
        if !shape.digest().starts_with(&self.shape) {
            return Err(ApprovalError::TableChanged { rule: rule_name() });
        }
        let age = now.as_second().saturating_sub(self.at);
        if !(-super::clock::TOLERANCE.as_secs()..=TOKEN_LIFETIME.as_secs()).contains(&age) {
            return Err(ApprovalError::Stale { rule: rule_name() });
        }
        if found > self.ceiling() {
            return Err(ApprovalError::Grown { rule: rule_name(), counted: self.counted, found });
        }
        Ok(())
    }
}

impl fmt::Display for PlanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}-{}-{}", self.rule, self.shape, self.counted, self.at)
    }
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a plan token")]
pub struct NotAToken;

impl FromStr for PlanToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<PlanToken, NotAToken> {
        let mut parts = text.split('-');
        let (Some(digest), Some(counted), Some(at), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAToken);
        };
        let is_hex = digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (rule, shape) = digest.split_at_checked(DIGEST_DIGITS).ok_or(NotAToken)?;
        if !is_hex || shape.len() != DIGEST_DIGITS {
            return Err(NotAToken);
        }
        let counted = counted.parse().map_err(|_| NotAToken)?;
        let at = at.parse().map_err(|_| NotAToken)?;
        Ok(PlanToken { rule: rule.to_owned(), shape: shape.to_owned(), counted, at })
    }
}

/// Whether a rule has been released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Never approved.
    New,
    /// It was approved in a form that kept more, or is another rule now.
    Loosened,
    /// Approved as it is, or as something that keeps less.
    Approved(Approval),
}

/// How the approval in force, if any, relates to the rule as it is now.
///
/// # Errors
/// The register cannot be read.
pub fn standing(register: Option<&Register>, definition: &Definition) -> Result<Standing, RegisterError> {
    let Some(register) = register else { return Ok(Standing::New) };
    let Some(approval) = register.approval(definition.rule().as_str())? else {
        let was_approved = register.was_approved(definition.rule().as_str())?;
        return Ok(if was_approved { Standing::Loosened } else { Standing::New });
    };
    // A definition that an older version wrote and this one cannot read proves nothing.
    match serde_json::from_str::<Definition>(&approval.definition) {
        Ok(approved) if definition.keeps_at_least(&approved) => Ok(Standing::Approved(approval)),
        _ => Ok(Standing::Loosened),
    }
}

/// Carries approvals over to the rules now in force: one that keeps more than was approved narrows its approval, so
/// that going back is loosening; one that was loosened or is gone loses it.
///
/// # Errors
/// The register cannot be written.
pub fn carry_over(register: &mut Register, rules: &[Rule], now: Timestamp) -> Result<(), RegisterError> {
    for name in register.approved_rules()? {
        match rules.iter().find(|rule| rule.name.as_str() == name) {
            None => register.end_approval(&name, now)?,
            Some(rule) => match standing(Some(register), &rule.definition)? {
                Standing::Approved(approval) => {
                    let definition = definition_json(&rule.definition);
                    if approval.definition != definition {
                        register.narrow_approval(approval.id, &definition)?;
                    }
                }
                Standing::New | Standing::Loosened => register.end_approval(&name, now)?,
            },
        }
    }
    Ok(())
}

/// The form in which an approval keeps a definition.
pub fn definition_json(definition: &Definition) -> String {
    // Plain values into memory: an empty text could only make a definition that approves nothing.
    serde_json::to_string(definition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_was_counted_and_releases_a_tenth_more() {
        for (counted, ceiling) in [(0, 0), (9, 9), (10, 11), (15, 16), (100, 110), (u64::MAX, u64::MAX)] {
            let token: PlanToken = format!("0123456789abcdef-{counted}-1796079926").parse().unwrap();
            assert_eq!((token.counted(), token.ceiling()), (counted, ceiling));
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        for text in ["0123456789abcdef-7-1796079926", "0000000000000000-0-0"] {
            assert_eq!(text.parse::<PlanToken>().map(|token| token.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "0123456789abcde-7-1",
            "0123456789abcdef0-7-1",
            "0123456789ABCDEF-7-1",
            "0123456789abcdeg-7-1",
            "0123456-7-1",
            "0123456789abcdef-7",
            "0123456789abcdef-7-1-1",
            "0123456789abcdef-x-1",
            "0123456789abcdef-7-x",
            "",
        ] {
            assert_eq!(text.parse::<PlanToken>(), Err(NotAToken), "{text}");
        }
    }
}
