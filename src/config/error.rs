//! What is wrong with a configuration, told so that it can be put right at once: where, what, and what to write.
//!
//! One mistake must not hide another: an operator who meets them one at a time restarts as often as there are
//! mistakes. So nothing here stops at the first; [`FileProblems`] collects for one file, [`Problems`] for all.

pub(super) mod suggest;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use super::Source;
use crate::visible::{shortened, visible};

/// Problems reported of one file. A file that is wrong throughout (another program's, say) is not told in full.
const MOST_PROBLEMS_PER_FILE: usize = 100;

/// Columns that the line number of an excerpt takes, so that excerpts stand below each other.
const GUTTER: usize = 5;

/// Longest line that is shown: of a longer one, the column says where.
const LONGEST_EXCERPT: usize = 300;

/// One mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, below the configuration directory and separated by `/`; empty for the directory itself.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line as it stands in the file, where the place lies within one and it can be shown.
    pub excerpt: Option<String>,
    /// How many characters of the excerpt are meant, from `column` on.
    pub width: usize,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(file: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem {
            file: file.into(),
            line: 1,
            column: 1,
            message: told(&message.into()),
            excerpt: None,
            width: 0,
            hint: Some(told(&hint.into())),
        }
    }

    /// The problem with the path of the file as it is reached from here, so that a terminal can open it.
    pub fn display<'a>(&'a self, directory: &'a Path) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            let path = if self.file.is_empty() { directory.to_owned() } else { directory.join(&self.file) };
            write!(f, "{}:", visible(&path.display().to_string()))?;
            self.write_after_path(f)
        })
    }

    fn write_after_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let characters = excerpt.replace('\t', " ");
            let shown = |from: usize, many: usize| {
                visible(&characters.chars().skip(from).take(many).collect::<String>()).chars().count()
            };
            let start = self.column.saturating_sub(1);
            let (before, meant) = (shown(0, start), shown(start, self.width).max(1));
            write!(f, "\n{:>GUTTER$} | {}", self.line, visible(&characters))?;
            write!(f, "\n{:GUTTER$} | {:before$}{}", "", "", "^".repeat(meant))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n{:GUTTER$} = hint: {hint}", ""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", visible(&self.file))?;
        self.write_after_path(f)
    }
}

/// Every mistake of a configuration, by file, line and column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The mistakes in the order in which they are told, each once.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Problems {
        problems.sort();
        problems.dedup();
        Problems(problems)
    }

    /// The files that have a problem: sites that depend on one of them are suspended.
    pub fn files(&self) -> BTreeSet<&str> {
        self.0.iter().map(|problem| problem.file.as_str()).collect()
    }

    /// All problems, with paths that begin with the directory as it was given.
    pub fn display<'a>(&'a self, directory: &'a Path) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| write_lines(f, self.0.iter().map(|problem| problem.display(directory))))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, self.0.iter())
    }
}

/// A sentence in which a name of the file may stand: it cannot flood or lead astray a terminal.
fn told(text: &str) -> String {
    visible(&shortened(text)).into_owned()
}

/// Whether a password may stand in the line, where it should not: what is told goes to terminals and journals.
fn may_hold_a_secret(line: &str) -> bool {
    const NAMES: [&str; 4] = ["password", "passwd", "pwd", "secret"];
    let is_given = |name: &str| {
        let mut behind = line.match_indices(name).filter_map(|(at, _)| line.get(at + name.len()..));
        behind.any(|rest| rest.trim_start_matches(['"', '\'', ' ', '\t']).starts_with('='))
    };
    let in_authority = |rest: &str| {
        let authority = rest.split(['/', '?', '"', '\'']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    };
    NAMES.into_iter().any(is_given) || line.split("://").skip(1).any(in_authority)
}

fn write_lines(f: &mut fmt::Formatter<'_>, lines: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    for (index, line) in lines.enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        write!(f, "{separator}{line}")?;
    }
    Ok(())
}

/// Collects the problems of one file.
///
/// It also remembers which entries could not be read: what was there but wrong is not reported as missing as well.
#[derive(Debug)]
pub(super) struct FileProblems<'a> {
    file: &'a str,
    text: &'a str,
    /// Where its lines end.
    newlines: Vec<usize>,
    problems: Vec<Problem>,
    /// Entries left out, as the place of the table they stand in and their key.
    unread: BTreeSet<(usize, usize, String)>,
    /// Lines that are not TOML: whatever else seems wrong there follows from that.
    torn_lines: BTreeSet<usize>,
    /// Where the rest of the file lost its meaning, an unclosed list for instance.
    lost_from: usize,
}

impl<'a> FileProblems<'a> {
    pub(super) fn new(source: &'a Source) -> FileProblems<'a> {
        FileProblems {
            file: &source.path,
            text: &source.text,
            newlines: source.text.match_indices('\n').map(|(at, _)| at).collect(),
            problems: Vec::new(),
            unread: BTreeSet::new(),
            torn_lines: BTreeSet::new(),
            lost_from: usize::MAX,
        }
    }

    /// The file's path below the configuration directory.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// What stands in the file there.
    pub(super) fn text_at(&self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// What stands in the file from there on.
    pub(super) fn text_from(&self, start: usize) -> &'a str {
        self.text.get(start..).unwrap_or_default()
    }

    /// Whether the file is not TOML throughout: what is not there may have been meant to be.
    pub(super) fn is_torn(&self) -> bool {
        !self.torn_lines.is_empty()
    }

    /// Records what is not TOML at `span`, once a line.
    pub(super) fn report_torn(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.push(span, message.into(), hint);
        self.torn_lines.insert(self.line_of(span.start));
    }

    /// From there on nothing can be said of the file.
    pub(super) fn lose_from(&mut self, start: usize) {
        self.lost_from = self.lost_from.min(start);
    }

    fn line_of(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }

    /// Whether more would be no help.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MOST_PROBLEMS_PER_FILE
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Records what is wrong at `span`.
    pub(super) fn report(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    /// Records what is wrong at `span` and what to write there.
    pub(super) fn report_with_hint(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(hint.into()));
    }

    fn push(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        let line_number = self.line_of(span.start);
        if self.is_full() || span.start > self.lost_from || self.torn_lines.contains(&line_number) {
            return;
        }
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let is_short = line.chars().nth(LONGEST_EXCERPT).is_none();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let meant = self.text_at(span).lines().next().unwrap_or_default().chars().count();
        let is_shown = span.end > 0 && is_short && !may_hold_a_secret(line);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: line_number,
            column,
            message: told(&message),
            excerpt: is_shown.then(|| line.to_owned()),
            width: if is_shown { meant.max(1) } else { 0 },
            hint: hint.as_deref().map(told),
        });
    }

    /// Remembers that `key` of the table at `table` was there and could not be read.
    pub(super) fn leave_out(&mut self, table: &Range<usize>, key: &str) {
        self.unread.insert((table.start, table.end, key.to_owned()));
    }

    /// The keys of the table at `table` that were there and could not be read.
    pub(super) fn left_out(&self, table: &Range<usize>) -> impl Iterator<Item = &str> {
        let place = (table.start, table.end);
        self.unread.iter().filter(move |(start, end, _)| (*start, *end) == place).map(|(_, _, key)| key.as_str())
    }

    /// The value of a mandatory key; its absence is a problem of the table at `table`.
    pub(super) fn required<T>(&mut self, table: &Range<usize>, key: &str, value: Option<T>, hint: &str) -> Option<T> {
        if value.is_none() && !self.is_torn() && !self.left_out(table).any(|left_out| left_out == key) {
            self.report_with_hint(table, format!("missing key `{key}`"), hint);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "sites/shop.example.toml".into(), text: text.into(), sha256: String::new() }
    }

    #[test]
    fn a_problem_is_shown_with_its_line_a_caret_and_a_hint() {
        let source = source("a = 1\n\n\n\n\n\n\n\n\n\n\nstor-ip = false\n");
        let mut problems = FileProblems::new(&source);
        problems.report_with_hint(&(16..23), "unknown key `stor-ip`", "did you mean `store-ip`?");
        let expected = "config/sites/shop.example.toml:12:1: unknown key `stor-ip`\n   12 | stor-ip = false\n      | ^^^^^^^\n      = hint: did you mean `store-ip`?";
        let problems = Problems::sorted(problems.into_problems());
        assert_eq!(problems.display(Path::new("config")).to_string(), expected);
        assert_eq!(problems.to_string(), expected.strip_prefix("config/").unwrap());
    }

    #[test]
    fn a_line_with_what_acts_is_shown_in_words_and_the_caret_stands_below_its_place() {
        let source = source("\u{202e}x = \u{1b}[2J\n");
        let mut problems = FileProblems::new(&source);
        problems.report(&(7..11), "`\u{1b}[2J` is no value");
        let expected = "sites/shop.example.toml:1:6: `⟨U+001B⟩[2J` is no value\n    1 | ⟨U+202E⟩x = ⟨U+001B⟩[2J\n      |             ^^^^^^^^^^^";
        assert_eq!(Problems::sorted(problems.into_problems()).to_string(), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_shown() {
        for (length, is_shown) in [(300, true), (301, false)] {
            let source = source(&"x".repeat(length));
            let mut problems = FileProblems::new(&source);
            problems.report(&(0..5), "wrong");
            let problem = problems.into_problems().remove(0);
            assert_eq!((problem.excerpt.is_some(), problem.line, problem.column), (is_shown, 1, 1));
        }
    }

    #[test]
    fn columns_count_characters_and_not_bytes() {
        let source = source("name = \"Šumavská\" x\n");
        let at = source.text.find('x').unwrap();
        let mut problems = FileProblems::new(&source);
        problems.report(&(at..at + 1), "x");
        assert_eq!(problems.into_problems()[0].column, 19);
    }

    #[test]
    fn what_could_not_be_read_is_not_missing_as_well() {
        let source = source("[safety]\n");
        let mut problems = FileProblems::new(&source);
        problems.leave_out(&(0..8), "approval");
        assert_eq!(problems.required(&(0..8), "approval", None::<u8>, ""), None);
        assert_eq!(problems.required(&(0..8), "max-rows", None::<u8>, "add it"), None);
        let messages: Vec<String> = problems.into_problems().into_iter().map(|problem| problem.message).collect();
        assert_eq!(messages, ["missing key `max-rows`"]);
    }
}
