//! What an edge does with a frame: the decision of the program `balance`, as a pure function.

use crate::{
    Address, Frame, Reason,
    abi::{Backend, Service, ServiceKey, Slot},
    flow::{self, HashKey},
    outer::Inner,
    parse,
};

/// The tables that the decision reads: kernel maps, or their likeness in user space.
pub trait Tables {
    /// Whether `address` is a VIP.
    fn is_vip(&self, address: &Address) -> bool;
    /// The service of a VIP's port.
    fn service(&self, key: &ServiceKey) -> Option<Service>;
    /// A slot of a table.
    fn slot(&self, table: u32, slot: u32) -> Option<Slot>;
    /// A backend's record.
    fn backend(&self, id: u16) -> Option<&Backend>;
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
}

/// parse -> service -> slot -> backend.
#[inline(always)]
pub fn choose<'a, F: Frame, T: Tables>(
    frame: F,
    tables: &'a T,
    key: &HashKey,
) -> Result<Choice<'a>, Reason> {
    let network = parse::network(frame)?;
    let destination = &network.destination;
    if network.is_misplaced(destination) || !tables.is_vip(destination) {
        return Err(Reason::NotForVip);
    }
    let packet = network.transport(frame)?;
    let service = tables
        .service(&ServiceKey {
            vip: packet.flow.destination,
            port: packet.flow.destination_port_word().to_ne_bytes(),
            protocol: packet.flow.protocol,
            padding: [0; 5],
        })
        .ok_or(Reason::UndeclaredPort)?;
    let hash = flow::hash(&packet.flow, key);
    let slot = hash.wrapping_shr(service.shift) as u32;
    let id = tables
        .slot(service.table, slot)
        .ok_or(Reason::NoTable)?
        .owner();
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
    })
}

#[cfg(test)]
mod tests;
