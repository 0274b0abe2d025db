//! One probe of one backend.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Target, http};
use crate::model::CheckKind;

/// At most this much of what a backend still sends is read before its connection is let go.
const FAREWELL_BYTES: usize = 64 * 1024;

/// Why a probe did not pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The backend's doing, in a few words.
    Backend(String),
    /// This host could not ask, so nothing is known of the backend.
    Here(String),
}

/// Asks once; ends within the check's timeout. The connection that is left wants [`take_leave`].
pub(crate) async fn probe(target: &Target, timeout: Duration) -> Result<TcpStream, Failure> {
    let deadline = Instant::now() + timeout;
    let asking = async {
        let address = SocketAddr::new(target.address, target.check.port);
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| refusal(&error))?;
        match &target.check.kind {
            CheckKind::Tcp => Ok(stream),
            CheckKind::Http { path } => http::get(stream, address, path)
                .await
                .map_err(Failure::Backend),
        }
    };
    let late = |_| {
        Err(Failure::Backend(format!(
            "no answer within {} ms",
            timeout.as_millis()
        )))
    };
    timeout_at(deadline, asking).await.unwrap_or_else(late)
}

/// Ends a connection the way a client does that is content: a close that overtook unread data would reset it, and
/// fill a backend's log. Ends by `deadline`.
pub(crate) async fn take_leave(mut stream: TcpStream, deadline: Instant) {
    let leaving = async {
        stream.shutdown().await?;
        let (mut buffer, mut read) = ([0; 4_096], 0);
        while read < FAREWELL_BYTES {
            match stream.read(&mut buffer).await? {
                0 => break,
                more => read += more,
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the probe's outcome stands.
    let _ = timeout_at(deadline, leaving).await;
}

fn refusal(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => Failure::Here("too many open files".to_owned()),
        Some(libc::ENOMEM | libc::ENOBUFS) => Failure::Here("out of memory".to_owned()),
        Some(number) => Failure::Backend(format!("connect: {}", words(number))),
        None => Failure::Backend(format!("connect: {error}")),
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
            Failure::Backend("connect: no route to host".to_owned())
        );
    }
}
