//! A VIP as a BGP path, and back.

use std::{collections::BTreeSet, net::IpAddr};

use prost::{DecodeError, Message, Name};
use prost_types::Any;

use super::messages::{
    AFI_IP, AFI_IP6, CommunitiesAttribute, Family, IPAddressPrefix, MpReachNLRIAttribute,
    MultiExitDiscAttribute, NextHopAttribute, OriginAttribute, Path, SAFI_UNICAST,
};

/// Of the Internet's interior gateway protocols: what an own network's origin is (RFC 4271, 5.1.1).
const ORIGIN_IGP: u32 = 0;

/// What a path says besides its VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) next_hop: IpAddr,
    pub(super) communities: BTreeSet<u32>,
    pub(super) med: Option<u32>,
}

/// The family of a VIP.
pub(super) fn family(vip: IpAddr) -> Family {
    Family {
        afi: if vip.is_ipv4() { AFI_IP } else { AFI_IP6 },
        safi: SAFI_UNICAST,
    }
}

/// `198.51.100.10/32`, `2001:db8::10/128`: how GoBGP calls the destination.
pub(super) fn prefix(vip: IpAddr) -> String {
    format!("{vip}/{}", bits(vip))
}

/// The path that announces a VIP.
pub(super) fn path(vip: IpAddr, attributes: &Attributes) -> Path {
    let nlri = any(&IPAddressPrefix {
        prefix_len: bits(vip),
        prefix: vip.to_string(),
    });
    let next_hop = attributes.next_hop.to_string();
    let mut pattrs = vec![any(&OriginAttribute { origin: ORIGIN_IGP })];
    pattrs.push(match vip {
        IpAddr::V4(_) => any(&NextHopAttribute { next_hop }),
        IpAddr::V6(_) => any(&MpReachNLRIAttribute {
            family: Some(family(vip)),
            next_hops: vec![next_hop],
            nlris: vec![nlri.clone()],
        }),
    });
    if let Some(med) = attributes.med {
        pattrs.push(any(&MultiExitDiscAttribute { med }));
    }
    if !attributes.communities.is_empty() {
        pattrs.push(any(&CommunitiesAttribute {
            communities: attributes.communities.iter().copied().collect(),
        }));
    }
    Path {
        nlri: Some(nlri),
        pattrs,
        family: Some(family(vip)),
        neighbor_ip: String::new(),
    }
}

/// Whether a listed path is the speaker's own, not one that a neighbour has told it: another edge's, or
/// another city's.
pub(super) fn is_own(path: &Path) -> bool {
    path.neighbor_ip.parse::<IpAddr>().is_err()
}

/// What a path says; `None` if it has no next hop that is an address.
pub(super) fn attributes(path: &Path) -> Result<Option<Attributes>, DecodeError> {
    let mut next_hop = None;
    let mut communities = BTreeSet::new();
    let mut med = None;
    for each in &path.pattrs {
        if let Some(found) = read::<NextHopAttribute>(each)? {
            next_hop = found.next_hop.parse().ok();
        } else if let Some(found) = read::<MpReachNLRIAttribute>(each)? {
            next_hop = found.next_hops.first().and_then(|hop| hop.parse().ok());
        } else if let Some(found) = read::<MultiExitDiscAttribute>(each)? {
            med = Some(found.med);
        } else if let Some(found) = read::<CommunitiesAttribute>(each)? {
            communities.extend(found.communities);
        }
    }
    Ok(next_hop.map(|next_hop| Attributes {
        next_hop,
        communities,
        med,
    }))
}

fn bits(vip: IpAddr) -> u32 {
    if vip.is_ipv4() { 32 } else { 128 }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn read<M: Message + Name + Default>(any: &Any) -> Result<Option<M>, DecodeError> {
    match any.type_url == M::type_url() {
        true => M::decode(any.value.as_slice()).map(Some),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Attributes {
        Attributes {
            next_hop: "10.1.0.2".parse().unwrap(),
            communities: [65_000 << 16 | 100].into(),
            med: Some(50),
        }
    }

    #[test]
    fn a_path_says_what_it_was_made_of() {
        let path = path("198.51.100.10".parse().unwrap(), &said());
        assert_eq!(attributes(&path).unwrap(), Some(said()));
        let six = Attributes {
            next_hop: "fd00:1::2".parse().unwrap(),
            communities: BTreeSet::new(),
            med: None,
        };
        let path = super::path("2001:db8::10".parse().unwrap(), &six);
        assert_eq!(attributes(&path).unwrap(), Some(six));
    }

    // Promise: B5
    #[test]
    fn a_path_from_a_neighbour_is_not_the_speakers_own() {
        let from = |neighbor_ip: &str| Path {
            neighbor_ip: neighbor_ip.to_owned(),
            ..path("198.51.100.10".parse().unwrap(), &said())
        };
        assert!(is_own(&from("<nil>")));
        assert!(!is_own(&from("10.1.0.1")) && !is_own(&from("fd00:1::1")));
    }

    /// As `gobgp.proto` and `attribute.proto` of GoBGP 3.10 have them.
    #[test]
    fn tags_and_types_are_those_of_gobgp() {
        let path = path("198.51.100.10".parse().unwrap(), &said());
        let nlri = path.nlri.as_ref().unwrap();
        assert_eq!(nlri.type_url, "type.googleapis.com/apipb.IPAddressPrefix");
        assert_eq!(nlri.value, b"\x08\x20\x12\x0d198.51.100.10");
        let urls: Vec<&str> = path
            .pattrs
            .iter()
            .map(|each| each.type_url.as_str())
            .collect();
        assert_eq!(
            urls,
            [
                "type.googleapis.com/apipb.OriginAttribute",
                "type.googleapis.com/apipb.NextHopAttribute",
                "type.googleapis.com/apipb.MultiExitDiscAttribute",
                "type.googleapis.com/apipb.CommunitiesAttribute",
            ]
        );
        assert_eq!(path.pattrs[1].value, b"\x0a\x0810.1.0.2");
        assert_eq!(path.pattrs[2].value, b"\x08\x32");
        assert_eq!(
            path.family.as_ref().unwrap().encode_to_vec(),
            b"\x08\x01\x10\x01"
        );
    }
}
