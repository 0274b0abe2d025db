//! End to end: live frames out of one end of a veth pair, through the program at the other end, and back.
//!
//! All of it happens on one CPU: the driver sends a batch, the kernel hands it to the program, and what the program sends
//! comes back to a sink. The floor is on a veth pair of its own.

use anyhow::Result;
use balancer_common::bench::{Drive, Generator};

use crate::cases::Case;
use crate::counts;
use crate::kernel::{Kernel, Sent};
use crate::measure::{Extent, Measured, SEED, pin_to};
use crate::site::{FLOOR, FLOOR_WIRE, Site, WIRE, index};
use crate::verify;

/// Measures a case of the edge.
pub(crate) fn measure(case: &Case, site: &Site, extent: Extent) -> Result<Measured> {
    let interfaces = [index(&site.wire, WIRE)?, index(&site.wire, FLOOR_WIRE)?];
    let mut floor = Kernel::load(site.ingress)?;
    site.namespace.enter(|| floor.attach(case.floor, FLOOR))??;
    site.wire.enter(|| inside(case, site, interfaces, extent))?
}

fn inside(
    case: &Case,
    site: &Site,
    [ours_by, floor_by]: [u32; 2],
    extent: Extent,
) -> Result<Measured> {
    pin_to(extent.cpu)?;
    let mut kernel = Kernel::load(ours_by)?;
    kernel.attach("sink", WIRE)?;
    kernel.attach("sink", FLOOR_WIRE)?;
    kernel.put_floor("transmit")?;
    let backends = site.reference.backends();
    let before = counts::read(&site.pins, &backends)?;
    let start = verify::drive(case, &case.frame, Generator::new(SEED));
    let mut stream = Stream {
        kernel,
        case,
        drive: start,
        packets: extent.packets,
        driven: 0,
        faults: Vec::new(),
    };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        floors.extend(stream.send(floor_by, "the floor: ")?.ns);
        let sent = stream.send(ours_by, "")?;
        stream.driven += u64::from(extent.packets);
        stream.drive.generator = sent.drive.generator;
        ours.extend(sent.ns);
    }
    let counted = counts::since(&before, &counts::read(&site.pins, &backends)?);
    let mut faults = stream.faults;
    faults.extend(verify::faults(
        case,
        &site.reference,
        &case.frame,
        start,
        stream.driven,
        &counted,
    ));
    faults.dedup();
    Ok(Measured::new(&ours, &floors, stream.driven, faults))
}

/// What is sent now, and where its flows stand.
struct Stream<'a> {
    kernel: Kernel,
    case: &'a Case,
    drive: Drive,
    packets: u32,
    /// Packets that were sent to the program.
    driven: u64,
    faults: Vec<String>,
}

impl Stream<'_> {
    fn send(&mut self, interface: u32, what: &str) -> Result<Sent> {
        let sent = self.kernel.send(
            self.case.driver,
            &self.drive,
            &self.case.frame,
            self.packets,
            interface,
        )?;
        if sent.right != u64::from(self.packets) || sent.wrong != 0 {
            self.faults.push(format!(
                "{what}of {} frames, {} came back as they should and {} otherwise",
                self.packets, sent.right, sent.wrong
            ));
        }
        Ok(sent)
    }
}
