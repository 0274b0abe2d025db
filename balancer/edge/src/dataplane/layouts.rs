//! The layouts of the edge's pinned maps, as its programs declare them.

use aya::maps::MapType;
use balancer_common::{abi, directory::ALL_LINES, fragments, reason};

use super::{pins::Layout, sys::MMAPABLE};

/// Of every map that is pinned under its own name.
pub(super) const EDGE: &[Layout] = &[
    Layout {
        name: "DIRECTORY",
        map_type: MapType::Array,
        key_size: 4,
        value_size: 64,
        max_entries: ALL_LINES,
        flags: MMAPABLE,
    },
    Layout {
        name: "VIPS",
        map_type: MapType::Hash,
        key_size: 16,
        value_size: 4,
        max_entries: abi::MAX_KEYS,
        flags: 0,
    },
    Layout {
        name: "SERVICES",
        map_type: MapType::Hash,
        key_size: 24,
        value_size: 8,
        max_entries: abi::MAX_KEYS,
        flags: 0,
    },
    Layout {
        name: "BACKENDS",
        map_type: MapType::Array,
        key_size: 4,
        value_size: 64,
        max_entries: abi::MAX_BACKENDS,
        flags: MMAPABLE,
    },
    Layout {
        name: "TRAFFIC",
        map_type: MapType::PerCpuArray,
        key_size: 4,
        value_size: 16,
        max_entries: abi::MAX_BACKENDS,
        flags: 0,
    },
    Layout {
        name: "REASONS",
        map_type: MapType::PerCpuArray,
        key_size: 4,
        value_size: 16,
        max_entries: reason::ROWS,
        flags: 0,
    },
    Layout {
        name: "FRAGMENTS",
        map_type: MapType::LruHash,
        key_size: 40,
        value_size: 16,
        max_entries: fragments::MAX_DATAGRAMS,
        flags: 0,
    },
    Layout {
        name: "MEMBERS",
        map_type: MapType::Hash,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_MEMBERS,
        flags: 0,
    },
    Layout {
        name: "TABLES",
        map_type: MapType::ArrayOfMaps,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_CHUNKS,
        flags: 0,
    },
    Layout {
        name: "HISTORIES",
        map_type: MapType::ArrayOfMaps,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_CHUNKS,
        flags: 0,
    },
];
