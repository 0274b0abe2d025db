//! Counting the sockets that a backend has on a VIP.

use std::{io, net::IpAddr, path::Path};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

use super::{NetnsError, on_netns};

/// How many sockets of the namespace at `path` have `vip` and `port` as their own address, and may still carry data:
/// established ones, and those that close with something under way. `protocol` is the number in the IP header.
/// Blocks for a few round trips to the kernel.
pub fn count_sockets(path: &Path, vip: IpAddr, port: u16, protocol: u8) -> Result<u64, NetnsError> {
    on_netns(path, || count(vip, port, protocol))?.map_err(|source| NetnsError::Netlink {
        path: path.to_owned(),
        source,
    })
}

/// The addresses of an interface in the namespace at `path`, without link-local ones.
pub fn addresses(path: &Path, interface: &str) -> Result<Vec<IpAddr>, NetnsError> {
    let found = on_netns(path, || -> io::Result<Vec<IpAddr>> {
        let of_interface = nix::ifaddrs::getifaddrs()?
            .filter(|address| address.interface_name == interface)
            .filter_map(|address| {
                let storage = address.address?;
                let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
                v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
            });
        let linked = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        Ok(of_interface.filter(|address| !linked(address)).collect())
    });
    found?.map_err(|source| NetnsError::Netlink {
        path: path.to_owned(),
        source,
    })
}

fn count(vip: IpAddr, port: u16, protocol: u8) -> io::Result<u64> {
    // A server that listens on both families has IPv4 clients on IPv6 sockets.
    let families: &[u8] = match vip {
        IpAddr::V4(_) => &[AF_INET, AF_INET6],
        IpAddr::V6(_) => &[AF_INET6],
    };
    let mut sum = 0;
    for &family in families {
        sum += dump(family, vip, port, protocol)?;
    }
    Ok(sum)
}

fn dump(family: u8, vip: IpAddr, port: u16, protocol: u8) -> io::Result<u64> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut socket_id = match family {
        AF_INET => SocketId::new_v4(),
        _ => SocketId::new_v6(),
    };
    socket_id.source_port = port;
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::CLOSE_WAIT
            | StateFlags::LAST_ACK
            | StateFlags::CLOSING,
        socket_id,
    };
    let payload = SockDiagMessage::InetRequest(request).into();
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut sum = 0;
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| io::Error::other(error.to_string()))?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(sum),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                    let own = &found.header.socket_id;
                    let here = own.source_address.to_canonical() == vip;
                    sum += u64::from(here && own.source_port == port);
                }
                _ => {}
            }
            // Messages are aligned to four bytes; the last may not be.
            let length = (message.header.length as usize).next_multiple_of(4);
            if length == 0 {
                return Err(io::Error::other(
                    "the kernel sent a message without a length",
                ));
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::netns::{add_vips, scratch::ScratchNetns};

    // Promise: V2
    #[test]
    fn only_open_connections_to_the_vip_and_port_count() {
        let netns = ScratchNetns::new();
        let vips: Vec<IpAddr> = vec![
            "198.51.100.10".parse().expect("v4"),
            "2001:db8::10".parse().expect("v6"),
        ];
        add_vips(netns.path(), &vips).expect("VIPs");
        let count = |vip, port| count_sockets(netns.path(), vip, port, 6).expect("count");
        // One that listens on both families, as many servers do.
        let listener = netns.run(|| TcpListener::bind("[::]:80")).expect("listen");
        for vip in vips {
            assert_eq!(count(vip, 80), 0, "a listener is no connection");
            let client = netns
                .run(|| TcpStream::connect((vip, 80)))
                .expect("connect");
            let (server, _) = listener.accept().expect("accept");
            assert_eq!((count(vip, 80), count(vip, 81)), (1, 0));
            // The client is done, the server is not.
            client
                .shutdown(std::net::Shutdown::Write)
                .expect("shut down");
            assert_eq!(count(vip, 80), 1);
            drop(client);
            drop(server);
            let begun = std::time::Instant::now();
            while count(vip, 80) != 0 {
                assert!(begun.elapsed().as_secs() < 10, "it is still there");
                std::thread::yield_now();
            }
        }
    }
}
