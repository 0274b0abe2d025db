//! GoBGP, by its gRPC interface.

mod messages;
mod path;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use balancer_core::model;
use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use self::{
    messages::{
        AddPathRequest, AddPathResponse, DeletePathRequest, Empty, GLOBAL, ListPathRequest,
        ListPathResponse, TableLookupPrefix,
    },
    path::{Attributes, attributes, family, is_own, path, prefix},
};
use super::{
    AnnounceError,
    interface::{connect, index, own},
};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(1);

/// Our end of GoBGP's interface.
pub(super) struct Gobgp {
    config: model::Gobgp,
    interface: String,
    /// Connects when it is used, and again when the connection was lost.
    channel: Channel,
}

impl Gobgp {
    pub(super) fn new(config: &model::Gobgp, interface: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", config.address))
            .expect("an address and a port are an authority")
            .connect_timeout(CONNECT);
        Self {
            config: config.clone(),
            interface: interface.to_owned(),
            channel: endpoint.connect_lazy(),
        }
    }

    /// Which of these VIPs it announces for its own host, and whether just as the configuration says.
    pub(super) async fn look(
        &self,
        vips: &BTreeSet<IpAddr>,
    ) -> Result<BTreeMap<IpAddr, bool>, AnnounceError> {
        let mut found = BTreeMap::new();
        for of_family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            let asked: BTreeMap<String, IpAddr> = vips
                .iter()
                .filter(|vip| of_family(vip))
                .map(|&vip| (prefix(vip), vip))
                .collect();
            // Without a prefix the answer would be all routes.
            let Some(&first) = asked.values().next() else {
                continue;
            };
            let wanted = self.attributes(first).await.ok();
            let destinations = self.list(first, asked.keys().cloned()).await?;
            for destination in destinations {
                let Some(&vip) = asked.get(&destination.prefix) else {
                    continue;
                };
                for local in destination.paths.iter().filter(|path| is_own(path)) {
                    let says = attributes(local).map_err(|source| AnnounceError::Unreadable {
                        address: self.config.address,
                        source,
                    })?;
                    found.insert(vip, says.is_some() && says == wanted);
                }
            }
        }
        Ok(found)
    }

    /// Announces a VIP, in place of an earlier path of ours.
    pub(super) async fn add(&self, vip: IpAddr) -> Result<(), AnnounceError> {
        let request = AddPathRequest {
            table_type: GLOBAL,
            path: Some(path(vip, &self.attributes(vip).await?)),
        };
        let _: AddPathResponse = self.ask("AddPath", "announce a VIP", request).await?;
        Ok(())
    }

    /// Withdraws a VIP.
    pub(super) async fn remove(&self, vip: IpAddr) -> Result<(), AnnounceError> {
        // Only the prefix counts, and it must not fail for a next hop that has gone meanwhile.
        let attributes = Attributes {
            next_hop: match vip {
                IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            },
            communities: BTreeSet::new(),
            med: None,
        };
        let request = DeletePathRequest {
            table_type: GLOBAL,
            path: path(vip, &attributes),
        };
        let _: Empty = self.ask("DeletePath", "withdraw a VIP", request).await?;
        Ok(())
    }

    /// What the paths of VIPs of this family say.
    async fn attributes(&self, vip: IpAddr) -> Result<Attributes, AnnounceError> {
        let model::Gobgp {
            next_hop_ipv4,
            next_hop_ipv6,
            communities,
            med,
            ..
        } = &self.config;
        let set = match vip {
            IpAddr::V4(_) => next_hop_ipv4.map(IpAddr::V4),
            IpAddr::V6(_) => next_hop_ipv6.map(IpAddr::V6),
        };
        Ok(Attributes {
            next_hop: match set {
                Some(set) => set,
                None => self.own(vip).await?,
            },
            communities: communities.iter().map(|community| community.0).collect(),
            med: *med,
        })
    }

    /// The interface's own address of the VIP's family, as it is now.
    async fn own(&self, vip: IpAddr) -> Result<IpAddr, AnnounceError> {
        let handle = connect()?;
        let (ipv4, ipv6) = own(&handle, index(&handle, &self.interface).await?).await?;
        let (own, family, key) = match vip {
            IpAddr::V4(_) => (ipv4, "IPv4", "next_hop_ipv4"),
            IpAddr::V6(_) => (ipv6, "IPv6", "next_hop_ipv6"),
        };
        own.ok_or_else(|| AnnounceError::NoNextHop {
            interface: self.interface.clone(),
            family,
            key,
        })
    }

    async fn list(
        &self,
        of_family: IpAddr,
        prefixes: impl Iterator<Item = String>,
    ) -> Result<Vec<messages::Destination>, AnnounceError> {
        let request = ListPathRequest {
            table_type: GLOBAL,
            family: Some(family(of_family)),
            prefixes: prefixes
                .map(|prefix| TableLookupPrefix { prefix })
                .collect(),
        };
        let failed = |status| self.failed("list the announced VIPs", status);
        let mut grpc = self.ready("list the announced VIPs").await?;
        let codec = ProstCodec::<ListPathRequest, ListPathResponse>::default();
        let answer = grpc
            .server_streaming(Request::new(request), method("ListPath"), codec)
            .await;
        let mut stream = answer.map_err(failed)?.into_inner();
        let mut destinations = Vec::new();
        while let Some(part) = stream.message().await.map_err(failed)? {
            destinations.extend(part.destination);
        }
        Ok(destinations)
    }

    async fn ask<Q, A>(
        &self,
        name: &str,
        what: &'static str,
        request: Q,
    ) -> Result<A, AnnounceError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.ready(what).await?;
        let answer = grpc
            .unary(
                Request::new(request),
                method(name),
                ProstCodec::<Q, A>::default(),
            )
            .await;
        Ok(answer
            .map_err(|status| self.failed(what, status))?
            .into_inner())
    }

    async fn ready(&self, what: &'static str) -> Result<Grpc<Channel>, AnnounceError> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| AnnounceError::Gobgp {
            what,
            address: self.config.address,
            message: chain(&error),
        })?;
        Ok(grpc)
    }

    fn failed(&self, what: &'static str, status: Status) -> AnnounceError {
        let message = match std::error::Error::source(&status) {
            Some(source) => chain(source),
            None => status.message().to_owned(),
        };
        AnnounceError::Gobgp {
            what,
            address: self.config.address,
            message,
        }
    }
}

fn method(name: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/apipb.GobgpApi/{name}")).expect("a constant path")
}

/// An error's innermost cause: the outer ones say only that there is one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
