//! `forgetd audit prove`, `check-proof` and `anchor`: what a reader takes away, and checks without the log.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::super::arguments::{CheckProofOptions, ProveOptions};
use super::super::output::{Output, count};
use super::super::{Ended, Exit, Failure, session};
use super::{about, read_file, read_key};
use crate::audit::{self, Keys, Paths, Proof, ProofFault, ProveError, VerifierKey, VerifyError, read};
use crate::visible::json_lines;

pub(super) fn prove(log: &Path, options: &ProveOptions, output: &Output) -> Ended {
    let anchor = options.anchor.as_deref().map(read_file).transpose()?;
    let proof = audit::prove(log, options.entry, anchor.as_deref());
    let mut proof = proof.map_err(|error| no_proof(&error, options.anchor.as_ref()))?;
    if options.without_entry {
        proof.entry = None;
    }
    let text = proof.to_string();
    let told = serde_json::json!({ "entry": options.entry, "file": options.out, "proof": text });
    let Some(out) = &options.out else {
        output.result(&told, |output| output.bytes(text.as_bytes()));
        return Ok(Exit::Done);
    };
    std::fs::write(out, &text).map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", out.display())))?;
    output.result(&told, |output| {
        let check = output.advice("`forgetd audit check-proof`");
        output.line(format!(
            "{}: {}: the proof of entry {}, for {check}",
            output.good("Written"),
            out.display(),
            options.entry
        ));
    });
    Ok(Exit::Done)
}

fn no_proof(error: &ProveError, anchor: Option<&PathBuf>) -> Failure {
    let message = super::super::chain(error);
    match error {
        ProveError::NotSigned { .. } => Failure::usage(message),
        ProveError::Log(_) | ProveError::Files(VerifyError::NotReadable { .. }) => Failure::new(Exit::Failed, message),
        ProveError::Files(_) => Failure::new(Exit::NotVerified, about(anchor, message)),
        ProveError::Fault(_) | ProveError::NotWhatWasSigned { .. } => Failure::new(Exit::NotVerified, message),
    }
}

#[derive(Debug, Serialize)]
struct Checked {
    holds: bool,
    explanation: String,
    origin: String,
    index: u64,
    size: Option<u64>,
    root: Option<String>,
    entry: Option<Value>,
}

pub(super) fn check(directory: &Path, log: Option<PathBuf>, options: &CheckProofOptions, output: &Output) -> Ended {
    // Only where something is missing: the proof, a key and perhaps the entry are all that is needed.
    let log = || match &log {
        Some(log) => Some(log.clone()),
        None => session::state_paths(directory).ok().map(|paths| paths.audit()),
    };
    let proof = Proof::parse(&read_file(&options.file)?).map_err(|fault| refused(options, &fault))?;
    let keys = keys(options, log())?;
    let line = line(options, &proof, log())?;
    let checked = proof.check(&line, &keys);
    let (holds, exit) = if checked.is_ok() { (true, Exit::Done) } else { (false, Exit::NotVerified) };
    let explanation = match &checked {
        Ok(checkpoint) => format!(
            "entry {} is as it was when {} entries were signed for; whoever holds the key could have signed another \
             history: compare the checkpoint with one that you kept",
            proof.index,
            count(checkpoint.size)
        ),
        Err(fault) => fault.to_string(),
    };
    let told = Checked {
        holds,
        explanation,
        origin: keys.name().to_owned(),
        index: proof.index,
        size: checked.as_ref().ok().map(|checkpoint| checkpoint.size),
        root: checked.as_ref().ok().map(|checkpoint| checkpoint.root.to_string()),
        entry: serde_json::from_slice(&line).ok().filter(|_| holds),
    };
    output.result(&told, |output| {
        let word = if holds { output.good("holds") } else { output.attention("does not hold") };
        output.line(format!("{word}: {}", told.explanation));
        output.line(format!("log {}", told.origin));
        if let Some(entry) = told.entry.as_ref().and_then(|entry| json_lines(entry).ok()) {
            output.line(entry);
        }
    });
    Ok(exit)
}

fn refused(options: &CheckProofOptions, fault: &ProofFault) -> Failure {
    Failure::new(Exit::NotVerified, format!("{}: {fault}", options.file.display()))
}

/// The key that the reader kept, or else what stands beside the log.
fn keys(options: &CheckProofOptions, log: Option<PathBuf>) -> Result<Keys, Failure> {
    let rotations = options.rotation.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
    let kept: Option<VerifierKey> = options.key.as_deref().map(read_key).transpose()?;
    if let Some(kept) = kept {
        return Keys::following(kept, &rotations).map_err(|fault| Failure::new(Exit::NotVerified, fault.to_string()));
    }
    let Some(log) = log.filter(|log| log.exists()) else {
        let hint = "name the log's verifier key with `--key FILE`: a copy of `forgetd.vkey` from the log's directory";
        return Err(Failure::usage(hint));
    };
    Keys::of_log(&Paths::new(&log))?.map_err(|fault| Failure::new(Exit::NotVerified, fault.to_string()))
}

/// The entry that is proved: as the reader has it, as the proof carries it, or as the log has it.
fn line(options: &CheckProofOptions, proof: &Proof, log: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    if let Some(path) = &options.entry {
        let mut line = read_file(path)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        return Ok(line);
    }
    if let Some(entry) = &proof.entry {
        return Ok(entry.clone());
    }
    let found = match log.filter(|log| log.exists()) {
        Some(log) => read::line(&log, proof.index)?,
        None => None,
    };
    found.ok_or_else(|| {
        Failure::usage("the proof carries no entry: name a file with its line, `--entry FILE`, as `forgetd audit show N --json` prints it")
    })
}

pub(super) fn anchor(log: &Path, output: &Output) -> Ended {
    let verification = audit::verify(log, &[])?;
    let (verdict, exit) = super::verdict(&verification.verdict);
    if exit == Exit::NotVerified {
        let advice = "nothing of it is worth keeping as an anchor: `forgetd audit verify` says more";
        return Err(Failure::new(exit, format!("the log is {verdict}: {advice}")));
    }
    let (note, checkpoint) = audit::anchor(log).map_err(|error| no_proof(&error, None))?;
    let unsigned = verification.entries.saturating_sub(checkpoint.size);
    if unsigned > 0 {
        output.note(&format!("{} entries after it are not signed (yet)", count(unsigned)));
    }
    let told = serde_json::json!({
        "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.to_string(), "checkpoint": note,
    });
    output.result(&told, |output| output.bytes(note.as_bytes()));
    Ok(Exit::Done)
}
