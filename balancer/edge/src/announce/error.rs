//! Why a VIP could not be announced or withdrawn.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

/// Why a VIP could not be announced or withdrawn.
#[derive(Debug, Error)]
pub enum AnnounceError {
    /// GoBGP does not answer, or refuses.
    #[error(
        "{what}: gobgp at {address}: {message}; is gobgpd running, with its gRPC interface there?"
    )]
    Gobgp {
        /// What was asked for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What it, or the way to it, said.
        message: String,
    },
    /// GoBGP's answer can't be read.
    #[error("gobgp at {address} answers what this program cannot read: {source}; is it version 3?")]
    Unreadable {
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// There is no next hop for a family.
    #[error(
        "{interface} has no {family} address to be the next hop: add one, or set `announce.{key}`"
    )]
    NoNextHop {
        /// The edge's interface.
        interface: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The key that sets it.
        key: &'static str,
    },
    /// The link of the local speaker is missing.
    #[error("no link `{link}` here: make it, or set `announce.link`")]
    NoLink {
        /// Its name.
        link: String,
    },
    /// A VIP is there that somebody else put there.
    #[error(
        "{vips} {link} without lbd having put it there, so lbd will not take it away: remove it there, and lbd adds it"
    )]
    Foreign {
        /// The VIPs, and the word that goes with their number.
        vips: String,
        /// The link.
        link: String,
    },
    /// The kernel refuses.
    #[error("{what}: {source}")]
    Netlink {
        /// What was asked for.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// What was announced can't be remembered, so it is not announced.
    #[error("cannot {what} {}: {source}", path.display())]
    Memory {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The speaker has taken a withdrawal, and goes on.
    #[error(
        "{speaker} goes on announcing what it has taken the withdrawal of; does somebody else announce it there?"
    )]
    NotWithdrawn {
        /// Who.
        speaker: String,
    },
    /// The speaker takes too long.
    #[error("{speaker}: no answer within {seconds} s")]
    Slow {
        /// Who.
        speaker: String,
        /// How long was waited.
        seconds: u64,
    },
}

/// The netlink library's errors as the kernel's.
pub(super) fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
