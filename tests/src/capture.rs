//! The frames that a namespace's links carry.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};

use crate::namespace::Namespace;

/// Frames wait here until they are asked for.
const BUFFER_BYTES: usize = 64 << 20;

/// Longer than any frame, merged segments included.
const FRAME_BYTES: usize = 1 << 17;

/// Listens to every link of a namespace, as a packet socket sees it: a frame that crosses several
/// links is seen on each, and what XDP takes away is not seen at all.
pub struct Capture {
    socket: OwnedFd,
}

impl Capture {
    /// Begins to listen.
    pub fn start(namespace: &Namespace) -> Result<Capture> {
        let socket = namespace.enter(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::EthAll,
            )
        })?;
        let socket = socket.context("cannot open a packet socket")?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
        Ok(Capture { socket })
    }

    /// What came since the start, or since the last time, in order.
    pub fn frames(&self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut frame = vec![0; FRAME_BYTES];
        loop {
            match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => frames.push(frame[..length].to_vec()),
                Err(Errno::EAGAIN) => return Ok(frames),
                Err(errno) => return Err(io::Error::from(errno)).context("cannot receive"),
            }
        }
    }
}
