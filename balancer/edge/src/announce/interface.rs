//! Addresses of links.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use futures::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        address::{AddressAttribute, AddressMessage},
        link::LinkAttribute,
    },
};

use super::{AnnounceError, error::io_error};

/// Opens a connection in the calling thread's network namespace.
pub(super) fn connect() -> Result<Handle, AnnounceError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|source| AnnounceError::Netlink {
            what: "open a netlink socket".to_owned(),
            source,
        })?;
    // Ends by itself when the handle is dropped.
    tokio::spawn(connection);
    Ok(handle)
}

/// The number of a link.
pub(super) async fn index(handle: &Handle, name: &str) -> Result<u32, AnnounceError> {
    let mut links = handle.link().get().execute();
    let failed = |error| AnnounceError::Netlink {
        what: "ask the kernel for its links".to_owned(),
        source: io_error(error),
    };
    let mut found = None;
    // To the end: an answer that is left behind would be the next question's.
    while let Some(link) = links.try_next().await.map_err(failed)? {
        let named =
            |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(n) if n == name);
        if link.attributes.iter().any(named) {
            found = Some(link.header.index);
        }
    }
    found.ok_or_else(|| AnnounceError::NoLink {
        link: name.to_owned(),
    })
}

/// The addresses on a link that are whole prefixes: /32 and /128.
pub(super) async fn hosts(handle: &Handle, index: u32) -> Result<BTreeSet<IpAddr>, AnnounceError> {
    let messages = addresses(handle, index).await?;
    let hosts = messages.iter().filter_map(|message| {
        let address = local(message)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        (message.header.prefix_len == whole).then_some(address)
    });
    Ok(hosts.collect())
}

/// The first address of each family on a link that other hosts could send to.
pub(super) async fn own(
    handle: &Handle,
    index: u32,
) -> Result<(Option<IpAddr>, Option<IpAddr>), AnnounceError> {
    let messages = addresses(handle, index).await?;
    let own: Vec<IpAddr> = messages.iter().filter_map(local).collect();
    let link_local = |address: &Ipv6Addr| address.segments()[0] & 0xffc0 == 0xfe80;
    let first = |fits: &dyn Fn(&IpAddr) -> bool| own.iter().copied().find(|each| fits(each));
    Ok((
        first(&|each| each.is_ipv4() && !each.is_loopback()),
        first(&|each| matches!(each, IpAddr::V6(v6) if !v6.is_loopback() && !link_local(v6))),
    ))
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<AddressMessage>, AnnounceError> {
    let request = handle.address().get().set_link_index_filter(index);
    let answers = request.execute().try_collect::<Vec<_>>().await;
    answers.map_err(|error| AnnounceError::Netlink {
        what: "ask the kernel for the addresses of a link".to_owned(),
        source: io_error(error),
    })
}

/// The address itself; on a point-to-point link `Address` is the peer's.
pub(super) fn local(message: &AddressMessage) -> Option<IpAddr> {
    let find = |pick: &dyn Fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(pick)
    };
    find(&|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
    .or_else(|| {
        find(&|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
