//! What others would do it with: one command each, from one file to another.

use std::path::Path;
use std::process::Command;

use crate::Work;

/// Another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Sed,
    Perl,
    Mawk,
    Cat,
    Pipeline,
}

/// The last number of an IPv4 address, and what is behind the third group of an IPv6 one.
const SED: &str = r"s/^([0-9]+\.[0-9]+\.[0-9]+)\.[0-9]+ /\1.0 /; s/^(([0-9a-f]{1,4}:){3})[0-9a-f:]+ /\1: /";
const PERL: &str = r"s/^(\d+\.\d+\.\d+)\.\d+ /$1.0 / || s/^((?:[0-9a-f]{1,4}:){3})[0-9a-f:]+ /$1: /";
const MAWK_MASK: &str = r#"{
    i = index($0, " "); a = substr($0, 1, i - 1)
    if (index(a, ":")) { split(a, p, ":"); a = p[1] ":" p[2] ":" p[3] "::" } else sub(/\.[0-9]+$/, ".0", a)
    print a substr($0, i)
}"#;
const MAWK_DROP: &str = r#"BEGIN { m["May"] = "05"; m["Jun"] = "06" }
{ t = $4; if (substr(t, 9, 4) m[substr(t, 5, 3)] substr(t, 2, 2) >= "20260601") print }"#;

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Sed => "LC_ALL=C sed -E",
            Peer::Perl => "perl",
            Peer::Mawk => "mawk",
            Peer::Cat => "cat (copies)",
            Peer::Pipeline => "zcat \\| LC_ALL=C sed -E \\| gzip -6",
        }
    }
}

/// Runs a peer. Nothing is synced: the file lies in memory.
pub(crate) fn run(peer: Peer, work: Work, source: &Path, result: &Path) {
    let script = match (peer, work) {
        (Peer::Sed, _) => "sed -E \"$PROGRAM\" \"$SOURCE\" > \"$RESULT\"",
        (Peer::Perl, _) => "perl -pe \"$PROGRAM\" \"$SOURCE\" > \"$RESULT\"",
        (Peer::Mawk, _) => "mawk \"$PROGRAM\" \"$SOURCE\" > \"$RESULT\"",
        (Peer::Cat, _) => "cat \"$SOURCE\" > \"$RESULT\"",
        (Peer::Pipeline, _) => "zcat < \"$SOURCE\" | sed -E \"$PROGRAM\" | gzip -6 > \"$RESULT\"",
    };
    let program = match (peer, work) {
        (Peer::Perl, _) => PERL,
        (Peer::Mawk, Work::Drop) => MAWK_DROP,
        (Peer::Mawk, _) => MAWK_MASK,
        (Peer::Sed | Peer::Cat | Peer::Pipeline, _) => SED,
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("LC_ALL", "C").env("PROGRAM", program).env("SOURCE", source).env("RESULT", result);
    assert!(shell.status().unwrap().success(), "{peer:?}");
}
