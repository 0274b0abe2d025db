//! The TCP question: a connection.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

use super::probe::Failure;

/// Passes with a connection.
pub(crate) async fn ask(address: SocketAddr) -> Result<TcpStream, Failure> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| refusal(&error))
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
