//! ICMP echo, as `ping` does it: the kernel numbers a socket's requests, and checks the sums of the replies.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
    SockaddrStorage, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::{Namespace, patient};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends one echo request with this payload; the TTL or hop limit that its reply came with.
pub fn ping(from: &Namespace, target: IpAddr, payload: &[u8]) -> Result<i32> {
    // Whom the kernel lets open such a socket: nobody, unless it is told.
    from.sysctls(&[("ipv4/ping_group_range", "0 0")])?;
    from.enter(|| exchange(target, payload))?
        .with_context(|| format!("{} bytes to {target}", payload.len()))
}

fn exchange(target: IpAddr, payload: &[u8]) -> Result<i32> {
    let (family, protocol, request, reply) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
    };
    let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)
        .context("cannot open an echo socket")?;
    if target.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    }
    let patience = TimeVal::new(patient(PATIENCE).as_secs().try_into()?, 0);
    setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
    // Checksum and identifier are the kernel's.
    let header = [request, 0, 0, 0, 0, 0, 0, 1];
    let message = [IoSlice::new(&header), IoSlice::new(payload)];
    let to = SockaddrStorage::from(SocketAddr::new(target, 0));
    let whole = sendmsg(
        socket.as_raw_fd(),
        &message,
        &[],
        MsgFlags::empty(),
        Some(&to),
    )
    .context("cannot send the request")?;

    let mut came = vec![0; whole + 1];
    let mut parts = [IoSliceMut::new(&mut came)];
    let mut space = cmsg_space!(i32);
    let received = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    );
    let received = received.context("no reply")?;
    let ttl = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => Some(ttl),
        _ => None,
    });
    let (length, sender) = (received.bytes, received.address);
    ensure!(
        sender.is_some_and(|sender| address(&sender) == Some(target)),
        "the reply is from {sender:?}"
    );
    ensure!(
        length == whole
            && came[..2] == [reply, 0]
            && came[6..8] == [0, 1]
            && came[8..whole] == *payload,
        "{length} bytes are no reply: {:02x?}",
        &came[..length.min(64)]
    );
    ttl.context("a reply without its TTL")
}

fn address(sender: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = sender.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| sender.as_sockaddr_in6().map(|v6| v6.ip().into()))
}
