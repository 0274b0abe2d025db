//! One program, run by the kernel on single frames.

use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::Xdp;
use aya::{TestRun, TestRunOptions};
use aya_obj::programs::XdpAttachType;
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
    Drop,
    /// Out of the interface that it came in by.
    Transmit,
    /// Out of another interface.
    Redirect,
}

/// Room for the longest frame that the kernel takes in a run, and a header.
const OUT_BYTES: usize = 4_096;

/// Runs the XDP program pinned at `pin` on each frame, as if it came in by the interface with this
/// index of the namespace; 0 is nobody's, and the kernel puts its loopback in place.
pub(crate) fn xdp(
    namespace: &Namespace,
    pin: &Path,
    ingress: u32,
    frames: &[Vec<u8>],
) -> Result<Vec<Ran>> {
    let run = |program: &Xdp, frame: &[u8]| -> Result<Ran> {
        let mut out = vec![0; OUT_BYTES];
        let context = context(0, frame.len(), ingress);
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            })
            .with_context(|| format!("cannot run on {} bytes", frame.len()))?;
        out.truncate(result.data_size_out as usize);
        Ok(Ran {
            verdict: match result.return_value {
                1 => Verdict::Drop,
                2 => Verdict::Pass,
                3 => Verdict::Transmit,
                4 => Verdict::Redirect,
                other => anyhow::bail!("the program returned {other}"),
            },
            frame: out,
        })
    };
    namespace.enter(|| {
        let program = Xdp::from_pin(pin, XdpAttachType::Interface)
            .with_context(|| format!("no program at {}", pin.display()))?;
        frames.iter().map(|frame| run(&program, frame)).collect()
    })?
}

/// `struct xdp_md`: `data` is the length of the metadata before the frame.
fn context(data: usize, data_end: usize, ingress: u32) -> Vec<u8> {
    [data as u32, data_end as u32, 0, ingress, 0, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}
