//! An instance's server: HTTP and UDP on one port, both answer the instance's name.

use std::hint::spin_loop;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request};
use axum::middleware::map_request;
use axum::routing::{get, post};
use clap::Parser;
use nix::cmsg_space;
use nix::libc::in6_pktinfo;
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt,
};
use serde::Deserialize;
use tokio::io::Interest;
use tokio::net::{TcpListener, UdpSocket};

#[derive(Parser)]
struct Arguments {
    /// What to answer; a runtime's name of the instance if it is left out
    #[arg(long, env = "HOSTNAME")]
    name: String,
    /// TCP and UDP port, on every address
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Write a line to standard output for each HTTP request
    #[arg(long)]
    log: bool,
}

#[derive(Deserialize)]
struct Burn {
    ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { name, port, log } = Arguments::parse();
    // Every address of both families.
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address)
        .await
        .context("cannot listen on TCP")?;
    let socket = UdpSocket::bind(address)
        .await
        .context("cannot listen on UDP")?;
    // A line, for people with curl.
    let own_name = format!("{name}\n");
    let late_name = own_name.clone();
    let late = |Path(millis): Path<u64>| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        late_name
    };
    let burner = own_name.clone();
    let server = Router::new()
        .route("/", get(move || async move { own_name }))
        // As an application that works for its answer: connections live for a while.
        .route("/slow/{millis}", get(late))
        // As an application that fails.
        .route("/exit", get(async || -> String { std::process::exit(3) }))
        // Whole segments in both directions, for what depends on the path's MTU.
        .route(
            "/bytes/{count}",
            get(|Path(count): Path<usize>| async move { vec![b'x'; count] }),
        )
        .route(
            "/upload",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        // Processor time, for what measures it.
        .route(
            "/burn",
            get(move |Query(Burn { ms }): Query<Burn>| async move {
                let end = Instant::now() + Duration::from_millis(ms);
                while Instant::now() < end {
                    spin_loop();
                }
                burner
            }),
        )
        .layer(map_request(move |request: Request| async move {
            if log {
                println!("{} {}", request.method(), request.uri());
            }
            request
        }));
    tokio::select! {
        ended = axum::serve(listener, server) => ended.context("the web server ended"),
        ended = answer(socket, name.as_bytes()) => ended.context("the UDP server ended"),
    }
}

/// Answers every datagram from the address that it was sent to: a VIP must answer as the VIP.
async fn answer(socket: UdpSocket, name: &[u8]) -> Result<()> {
    setsockopt(&socket, Ipv6RecvPacketInfo, &true).context("cannot ask for packet information")?;
    loop {
        let (client, to) = socket
            .async_io(Interest::READABLE, || receive(&socket))
            .await?;
        socket
            .async_io(Interest::WRITABLE, || {
                let message = [IoSlice::new(name)];
                let from = [ControlMessage::Ipv6PacketInfo(&to)];
                let flags = MsgFlags::MSG_DONTWAIT;
                Ok(sendmsg(
                    socket.as_raw_fd(),
                    &message,
                    &from,
                    flags,
                    Some(&client),
                )?)
            })
            .await?;
    }
}

/// One datagram's sender and the address that it was sent to.
fn receive(socket: &UdpSocket) -> io::Result<(SockaddrIn6, in6_pktinfo)> {
    let mut datagram = [0; 2048];
    let mut parts = [IoSliceMut::new(&mut datagram)];
    let mut space = cmsg_space!(in6_pktinfo);
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let to = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6PacketInfo(to) => Some(in6_pktinfo {
            // The answer's route decides its interface.
            ipi6_ifindex: 0,
            ..to
        }),
        _ => None,
    });
    received
        .address
        .zip(to)
        .ok_or_else(|| io::Error::other("a datagram without its addresses"))
}
