//! The edge's maps, which all its programs share.

use aya_ebpf::{
    Global,
    btf_maps::{Array as InnerArray, ArrayOfMaps},
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray},
};
use balancer_common::{
    Address,
    abi::{
        Backend, CHUNK_LINES, CHUNK_SLOTS, Element, HistoryRow, LINE_SLOTS, MAX_BACKENDS,
        MAX_CHUNKS, MAX_KEYS, MAX_MEMBERS, Service, ServiceKey, Slot, SlotLine, Traffic, Vip,
        program,
    },
    directory::{self, ALL_LINES, Known, Line},
    edge::Tables,
    flow::{HashKey, Keyed},
    fragments::{self, Datagram, First, Fragments},
    reason,
};

/// The daemon writes into such arrays as into its own memory.
const MMAPABLE: u32 = aya_ebpf::bindings::BPF_F_MMAPABLE;

/// What the two maps below say, in lines that cost less to look up.
#[map]
pub(crate) static DIRECTORY: Array<Line> = Array::with_max_entries(ALL_LINES, MMAPABLE);
#[map]
pub(crate) static VIPS: HashMap<Address, Vip> = HashMap::with_max_entries(MAX_KEYS, 0);
#[map]
pub(crate) static SERVICES: HashMap<ServiceKey, Service> = HashMap::with_max_entries(MAX_KEYS, 0);
#[map]
pub(crate) static BACKENDS: Array<Backend> = Array::with_max_entries(MAX_BACKENDS, MMAPABLE);
#[map]
pub(crate) static TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(MAX_BACKENDS, 0);
#[map]
pub(crate) static REASONS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(reason::ROWS, 0);
/// Chunks of tables. They are all as long, so that both look-ups are instructions of the program, not calls.
#[btf_map]
pub(crate) static TABLES: ArrayOfMaps<
    InnerArray<SlotLine, { CHUNK_LINES as usize }, { MMAPABLE as usize }>,
    { MAX_CHUNKS as usize },
> = ArrayOfMaps::new();
/// Of each chunk of tables that has moved slots, the earlier owners, one row a slot.
#[btf_map]
pub(crate) static HISTORIES: ArrayOfMaps<
    InnerArray<HistoryRow, { CHUNK_SLOTS as usize }, { MMAPABLE as usize }>,
    { MAX_CHUNKS as usize },
> = ArrayOfMaps::new();

/// First fragments that came by lately.
#[map]
pub(crate) static FRAGMENTS: LruHashMap<Datagram, First> =
    LruHashMap::with_max_entries(fragments::MAX_DATAGRAMS, 0);
/// The bond of each interface that is a member of one, for tagged frames only.
#[map]
pub(crate) static MEMBERS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_MEMBERS, 0);
/// When the messages to clients are paid for: nanoseconds of the kernel's monotonic clock.
#[map]
pub(crate) static TOLD: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// The programs that take over from `balance`, which the daemon puts there.
#[map]
pub(crate) static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(program::PLACES, 0);

/// Set by the daemon when it loads the program.
#[unsafe(no_mangle)]
pub(crate) static HASH_KEY: Global<HashKey> = Global::new(HashKey([0; 7]));
/// Not 0 to log drops, each time a reason's count on a CPU reaches a power of two.
#[unsafe(no_mangle)]
pub(crate) static DEBUG_PACKETS: Global<u32> = Global::new(0);

/// The key, loaded by who needs it: most of what an edge hears may be for others.
pub(crate) struct Key;

impl Keyed for Key {
    #[inline(always)]
    fn key(&self) -> HashKey {
        HASH_KEY.load()
    }
}

/// The maps, as the decisions read them.
pub(crate) struct Maps;

/// The line of an address; there is always one.
#[inline(always)]
fn line(address: &Address) -> &'static Line {
    DIRECTORY
        .get(directory::line_of(address))
        .unwrap_or(&Line::EMPTY)
}

impl Tables for Maps {
    #[inline(always)]
    fn is_vip(&self, address: &Address) -> bool {
        match line(address).vip(address) {
            Known::Here(()) => true,
            Known::Nowhere => false,
            Known::Elsewhere => VIPS.get_ptr(address).is_some(),
        }
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        match line(&key.vip).service(key) {
            Known::Here(service) => Some(service),
            Known::Nowhere => None,
            // SAFETY: the value is copied at once; a replaced one is freed only after the program ran.
            Known::Elsewhere => unsafe { SERVICES.get(key).copied() },
        }
    }

    #[inline(always)]
    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        let at = Element::line(table, slot);
        let line = TABLES.get_value(at.chunk, &at.index)?;
        Some(Slot(line[slot as usize % LINE_SLOTS]))
    }

    #[inline(always)]
    fn backend(&self, id: u16) -> Option<&Backend> {
        BACKENDS.get(u32::from(id))
    }

    #[inline(always)]
    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        let at = Element::row(table, slot);
        HISTORIES.get_value(at.chunk, &at.index).copied()
    }
}

impl Fragments for Maps {
    #[inline(always)]
    fn remember(&self, datagram: &Datagram, first: First) {
        // Where it can't be, its later fragments are dropped and counted.
        let _ = FRAGMENTS.insert(datagram, first, 0);
    }

    #[inline(always)]
    fn only_by_source(&self, vip: &Address, protocol: u8) -> u16 {
        // SAFETY: the value is copied at once; a replaced one is freed only after the program ran.
        let vip = unsafe { VIPS.get(vip).copied() };
        vip.unwrap_or_default().only_by_source(protocol)
    }

    #[inline(always)]
    fn recall(&self, datagram: &Datagram) -> Option<First> {
        // SAFETY: the value is copied at once; what another packet writes into it meanwhile is of the same datagram.
        unsafe { FRAGMENTS.get(datagram).copied() }
    }
}
