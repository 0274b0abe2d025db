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
use crate::low::low;
use crate::site::Site;
use crate::verify;

/// The first state of the generator of flows.
pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// How much is measured, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Packets of the program, and of its floor, in each round: at least two strides.
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
    /// What is wrong with the packets, or with the counts; nothing for a verified case.
    pub(crate) faults: Vec<String>,
}

/// Measures a case.
pub(crate) fn measure(case: &Case, site: &Site, extent: Extent) -> Result<Measured> {
    let frame = site.frame(case)?;
    site.namespace
        .enter(|| inside(case, site, &frame, extent))?
}

fn inside(case: &Case, site: &Site, frame: &[u8], extent: Extent) -> Result<Measured> {
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
        driven: 0,
        faults: Vec::new(),
    };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        floors.extend(shot.floor()?);
        ours.extend(shot.ours(program)?);
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
    /// From the strides of a program and of its floor.
    pub(crate) fn new(ours: &[f64], floors: &[f64], packets: u64, faults: Vec<String>) -> Measured {
        Measured {
            ns: low(ours),
            floor_ns: low(floors),
            packets,
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
    /// Packets that the case's program was given.
    driven: u64,
    faults: Vec<String>,
}

impl Shot<'_> {
    fn floor(&mut self) -> Result<Vec<f64>> {
        self.kernel.put_floor(self.case.floor)?;
        let ran = self.run()?;
        self.judge(&ran, "the floor: ");
        Ok(ran.ns)
    }

    fn ours(&mut self, program: &ProgramFd) -> Result<Vec<f64>> {
        self.kernel.put(program)?;
        let ran = self.run()?;
        self.judge(&ran, "");
        self.driven += u64::from(self.packets);
        // The next floor gets the same flows again, and the next run of ours others.
        self.drive.generator = ran.drive.generator;
        Ok(ran.ns)
    }

    fn run(&mut self) -> Result<Ran> {
        self.kernel
            .run(self.case.driver, &self.drive, self.frame, self.packets)
    }

    fn judge(&mut self, ran: &Ran, what: &str) {
        let faults = verify::ran(self.case, self.frame.len(), self.packets, ran);
        let faults = faults.iter().map(|fault| format!("{what}{fault}"));
        self.faults.extend(faults);
    }
}
