//! Rows, and how they are tried.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::run::{Ran, Verdict};

/// What comes out.
pub(crate) enum Out {
    /// These bytes.
    Exactly(Vec<u8>),
    /// A frame that the oracle finds sound.
    Sound,
}

/// A program to try rows on.
pub(crate) trait Bench {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>>;
    fn counts(&self) -> Result<Counts>;
    /// What an independent parser has to say against what came of a frame.
    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String>;
}

/// A frame in, the verdict, the bytes out, what is counted.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
    pub(crate) verdict: Verdict,
    pub(crate) out: Out,
    pub(crate) counted: Counts,
}

impl Row {
    /// A frame that comes out as it went in.
    pub(crate) fn untouched(
        name: impl Into<String>,
        frame: Vec<u8>,
        verdict: Verdict,
        counted: Counts,
    ) -> Row {
        Row {
            name: name.into(),
            out: Out::Exactly(frame.clone()),
            frame,
            verdict,
            counted,
        }
    }

    /// A frame that meets `reason`, and comes out as it went in.
    pub(crate) fn met(reason: Reason, what: &str, frame: Vec<u8>) -> Row {
        let name = format!("{}: {what}", reason.name());
        Row::untouched(name, frame, Verdict::of(reason), Counts::reason(reason))
    }

    /// A frame that is sent on; in which bytes is another row's business.
    pub(crate) fn sent(name: impl Into<String>, frame: Vec<u8>, counted: Counts) -> Row {
        Row {
            name: name.into(),
            frame,
            verdict: Verdict::Transmit,
            out: Out::Sound,
            counted,
        }
    }
}

/// Tries every row by itself, and fails with all that went wrong.
pub(crate) fn check(bench: &impl Bench, rows: &[Row]) -> Result<()> {
    let mut wrong = Vec::new();
    let mut before = bench.counts()?;
    for row in rows {
        let ran = bench.run(std::slice::from_ref(&row.frame))?.remove(0);
        let after = bench.counts()?;
        let counted = after.since(&before);
        before = after;
        let name = &row.name;
        if ran.verdict != row.verdict {
            wrong.push(format!("{name}: {:?}, not {:?}", ran.verdict, row.verdict));
        }
        if let Out::Exactly(out) = &row.out
            && ran.frame != *out
        {
            let (came, expected) = (spelled(&ran.frame), spelled(out));
            wrong.push(format!("{name}: out comes\n  {came}\nnot\n  {expected}"));
        }
        if counted != row.counted {
            wrong.push(format!(
                "{name}: counted {counted:?}, not {:?}",
                row.counted
            ));
        }
        if let Err(fault) = bench.judge(&row.frame, &ran) {
            wrong.push(format!("{name}: {fault}: {}", spelled(&ran.frame)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Hexadecimal digits, a space every four bytes.
pub(crate) fn spelled(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes
        .chunks(4)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    words.join(" ")
}
