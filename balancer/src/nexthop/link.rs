//! Links: an interface's own MAC address, MTU and XDP program.

use std::fmt;

use rtnetlink::{
    Handle,
    packet_route::link::{
        InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
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

impl fmt::Display for AttachedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offload => "offload",
        })
    }
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
    let mut veth = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name.clone_from(value),
            LinkAttribute::Address(value) => mac = <[u8; 6]>::try_from(value.as_slice()).ok(),
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::Xdp(value) => xdp = attached(value),
            LinkAttribute::LinkInfo(infos) => {
                veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth))
            }
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
    })
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
