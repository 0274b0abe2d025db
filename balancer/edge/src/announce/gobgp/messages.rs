//! The few messages of GoBGP's gRPC interface that are needed: package `apipb` of GoBGP 3, `gobgp.proto`
//! and `attribute.proto`. Tags are those of these files; fields that are left out are skipped.

use prost::{Message, Name};
use prost_types::Any;

/// `TableType.GLOBAL`.
pub(super) const GLOBAL: i32 = 0;
/// `Family.Afi.AFI_IP`.
pub(super) const AFI_IP: i32 = 1;
/// `Family.Afi.AFI_IP6`.
pub(super) const AFI_IP6: i32 = 2;
/// `Family.Safi.SAFI_UNICAST`.
pub(super) const SAFI_UNICAST: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Family {
    #[prost(int32, tag = "1")]
    pub(super) afi: i32,
    #[prost(int32, tag = "2")]
    pub(super) safi: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Path {
    #[prost(message, optional, tag = "1")]
    pub(super) nlri: Option<Any>,
    #[prost(message, repeated, tag = "2")]
    pub(super) pattrs: Vec<Any>,
    #[prost(message, optional, tag = "9")]
    pub(super) family: Option<Family>,
    /// The neighbour that it came from; `<nil>` for a path of the speaker's own.
    #[prost(string, tag = "15")]
    pub(super) neighbor_ip: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddPathRequest {
    #[prost(int32, tag = "1")]
    pub(super) table_type: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) path: Option<Path>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddPathResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
}

/// Without a path it would delete every local path.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DeletePathRequest {
    #[prost(int32, tag = "1")]
    pub(super) table_type: i32,
    #[prost(message, required, tag = "4")]
    pub(super) path: Path,
}

/// `google.protobuf.Empty`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TableLookupPrefix {
    #[prost(string, tag = "1")]
    pub(super) prefix: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListPathRequest {
    #[prost(int32, tag = "1")]
    pub(super) table_type: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) family: Option<Family>,
    #[prost(message, repeated, tag = "4")]
    pub(super) prefixes: Vec<TableLookupPrefix>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListPathResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) destination: Option<Destination>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Destination {
    #[prost(string, tag = "1")]
    pub(super) prefix: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) paths: Vec<Path>,
}

/// The parts of a path that travel as `Any`, by their names.
macro_rules! named {
    ($($name:ident { $($field:ident: $kind:ty, #[$prost:meta],)* })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name {
            $(#[$prost] pub(super) $field: $kind,)*
        }

        impl Name for $name {
            const NAME: &'static str = stringify!($name);
            const PACKAGE: &'static str = "apipb";

            fn type_url() -> String {
                concat!("type.googleapis.com/apipb.", stringify!($name)).to_owned()
            }
        }
    )*};
}

named! {
    IPAddressPrefix {
        prefix_len: u32, #[prost(uint32, tag = "1")],
        prefix: String, #[prost(string, tag = "2")],
    }
    OriginAttribute {
        origin: u32, #[prost(uint32, tag = "1")],
    }
    NextHopAttribute {
        next_hop: String, #[prost(string, tag = "1")],
    }
    MultiExitDiscAttribute {
        med: u32, #[prost(uint32, tag = "1")],
    }
    CommunitiesAttribute {
        communities: Vec<u32>, #[prost(uint32, repeated, tag = "1")],
    }
    MpReachNLRIAttribute {
        family: Option<Family>, #[prost(message, optional, tag = "1")],
        next_hops: Vec<String>, #[prost(string, repeated, tag = "2")],
        nlris: Vec<Any>, #[prost(message, repeated, tag = "3")],
    }
}
