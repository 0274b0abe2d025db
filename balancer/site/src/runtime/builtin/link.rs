//! The bridge, and an instance's link to it.

use std::{fs::File, io, net::IpAddr, os::fd::AsRawFd, path::Path};

use balancer_config::HostNetwork;
use futures::TryStreamExt;
use rtnetlink::{
    Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::address::AddressHeaderFlags,
};

use super::{namespace, record::Record};
use crate::runtime::RuntimeError;

/// What an instance calls its link.
const DEVICE: &str = "eth0";
/// Linux gives `lo` this number in every network namespace.
const LOOPBACK: u32 = 1;

/// Makes the bridge if it is missing, and the instance's link with its addresses and routes.
pub(super) async fn connect(
    network: &HostNetwork,
    host: Option<&Path>,
    netns: &Path,
    record: &Record,
) -> Result<(), RuntimeError> {
    let port = &record.port;
    let failed = |source| RuntimeError::kernel(format!("connect {}", record.spec.name))(source);
    let bridge = ensure_bridge(network, host).await?;
    let kernel = open(host).map_err(failed)?;
    let file = File::open(netns).map_err(failed)?;
    let mtu = network.mtu;
    let peer = format!("{}p", &port[..14]);
    let octets = record.address.octets();
    let work = async {
        kernel
            .link()
            .add(LinkVeth::new(port, &peer).build())
            .execute()
            .await?;
        let host_end = index(&kernel, port).await?;
        let up = LinkUnspec::new_with_index(host_end)
            .mtu(mtu)
            .controller(bridge)
            .up();
        kernel.link().set(up.build()).execute().await?;
        // A MAC address of the IPv4 address: whoever comes back with it is found at once.
        let mac = [&[0x02, 0x42], &octets[..]].concat();
        let moved = LinkUnspec::new_with_index(index(&kernel, &peer).await?)
            .mtu(mtu)
            .address(mac)
            .setns_by_fd(file.as_raw_fd());
        kernel.link().set(moved.build()).execute().await?;
        Ok(())
    };
    work.await.map_err(io_error).map_err(failed)?;
    let inside = open(Some(netns)).map_err(failed)?;
    let work = async {
        inside
            .link()
            .set(LinkUnspec::new_with_index(LOOPBACK).up().build())
            .execute()
            .await?;
        let device = index(&inside, &peer).await?;
        let named = LinkUnspec::new_with_index(device).name(DEVICE).up();
        inside.link().set(named.build()).execute().await?;
        let prefix = network.subnet.prefix_len();
        add_address(&inside, device, record.address.into(), prefix).await?;
        let route = RouteMessageBuilder::<std::net::Ipv4Addr>::new().gateway(network.gateway);
        inside.route().add(route.build()).execute().await?;
        if let (Some(address), Some(subnet), Some(gateway)) =
            (record.address6, network.subnet6, network.gateway6)
        {
            add_address(&inside, device, address.into(), subnet.prefix_len()).await?;
            let route = RouteMessageBuilder::<std::net::Ipv6Addr>::new().gateway(gateway);
            inside.route().add(route.build()).execute().await?;
        }
        Ok(())
    };
    work.await.map_err(io_error).map_err(failed)
}

/// Removes the link. Does nothing when there is none.
pub(super) async fn disconnect(host: Option<&Path>, record: &Record) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::kernel(format!("disconnect {}", record.spec.name))(source);
    let kernel = open(host).map_err(failed)?;
    let Ok(port) = index(&kernel, &record.port).await else {
        return Ok(());
    };
    match kernel.link().del(port).execute().await.map_err(io_error) {
        Err(error) if error.raw_os_error() != Some(libc::ENODEV) => Err(failed(error)),
        _ => Ok(()),
    }
}

/// The bridge's own MAC. Without one it takes the lowest of its ports', and the instances' neighbour
/// entries for it go stale when one comes or goes.
fn mac(network: &HostNetwork) -> Vec<u8> {
    // Locally administered, and the gateway's address.
    [&[0x02, 0x42][..], &network.gateway.octets()].concat()
}

/// The bridge's number.
async fn ensure_bridge(network: &HostNetwork, host: Option<&Path>) -> Result<u32, RuntimeError> {
    let name = &network.bridge;
    let failed = |source| RuntimeError::kernel(format!("make the bridge {name}"))(source);
    let kernel = open(host).map_err(failed)?;
    if let Ok(there) = index(&kernel, name).await {
        return Ok(there);
    }
    let work = async {
        match kernel
            .link()
            .add(LinkBridge::new(name).address(mac(network)).build())
            .execute()
            .await
        {
            // Two launches at the same time make it once.
            Err(error) if is_there(&error) => {}
            other => other?,
        }
        let bridge = index(&kernel, name).await?;
        let up = LinkUnspec::new_with_index(bridge).mtu(network.mtu).up();
        kernel.link().set(up.build()).execute().await?;
        let prefix = network.subnet.prefix_len();
        add_address(&kernel, bridge, network.gateway.into(), prefix).await?;
        if let (Some(subnet), Some(gateway)) = (network.subnet6, network.gateway6) {
            add_address(&kernel, bridge, gateway.into(), subnet.prefix_len()).await?;
        }
        Ok(bridge)
    };
    let bridge = work.await.map_err(io_error).map_err(failed)?;
    // Instances are routed to and from; their answers come from a VIP.
    let settings = [
        ("ipv4/ip_forward".to_owned(), "1"),
        (format!("ipv4/conf/{name}/rp_filter"), "0"),
    ];
    namespace::inside(host, || {
        settings
            .iter()
            .try_for_each(|(key, value)| std::fs::write(format!("/proc/sys/net/{key}"), value))
    })
    .map_err(failed)?;
    Ok(bridge)
}

/// A connection to the kernel in a namespace; it closes when the handle is gone.
fn open(netns: Option<&Path>) -> io::Result<Handle> {
    let tokio = tokio::runtime::Handle::current();
    let (connection, handle, _) = namespace::inside(netns, || {
        let _entered = tokio.enter();
        rtnetlink::new_connection()
    })?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn index(kernel: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = kernel.link().get().match_name(name.to_owned()).execute();
    let link = links
        .try_next()
        .await?
        .ok_or(rtnetlink::Error::RequestFailed)?;
    Ok(link.header.index)
}

async fn add_address(
    kernel: &Handle,
    device: u32,
    address: IpAddr,
    prefix: u8,
) -> Result<(), rtnetlink::Error> {
    let mut request = kernel.address().add(device, address, prefix);
    // An IPv6 address is to be used at once.
    request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    match request.execute().await {
        Err(error) if is_there(&error) => Ok(()),
        other => other,
    }
}

fn is_there(error: &rtnetlink::Error) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(answer) => {
            answer.to_io().raw_os_error() == Some(libc::EEXIST)
        }
        _ => false,
    }
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
