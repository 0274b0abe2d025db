//! What packets meet: the program that is pinned is run on a frame, and the frame that it makes names the backend.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::programs::Xdp;
use aya::{TestRun, TestRunOptions};
use aya_obj::programs::XdpAttachType;

/// The verdicts of a frame that leaves for a backend (linux/bpf.h).
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

/// Where the outer IPv4 header's destination is, behind the Ethernet header.
const OUTER_DESTINATION: std::ops::Range<usize> = 30..34;

/// The program `balance`, as it is pinned now.
pub(crate) struct Balance {
    program: Xdp,
}

/// A packet of a TCP connection of some client to a VIP.
#[derive(Clone, Debug)]
pub(crate) struct Flow(Vec<u8>);

impl Flow {
    /// The `number`th connection to a service.
    pub(crate) fn new(vip: Ipv4Addr, port: u16, number: u32) -> Flow {
        let [_, _, high, low] = number.to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
        frame.extend([0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 6, 0, 0]);
        frame.extend([192, 0, 2, 1 + high % 200]);
        frame.extend(vip.octets());
        // The client's port, the service's; sequence numbers; an ACK.
        frame.extend((20_000 + u16::from(low) * 7).to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend([0; 10]);
        Flow(frame)
    }
}

impl Balance {
    /// Opens it in a pin directory, whatever the version of its maps.
    pub(crate) fn open(pins: &Path) -> Result<Balance> {
        let entries = fs::read_dir(pins)
            .with_context(|| format!("nothing is pinned at {}", pins.display()))?;
        for entry in entries {
            let pin = entry?.path().join("balance");
            if pin.exists() {
                let program = Xdp::from_pin(&pin, XdpAttachType::Interface)
                    .with_context(|| format!("no program at {}", pin.display()))?;
                return Ok(Balance { program });
            }
        }
        bail!("no program `balance` is pinned below {}", pins.display())
    }

    /// The backend that a packet would be sent to now; `None` if it would be sent to none.
    pub(crate) fn backend(&self, Flow(frame): &Flow) -> Result<Option<Ipv4Addr>> {
        let mut out = [0; 256];
        let ran = self.program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: 1,
            ..TestRunOptions::default()
        })?;
        if !matches!(ran.return_value, XDP_TX | XDP_REDIRECT) {
            return Ok(None);
        }
        let octets: [u8; 4] = out[OUTER_DESTINATION].try_into()?;
        Ok(Some(octets.into()))
    }

    /// The same of many.
    pub(crate) fn backends(&self, flows: &[Flow]) -> Result<Vec<Option<Ipv4Addr>>> {
        flows.iter().map(|flow| self.backend(flow)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flows_are_different_and_as_long_as_they_say() {
        let vip = Ipv4Addr::new(198, 18, 0, 1);
        let flows: BTreeSet<Vec<u8>> = (0..2_000).map(|n| Flow::new(vip, 80, n).0).collect();
        assert_eq!(flows.len(), 2_000);
        for frame in flows {
            assert_eq!(frame.len(), 14 + usize::from(frame[17]));
        }
    }
}
