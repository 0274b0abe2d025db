//! Requests from chosen source ports: a flow's 5-tuple is what its slot hangs on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::namespace::Namespace;
use crate::patient;

const PATIENCE: Duration = Duration::from_secs(5);

/// Sends one HTTP request from each port, one after the other; the names that answered, in order.
///
/// Each connection is reset at its end, so that its port can be used again at once.
pub fn ask_from_ports(
    client: &Namespace,
    target: SocketAddr,
    ports: impl IntoIterator<Item = u16> + Send,
) -> Result<Vec<String>> {
    client.enter(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let mut names = Vec::new();
                for port in ports {
                    let name = timeout(patient(PATIENCE), ask(target, port)).await;
                    let name = name.with_context(|| format!("port {port}: no answer"))?;
                    names.push(name.with_context(|| format!("port {port}"))?);
                }
                Ok(names)
            })
    })?
}

async fn ask(target: SocketAddr, port: u16) -> Result<String> {
    let (socket, any): (_, IpAddr) = if target.is_ipv4() {
        (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into())
    } else {
        (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into())
    };
    socket.set_reuseaddr(true)?;
    socket.set_zero_linger()?;
    socket.bind(SocketAddr::new(any, port))?;
    let mut stream = socket.connect(target).await.context("connect")?;
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Without `Connection: close` the server leaves it to us to end the connection.
    while !answer.ends_with(b"\n") || answer.ends_with(b"\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (_, name) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(name.trim().to_owned())
}
