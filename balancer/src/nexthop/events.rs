//! That something changed in the kernel's routes, neighbours, links, addresses or rules; never what.

use std::io;

use futures::FutureExt;
use rtnetlink::{
    MulticastGroup,
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use super::NextHopError;

const GROUPS: [MulticastGroup; 9] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// Read at most this many events of a burst in one go; what is left wakes the next round.
const BURST: usize = 4_096;

/// A socket that the kernel tells of changes. Events are not decoded, so a lost one is as good as a read one.
pub(crate) struct Events {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn open() -> Result<Self, NextHopError> {
        let open = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            for group in GROUPS {
                socket.socket_mut().add_membership(group as u32)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(|source| NextHopError::Open { source })?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(4_096),
        })
    }

    /// Waits for a change. An error is a broken socket.
    pub(crate) async fn next(&mut self) -> Result<(), NextHopError> {
        self.buffer.clear();
        match self.socket.recv(&mut self.buffer).await {
            // More came than the socket holds: changes nevertheless.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => outcome.map_err(|source| NextHopError::Ask {
                what: "changes",
                source,
            }),
        }
    }

    /// Forgets the changes that are there already.
    pub(crate) fn forget(&mut self) {
        for _ in 0..BURST {
            if !matches!(self.next().now_or_never(), Some(Ok(()))) {
                return;
            }
        }
    }
}
