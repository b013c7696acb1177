//! One field of crontab(5): `*`, `5`, `1-5`, `*/15`, `0-30/10`, `mon`, `1,3,5`.
//!
//! What cron implementations read differently (`5/15`, `fri-mon`, `~`, `L`, `#`) is refused rather than chosen.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::ScheduleError;

/// The numbers that a field admits. Weekdays run from Sunday = 0 to Saturday = 6.
pub(super) type Values = BTreeSet<u32>;

/// The fields of crontab(5), in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0 to 7, or `sun` to `sat`; 0 and 7 are Sunday.
    Weekday,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Neither a number nor a name.
    #[error("neither a number nor a name that the field has")]
    Unreadable,
    /// A number outside of the field's range.
    #[error("out of range")]
    OutOfRange,
    /// A range that runs backwards.
    #[error("the range runs backwards")]
    Backwards,
    /// A step of nothing, or one that is no number.
    #[error("the step is not a number from 1")]
    Step,
    /// `5/15`: some crons read it as `5-59/15`, others as `5`.
    #[error("a step needs a range")]
    StepWithoutRange,
}

impl Mistake {
    /// What to write instead.
    pub(super) fn hint(self, field: Field) -> String {
        let numbers = field.numbers();
        let (first, last) = (numbers.start(), numbers.end());
        match self {
            Self::Unreadable if field.names().is_empty() => {
                format!(
                    "write `*`, numbers from {first} to {last}, ranges such as `{first}-{last}`, or steps such as `*/5`"
                )
            }
            Self::Unreadable => {
                format!("write `*`, numbers from {first} to {last}, or names such as `{}`", field.names().join("`, `"))
            }
            Self::OutOfRange => format!("write a number from {first} to {last}"),
            Self::Backwards => match field {
                Field::Weekday => "write the lower day first; Sunday is 0 or 7: `5-7` is Friday to Sunday".into(),
                _ => format!("write two ranges, one up to {last} and one from {first}, with a comma between"),
            },
            Self::Step => "write the step as in `*/5`".into(),
            Self::StepWithoutRange => format!("write the range, as in `{first}-{last}/5`"),
        }
    }
}

impl Field {
    fn numbers(self) -> RangeInclusive<u32> {
        match self {
            Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::Weekday => 0..=7,
        }
    }

    /// The names of the numbers, from the lowest number on.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
            Self::Weekday => &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::Weekday => "weekday",
        })
    }
}

/// The numbers that `text` admits: a list of ranges, each with an optional step.
pub(super) fn read_field(field: Field, text: &str) -> Result<Values, ScheduleError> {
    let mut values = Values::new();
    for part in text.split(',') {
        let numbers =
            read_part(field, part).map_err(|mistake| ScheduleError::Field { text: text.into(), field, mistake })?;
        values.extend(numbers.map(|number| if field == Field::Weekday { number % 7 } else { number }));
    }
    Ok(values)
}

fn read_part(field: Field, part: &str) -> Result<impl Iterator<Item = u32>, Mistake> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(read_step(step)?)),
        None => (part, None),
    };
    let numbers = match range.split_once('-') {
        _ if range == "*" => field.numbers(),
        Some((first, last)) => read_number(field, first)?..=read_number(field, last)?,
        None if step.is_some() => return Err(Mistake::StepWithoutRange),
        None => {
            let number = read_number(field, range)?;
            number..=number
        }
    };
    if numbers.is_empty() {
        return Err(Mistake::Backwards);
    }
    Ok(numbers.step_by(step.unwrap_or(1)))
}

fn read_step(step: &str) -> Result<usize, Mistake> {
    let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| step.parse().ok()).flatten().filter(|step| *step > 0).ok_or(Mistake::Step)
}

fn read_number(field: Field, text: &str) -> Result<u32, Mistake> {
    if let Some(index) = field.names().iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return field.numbers().nth(index).ok_or(Mistake::OutOfRange);
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Mistake::Unreadable);
    }
    text.parse().ok().filter(|number| field.numbers().contains(number)).ok_or(Mistake::OutOfRange)
}
