//! VIPs on `lo`, where a backend's namespace takes decapsulated packets for its own.

use std::{io, net::IpAddr, path::Path};

use futures::TryStreamExt;
use rtnetlink::{
    Handle, LinkUnspec,
    packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressProtocol},
};

use super::{NetnsError, block_on_netns};

/// Linux gives `lo` this number in every network namespace.
const LOOPBACK: u32 = 1;

/// Marks the addresses that we put there (`IFA_PROTO`): a number that nobody else claims.
const OURS: AddressProtocol = AddressProtocol::Other(0xb1);

/// Takes those of the VIPs off `lo` of the namespace at `path` that [`add_vips`] put there; others stay.
///
/// Returns those that went. Blocks for a few round trips to the kernel.
pub fn remove_vips(path: &Path, vips: &[IpAddr]) -> Result<Vec<IpAddr>, NetnsError> {
    let netlink = |source| NetnsError::Netlink {
        path: path.to_owned(),
        source,
    };
    block_on_netns(path, || async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(netlink)?;
        tokio::spawn(connection);
        let on_lo = handle.address().get().set_link_index_filter(LOOPBACK);
        let on_lo: Vec<_> = on_lo
            .execute()
            .try_collect()
            .await
            .map_err(|error| netlink(io_error(error)))?;
        let mut removed = Vec::new();
        for message in on_lo {
            let has = |attribute| message.attributes.contains(&attribute);
            let vip = vips
                .iter()
                .find(|&&vip| has(AddressAttribute::Address(vip)));
            if let Some(&vip) = vip
                && has(AddressAttribute::Protocol(OURS))
            {
                let done = handle.address().del(message.clone()).execute().await;
                done.map_err(|error| netlink(io_error(error)))?;
                removed.push(vip);
            }
        }
        Ok(removed)
    })?
}

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
    let mut request = handle.address().add(LOOPBACK, vip, bits);
    // Anycast has duplicates by design; and without this nobody can bind to an IPv6 VIP at first.
    request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    let ours = AddressAttribute::Protocol(OURS);
    request.message_mut().attributes.push(ours);
    match request.execute().await.map_err(io_error) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::scratch::ScratchNetns;

    fn vips() -> Vec<IpAddr> {
        vec![
            "198.51.100.10".parse().expect("v4"),
            "2001:db8::10".parse().expect("v6"),
        ]
    }

    // Promise: A6
    #[test]
    fn vips_are_on_lo_with_full_prefixes_and_lo_is_up() {
        let netns = ScratchNetns::new();
        netns.ip("link set lo down");
        assert_eq!(add_vips(netns.path(), &vips()).expect("add"), vips());
        let shown = netns.ip("-o addr show dev lo");
        assert!(
            shown.contains("198.51.100.10/32") && shown.contains("2001:db8::10/128"),
            "{shown}"
        );
        // Without it an address is tentative for a moment, on a busy machine long enough to be seen.
        assert!(shown.contains("nodad"), "{shown}");
        assert!(netns.ip("-o link show lo").contains("LOWER_UP"));
        // Usable at once.
        for vip in vips() {
            netns
                .run(|| std::net::TcpListener::bind((vip, 80)))
                .expect("bind to the VIP");
        }
    }

    // Promise: A6
    #[test]
    fn vips_that_are_there_stay_and_only_new_ones_are_added() {
        let netns = ScratchNetns::new();
        add_vips(netns.path(), &vips()[..1]).expect("the first");
        assert_eq!(add_vips(netns.path(), &vips()).expect("both"), vips()[1..]);
        let before = netns.ip("-o addr show dev lo");
        assert!(add_vips(netns.path(), &vips()).expect("again").is_empty());
        assert_eq!(netns.ip("-o addr show dev lo"), before);
    }

    // Promise: V4
    #[test]
    fn only_vips_that_were_put_there_are_taken_away() {
        let netns = ScratchNetns::new();
        netns.ip("address add 198.51.100.11/32 dev lo");
        add_vips(netns.path(), &vips()).expect("add");
        let others: IpAddr = "198.51.100.11".parse().expect("v4");
        let all: Vec<IpAddr> = vips().into_iter().chain([others]).collect();
        assert_eq!(remove_vips(netns.path(), &all).expect("remove"), vips());
        let shown = netns.ip("-o addr show dev lo");
        assert!(shown.contains("198.51.100.11/32"), "{shown}");
        assert!(!shown.contains("198.51.100.10/32"), "{shown}");
        assert!(!shown.contains("2001:db8::10/128"), "{shown}");
        assert!(remove_vips(netns.path(), &all).expect("again").is_empty());
    }

    // Promise: A6
    #[test]
    fn a_vip_on_lo_does_not_become_the_source_of_other_traffic() {
        let (netns, other) = (ScratchNetns::new(), ScratchNetns::new());
        netns.veth("c0", &["10.0.0.1/24", "fd00::1/64"], &other, "b0", &[]);
        netns.ip("route add default dev c0");
        netns.ip("-6 route add default dev c0");
        add_vips(netns.path(), &vips()).expect("add");
        assert!(netns.ip("route get 203.0.113.1").contains("src 10.0.0.1"));
        assert!(netns.ip("route get 2001:db8::ffff").contains("src fd00::1"));
    }

    #[test]
    fn where_ipv6_is_switched_off_the_error_says_what_to_do() {
        let netns = ScratchNetns::new();
        netns.sysctl("ipv6/conf/all/disable_ipv6", "1");
        let error = add_vips(netns.path(), &vips())
            .expect_err("no IPv6")
            .to_string();
        assert!(
            error.starts_with("put VIP 2001:db8::10 on `lo` in /proc/"),
            "{error}"
        );
        assert!(
            error.ends_with("set net.ipv6.conf.lo.disable_ipv6=0 inside it"),
            "{error}"
        );
    }

    #[test]
    fn a_namespace_that_is_gone_is_named() {
        let error = add_vips(Path::new("/run/netns/no-such-instance"), &vips()).expect_err("gone");
        assert!(matches!(error, NetnsError::Missing { .. }), "{error}");
    }
}
