//! What an independent parser thinks of packets that an agent hands on.

use std::net::IpAddr;

use etherparse::IpSlice;

use super::ways::{address, belongs_to_connection};
use super::{encapsulated, ip_packet};
use crate::frame::{put, summed};
use crate::run::{Ran, Verdict};

/// Flags: it is to be delivered; somebody has weak evidence, whose place is in the two bits above.
const FINAL: u8 = 1;
const WEAK: u8 = 2;

/// Whether a packet that goes on is what it was but for its outer addresses and alternates, leaves from where it came, and
/// goes to the alternate whose turn it is.
pub(super) fn judge_handed_on(frame: &[u8], ran: &Ran) -> Result<(), String> {
    let (before, after) = (encapsulated(&tidied(frame))?, encapsulated(&ran.frame)?);
    if ran.verdict != Verdict::Mark || ran.frame[..14] != frame[..14] {
        return Err("other MAC addresses, or not left to the classifier".to_owned());
    }
    if (after.ttl, after.tos) != (64, before.tos) || after.source_port != before.source_port {
        return Err(format!("TTL, TOS or port of {after:?}"));
    }
    if after.inner != before.inner || after.private.len() != before.private.len() {
        return Err("another inner packet".to_owned());
    }
    if !belongs_to_connection(&before.inner)? {
        return Err("handed on, and yet of no connection".to_owned());
    }
    let ((_, own), (source, to)) = (addresses(frame)?, addresses(&ran.frame)?);
    if own != source {
        return Err(format!("from {source}, not {own}"));
    }
    let (next, private) = turn(own, &before.private)?;
    match to == next && private.contains(&after.private) {
        true => Ok(()),
        false => Err(format!(
            "to {to} with {:02x?}, not to {next} with one of {private:02x?}",
            after.private
        )),
    }
}

fn addresses(frame: &[u8]) -> Result<(IpAddr, IpAddr), String> {
    let ip = IpSlice::from_slice(ip_packet(frame)?).map_err(|e| e.to_string())?;
    Ok((ip.source_addr(), ip.destination_addr()))
}

/// Whose turn it is by private data that came to `own`, and what they are told, by what the sockets there know.
fn turn(own: IpAddr, came: &[u8]) -> Result<(IpAddr, Vec<Vec<u8>>), String> {
    let length = if own.is_ipv4() { 4 } else { 16 };
    let [1, count @ 1..=3, visited, flags, places @ ..] = came else {
        return Err(format!("no alternates: {came:02x?}"));
    };
    let (place, is_back) = match (visited < count, flags & WEAK) {
        (true, _) => (*visited, false),
        (false, 0) => (0, true),
        (false, _) => (flags >> 2, true),
    };
    let at = usize::from(place) * length;
    let next = places.get(at..at + length).ok_or("a place beyond all")?;
    if flags & FINAL != 0 || places.len() != usize::from(*count) * length {
        return Err(format!("to be delivered here, or lies: {came:02x?}"));
    }
    if is_back {
        let returned = put(came.to_vec(), 3, &[flags | FINAL]);
        return Ok((address(next), vec![returned]));
    }
    let own = match own {
        IpAddr::V4(own) => own.octets().to_vec(),
        IpAddr::V6(own) => own.octets().to_vec(),
    };
    let onwards = put(put(came.to_vec(), 2, &[visited + 1]), 4 + at, &own);
    let mut told = vec![onwards.clone()];
    if flags & WEAK == 0 {
        told.push(put(onwards, 3, &[flags | WEAK | visited << 2]));
    }
    Ok((address(next), told))
}

/// The frame with what an agent writes anew as an edge sends it: identification, fragmentation and checksums.
fn tidied(frame: &[u8]) -> Vec<u8> {
    match frame[12] {
        8 => summed(put(put(frame.to_vec(), 18, &[0, 0, 0x40, 0]), 40, &[0; 2])),
        _ => put(frame.to_vec(), 60, &[0; 2]),
    }
}
