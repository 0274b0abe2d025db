//! Congestion that the fabric met, from the outer header into the inner one (RFC 6040 section 4.2).

use network_types::ip::IpProto;

use crate::{Frame, FrameMut, Reason, checksum, parse::Network};

/// The two bits of a type of service or traffic class (RFC 3168 section 5).
const BITS: u8 = 3;
/// Not capable of it, capable (two values), and met.
const NOT_CAPABLE: u8 = 0;
const CAPABLE_1: u8 = 1;
const CAPABLE_0: u8 = 2;
const MET: u8 = 3;

/// The inner header's first two bytes, with the class in them, and its checksum: as they are to be from now on, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    word: u16,
    /// Of IPv6 nothing.
    checksum: Option<u16>,
}

/// The mark that the inner header lacks, which stands at byte `at` of `frame`.
///
/// # Errors
///
/// [`Reason::CongestionLost`] when the sender could not be told: dropping is the only sign that it understands.
#[inline(always)]
pub(super) fn mark<F: Frame>(
    outer: &Network,
    inner: &Network,
    frame: F,
    at: usize,
) -> Result<Option<Mark>, Reason> {
    let bits = match (outer.tos & BITS, inner.tos & BITS) {
        (MET, NOT_CAPABLE) => return Err(Reason::CongestionLost),
        (MET, CAPABLE_0 | CAPABLE_1) => MET,
        (CAPABLE_1, CAPABLE_0) => CAPABLE_1,
        _ => return Ok(None),
    };
    let word = |place| {
        frame
            .read(at + place)
            .map(u16::from_be)
            .ok_or(Reason::BadInnerHeader)
    };
    let old = word(0)?;
    let (word, checksum) = if inner.version_protocol == IpProto::Ipv4 as u8 {
        let new = old & !u16::from(BITS) | u16::from(bits);
        (new, Some(checksum::replace(word(10)?, old, new)))
    } else {
        // The class stands four bits further left.
        (old & !(u16::from(BITS) << 4) | u16::from(bits) << 4, None)
    };
    Ok(Some(Mark { word, checksum }))
}

impl Mark {
    /// Bytes of the packet that [`Self::write`] may write to.
    pub const REACH: usize = 12;

    /// Writes it into the header at byte `at` of `frame`, which has [`Self::REACH`] bytes behind.
    #[inline(always)]
    pub fn write<M: FrameMut + ?Sized>(&self, frame: &mut M, at: usize) {
        frame.write(at, self.word.to_be());
        if let Some(checksum) = self.checksum {
            frame.write(at + 10, checksum.to_be());
        }
    }
}
