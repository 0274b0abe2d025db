//! One case: its floor and its program in turns, and whether every packet became what it has to.

use anyhow::{Context, Result};
use aya::programs::{ProgramFd, Xdp};
use aya_obj::programs::XdpAttachType;
use balancer_common::bench::{Drive, Generator};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::cases::Case;
use crate::counts;
use crate::kernel::{Kernel, Ran};
use crate::quiet::{Gate, Probe, Sample, median};
use crate::site::Site;
use crate::verify;

/// The first state of the generator of flows.
pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// How much is measured, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Packets in each sample.
    pub(crate) packets: u32,
    pub(crate) cpu: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) ns: f64,
    pub(crate) floor_ns: f64,
    /// Packets that the case's program was given.
    pub(crate) packets: u64,
    /// Samples that were kept though the machine was not quiet.
    pub(crate) unquiet: usize,
    /// What is wrong with the packets, or with the counts; nothing for a verified case.
    pub(crate) faults: Vec<String>,
}

/// Measures a case.
pub(crate) fn measure(
    case: &Case,
    site: &Site,
    extent: Extent,
    gate: &mut Gate,
) -> Result<Measured> {
    let frame = site.frame(case)?;
    site.namespace
        .enter(|| inside(case, site, &frame, extent, gate))?
}

fn inside(
    case: &Case,
    site: &Site,
    frame: &[u8],
    extent: Extent,
    gate: &mut Gate,
) -> Result<Measured> {
    pin_to(extent.cpu)?;
    let pin = site.pins.join(site.program);
    let program = Xdp::from_pin(&pin, XdpAttachType::Interface)
        .with_context(|| format!("no program at {}", pin.display()))?;
    let program = program.fd()?;
    let backends = site.reference.backends();
    let before = counts::read(&site.pins, &backends)?;
    let start = verify::drive(case, frame, Generator::new(SEED));
    let mut shot = Shot {
        kernel: Kernel::load(site.ingress)?,
        case,
        frame,
        drive: start,
        packets: extent.packets,
        measured: true,
        driven: 0,
        faults: Vec::new(),
    };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        floors.push(shot.floor(gate)?);
        ours.push(shot.ours(program, gate)?);
    }
    let counted = counts::since(&before, &counts::read(&site.pins, &backends)?);
    let mut faults = shot.faults;
    faults.extend(verify::faults(
        case,
        &site.reference,
        frame,
        start,
        shot.driven,
        &counted,
    ));
    faults.dedup();
    Ok(Measured::new(&ours, &floors, shot.driven, faults))
}

impl Measured {
    /// From the samples of a program and of its floor.
    pub(crate) fn new(
        ours: &[Sample],
        floors: &[Sample],
        packets: u64,
        faults: Vec<String>,
    ) -> Measured {
        let ns = |samples: &[Sample]| {
            let ns: Vec<f64> = samples.iter().map(|sample| sample.ns).collect();
            median(&ns)
        };
        let unquiet = |samples: &[Sample]| samples.iter().filter(|sample| !sample.quiet).count();
        Measured {
            ns: ns(ours),
            floor_ns: ns(floors),
            packets,
            unquiet: unquiet(ours) + unquiet(floors),
            faults,
        }
    }
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin_to(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("cannot stay on CPU {cpu}"))
}

/// What is driven now, and where its flows stand.
struct Shot<'a> {
    kernel: Kernel,
    case: &'a Case,
    frame: &'a [u8],
    drive: Drive,
    packets: u32,
    /// Whether it is the case's program, rather than its floor.
    measured: bool,
    /// Packets that the case's program was given.
    driven: u64,
    faults: Vec<String>,
}

impl Shot<'_> {
    fn floor(&mut self, gate: &mut Gate) -> Result<Sample> {
        self.kernel.put_floor(self.case.floor)?;
        self.measured = false;
        gate.sample(self)
    }

    fn ours(&mut self, program: &ProgramFd, gate: &mut Gate) -> Result<Sample> {
        self.kernel.put(program)?;
        self.measured = true;
        gate.sample(self)
    }

    fn judge(&mut self, ran: &Ran) {
        let what = if self.measured { "" } else { "the floor: " };
        let faults = verify::ran(self.case, self.frame.len(), self.packets, ran);
        let faults = faults.iter().map(|fault| format!("{what}{fault}"));
        self.faults.extend(faults);
    }
}

impl Probe for Shot<'_> {
    fn empty(&mut self) -> Result<f64> {
        self.kernel.empty()
    }

    fn sample(&mut self) -> Result<f64> {
        let ran = self
            .kernel
            .run(self.case.driver, &self.drive, self.frame, self.packets)?;
        self.judge(&ran);
        if self.measured {
            self.driven += u64::from(self.packets);
            // The floor's next sample gets the same flows again, and the next one of ours others.
            self.drive.generator = ran.drive.generator;
        }
        Ok(ran.ns)
    }
}
