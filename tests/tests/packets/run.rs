//! One program, run by the kernel on single frames.

use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::programs::{SchedClassifier, Xdp};
use aya::{TestRun, TestRunOptions};
use aya_obj::programs::XdpAttachType;
use balancer_common::frame::WithFrags;
use balancer_common::{Reason, reason};
use testbed::Namespace;

/// What the kernel made of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) verdict: Verdict,
    pub(crate) frame: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Passed, with a mark in front for the classifier behind.
    Mark,
    Drop,
    /// Out of the interface that it came in by.
    Transmit,
    /// Out of another interface.
    Redirect,
}

impl Verdict {
    /// What becomes of a packet that meets `reason`.
    pub(crate) fn of(reason: Reason) -> Verdict {
        if [Reason::HandedOn, Reason::ReturnedHome].contains(&reason) {
            return Verdict::Mark;
        }
        match reason.verdict() {
            reason::Verdict::Pass => Verdict::Pass,
            reason::Verdict::Drop => Verdict::Drop,
            reason::Verdict::Answer => Verdict::Transmit,
        }
    }
}

/// Room for the longest frame that the kernel takes in a run, and a header.
const OUT_BYTES: usize = 16_384;

/// How frames come in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// The index of an interface of the namespace; for 0 the kernel takes the loopback.
    pub(crate) ingress: u32,
    /// Bytes of metadata that another program left in front of each frame; they take headroom.
    pub(crate) metadata: usize,
    /// How many bytes of a frame its first buffer takes; if `None`, as many as it can.
    pub(crate) first: Option<FirstBuffer>,
}

/// Where a frame's first buffer ends.
pub(crate) type FirstBuffer = fn(&[u8]) -> usize;

/// A frame as a program reads it.
pub(crate) fn with_frags(frame: &[u8], first: Option<FirstBuffer>) -> WithFrags<'_> {
    let (first, frags) = frame.split_at(first.map_or(frame.len(), |first| first(frame)));
    let frags = frags.len();
    WithFrags { first, frags }
}

/// Is told what the kernel made of each frame, before it is given the next one.
pub(crate) type Watch<'a> = &'a mut (dyn FnMut(Ran) -> Result<()> + Send);

/// Runs the XDP program pinned at `pin` on each frame.
pub(crate) fn xdp(
    namespace: &Namespace,
    pin: &Path,
    arrival: Arrival,
    frames: &[Vec<u8>],
) -> Result<Vec<Ran>> {
    collected(|watch| xdp_watched(namespace, pin, arrival, frames, watch))
}

fn collected(run: impl FnOnce(Watch<'_>) -> Result<()>) -> Result<Vec<Ran>> {
    let mut all = Vec::new();
    run(&mut |ran| {
        all.push(ran);
        Ok(())
    })?;
    Ok(all)
}

/// The same, one frame after another under somebody's eyes.
pub(crate) fn xdp_watched(
    namespace: &Namespace,
    pin: &Path,
    arrival: Arrival,
    frames: &[Vec<u8>],
    watch: Watch<'_>,
) -> Result<()> {
    let mut out = vec![0; OUT_BYTES];
    let mut run = |program: &Xdp, frame: &[u8]| -> Result<Ran> {
        let mut data = vec![0; arrival.metadata];
        data.extend_from_slice(frame);
        let first = arrival.first.map_or(frame.len(), |first| first(frame));
        let context = context(arrival, arrival.metadata + first);
        let mut left = context.clone();
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(&data),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ctx_out: Some(&mut left),
                ..TestRunOptions::default()
            })
            .with_context(|| format!("cannot run on {} bytes", frame.len()))?;
        let metadata = u32::from_ne_bytes(left[..4].try_into()?) as usize;
        let (mark, came) = out[..result.data_size_out as usize].split_at(metadata);
        Ok(Ran {
            verdict: match result.return_value {
                1 => Verdict::Drop,
                2 if mark.starts_with(b"lbho") => Verdict::Mark,
                2 => Verdict::Pass,
                3 => Verdict::Transmit,
                4 => Verdict::Redirect,
                other => bail!("the program returned {other}"),
            },
            frame: came.to_vec(),
        })
    };
    namespace.enter(|| {
        let program = Xdp::from_pin(pin, XdpAttachType::Interface)
            .with_context(|| format!("no program at {}", pin.display()))?;
        frames
            .iter()
            .try_for_each(|frame| watch(run(&program, frame)?))
    })?
}

/// Runs the classifier pinned at `pin` on each frame.
pub(crate) fn classifier(
    namespace: &Namespace,
    pin: &Path,
    frames: &[Vec<u8>],
) -> Result<Vec<Ran>> {
    collected(|watch| classifier_watched(namespace, pin, frames, watch))
}

/// The same, one frame after another under somebody's eyes.
pub(crate) fn classifier_watched(
    namespace: &Namespace,
    pin: &Path,
    frames: &[Vec<u8>],
    watch: Watch<'_>,
) -> Result<()> {
    let run = |program: &SchedClassifier, frame: &[u8]| -> Result<Ran> {
        let mut out = vec![0; OUT_BYTES];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ..TestRunOptions::default()
            })
            .with_context(|| format!("cannot run on {} bytes", frame.len()))?;
        out.truncate(result.data_size_out as usize);
        Ok(Ran {
            verdict: match result.return_value {
                // Done, and left to the next program.
                0 | u32::MAX => Verdict::Pass,
                2 => Verdict::Drop,
                7 => Verdict::Redirect,
                other => bail!("the program returned {other}"),
            },
            frame: out,
        })
    };
    namespace.enter(|| {
        let program = SchedClassifier::from_pin(pin)
            .with_context(|| format!("no program at {}", pin.display()))?;
        frames
            .iter()
            .try_for_each(|frame| watch(run(&program, frame)?))
    })?
}

/// `struct xdp_md`: `data` and `data_end` are where the frame begins behind its metadata, and where its
/// first buffer ends (Linux 6.18; before, that was the frame's end).
fn context(arrival: Arrival, data_end: usize) -> Vec<u8> {
    let Arrival {
        ingress, metadata, ..
    } = arrival;
    [metadata as u32, data_end as u32, 0, ingress, 0, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}
