//! What an edge does with a frame: the decision of the program `balance`, as a pure function.

use network_types::eth::EthHdr;

use crate::{
    Address, Frame, Reason,
    abi::{Backend, HistoryRow, Service, ServiceKey, Slot, outer},
    alternates,
    flow::{self, Flow, HashKey, Keyed},
    outer::Inner,
    parse::{self, Family, Network, Packet},
};

/// The tables that the decision reads: kernel maps, or a model of them in user space.
pub trait Tables {
    /// Whether `address` is a VIP.
    fn is_vip(&self, address: &Address) -> bool;
    /// The service of a VIP's port.
    fn service(&self, key: &ServiceKey) -> Option<Service>;
    /// A slot of the table that begins with a line.
    fn slot(&self, table: u32, slot: u32) -> Option<Slot>;
    /// A backend's record.
    fn backend(&self, id: u16) -> Option<&Backend>;
    /// The earlier owners of a slot of a table.
    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow>;
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The backend's id: its counter row.
    pub id: u16,
    /// Its record.
    pub backend: &'a Backend,
    /// What the outer header needs to know of the packet.
    pub inner: Inner,
    /// Its slot, if earlier owners of it may know the packet's flow: to be asked for by [`alternates`].
    pub moved: Option<Moved>,
}

/// A slot that has had other owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The first line of its table.
    pub table: u32,
    /// Its index in the table.
    pub slot: u32,
}

/// Earlier owners that travel with a packet, newest first; behind a `None` there is none.
pub type Alternates<'a> = [Option<&'a Backend>; alternates::MAX_ALTERNATES];

/// parse -> service -> slot -> backend.
///
/// Each address family on its own: where their ways met, all that is known of a packet would have to be kept in memory.
#[inline(always)]
pub fn choose<'a, F: Frame, T: Tables>(
    frame: F,
    tables: &'a T,
    key: &impl Keyed,
) -> Result<Choice<'a>, Reason> {
    match parse::family(frame)? {
        Family::Ipv4 => {
            let destination = parse::ipv4_destination(frame, EthHdr::LEN);
            let vip = is_vip(destination, tables)?;
            chosen(vip, parse::ipv4(frame, EthHdr::LEN), frame, tables, key)
        }
        Family::Ipv6 => {
            let destination = parse::ipv6_destination(frame, EthHdr::LEN);
            let vip = is_vip(destination, tables)? && !destination.is_some_and(Address::is_ipv4);
            chosen(vip, parse::ipv6(frame, EthHdr::LEN), frame, tables, key)
        }
    }
}

/// Asked before the rest of the header is read.
#[inline(always)]
fn is_vip<T: Tables>(destination: Option<Address>, tables: &T) -> Result<bool, Reason> {
    Ok(tables.is_vip(&destination.ok_or(Reason::ShortFrame)?))
}

#[inline(always)]
fn chosen<'a, F: Frame, T: Tables>(
    vip: bool,
    network: Option<Network>,
    frame: F,
    tables: &'a T,
    key: &impl Keyed,
) -> Result<Choice<'a>, Reason> {
    if !vip {
        return Err(Reason::NotForVip);
    }
    let packet = network.ok_or(Reason::ShortFrame)?.transport(frame)?;
    owner(tables, &key.key(), &packet)
}

/// The IP header of a packet for a VIP.
#[inline(always)]
pub fn for_vip<F: Frame, T: Tables>(frame: F, tables: &T) -> Result<Network, Reason> {
    let network = parse::network(frame)?;
    let destination = &network.destination;
    if network.is_misplaced(destination) || !tables.is_vip(destination) {
        return Err(Reason::NotForVip);
    }
    Ok(network)
}

/// service -> slot -> backend.
#[inline(always)]
pub fn owner<'a, T: Tables>(
    tables: &'a T,
    key: &HashKey,
    packet: &Packet,
) -> Result<Choice<'a>, Reason> {
    let service = service(tables, &packet.flow)?;
    place(tables, service, hash(service, &packet.flow, key), packet)
}

/// The hash of a flow by the policy of its service.
#[inline(always)]
pub fn hash(service: Service, flow: &Flow, key: &HashKey) -> u64 {
    if service.is_by_source() {
        flow::hash_source(&flow.source, key)
    } else {
        flow::hash(flow, key)
    }
}

/// The service of a flow.
#[inline(always)]
pub fn service<T: Tables>(tables: &T, flow: &Flow) -> Result<Service, Reason> {
    tables
        .service(&ServiceKey::new(
            flow.destination,
            flow.destination_port_word().to_ne_bytes(),
            flow.protocol,
        ))
        .ok_or(Reason::UndeclaredPort)
}

/// The slot of a flow with this hash.
#[inline(always)]
pub fn slot(service: Service, hash: u64) -> u32 {
    hash.wrapping_shr(service.shift) as u32
}

/// slot -> backend.
#[inline(always)]
pub fn place<'a, T: Tables>(
    tables: &'a T,
    service: Service,
    hash: u64,
    packet: &Packet,
) -> Result<Choice<'a>, Reason> {
    let slot = slot(service, hash);
    let row = tables.slot(service.table, slot).ok_or(Reason::NoTable)?;
    let id = row.owner();
    let backend = tables.backend(id).ok_or(Reason::NoBackend)?;
    if backend.outer == 0 {
        return Err(Reason::NoBackend);
    }
    if backend.interface == 0 {
        return Err(Reason::NoNextHop);
    }
    if packet.length > backend.longest_inner as usize {
        return Err(Reason::TooLarge);
    }
    Ok(Choice {
        id,
        backend,
        inner: Inner {
            length: packet.length,
            tos: packet.tos,
            protocol: packet.version_protocol,
            hash,
        },
        moved: (row.has_moved() && packet.continues && carries_alternates(backend)).then_some(
            Moved {
                table: service.table,
                slot,
            },
        ),
    })
}

/// The earlier owners of the slot that can be reached in the chosen backend's outer family.
///
/// # Errors
///
/// [`Reason::TooLarge`] when the packet does not fit with them: without them, a flow would break that could live.
#[inline(always)]
pub fn alternates<'a, T: Tables>(
    tables: &'a T,
    choice: &Choice<'_>,
    moved: Moved,
) -> Result<Alternates<'a>, Reason> {
    let Some([first, second, third, _]) = tables.history(moved.table, moved.slot) else {
        return Ok([None; 3]);
    };
    let live = |id: u16| {
        let earlier = tables.backend(id)?;
        (earlier.kind() == choice.backend.kind() && earlier.interface != 0).then_some(earlier)
    };
    let (mut first, mut second, mut third) = (live(first), live(second), live(third));
    // Closes the gaps.
    if second.is_none() {
        second = third.take();
    }
    if first.is_none() {
        first = second;
        second = third.take();
    }
    let count = match (first, second, third) {
        (None, ..) => return Ok([None; 3]),
        (_, None, _) => 1,
        (_, _, None) => 2,
        _ => 3,
    };
    let address_length = if choice.backend.kind() == outer::GUE_IPV4 {
        4
    } else {
        16
    };
    let length = choice.inner.length + alternates::length(count, address_length);
    if length > choice.backend.longest_inner as usize {
        return Err(Reason::TooLarge);
    }
    Ok([first, second, third])
}

/// Whether a backend's outer header has a place for alternates.
#[inline(always)]
fn carries_alternates(backend: &Backend) -> bool {
    backend.kind() == outer::GUE_IPV4 || backend.kind() == outer::GUE_IPV6
}

#[cfg(test)]
mod tests;
