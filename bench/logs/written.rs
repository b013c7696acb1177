//! The log that is worked on: a request a line in the combined format, in the order of time.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::Work;

/// The first day of the younger half; the older one ends with the day before.
pub(crate) fn cutoff() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

/// Writes the log, as large as the work wants it.
pub(crate) fn write(path: &Path, work: Work) {
    let mut random = 1_u64;
    let (size, mut written) = (work.size(), 0);
    let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut out: Box<dyn Write> = match work {
        Work::MaskCompressed => Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::new(6))),
        Work::Mask | Work::Drop => Box::new(file),
    };
    while written < size {
        // Half of the bytes on each side of the cutoff, five days in all.
        let share = i64::try_from(written * 432_000 / size).unwrap();
        let line = line(&mut random, cutoff() + SignedDuration::from_secs(share - 216_000));
        out.write_all(line.as_bytes()).unwrap();
        written += u64::try_from(line.len()).unwrap();
    }
    out.flush().unwrap();
}

fn line(random: &mut u64, time: Timestamp) -> String {
    let mut next = |bound: u64| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % bound
    };
    let client = if next(5) == 0 {
        let part = [next(65_535) + 1, next(65_535) + 1, next(65_536), next(65_536), next(65_536)];
        format!("2001:db8:{:x}:{:x}:{:x}:{:x}:{:x}:1", part[0], part[1], part[2], part[3], part[4])
    } else {
        format!("{}.{}.{}.{}", next(223) + 1, next(256), next(256), next(254) + 1)
    };
    let (page, bytes) = (next(100_000), next(50_000) + 200);
    let agent = AGENTS[usize::try_from(next(4)).unwrap()];
    let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!(
        "{client} - - [{time}] \"GET /products/{page}?ref=newsletter HTTP/1.1\" 200 {bytes} \
         \"https://shop.example/category/{}\" \"{agent}\"\n",
        next(500)
    )
}

/// The digest of what a file holds, compressed or not.
pub(crate) fn digest(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let mut head = [0; 2];
    file.read_exact(&mut head).unwrap();
    let file = File::open(path).unwrap();
    let mut lines: Box<dyn Read> =
        if head == [0x1F, 0x8B] { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match lines.read(&mut buffer).unwrap() {
            0 => return hash.finalize().to_vec(),
            read => hash.update(&buffer[..read]),
        }
    }
}
