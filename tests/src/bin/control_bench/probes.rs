//! Health checks as the hosts see them: SYNs and the answers to them on the hosts' interface, with the kernel's time
//! stamps.

use std::collections::{BTreeMap, HashMap};
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use testbed::Namespace;

/// Packets wait here until they are read.
const BUFFER_BYTES: usize = 64 << 20;

/// As much of a frame as is read: Ethernet, IPv4 without options, and the beginning of TCP.
const FRAME_BYTES: usize = 64;

/// A host's address and port.
pub(crate) type Target = (Ipv4Addr, u16);

/// A packet of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Nanoseconds since 1970.
    pub(crate) at_ns: u64,
    pub(crate) target: Target,
    /// Whether it is the host's answer, and not the SYN.
    pub(crate) is_answer: bool,
}

/// Sees every probe from its start on.
pub(crate) struct Probes {
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Nanoseconds since 1970, on the clock of the time stamps.
pub(crate) fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}

impl Probes {
    /// Begins to listen on every interface of the hosts.
    pub(crate) fn watch(hosts: &Namespace) -> Result<Probes> {
        let socket = hosts.enter(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
        })?;
        let socket = socket.context("cannot open a packet socket")?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(
            &socket,
            sockopt::ReceiveTimeout,
            &TimeVal::milliseconds(100),
        )?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (all, over) = (Arc::clone(&seen), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match receive(&socket) {
                    Ok(Some(one)) => all.lock().expect("nobody panics with it").push(one),
                    Ok(None) => {}
                    Err(error) => {
                        eprintln!("probes are no longer seen: {error:#}");
                        return;
                    }
                }
            }
        });
        Ok(Probes {
            seen,
            ended,
            thread: Some(thread),
        })
    }

    /// What was seen since the start, or since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("nobody panics with it"))
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next packet, if it is one of a handshake.
fn receive(socket: &OwnedFd) -> Result<Option<Seen>> {
    let mut frame = [0; FRAME_BYTES];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let (length, stamp) = {
        let mut parts = [IoSliceMut::new(&mut frame)];
        let message = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let message = match message {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => bail!("cannot receive: {errno}"),
        };
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
            _ => None,
        });
        (message.bytes, stamp)
    };
    let Some((target, is_answer)) = handshake(&frame[..length.min(FRAME_BYTES)]) else {
        return Ok(None);
    };
    let stamp = stamp.context("a packet without a time stamp")?;
    Ok(Some(Seen {
        at_ns: stamp.num_nanoseconds() as u64,
        target,
        is_answer,
    }))
}

/// Whom a SYN asks, or who answers it.
fn handshake(frame: &[u8]) -> Option<(Target, bool)> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let (ethernet, packet) = frame.split_at_checked(14)?;
    if ethernet[12..] != [0x08, 0x00] || *packet.first()? != 0x45 || *packet.get(9)? != 6 {
        return None;
    }
    let address = |at: usize| -> Option<Ipv4Addr> {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(octets.into())
    };
    let port = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    match packet.get(33)? & (SYN | ACK) {
        SYN => Some(((address(16)?, port(22)?), false)),
        both if both == SYN | ACK => Some(((address(12)?, port(20)?), true)),
        _ => None,
    }
}

/// When each port of a host was asked in vain, in order.
pub(crate) fn unanswered(seen: &[Seen], host: Ipv4Addr) -> HashMap<u16, Vec<u64>> {
    let mut asked: HashMap<u16, Vec<u64>> = HashMap::new();
    for one in seen.iter().filter(|one| one.target.0 == host) {
        let times = asked.entry(one.target.1).or_default();
        match one.is_answer {
            true => drop(times.pop()),
            false => times.push(one.at_ns),
        }
    }
    asked
}

/// When each target answered first.
pub(crate) fn first_answers(seen: &[Seen], answers: &mut BTreeMap<Target, u64>) {
    for one in seen.iter().filter(|one| one.is_answer) {
        answers.entry(one.target).or_insert(one.at_ns);
    }
}

/// How many probes there were from this moment on.
pub(crate) fn asked_since(seen: &[Seen], from_ns: u64) -> usize {
    let is_asked = |one: &&Seen| !one.is_answer && one.at_ns >= from_ns;
    seen.iter().filter(is_asked).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 2);

    fn seen(at_ns: u64, port: u16, is_answer: bool) -> Seen {
        Seen {
            at_ns,
            target: (HOST, port),
            is_answer,
        }
    }

    #[test]
    fn an_answered_probe_was_not_in_vain() {
        let all = [
            seen(1, 80, false),
            seen(2, 81, false),
            seen(3, 80, true),
            seen(4, 80, false),
            seen(5, 80, false),
        ];
        let vain = unanswered(&all, HOST);
        assert_eq!(vain[&80], [4, 5]);
        assert_eq!(vain[&81], [2]);
        assert_eq!(unanswered(&all, Ipv4Addr::LOCALHOST).len(), 0);
        assert_eq!((asked_since(&all, 0), asked_since(&all, 4)), (4, 2));
        let mut answers = BTreeMap::new();
        first_answers(&all, &mut answers);
        assert_eq!(answers, BTreeMap::from([((HOST, 80), 3)]));
    }

    #[test]
    fn handshakes_are_told_from_other_packets() {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend([10, 1, 0, 2, 10, 16, 0, 2]);
        frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02]);
        assert_eq!(handshake(&frame), Some(((HOST, 80), false)));
        frame[47] = 0x12;
        assert_eq!(
            handshake(&frame),
            Some(((Ipv4Addr::new(10, 1, 0, 2), 40_000), true))
        );
        frame[47] = 0x10;
        assert_eq!(handshake(&frame), None);
        frame[23] = 17;
        assert_eq!(handshake(&frame), None);
        assert_eq!(handshake(&frame[..20]), None);
    }
}
