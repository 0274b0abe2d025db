//! Stands in for `reconcile::NextHop` until that module exists.

use std::net::IpAddr;

/// Where packets for one backend go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The index of the interface they leave by.
    pub interface: u32,
    /// That interface's own MAC address.
    pub source_mac: [u8; 6],
    /// The MAC address of the backend or of the gateway to it.
    pub destination_mac: [u8; 6],
    /// The outer source address, of the backend's family.
    pub source: IpAddr,
    /// The largest IP packet on the way, in bytes.
    pub mtu: u32,
}
