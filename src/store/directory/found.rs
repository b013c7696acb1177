//! What a count found, for the walk that follows it and for the count at its end.
//!
//! Nothing is erased by it: the walk looks at each file once more in the instant before it removes it, and the count at the
//! end looks at every file that is not known to have been young. It spares reading all directories a second time, and
//! looking a second time at what stays. Memory is bounded: where names are too many their inodes are remembered, and
//! where these are too many, nothing is.

use std::collections::HashSet;
use std::ffi::CStr;
use std::sync::Arc;

use jiff::Timestamp;

use super::erase::Group;
use super::names::Names;
use super::walker::Chunk;

/// Most bytes of names that are remembered: 300,000 files or so.
const MOST_BYTES: usize = 16 << 20;

/// Most inodes of a kind that are remembered: 16 MB.
const MOST_INODES: usize = 2_000_000;

/// What a count found. It holds names: nobody prints it.
pub(super) struct Found {
    /// The moment and the cutoff it is about.
    pub(super) moment: (Timestamp, Option<Timestamp>),
    /// Locks that were there: no file below a directory that is locked is among the expired.
    pub(super) locks: HashSet<u64>,
    pub(super) expired: Expired,
    /// Files that were not expired; `None` where there are too many, or where their inodes cannot be told.
    pub(super) young: Option<Inodes>,
    bytes: usize,
}

/// Files that were expired and might go.
pub(super) enum Expired {
    /// All of them.
    Names(Vec<Group>),
    /// They are too many for that.
    Inodes(Inodes),
    /// They are too many even for that, or the file system does not tell their inodes with their names.
    Unknown,
}

/// Inodes, in ascending order once they are all there.
#[derive(Debug, Default)]
pub(super) struct Inodes(Vec<u64>);

impl Inodes {
    /// Whether one is among them. `near` is where the last one was: what lies in one directory was mostly made together,
    /// and has inodes that follow each other.
    pub(super) fn have(&self, inode: u64, near: &mut usize) -> bool {
        for place in [near.wrapping_add(1), near.wrapping_sub(1)] {
            if self.0.get(place) == Some(&inode) {
                *near = place;
                return true;
            }
        }
        let place = self.0.binary_search(&inode);
        *near = place.unwrap_or_else(|place| place);
        place.is_ok()
    }
}

/// What was found in a chunk. `None` where the directory tells another inode than the file itself, as overlayfs and FUSE
/// do: then what stands in a directory does not tell which file it is.
pub(super) struct Finds {
    expired: Option<Group>,
    young: Option<Vec<u64>>,
}

impl Finds {
    pub(super) fn of(chunk: &Chunk) -> Finds {
        let group = Group { path: Arc::clone(&chunk.path), inode: chunk.inode, names: Names::default() };
        Finds { expired: Some(group), young: Some(Vec::new()) }
    }

    pub(super) fn expired(&mut self, name: &CStr, told: u64, inode: u64) {
        match &mut self.expired {
            Some(group) if told == inode => group.names.push(name, inode),
            _ => self.expired = None,
        }
    }

    pub(super) fn young(&mut self, told: u64, inode: u64) {
        match &mut self.young {
            Some(young) if told == inode => young.push(inode),
            _ => self.young = None,
        }
    }

    /// Many of these are kept.
    pub(super) fn shrink(&mut self) {
        self.expired.iter_mut().for_each(|group| group.names.shrink());
    }
}

impl Found {
    pub(super) fn nothing_yet(moment: (Timestamp, Option<Timestamp>), locks: HashSet<u64>) -> Found {
        Found { moment, locks, expired: Expired::Names(Vec::new()), young: Some(Inodes::default()), bytes: 0 }
    }

    pub(super) fn take_in(&mut self, finds: Finds) {
        let Finds { expired, young } = finds;
        self.young = match (self.young.take(), young) {
            (Some(Inodes(mut all)), Some(more)) if all.len() + more.len() <= MOST_INODES => {
                all.extend(more);
                Some(Inodes(all))
            }
            _ => None,
        };
        let known = std::mem::replace(&mut self.expired, Expired::Unknown);
        let Some(group) = expired else { return };
        self.bytes = self.bytes.saturating_add(group.names.bytes());
        self.expired = match known {
            Expired::Names(mut groups) => {
                groups.extend((!group.names.is_empty()).then_some(group));
                if self.bytes <= MOST_BYTES { Expired::Names(groups) } else { inodes(Vec::new(), groups) }
            }
            Expired::Inodes(Inodes(all)) => inodes(all, [group]),
            Expired::Unknown => Expired::Unknown,
        };
    }

    /// Once everything was taken in. Files of one directory come together: they are removed by one thread, and its entry is
    /// synced once.
    pub(super) fn put_in_order(&mut self) {
        self.young.iter_mut().for_each(|young| young.0.sort_unstable());
        match &mut self.expired {
            Expired::Inodes(inodes) => inodes.0.sort_unstable(),
            Expired::Names(groups) => {
                groups.sort_by(|one, other| (&one.path, one.inode).cmp(&(&other.path, other.inode)));
                groups.dedup_by(|next, group| {
                    let is_same = next.inode == group.inode && next.path == group.path;
                    if is_same {
                        group.names.append(std::mem::take(&mut next.names));
                    }
                    is_same
                });
            }
            Expired::Unknown => {}
        }
    }
}

fn inodes(mut all: Vec<u64>, groups: impl IntoIterator<Item = Group>) -> Expired {
    for group in groups {
        all.extend(group.names.iter().map(|(_, inode)| inode));
    }
    if all.len() <= MOST_INODES { Expired::Inodes(Inodes(all)) } else { Expired::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(path: &[u8], names: &[(&CStr, u64)], young: &[u64]) -> Finds {
        let mut group = Group { path: path.into(), inode: 7, names: Names::default() };
        names.iter().for_each(|(name, inode)| group.names.push(name, *inode));
        Finds { expired: Some(group), young: Some(young.to_vec()) }
    }

    fn nothing_yet() -> Found {
        Found::nothing_yet((Timestamp::UNIX_EPOCH, None), HashSet::new())
    }

    #[test]
    fn files_of_one_directory_are_together_wherever_they_were_found() {
        let mut found = nothing_yet();
        for (path, name, inode) in [(&b"a"[..], c"1", 1), (b"b", c"2", 2), (b"a", c"3", 3)] {
            found.take_in(finds(path, &[(name, inode)], &[inode + 10]));
        }
        found.put_in_order();
        let Expired::Names(groups) = &found.expired else { panic!("no names") };
        let names =
            |group: &Group| group.names.iter().map(|(name, inode)| (name.to_owned(), inode)).collect::<Vec<_>>();
        assert_eq!(groups.iter().map(|group| &*group.path).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(names(&groups[0]), [(c"1".to_owned(), 1), (c"3".to_owned(), 3)]);
        assert_eq!(names(&groups[1]), [(c"2".to_owned(), 2)]);
        let young = found.young.unwrap();
        let mut near = 0;
        for inode in 0..20 {
            assert_eq!(young.have(inode, &mut near), (11..=13).contains(&inode), "{inode}");
        }
    }

    #[test]
    fn of_too_many_files_the_inodes_are_remembered_and_of_even_more_nothing() {
        let mut found = nothing_yet();
        let name = std::ffi::CString::new("n".repeat(255)).unwrap();
        let mut inode = 0;
        let mut kinds = Vec::new();
        for _ in 0..260 {
            let names: Vec<(&CStr, u64)> = (0..10_000).map(|at| (name.as_c_str(), inode + at)).collect();
            inode += 10_000;
            found.take_in(finds(b"", &names, &[]));
            kinds.push(match &found.expired {
                Expired::Names(_) => 'n',
                Expired::Inodes(Inodes(all)) => {
                    assert_eq!(all.len() as u64, inode);
                    'i'
                }
                Expired::Unknown => '?',
            });
        }
        kinds.dedup();
        assert_eq!(kinds, ['n', 'i', '?']);
    }

    #[test]
    fn where_a_directory_tells_other_inodes_than_its_files_nothing_is_remembered() {
        let mut other = finds(b"", &[], &[]);
        other.expired(c"1", 1, 2);
        other.expired(c"2", 3, 3);
        other.young(4, 5);
        other.young(6, 6);
        let mut found = nothing_yet();
        found.take_in(other);
        found.take_in(finds(b"", &[(c"3", 3)], &[6]));
        assert!(matches!(found.expired, Expired::Unknown) && found.young.is_none());
    }
}
