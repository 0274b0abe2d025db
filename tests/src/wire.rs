//! One device, frame by frame.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::Namespace;

/// Longer than any frame here.
const FRAME_BYTES: usize = 4_096;

/// A socket that sees every frame that comes by a device. What it sends itself it does not see.
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Opens the device of this name.
    pub fn open(namespace: &Namespace, device: &str) -> Result<Wire> {
        namespace.enter(|| {
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            );
            let socket = socket.context("cannot open a packet socket")?;
            let address = getifaddrs()?
                .filter(|each| each.interface_name == device)
                .find_map(|each| each.address?.as_link_addr().copied());
            let address = address.with_context(|| format!("no device {device}"))?;
            bind(socket.as_raw_fd(), &address)
                .with_context(|| format!("cannot listen on {device}"))?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
            Ok(Wire { socket })
        })?
    }

    /// Sends a frame.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("cannot send {} bytes", frame.len()))?;
        Ok(())
    }

    /// The next frame, or none for a while.
    pub fn receive(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; FRAME_BYTES];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(io::Error::from(errno)).context("cannot receive"),
        }
    }
}
