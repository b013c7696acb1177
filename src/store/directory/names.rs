//! Names of files of one directory, side by side in one piece of memory.

use std::ffi::CStr;

/// Names with the inode that each had when it was read.
#[derive(Default)]
pub(super) struct Names {
    /// Each name with its NUL.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Where the name ends, after its NUL.
    end: usize,
    inode: u64,
}

impl Names {
    pub(super) fn push(&mut self, name: &CStr, inode: u64) {
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push(Entry { end: self.bytes.len(), inode });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Gives back what they do not take of it.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&CStr, u64)> {
        let mut begin = 0;
        self.entries.iter().map(move |entry| {
            let name = self.bytes.get(begin..entry.end).unwrap_or_default();
            begin = entry.end;
            (CStr::from_bytes_until_nul(name).unwrap_or_default(), entry.inode)
        })
    }

    /// Takes in all of `others`.
    pub(super) fn append(&mut self, others: Names) {
        if self.is_empty() {
            *self = others;
            return;
        }
        let moved_by = self.bytes.len();
        self.bytes.extend(others.bytes);
        self.entries.extend(others.entries.into_iter().map(|entry| Entry { end: entry.end + moved_by, ..entry }));
    }

    /// Keeps the first `count` names and returns the others.
    pub(super) fn split_off(&mut self, count: usize) -> Names {
        let Some(end) = count.checked_sub(1).and_then(|last| self.entries.get(last)).map(|entry| entry.end) else {
            return std::mem::take(self);
        };
        let moved = self.entries.split_off(count).into_iter();
        Names {
            bytes: self.bytes.split_off(end),
            entries: moved.map(|entry| Entry { end: entry.end - end, ..entry }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(&CStr, u64); 4] = [(c"a", 1), (c"\xFFb", 2), (c"", 3), (c"ccc", 4)];

    fn names(of: &[(&CStr, u64)]) -> Names {
        let mut names = Names::default();
        of.iter().for_each(|(name, inode)| names.push(name, *inode));
        names
    }

    #[test]
    fn names_split_anywhere_and_put_together_again_are_what_they_were() {
        for at in 0..=ALL.len() {
            let mut first = names(&ALL);
            let rest = first.split_off(at);
            assert_eq!(first.iter().collect::<Vec<_>>(), ALL[..at]);
            assert_eq!(rest.iter().collect::<Vec<_>>(), ALL[at..]);
            first.append(rest);
            assert_eq!(first.iter().collect::<Vec<_>>(), ALL);
        }
    }
}
