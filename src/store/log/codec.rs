//! How a file is compressed, told by its first bytes: names lie.
//!
//! What is written again is written in the same way. A `.gz` file becomes one of several members, each of a block:
//! every reader of gzip takes them for one file (RFC 1952, section 2.2), and two threads can compress at once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// zstd's own default, which rotation leaves as it is.
const ZSTD_LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

/// The farthest that a frame may reach back, as a power of two: what is held in memory. zstd's own levels up to 20 reach
/// no farther.
const ZSTD_WINDOW: u32 = 25;

/// What zstd says of one that does (zstd_errors.h).
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

const BUFFER: usize = 256 * 1024;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// It is not.
    Plain,
    /// gzip (RFC 1952), at this level.
    Gzip(u32),
    /// Zstandard (RFC 8878).
    Zstd,
    /// In a way that cannot be read here.
    Unknown,
}

/// The first bytes of formats that are not read, so that nobody takes them for lines: bzip2, xz, lz4 (two of them), compress,
/// zip, lzip, lzop, 7-Zip, age.
const UNKNOWN: [&[u8]; 10] = [
    b"BZh",
    b"\xFD7zXZ\0",
    b"\x04\x22\x4D\x18",
    b"\x02\x21\x4C\x18",
    b"\x1F\x9D",
    b"PK\x03\x04",
    b"LZIP",
    b"\x89LZO",
    b"7z\xBC\xAF",
    b"age-encryption.org",
];

/// Ends of names of files that hold no lines, whose first bytes may not say so.
const NO_LINES: [&str; 18] = [
    "br", "lzma", "lz", "lz4", "lzo", "xz", "bz2", "7z", "zip", "gpg", "pgp", "age", "enc", "gz", "zst", "z", "tar",
    "sz",
];

/// Ends of names of archives: what is in them are files, however it is compressed.
const ARCHIVES: [&str; 6] = [".tar", ".tar.gz", ".tar.zst", ".tgz", ".tzst", ".taz"];

impl Codec {
    /// By the first bytes of a file. A name counts only against it: what is no text must not be taken for lines.
    pub(super) fn of_file(name: &OsStr, head: &[u8]) -> Codec {
        let name = name.to_string_lossy().to_ascii_lowercase();
        let end = Path::new(&name).extension().and_then(OsStr::to_str);
        match Codec::of(head) {
            _ if !head.is_empty() && ARCHIVES.iter().any(|end| name.ends_with(end)) => Codec::Unknown,
            Codec::Plain if !head.is_empty() && end.is_some_and(|end| NO_LINES.contains(&end)) => Codec::Unknown,
            codec => codec,
        }
    }

    pub(super) fn of(head: &[u8]) -> Codec {
        match head {
            // The eighth byte tells how hard the compressor tried (RFC 1952, section 2.3.1).
            [0x1F, 0x8B, _, _, _, _, _, _, 2, ..] => Codec::Gzip(9),
            [0x1F, 0x8B, _, _, _, _, _, _, 4, ..] => Codec::Gzip(1),
            [0x1F, 0x8B, ..] => Codec::Gzip(6),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Codec::Zstd,
            // A frame to be skipped (RFC 8878, section 3.1.2), with which `pzstd` begins.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Codec::Zstd,
            _ if UNKNOWN.iter().any(|magic| head.starts_with(magic)) => Codec::Unknown,
            _ => Codec::Plain,
        }
    }

    /// Bytes of lines that are worked on at a time: what comes in and what goes out should stay in a core's own cache, and
    /// a member of gzip knows nothing of the one before it, so that short ones compress worse.
    pub(super) fn block_size(self) -> usize {
        match self {
            Codec::Plain | Codec::Unknown => 512 << 10,
            Codec::Gzip(_) | Codec::Zstd => 2 << 20,
        }
    }

    /// Bytes that a file of `size` may take once it is written anew.
    pub(super) fn room(self, size: u64) -> u64 {
        match self {
            // It may have been compressed harder.
            Codec::Zstd => size.saturating_mul(2),
            Codec::Plain | Codec::Gzip(_) | Codec::Unknown => size.saturating_add(size / 8),
        }
    }

    /// What the file holds. Where it is damaged, reading ends with [`io::ErrorKind::InvalidData`], and where that takes
    /// too much memory, with [`io::ErrorKind::Unsupported`].
    pub(super) fn reader<'f>(self, file: &'f File) -> io::Result<Box<dyn Read + Send + 'f>> {
        Ok(match self {
            Codec::Plain => Box::new(file),
            Codec::Gzip(_) => Box::new(Compressed(MultiGzDecoder::new(io::BufReader::with_capacity(BUFFER, file)))),
            Codec::Zstd => {
                let mut decoder = zstd::Decoder::new(file)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(Compressed(decoder))
            }
            Codec::Unknown => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// What the file will hold.
    pub(super) fn writer(self, file: &File) -> io::Result<Writer<'_>> {
        Ok(match self {
            Codec::Plain => Writer::AsItIs(file),
            Codec::Gzip(_) => Writer::Members { file, any: false },
            Codec::Zstd => {
                let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Writer::Zstd(Box::new(encoder))
            }
            Codec::Unknown => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// The bytes that `lines` become in the file, where that is not the writer's work.
    pub(super) fn member(self, lines: &[u8], mut used: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let Codec::Gzip(level) = self else { return Ok(None) };
        used.clear();
        if lines.is_empty() {
            return Ok(Some(used));
        }
        let mut encoder = GzEncoder::new(used, Compression::new(level));
        encoder.write_all(lines)?;
        encoder.finish().map(Some)
    }
}

/// Tells damage from trouble with the disk, which has a number of the system's.
struct Compressed<R>(R);

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.raw_os_error() {
            Some(_) => error,
            None if error.to_string() == WINDOW_TOO_LARGE => io::Error::new(io::ErrorKind::Unsupported, error),
            None => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }
}

/// Writes what a file will hold.
pub(super) enum Writer<'f> {
    AsItIs(&'f File),
    /// Of gzip, as the threads have made them.
    Members {
        file: &'f File,
        any: bool,
    },
    Zstd(Box<zstd::Encoder<'static, &'f File>>),
}

impl Writer<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::AsItIs(file) => file.write_all(bytes),
            Writer::Members { file, any } => {
                *any |= !bytes.is_empty();
                file.write_all(bytes)
            }
            Writer::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Writer::AsItIs(_) | Writer::Members { any: true, .. } => Ok(()),
            // Nothing at all is no file of gzip.
            Writer::Members { file, any: false } => GzEncoder::new(file, Compression::fast()).finish().map(|_| ()),
            Writer::Zstd(encoder) => encoder.finish().map(|_| ()),
        }
    }
}
