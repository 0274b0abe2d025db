//! Copies the ECN congestion mark of the outer header to the inner one (RFC 6040 section 4.2).

use network_types::ip::IpProto;

use crate::{Frame, FrameMut, Reason, checksum, parse::Network};

/// The ECN bits of a type of service or traffic class (RFC 3168 section 5).
const BITS: u8 = 3;
/// Not ECN-capable, ECN-capable (ECT(1) and ECT(0)), and congestion experienced.
const NOT_CAPABLE: u8 = 0;
const CAPABLE_1: u8 = 1;
const CAPABLE_0: u8 = 2;
const MET: u8 = 3;

/// The new value of the inner header's first two bytes, which contain the ECN bits, and of its checksum; host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    word: u16,
    /// `None` for IPv6.
    checksum: Option<u16>,
}

/// The mark to write to the inner header, at offset `at` of `frame`; `None` if nothing changes.
///
/// # Errors
///
/// [`Reason::CongestionLost`] if the inner packet is not ECN-capable: a drop is the only congestion signal for its sender.
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
        // The traffic class is four bits further left than the type of service.
        (old & !(u16::from(BITS) << 4) | u16::from(bits) << 4, None)
    };
    Ok(Some(Mark { word, checksum }))
}

impl Mark {
    /// Bytes of the inner packet that [`Self::write`] may write to.
    pub const REACH: usize = 12;

    /// Writes the mark to the header at offset `at` of `frame`, which has at least [`Self::REACH`] bytes from there on.
    #[inline(always)]
    pub fn write<M: FrameMut + ?Sized>(&self, frame: &mut M, at: usize) {
        frame.write(at, self.word.to_be());
        if let Some(checksum) = self.checksum {
            frame.write(at + 10, checksum.to_be());
        }
    }
}
