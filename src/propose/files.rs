//! What the files of a directory are called alike, and whether their names tell a day.
//!
//! Names may be personal. Of them only a beginning of letters and an ending are taken, and only where most have them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::civil::Date;

/// Files whose names are looked at.
const MOST_FILES: u32 = 10_000;

/// Names that must be alike before they say anything.
const FEWEST_ALIKE: u32 = 3;

/// What most names in a directory have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// A pattern for them; `None` where they have nothing in common.
    pub pattern: Option<String>,
    /// The form of the day in them.
    pub day: Option<&'static str>,
    /// How many were looked at.
    pub seen: u32,
}

/// Looks at the names in a directory and in those below it. Links are not followed.
///
/// # Errors
/// The directory itself cannot be read.
pub fn look_at_directory(directory: &Path) -> io::Result<Files> {
    let mut names = Names::default();
    let mut waiting = vec![fs::read_dir(directory)?];
    while let Some(entries) = waiting.pop() {
        for entry in entries.filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.extend(fs::read_dir(entry.path())),
                Ok(kind) if kind.is_file() => names.add(&entry.file_name().to_string_lossy()),
                _ => {}
            }
            if names.seen == MOST_FILES {
                return Ok(names.alike());
            }
        }
    }
    Ok(names.alike())
}

#[derive(Debug, Default)]
struct Names {
    seen: u32,
    beginnings: BTreeMap<String, u32>,
    endings: BTreeMap<String, u32>,
    days: BTreeMap<&'static str, u32>,
}

impl Names {
    fn add(&mut self, name: &str) {
        self.seen += 1;
        let count = |counts: &mut BTreeMap<String, u32>, part: Option<String>| {
            if let Some(part) = part {
                *counts.entry(part).or_default() += 1;
            }
        };
        count(&mut self.beginnings, beginning(name));
        count(&mut self.endings, ending(name));
        if let Some(form) = day(name) {
            *self.days.entry(form).or_default() += 1;
        }
    }

    fn alike(&self) -> Files {
        let most = |count: &u32| *count >= FEWEST_ALIKE && *count > self.seen / 2;
        let of =
            |counts: &BTreeMap<String, u32>| counts.iter().find(|(_, count)| most(count)).map(|(part, _)| part.clone());
        let pattern = match (of(&self.beginnings), of(&self.endings)) {
            (None, None) => None,
            (beginning, ending) => Some(format!("{}*{}", beginning.unwrap_or_default(), ending.unwrap_or_default())),
        };
        let day = self.days.iter().find(|(_, count)| most(count)).map(|(form, _)| *form);
        Files { pattern, day, seen: self.seen }
    }
}

/// Letters before the first sign, and the sign: `sess_`.
fn beginning(name: &str) -> Option<String> {
    let end = name.find(|letter: char| !letter.is_ascii_alphabetic())?;
    let sign = name.get(end..)?.chars().next().filter(|sign| matches!(sign, '_' | '-'))?;
    (end > 0).then(|| format!("{}{sign}", &name[..end]))
}

/// A short ending of letters: `.html`.
fn ending(name: &str) -> Option<String> {
    let (before, ending) = name.rsplit_once('.')?;
    let is_kind = (1..=8).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_kind && !before.is_empty()).then(|| format!(".{ending}"))
}

/// The form of the day in a name: `2026-03-01` or `20260301`.
fn day(name: &str) -> Option<&'static str> {
    let is_day = |year: &str, month: &str, day: &str| {
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let day = (|| Date::new(year.parse().ok()?, number(month)?, number(day)?).ok())();
        day.is_some_and(|day| (1995..=2100).contains(&day.year()))
    };
    let pieces: Vec<&str> = name.split(|letter: char| !letter.is_ascii_digit()).collect();
    let dashed = name.contains('-')
        && pieces.windows(3).any(|piece| match piece {
            [year, month, day] => {
                (year.len(), month.len(), day.len()) == (4, 2, 2)
                    && name.contains(&format!("{year}-{month}-{day}"))
                    && is_day(year, month, day)
            }
            _ => false,
        });
    let plain = |piece: &&str| match (piece.get(..4), piece.get(4..6), piece.get(6..8)) {
        (Some(year), Some(month), Some(day)) => piece.len() == 8 && is_day(year, month, day),
        _ => false,
    };
    match () {
        () if dashed => Some("%Y-%m-%d"),
        () if pieces.iter().any(plain) => Some("%Y%m%d"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Files {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        for name in names {
            fs::write(directory.path().join("below").join(name), "").unwrap();
        }
        look_at_directory(directory.path()).unwrap()
    }

    #[test]
    fn what_most_names_begin_and_end_with_is_the_pattern() {
        let sessions = of(&["sess_1a", "sess_2b", "sess_3c", ".htaccess"]);
        assert_eq!((sessions.pattern.as_deref(), sessions.day), (Some("sess_*"), None));
        let chats = of(&["chat-2026-03-01-a.html", "chat-2026-03-02-b.html", "chat-2026-03-03-c.html"]);
        assert_eq!((chats.pattern.as_deref(), chats.day), (Some("chat-*.html"), Some("%Y-%m-%d")));
        let archives = of(&["20260301.zip", "20260302.zip", "20260303.zip"]);
        assert_eq!((archives.pattern.as_deref(), archives.day), (Some("*.zip"), Some("%Y%m%d")));
    }

    #[test]
    fn few_names_or_different_ones_say_nothing() {
        for names in [&[][..], &["jana-1.pdf", "jana-2.pdf"], &["a", "b", "c"], &["1.pdf", "2.jpg", "3.png"]] {
            assert_eq!(of(names), Files { seen: u32::try_from(names.len()).unwrap(), ..Files::default() }, "{names:?}");
        }
    }

    #[test]
    fn digits_that_are_no_day_are_none() {
        for name in ["chat-2026-13-01", "20261301.zip", "1234567890", "a-12-11", "0001-01-01"] {
            assert_eq!(day(name), None, "{name}");
        }
    }
}
