//! Links: an interface's own MAC address, MTU and XDP program.

use rtnetlink::{
    Handle,
    packet_route::link::{
        InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp,
        VlanProtocol, VlanQosMapping, XdpAttached,
    },
};

use super::{NextHopError, kernel};

/// An Ethernet interface as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// Its number in this network namespace.
    pub index: u32,
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// The largest IP packet it sends, in bytes.
    pub mtu: u32,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// The XDP program that runs on it.
    pub xdp: Option<AttachedXdp>,
    /// Whether it is an end of a virtual cable.
    pub veth: bool,
    /// What it is if it is a VLAN on another interface.
    pub vlan: Option<Vlan>,
    /// Whether it is a bond.
    pub bond: bool,
    /// The number of the bond or bridge that it belongs to.
    pub controller: Option<u32>,
}

/// A VLAN on another interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// That interface's number; none if it is in another network namespace.
    pub over: Option<u32>,
    /// The tag of its frames: protocol and control information, in wire order.
    pub tag: [u8; 4],
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's number of the program.
    pub program_id: u32,
    /// How it is attached.
    pub mode: AttachedMode,
}

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// After the driver, on socket buffers.
    Generic,
    /// In the device.
    Offload,
}

/// The link with this number; `None` when there is none (any more) or when it is no Ethernet.
pub(crate) async fn by_index(
    kernel: &Handle,
    index: u32,
) -> Result<Option<InterfaceView>, NextHopError> {
    match kernel::single("a link", kernel.link().get().match_index(index).execute()).await {
        Ok(message) => Ok(view(&message).ok()),
        Err(error) if error.concerns_the_question() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a link message.
pub(crate) fn view(message: &LinkMessage) -> Result<InterfaceView, NextHopError> {
    let (mut name, mut mac, mut mtu, mut xdp) = (String::new(), None, 0, None);
    let (mut veth, mut bond, mut controller) = (false, false, None);
    let (mut over, mut elsewhere, mut tag) = (None, false, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name.clone_from(value),
            LinkAttribute::Address(value) => mac = <[u8; 6]>::try_from(value.as_slice()).ok(),
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::Xdp(value) => xdp = attached(value),
            LinkAttribute::LinkInfo(infos) => {
                veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                bond = infos.contains(&LinkInfo::Kind(InfoKind::Bond));
                tag = infos.iter().find_map(self::tag);
            }
            LinkAttribute::Link(index) => over = Some(*index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::Controller(index) => controller = Some(*index),
            _ => (),
        }
    }
    let Some(mac) = mac else {
        return Err(NextHopError::NotEthernet { name });
    };
    let up = message
        .header
        .flags
        .contains(LinkFlags::Up | LinkFlags::LowerUp);
    Ok(InterfaceView {
        name,
        index: message.header.index,
        mac,
        mtu,
        up,
        xdp,
        veth,
        vlan: tag.map(|tag| Vlan {
            over: over.filter(|_| !elsewhere),
            tag,
        }),
        bond,
        controller,
    })
}

/// The tag of a VLAN's frames, of priority 0 within this host.
fn tag(info: &LinkInfo) -> Option<[u8; 4]> {
    let LinkInfo::Data(InfoData::Vlan(of)) = info else {
        return None;
    };
    let (mut protocol, mut control) = (u16::from(VlanProtocol::Ieee8021Q), None);
    let mut priority = 0;
    for each in of {
        match each {
            InfoVlan::Id(id) => control = Some(*id),
            InfoVlan::Protocol(named) => protocol = u16::from(*named),
            InfoVlan::EgressQos(mapped) => {
                let unmarked = mapped.iter().find_map(|mapping| match mapping {
                    VlanQosMapping::Mapping(0, to) => Some(*to as u16 & 7),
                    _ => None,
                });
                priority = unmarked.unwrap_or(0);
            }
            _ => (),
        }
    }
    let [first, second] = protocol.to_be_bytes();
    let [high, low] = (control? | priority << 13).to_be_bytes();
    Some([first, second, high, low])
}

/// With programs at several hooks the kernel names each apart; the one that sees packets first is meant.
fn attached(attributes: &[LinkXdp]) -> Option<AttachedXdp> {
    let id =
        |pick: fn(&LinkXdp) -> Option<u32>| attributes.iter().find_map(pick).filter(|&id| id != 0);
    let any = id(|a| {
        if let LinkXdp::ProgId(id) = a {
            Some(*id)
        } else {
            None
        }
    });
    let offload = id(|a| {
        if let LinkXdp::HwProgId(id) = a {
            Some(*id)
        } else {
            None
        }
    });
    let native = id(|a| {
        if let LinkXdp::DrvProgId(id) = a {
            Some(*id)
        } else {
            None
        }
    });
    let generic = id(|a| {
        if let LinkXdp::SkbProgId(id) = a {
            Some(*id)
        } else {
            None
        }
    });
    let how = attributes.iter().find_map(|a| {
        if let LinkXdp::Attached(how) = a {
            Some(*how)
        } else {
            None
        }
    })?;
    let (program_id, mode) = match how {
        XdpAttached::Driver => (native.or(any)?, AttachedMode::Native),
        XdpAttached::SocketBuffer => (generic.or(any)?, AttachedMode::Generic),
        XdpAttached::Hardware => (offload.or(any)?, AttachedMode::Offload),
        XdpAttached::Multiple => offload
            .map(|id| (id, AttachedMode::Offload))
            .or(native.map(|id| (id, AttachedMode::Native)))
            .or(generic.map(|id| (id, AttachedMode::Generic)))?,
        _ => return None,
    };
    Some(AttachedXdp { program_id, mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a link that has these besides what every one has.
    fn vlan(attributes: &[LinkAttribute]) -> Option<Vlan> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName("e0.100".to_owned()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::Link(7),
        ];
        message.attributes.extend_from_slice(attributes);
        view(&message).expect("a link").vlan
    }

    fn of(data: Vec<InfoVlan>) -> LinkAttribute {
        let kind = LinkInfo::Kind(InfoKind::Vlan);
        LinkAttribute::LinkInfo(vec![kind, LinkInfo::Data(InfoData::Vlan(data))])
    }

    // Promise: E13
    #[test]
    fn a_vlan_is_seen_with_its_tag_and_what_it_is_on() {
        let plain = of(vec![
            InfoVlan::Protocol(VlanProtocol::Ieee8021Q),
            InfoVlan::Id(100),
        ]);
        let expected = Vlan {
            over: Some(7),
            tag: [0x81, 0, 0, 100],
        };
        assert_eq!(vlan(std::slice::from_ref(&plain)), Some(expected));
        // Packets of no priority are given one here.
        let mapped = [(1, 2), (0, 5), (3, 4)].map(|(from, to)| VlanQosMapping::Mapping(from, to));
        let service = of(vec![
            InfoVlan::Id(0xabc),
            InfoVlan::Protocol(VlanProtocol::Ieee8021Ad),
            InfoVlan::EgressQos(mapped.to_vec()),
        ]);
        let expected = Vlan {
            over: Some(7),
            tag: [0x88, 0xa8, 0xaa, 0xbc],
        };
        assert_eq!(vlan(&[service]), Some(expected));
        let elsewhere = vlan(&[LinkAttribute::LinkNetNsId(3), plain]);
        assert_eq!(elsewhere.map(|vlan| vlan.over), Some(None));
    }

    #[test]
    fn a_veth_that_names_its_other_end_is_no_vlan() {
        let veth = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]);
        assert_eq!(vlan(&[veth]), None);
    }

    #[test]
    fn no_program_is_seen_where_none_is_attached() {
        assert_eq!(attached(&[LinkXdp::Attached(XdpAttached::None)]), None);
        assert_eq!(attached(&[]), None);
    }

    #[test]
    fn one_program_is_seen_with_its_mode() {
        let native = [
            LinkXdp::Attached(XdpAttached::Driver),
            LinkXdp::ProgId(7),
            LinkXdp::DrvProgId(7),
        ];
        assert_eq!(
            attached(&native),
            Some(AttachedXdp {
                program_id: 7,
                mode: AttachedMode::Native
            })
        );
        let generic = [
            LinkXdp::Attached(XdpAttached::SocketBuffer),
            LinkXdp::ProgId(9),
            LinkXdp::SkbProgId(9),
        ];
        assert_eq!(
            attached(&generic),
            Some(AttachedXdp {
                program_id: 9,
                mode: AttachedMode::Generic
            })
        );
    }

    #[test]
    fn of_several_programs_the_first_to_see_packets_is_seen() {
        let both = [
            LinkXdp::Attached(XdpAttached::Multiple),
            LinkXdp::SkbProgId(9),
            LinkXdp::DrvProgId(7),
        ];
        assert_eq!(
            attached(&both),
            Some(AttachedXdp {
                program_id: 7,
                mode: AttachedMode::Native
            })
        );
    }
}
