//! Congestion that the fabric marks on the outer header.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{Decap, Site, VIP_V4, VIP_V6};
use crate::decap::opened;
use crate::frame::{IP, Packet, put, summed};
use crate::outer::Outer;
use crate::row::{Row, check};

/// Sets the class of a frame's own IP header.
fn classed(frame: Vec<u8>, class: u8) -> Vec<u8> {
    match frame[12] {
        8 => summed(put(frame, IP + 1, &[class])),
        _ => {
            let low = frame[IP + 1] & 0xf;
            put(frame, IP, &[0x60 | class >> 4, class << 4 | low])
        }
    }
}

/// Samples for frames that something goes wrong with.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for outer in Outer::ALL {
        for vip in [VIP_V4, VIP_V6] {
            let inner = Packet::tcp(vip).tos(2).frame();
            frames.push(classed(outer.around(&inner), 3));
            frames.push(classed(outer.around(&inner), 1));
        }
    }
    frames
}

/// RFC 6040, figure 4: rows are the inner bits, columns the outer; none is a drop.
const FIGURE: [[Option<u8>; 4]; 4] = [
    [Some(0), Some(0), Some(0), None],
    [Some(1), Some(1), Some(1), Some(3)],
    [Some(2), Some(1), Some(2), Some(3)],
    [Some(3), Some(3), Some(3), Some(3)],
];

// Promise: A3
#[test]
fn marks_of_congestion_go_into_the_inner_packet() -> Result<()> {
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        for vip in [VIP_V4, VIP_V6] {
            for (inside, columns) in (0..).zip(FIGURE) {
                for (outside, expected) in (0..).zip(columns) {
                    // The other bits are nobody's business.
                    let packet = |bits| Packet::udp(vip).tos(0xb8 | bits).frame();
                    let frame = classed(outer.around(&packet(inside)), 0x28 | outside);
                    let name = format!("{outside} around {inside}, {outer:?}, {vip}");
                    rows.push(match expected {
                        Some(bits) => opened(name, frame, packet(bits)),
                        None => Row::met(Reason::CongestionLost, &name, frame),
                    });
                }
            }
        }
    }
    check(&Decap(Site::new()?), &rows)
}
