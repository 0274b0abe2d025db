//! One probe of one target.

use std::io;

use balancer_core::model::CheckKind;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Target, http};

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
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| refusal(&error))?;
        match &target.kind {
            CheckKind::Tcp => Ok(stream),
            CheckKind::Http { path } => http::get(stream, address, path)
                .await
                .map_err(Failure::Target),
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

fn refusal(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EMFILE) => Failure::Here("too many open files: raise LimitNOFILE".to_owned()),
        Some(libc::ENFILE) => Failure::Here("too many open files: raise fs.file-max".to_owned()),
        Some(libc::ENOMEM | libc::ENOBUFS) => Failure::Here("out of memory".to_owned()),
        Some(number) => Failure::Target(format!("connect: {}", words(number))),
        None => Failure::Target(format!("connect: {error}")),
    }
}

/// The kernel's words for an error, without its number.
fn words(number: i32) -> String {
    nix::errno::Errno::from_raw(number).desc().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: H3
    #[test]
    fn a_host_that_runs_out_of_something_blames_no_backend() {
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS] {
            let failure = refusal(&io::Error::from_raw_os_error(number));
            assert!(matches!(failure, Failure::Here(_)), "{failure:?}");
        }
    }

    #[test]
    fn what_the_kernel_says_is_told_in_short_words() {
        let failure = refusal(&io::Error::from_raw_os_error(libc::EHOSTUNREACH));
        assert_eq!(
            failure,
            Failure::Target("connect: no route to host".to_owned())
        );
    }
}
