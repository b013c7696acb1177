//! The words of a period, their bounds, and what to say when they are not met.

use std::str::FromStr;

use super::{Period, Unit};

/// The shortest period. Below a day a run could meet records that are still being written, and no retention duty or
/// promise to visitors is that short.
const SHORTEST_HOURS: u32 = 24;

/// The longest period, in years. No duty to keep visitor records lasts a lifetime: a longer one is a slip of the pen.
const LONGEST_YEARS: u32 = 100;

/// Why a text is no period, or a period cannot be applied.
///
/// The message says what is wrong; [`PeriodError::hint`] says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not of the form `6 months`.
    #[error("`{text}` is not a period")]
    Malformed {
        /// As written.
        text: String,
        /// What was probably meant.
        meant: Option<Period>,
    },
    /// Less than 24 hours.
    #[error("`{text}` is below 24 hours, the shortest period that can be enforced")]
    TooShort {
        /// As written.
        text: String,
    },
    /// More than 100 years.
    #[error("`{text}` is over 100 years")]
    TooLong {
        /// As written.
        text: String,
    },
    /// The cutoff lies outside of the years that can be calculated with.
    #[error("the cutoff cannot be calculated: the date is out of range")]
    OutOfRange,
}

impl PeriodError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { text, meant: Some(period) } if ends_in_bare_m(text) => {
                format!("write `{period}` if months were meant; minutes are too short a period")
            }
            Self::Malformed { meant: Some(period), .. } => format!("write `{period}`"),
            Self::Malformed { meant: None, .. } => {
                "write one number, one space and one unit: `6 months`, `90 days`, `2 weeks`, `2 years`, `36 hours`"
                    .into()
            }
            Self::TooShort { .. } => "write at least `24 hours`".into(),
            Self::TooLong { .. } => "write at most `100 years`".into(),
            Self::OutOfRange => "check the system's clock".into(),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let malformed = || PeriodError::Malformed { text: text.into(), meant: probably_meant(text) };
        let (digits, word) = text.split_once(' ').ok_or_else(malformed)?;
        if digits.is_empty()
            || !digits.bytes().all(|b| b.is_ascii_digit())
            || (digits.starts_with('0') && digits != "0")
        {
            return Err(malformed());
        }
        if matches!(word, "minute" | "minutes" | "second" | "seconds") {
            return Err(PeriodError::TooShort { text: text.into() });
        }
        let unit = Unit::from_word(word).ok_or_else(malformed)?;
        // Only digits are left: what does not fit is too large.
        let count = digits.parse().map_err(|_| PeriodError::TooLong { text: text.into() })?;
        match count {
            _ if count < unit.shortest() => Err(PeriodError::TooShort { text: text.into() }),
            _ if count > unit.longest() => Err(PeriodError::TooLong { text: text.into() }),
            _ => Ok(Self { count, unit }),
        }
    }
}

impl Unit {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "hour" | "hours" => Self::Hours,
            "day" | "days" => Self::Days,
            "week" | "weeks" => Self::Weeks,
            "month" | "months" => Self::Months,
            "year" | "years" => Self::Years,
            _ => return None,
        })
    }

    fn from_abbreviation(word: &str) -> Option<Self> {
        Some(match word {
            "h" | "hr" | "hrs" => Self::Hours,
            "d" => Self::Days,
            "w" | "wk" | "wks" => Self::Weeks,
            "m" | "mo" | "mon" | "mos" | "mth" | "mths" => Self::Months,
            "y" | "yr" | "yrs" => Self::Years,
            _ => return None,
        })
    }

    fn shortest(self) -> u32 {
        if self == Self::Hours { SHORTEST_HOURS } else { 1 }
    }

    /// [`LONGEST_YEARS`] in this unit, rounded down.
    fn longest(self) -> u32 {
        // A century of the Julian calendar, 36,525 days, is as long as one of ours can be.
        const LONGEST_DAYS: u32 = LONGEST_YEARS * 1461 / 4;
        match self {
            Self::Hours => LONGEST_DAYS * 24,
            Self::Days => LONGEST_DAYS,
            Self::Weeks => LONGEST_DAYS / 7,
            Self::Months => LONGEST_YEARS * 12,
            Self::Years => LONGEST_YEARS,
        }
    }
}

/// Reads generously, for the hint only: `6m`, `P6M`, `6months`, `6 Months`, `6 months ago`.
fn probably_meant(text: &str) -> Option<Period> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix('p').unwrap_or(&lower);
    let bare = bare.strip_suffix("ago").unwrap_or(bare);
    let (digits, word) = bare.split_at(bare.find(|c: char| !c.is_ascii_digit())?);
    let word = word.trim_matches([' ', '\t', '-', '_', '.']);
    let unit = Unit::from_word(word).or_else(|| Unit::from_abbreviation(word))?;
    let count: u32 = digits.parse().ok()?;
    (unit.shortest()..=unit.longest()).contains(&count).then_some(Period { count, unit })
}

fn ends_in_bare_m(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.trim_start_matches(|c: char| c.is_ascii_digit()).trim().eq_ignore_ascii_case("m")
}
