//! Why the kernel's view of the network could not be had.

use std::io;

/// Why a netlink request failed, or what it did not find.
#[derive(Debug, thiserror::Error)]
pub enum NextHopError {
    /// No netlink socket.
    #[error("open a netlink socket: {source}; check the limit of open files")]
    Open {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("ask the kernel for {what}: {source}")]
    Ask {
        /// What was asked for.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// An answer was lost or not understood.
    #[error("ask the kernel for {what}: no usable answer ({reason})")]
    NoAnswer {
        /// What was asked for.
        what: &'static str,
        /// What came instead.
        reason: String,
    },
    /// No interface has the name.
    #[error("no interface `{name}` here; there are {}", known.join(", "))]
    NoInterface {
        /// What was asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The interface carries no Ethernet frames.
    #[error("interface `{name}` has no MAC address: choose an Ethernet interface")]
    NotEthernet {
        /// Its name.
        name: String,
    },
}

impl NextHopError {
    /// Sorts the netlink library's errors.
    pub(crate) fn from_rtnetlink(what: &'static str, error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(answer) => Self::Ask {
                what,
                source: answer.to_io(),
            },
            other => Self::NoAnswer {
                what,
                reason: other.to_string().to_lowercase(),
            },
        }
    }

    /// Whether the kernel answered, and its answer says something of what was asked for: that there is no such thing.
    /// Otherwise it, or the way to it, was short of something for the moment.
    pub(crate) fn concerns_the_question(&self) -> bool {
        let Self::Ask { source, .. } = self else {
            return false;
        };
        !matches!(
            source.raw_os_error(),
            None | Some(libc::ENOMEM | libc::ENOBUFS | libc::EINTR)
        )
    }
}
