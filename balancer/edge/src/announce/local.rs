//! VIPs as addresses of a link, which a routing daemon such as BIRD or FRR announces.

use std::{collections::BTreeSet, net::IpAddr};

use rtnetlink::packet_route::address::{AddressHeaderFlags, AddressMessage};

use super::{
    AnnounceError,
    error::io_error,
    interface::{connect, hosts, index},
};

/// Which of these VIPs are on the link, as /32 or /128.
pub(super) async fn look(
    link: &str,
    vips: &BTreeSet<IpAddr>,
) -> Result<BTreeSet<IpAddr>, AnnounceError> {
    let handle = connect()?;
    let on_link = hosts(&handle, index(&handle, link).await?).await?;
    Ok(on_link.intersection(vips).copied().collect())
}

/// Puts a VIP on the link; one that is there stays.
pub(super) async fn add(link: &str, vip: IpAddr) -> Result<(), AnnounceError> {
    let handle = connect()?;
    let mut request = handle
        .address()
        .add(index(&handle, link).await?, vip, bits(vip));
    // Anycast has duplicates by design, and a tentative address is announced late.
    request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    match request.execute().await.map_err(io_error) {
        Err(error) if error.raw_os_error() != Some(libc::EEXIST) => Err(AnnounceError::Netlink {
            what: format!("put {vip} on {link}"),
            source: error,
        }),
        _ => Ok(()),
    }
}

/// Takes a VIP off the link; one that is not there is fine.
pub(super) async fn remove(link: &str, vip: IpAddr) -> Result<(), AnnounceError> {
    let handle = connect()?;
    let message: AddressMessage = {
        let mut request = handle
            .address()
            .add(index(&handle, link).await?, vip, bits(vip));
        request.message_mut().clone()
    };
    match handle
        .address()
        .del(message)
        .execute()
        .await
        .map_err(io_error)
    {
        Err(error) if error.raw_os_error() != Some(libc::EADDRNOTAVAIL) => {
            Err(AnnounceError::Netlink {
                what: format!("take {vip} off {link}"),
                source: error,
            })
        }
        _ => Ok(()),
    }
}

fn bits(vip: IpAddr) -> u8 {
    if vip.is_ipv4() { 32 } else { 128 }
}
