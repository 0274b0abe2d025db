//! One probe of one target. What each kind of check asks is in a file of its own.

use std::io;

use balancer_core::model::CheckKind;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Target, http, tcp};

/// At most this much of what a server still sends is read before its connection is let go.
const FAREWELL_BYTES: usize = 64 * 1024;

/// Why a probe did not pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The target's doing, in a few words.
    Target(String),
    /// This host could not ask, so nothing is known of the target.
    Here(String),
}

/// Asks once; ends by `deadline`, the target's timeout from now. The connection that is left wants [`take_leave`].
pub(crate) async fn probe(target: &Target, deadline: Instant) -> Result<TcpStream, Failure> {
    let asking = async {
        let address = target.socket_address();
        match &target.kind {
            CheckKind::Tcp(_) => tcp::ask(address).await,
            CheckKind::Http(http) => http::ask(address, http).await,
        }
    };
    let late = |_| {
        Err(Failure::Target(format!(
            "no answer within {} ms",
            target.timeout().as_millis()
        )))
    };
    timeout_at(deadline, asking).await.unwrap_or_else(late)
}

/// Ends a connection the way a client does that is content: a close that overtook unread data would reset it, and
/// fill a server's log. Ends by `deadline`.
pub(crate) async fn take_leave(mut stream: TcpStream, deadline: Instant) {
    let leaving = async {
        stream.shutdown().await?;
        let mut read = 0;
        while read < FAREWELL_BYTES {
            stream.readable().await?;
            // Not kept while it waits: there may be thousands of these.
            match stream.try_read(&mut [0; 4_096]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the probe's outcome stands.
    let _ = timeout_at(deadline, leaving).await;
}
