//! IPv6 extension headers (RFC 8200 section 4) between the IPv6 header and layer 4.

use network_types::ip::Ipv6Hdr;

use crate::{Frame, Reason, parse::Network};

/// The most extension headers to step over. With more, the packet's protocol counts as unknown. A packet should have each kind
/// at most once, and destination options at most twice.
pub const MAX_EXTENSIONS: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Fragment offset and more-fragments flag in the second 16-bit word of a fragment header, as loaded.
const OFFSET: u16 = 0xfff8_u16.to_be();
const MORE: u16 = 0x0001_u16.to_be();

/// Returns `network` with the extension headers counted as part of the IPv6 header: its length, the protocol behind it, and
/// whether the packet is a fragment. `packet` begins at the IPv6 header. Nothing behind the fragment header of a later fragment
/// is read.
///
/// # Errors
///
/// [`Reason::UnsupportedProtocol`] if a routing header has segments left, so that the VIP is not the final destination, and if
/// there is a second fragment header.
#[inline(always)]
pub fn behind<F: Frame>(packet: F, network: Network) -> Result<Network, Reason> {
    let mut network = network;
    network.fragment = false;
    let mut seen = false;
    for _ in 0..MAX_EXTENSIONS {
        let kind = network.protocol;
        if kind != HOP_BY_HOP && kind != ROUTING && kind != FRAGMENT && kind != DESTINATION {
            break;
        }
        // Hop-by-hop options are valid only as the first extension header.
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
