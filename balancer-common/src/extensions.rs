//! IPv6 extension headers (RFC 8200 section 4) between the header and layer 4.

use network_types::ip::Ipv6Hdr;

use crate::{Frame, Reason, parse::Network};

/// Headers that are stepped over; behind more, a packet's protocol counts as unknown. A packet has each kind at most once,
/// destination options twice.
pub const MOST: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// The offset of a fragment, and whether more follow, of the word in its header, as loaded.
const OFFSET: u16 = 0xfff8_u16.to_be();
const MORE: u16 = 0x0001_u16.to_be();

/// The header as if the extension headers were part of it: its length, what follows, and whether it is a fragment.
/// `packet` begins at the IPv6 header. A later fragment is not looked into.
///
/// # Errors
///
/// [`Reason::UnsupportedProtocol`] for a packet that has not arrived: segments of its route are left. The same for a second
/// fragment header.
#[inline(always)]
pub fn behind<F: Frame>(packet: F, network: Network) -> Result<Network, Reason> {
    let mut network = network;
    network.fragment = false;
    let mut seen = false;
    for _ in 0..MOST {
        let kind = network.protocol;
        if kind != HOP_BY_HOP && kind != ROUTING && kind != FRAGMENT && kind != DESTINATION {
            break;
        }
        // It stands first, or nobody takes the packet.
        if kind == HOP_BY_HOP && network.header_length != Ipv6Hdr::LEN {
            break;
        }
        let header = packet.skip(network.header_length);
        let first: u32 = header.read(0).ok_or(Reason::BadTotalLength)?;
        let [next, length, third, fourth] = first.to_ne_bytes();
        network.protocol = next;
        if kind == FRAGMENT {
            let bits = u16::from_ne_bytes([third, fourth]);
            if seen {
                return Err(Reason::UnsupportedProtocol);
            }
            seen = true;
            network.identification = header.read(4).ok_or(Reason::BadTotalLength)?;
            network.fragment = bits & (OFFSET | MORE) != 0;
            network.later_fragment = bits & OFFSET != 0;
            network.header_length += 8;
            if network.later_fragment {
                break;
            }
        } else {
            if kind == ROUTING && fourth != 0 {
                return Err(Reason::UnsupportedProtocol);
            }
            network.header_length += (length as usize + 1) * 8;
        }
    }
    Ok(network)
}
