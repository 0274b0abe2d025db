//! What an independent parser thinks of the answers of an edge.

use etherparse::IpSlice;

use super::{behind_tags, ip_packet, tags};
use crate::run::{Ran, Verdict};

/// Whether a packet is an echo request.
pub(super) fn asks(packet: &[u8]) -> bool {
    match packet {
        [first, _, _, _, _, _, _, _, _, 1, ..] if first >> 4 == 4 => packet.get(20) == Some(&8),
        [first, _, _, _, _, _, 58, ..] if first >> 4 == 6 => packet.get(40) == Some(&128),
        _ => false,
    }
}

/// Whether what came out is the reply to the request that went in: all of it as it was, but for addresses that changed
/// places, type and TTL; and checksums as right as they were.
pub(super) fn answered(frame: &[u8], ran: &Ran) -> Result<(), String> {
    let out = &ran.frame;
    let (asked, said) = (ip_packet(frame)?, ip_packet(out)?);
    let mut expected = frame.to_vec();
    expected[..6].copy_from_slice(&frame[6..12]);
    expected[6..12].copy_from_slice(&frame[..6]);
    let at = frame.len() - behind_tags(frame)?.1.len();
    // Where source, destination, TTL, type and checksums stand, and how long an address is.
    let (source, address, ttl, kind, sums): (_, _, _, _, &[usize]) = match asked[0] >> 4 {
        4 => (12, 4, 8, 20, &[10, 22]),
        _ => (8, 16, 7, 40, &[42]),
    };
    for n in 0..address {
        expected[at + source + n] = asked[source + address + n];
        expected[at + source + address + n] = asked[source + n];
    }
    expected[at + ttl] = 64;
    expected[at + kind] = if address == 4 { 0 } else { 129 };
    for sum in sums {
        expected[at + sum..at + sum + 2].copy_from_slice(&said[*sum..sum + 2]);
    }
    if expected != *out || ran.verdict != Verdict::Transmit {
        return Err("no reply to this request".to_owned());
    }
    let sums = |packet: &[u8]| match address {
        4 => (summed_up(&[&packet[..20]]), summed_up(&[&packet[20..]])),
        _ => {
            let length = (packet.len() as u16 - 40).to_be_bytes();
            let pseudo = [&packet[8..40], &length, &[0, 58], &packet[40..]];
            (true, summed_up(&pseudo))
        }
    };
    if sums(asked) != sums(said) {
        return Err(format!("checksums right: {:?}", sums(said)));
    }
    Ok(())
}

/// Whether a packet is a message that another one is too large.
pub(super) fn says_too_large(packet: &[u8]) -> bool {
    match packet[0] >> 4 {
        4 => packet[9] == 1 && packet[20..22] == [3, 4],
        _ => packet[6] == 58 && packet[40..42] == [2, 0],
    }
}

/// Whether a message that a packet is too large is one about it, to whom it came from, with right checksums.
pub(super) fn told(frame: &[u8], out: &[u8]) -> Result<(), String> {
    let (packet, message) = (ip_packet(frame)?, ip_packet(out)?);
    let (ip, told) = (
        IpSlice::from_slice(packet).map_err(|e| e.to_string())?,
        IpSlice::from_slice(message).map_err(|e| e.to_string())?,
    );
    let header = if told.ipv4().is_some() { 20 } else { 40 };
    let turned = (told.destination_addr(), told.source_addr());
    if turned != (ip.source_addr(), ip.destination_addr()) || tags(frame)? != tags(out)? {
        return Err("told somebody else".to_owned());
    }
    if out[..6] != frame[6..12] || out[6..12] != frame[..6] {
        return Err("told by another way than it came".to_owned());
    }
    if !packet.starts_with(&message[header + 8..]) || message.len() < header + 8 + 512 {
        return Err("quotes something else, or little".to_owned());
    }
    let right = match header {
        20 => summed_up(&[&message[..20]]) && summed_up(&[&message[20..]]),
        _ => {
            let length = (message.len() as u16 - 40).to_be_bytes();
            summed_up(&[&message[8..40], &length, &[0, 58], &message[40..]])
        }
    };
    match right
        && usize::from(u16::from_be_bytes([
            message[header + 6],
            message[header + 7],
        ])) < packet.len()
    {
        true => Ok(()),
        false => Err("a wrong checksum, or an MTU that it fits".to_owned()),
    }
}

/// Whether the words of these parts, each of even length but the last, sum up to all ones.
pub(super) fn summed_up(parts: &[&[u8]]) -> bool {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)))
        .sum();
    sum != 0 && sum.is_multiple_of(0xffff)
}
