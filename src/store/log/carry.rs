//! Lines that came to a new file while it stood in a place that it had to give back: they follow those of the old file.
//!
//! Who opened the new file by its name meanwhile may write to it for as long as it likes. So nothing is done while
//! anybody has it open, and afterwards nobody can open it any more. How many bytes were carried over, and where in the old
//! file the next ones begin, is written down with the new file before they are written: a crash in the middle loses
//! none of them and repeats none. Where that cannot be written down, a line may stand there twice, never not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::XattrFlags;

use super::files::{Identity, LogDirectory};
use super::memory;
use super::openers::{Openers, Standing};
use super::place::InFlight;
use super::rotation;

/// How often it is looked whether a program that appends a line has let go again, and how long is waited in between.
const GLANCES: u32 = 50;
const GLANCE: Duration = Duration::from_millis(10);

/// How often the old file is looked for that rotation keeps moving.
const ATTEMPTS: u32 = 100;

/// How far behind its place in the old file the beginning of what was carried over is looked for: others append too.
const REACH: u64 = 1 << 20;

/// Bytes that are compared at a time.
const PIECE: usize = 64 * 1024;

/// What became of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// They stand in the old file, durably; or there were none. The new one is not needed any more.
    Over,
    /// The old file is nowhere.
    Nowhere,
}

/// Carries over what came to the new file under the name `own` since it was complete.
pub(super) fn carry_over(directory: &LogDirectory, own: &str, said: &InFlight) -> io::Result<Carried> {
    if !is_let_go(directory, said) {
        return Err(io::Error::other(
            "a program may still write to a file that forgetd made, and lines in it wait to be put back: let the server \
             open its log anew",
        ));
    }
    let new = directory.open_own(own)?;
    let now = Identity::of(&rustix::fs::fstat(&new)?);
    if !now.is_file(&said.new) {
        return Err(io::Error::other("another file has taken its place"));
    }
    let late = Late { new, from: said.new.size, length: now.size.saturating_sub(said.new.size) };
    if late.length == 0 {
        return Ok(Carried::Over);
    }
    let Some(old) = open_old(directory, &said.old)? else { return Ok(Carried::Nowhere) };
    late.follow(old)?;
    Ok(Carried::Over)
}

/// Whether it is certain that nobody writes to the new file any more.
fn is_let_go(directory: &LogDirectory, said: &InFlight) -> bool {
    let is_copy = rotation::is_compressed_copy(OsStr::from_bytes(&said.name));
    (0..GLANCES).any(|glance| {
        if glance > 0 {
            std::thread::sleep(GLANCE);
        }
        match Openers::look(&directory.file, [said.new]).standing(&said.new) {
            Standing::Idle | Standing::Read => true,
            Standing::Unknown => is_copy,
            Standing::Written => false,
        }
    })
}

/// Finds the old file, whatever it is called by now.
fn open_old(directory: &LogDirectory, old: &Identity) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let Some(name) = directory.name_of(|file| file.is_file(old)).map_err(io::Error::other)? else {
            return Ok(None);
        };
        match directory.open_to_append(&name, old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    Err(io::Error::other("the file that they belong to is moved all the time"))
}

/// What came late to a new file.
struct Late {
    new: File,
    from: u64,
    length: u64,
}

/// How much was carried over, and where in the old file what follows begins.
#[derive(Debug, Clone, Copy)]
struct Mark {
    done: u64,
    at: u64,
}

impl Mark {
    fn name() -> String {
        format!("{}carried", memory::PREFIX)
    }

    /// `None` where nothing was begun, or where it could not be written down.
    fn read(new: &File) -> Option<Mark> {
        let mut text = [0; 64];
        let length = rustix::fs::fgetxattr(new, Mark::name(), &mut text[..]).ok()?;
        let (done, at) = std::str::from_utf8(&text[..length]).ok()?.split_once(' ')?;
        Some(Mark { done: done.parse().ok()?, at: at.parse().ok()? })
    }

    fn write(self, new: &File) -> io::Result<()> {
        let text = format!("{} {}", self.done, self.at);
        match rustix::fs::fsetxattr(new, Mark::name(), text.as_bytes(), XattrFlags::empty()) {
            Ok(()) => new.sync_all(),
            // A crash may then repeat lines.
            Err(_) => Ok(()),
        }
    }
}

impl Late {
    /// Appends to the old file what does not stand there yet.
    fn follow(mut self, mut old: File) -> io::Result<()> {
        let done = match Mark::read(&self.new) {
            Some(Mark { done, at }) if done < self.length => done + self.found(done, &old, at)?,
            // Somebody has cut it off since.
            Some(_) => self.length,
            None => 0,
        };
        if done < self.length {
            Mark { done, at: old.metadata()?.len() }.write(&self.new)?;
            self.new.seek(SeekFrom::Start(self.from + done))?;
            io::copy(&mut (&self.new).take(self.length - done), &mut old)?;
        }
        old.sync_all()
    }

    /// How many of the bytes behind `done` an earlier attempt has brought to the old file, at or soon after `at`.
    fn found(&self, done: u64, old: &File, at: u64) -> io::Result<u64> {
        let mut window = Vec::new();
        let mut reader = old;
        reader.seek(SeekFrom::Start(at))?;
        reader.take(REACH).read_to_end(&mut window)?;
        let behind_lines = memchr::memchr_iter(b'\n', &window).map(|newline| newline + 1);
        let mut best = 0;
        for start in std::iter::once(0).chain(behind_lines).filter(|start| *start < window.len()) {
            let mut first = [0];
            self.new.read_exact_at(&mut first, self.from + done)?;
            if window[start] == first[0] {
                let start = at + u64::try_from(start).map_err(io::Error::other)?;
                best = best.max(self.whole_lines(done, old, start)?);
            }
        }
        Ok(best)
    }

    /// How many bytes behind `done` stand in the old file from `at` on, up to the end of a line. A line that was cut off
    /// counts only as the last thing that was ever written there.
    fn whole_lines(&self, done: u64, old: &File, at: u64) -> io::Result<u64> {
        let wanted = self.length - done;
        let (mut same, mut whole) = (0, 0);
        let (mut ours, mut theirs) = ([0; PIECE], [0; PIECE]);
        while same < wanted {
            let piece = usize::try_from(wanted - same).unwrap_or(PIECE).min(PIECE);
            let theirs = read_up_to(old, &mut theirs[..piece], at + same)?;
            let ours = read_up_to(&self.new, &mut ours[..theirs.len()], self.from + done + same)?;
            let equal = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
            if let Some(newline) = memchr::memrchr(b'\n', &ours[..equal]) {
                whole = same + u64::try_from(newline + 1).map_err(io::Error::other)?;
            }
            same += u64::try_from(equal).map_err(io::Error::other)?;
            if equal < piece {
                break;
            }
        }
        let is_its_end = at + same == old.metadata()?.len();
        Ok(if same == wanted || is_its_end { same } else { whole })
    }
}

/// Fills a buffer, as far as the file reaches.
fn read_up_to<'b>(file: &File, buffer: &'b mut [u8], from: u64) -> io::Result<&'b [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        let place = from + u64::try_from(filled).map_err(io::Error::other)?;
        match file.read_at(&mut buffer[filled..], place)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(&buffer[..filled])
}
