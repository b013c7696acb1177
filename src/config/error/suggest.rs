//! What was probably meant: the nearest of the words that are allowed somewhere.

/// A list longer than this hides the word that is looked for.
const LONGEST_LIST: usize = 24;

/// A hint for `word`, which is none of `allowed`: the nearest one, else all of them.
pub(in crate::config) fn hint<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    match nearest(word, &allowed) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if allowed.is_empty() => "there is none".to_owned(),
        None => format!("write {}", list(&allowed)),
    }
}

/// A hint for `word`: the nearest of too many words to list, else `otherwise`.
pub(in crate::config) fn nearest_or<'a>(
    word: &str,
    allowed: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    nearest(word, &allowed).map_or_else(|| otherwise.to_owned(), |meant| format!("did you mean `{meant}`?"))
}

/// `a`, `b` or `c`.
fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().take(LONGEST_LIST).map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((_, [])) | None => quoted.concat(),
        Some(_) if words.len() > LONGEST_LIST => format!("one of {}, …", quoted.join(", ")),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// A word longer than this is none of ours misspelt, and comparing it would take long.
const LONGEST_WORD: usize = 100;

/// The allowed word that differs from `word` by the fewest edits, if by at most a third of its length.
fn nearest<'a>(word: &str, allowed: &[&'a str]) -> Option<&'a str> {
    if word.chars().nth(LONGEST_WORD).is_some() {
        return None;
    }
    let word = word.to_lowercase();
    let most_edits = word.chars().count().div_ceil(3);
    let (edits, meant) =
        allowed.iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate)).min()?;
    (edits <= most_edits).then_some(meant)
}

/// Levenshtein's distance: insertions, deletions and replacements of characters between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (above, b) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = *above;
            left = replaced.min(*above + 1).min(left + 1);
            *above = left;
        }
        row[0] = index + 1;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (a, b, edits) in [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2), ("same", "same", 0)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(hint("stor-ip", ["store-device", "store-ip"]), "did you mean `store-ip`?");
        assert_eq!(hint("colour", ["path", "kind", "table"]), "write `path`, `kind` or `table`");
        assert_eq!(hint("x", ["path"]), "write `path`");
    }
}
