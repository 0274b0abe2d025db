//! VIPs on `lo`, where a backend's namespace takes decapsulated packets for its own.

use std::{io, net::IpAddr, path::Path};

use rtnetlink::{Handle, LinkUnspec};

use super::{NetnsError, block_on_netns};

/// Linux gives `lo` this number in every network namespace.
const LOOPBACK: u32 = 1;

/// Puts each VIP on `lo` of the namespace at `path`, as a /32 or /128, and sets `lo` up.
///
/// Idempotent: a VIP that is there already stays as it is. Returns the VIPs that were not there before.
/// Blocks for a few round trips to the kernel.
pub fn add_vips(path: &Path, vips: &[IpAddr]) -> Result<Vec<IpAddr>, NetnsError> {
    block_on_netns(path, || async {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|source| NetnsError::Netlink {
                path: path.to_owned(),
                source,
            })?;
        // Ends by itself when the handle is dropped.
        tokio::spawn(connection);
        set_up(&handle)
            .await
            .map_err(|source| NetnsError::Loopback {
                path: path.to_owned(),
                source,
            })?;
        let mut added = Vec::new();
        for &vip in vips {
            let new = add(&handle, vip).await.map_err(|source| NetnsError::Vip {
                vip,
                path: path.to_owned(),
                source,
            })?;
            if new {
                added.push(vip);
            }
        }
        Ok(added)
    })?
}

async fn set_up(handle: &Handle) -> io::Result<()> {
    let message = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle.link().set(message).execute().await.map_err(io_error)
}

/// Whether the address is new.
async fn add(handle: &Handle, vip: IpAddr) -> io::Result<bool> {
    let bits = if vip.is_ipv4() { 32 } else { 128 };
    match handle
        .address()
        .add(LOOPBACK, vip, bits)
        .execute()
        .await
        .map_err(io_error)
    {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
