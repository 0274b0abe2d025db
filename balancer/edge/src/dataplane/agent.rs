//! The agent's programs and maps, one set for each instance.
//!
//! Everything here acts in the network namespace of the calling thread.

use std::net::IpAddr;

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, LpmTrie, MapData, MapType, lpm_trie::Key},
    programs::{TcAttachType, Xdp},
};
use balancer_common::{
    Address, Reason,
    abi::{Traffic, program},
    clamp::Limits,
    inline_prefixes, reason,
};
use ipnet::IpNet;

use super::{
    attachment::{self, Attached, Place, Present},
    classifier::Classifier,
    counters::Rows,
    error::{DataplaneError, kernel},
    object::{self, fd, map},
    pins::{Layout, PinDir},
    programs::Programs,
    request_sock,
};

/// The pins of link and program; the program's is for `bpftool` and for tests that run it on frames of their own.
const DECAP_LINK: &str = "decap-link";
const DECAP: &str = "decap";

/// The classifiers, each with its link's pin: its own is called as it is. What `decap` marks needs `hand_on`, so it comes first.
const CLASSIFIERS: [(Classifier, &str); 2] = [
    (
        Classifier {
            name: "hand_on",
            direction: TcAttachType::Ingress,
        },
        "hand-on-link",
    ),
    (
        Classifier {
            name: "clamp",
            direction: TcAttachType::Egress,
        },
        "clamp-link",
    ),
];

/// `BPF_F_NO_PREALLOC`: the kernel makes tries with it only.
const NO_PREALLOC: u32 = 1;

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "EDGES",
        map_type: MapType::LpmTrie,
        key_size: 20,
        value_size: 4,
        max_entries: 1_024,
        flags: NO_PREALLOC,
    },
    Layout {
        name: "PEERS",
        map_type: MapType::LpmTrie,
        key_size: 20,
        value_size: 4,
        max_entries: 1_024,
        flags: NO_PREALLOC,
    },
    Layout {
        name: "VIPS",
        map_type: MapType::Hash,
        key_size: 16,
        value_size: 4,
        max_entries: 1_024,
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
];

/// What an instance's programs are loaded with.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The interface that encapsulated packets arrive at.
    pub interface: String,
    /// The interface's MTU, bytes of IP packet.
    pub mtu: u32,
    /// Whether native XDP is asked for, rather than generic.
    pub native: bool,
    /// The XDP program that the interface has now.
    pub present: Option<Present>,
    /// Source prefixes of edges.
    pub edges: Vec<IpNet>,
    /// Prefixes of other backends, with whom packets are handed on.
    pub peers: Vec<IpNet>,
    /// The VIPs that the instance serves.
    pub vips: Vec<IpAddr>,
}

/// The programs `decap`, `hand_on` and `clamp` on one instance's interface.
pub struct AgentPlane {
    program_id: u32,
    mtu: u32,
    reasons: Rows,
    _programs: Programs,
    /// Kept: without tcx a classifier's link must not be dropped.
    _ebpf: Ebpf,
}

impl AgentPlane {
    /// Loads the programs and makes them live on the instance's interface, in the place of an
    /// earlier agent's if there are any.
    pub fn attach(
        pins: PinDir,
        settings: &AgentSettings,
    ) -> Result<(Self, Attached), DataplaneError> {
        pins.create()?;
        pins.check(LAYOUTS)?;
        let outer_ipv6 = settings
            .edges
            .iter()
            .any(|edge| matches!(edge, IpNet::V6(_)));
        let limits = Limits::new(settings.mtu, outer_ipv6);
        let limits = [limits.ipv4, limits.ipv6];
        let mut loader = EbpfLoader::new();
        let snt_isn = request_sock::snt_isn();
        let edges = inline_prefixes::list(settings.edges.iter().map(prefix));
        let peers = inline_prefixes::list(settings.peers.iter().map(prefix));
        let vips = inline_prefixes::list(settings.vips.iter().map(|&vip| (vip.into(), 128)));
        loader
            .override_global("EDGE_LIST", &edges, true)
            .override_global("PEER_LIST", &peers, true)
            .override_global("VIP_LIST", &vips, true)
            .override_global("LIMITS", &limits, true)
            .override_global("SNT_ISN", &snt_isn, true);
        for layout in LAYOUTS {
            loader.map_pin_path(layout.name, pins.path(layout.name));
        }
        let mut ebpf = loader
            .load(object::AGENT_OBJECT)
            .map_err(kernel("create the agent's maps"))?;
        // Programs before maps: a map that nothing holds is gone.
        decap(&mut ebpf)?
            .load()
            .map_err(kernel("load the program `decap`"))?;
        let programs = Programs::load(&mut ebpf, program::AGENT_NAMES)?;
        for (classifier, _) in CLASSIFIERS {
            let program = classifier.of(&mut ebpf)?;
            program.load().map_err(kernel("load a classifier"))?;
        }
        fill(&mut ebpf, settings)?;

        // Before `decap`, which marks what `hand_on` takes.
        for (classifier, link) in CLASSIFIERS {
            let program = classifier.of(&mut ebpf)?;
            classifier.attach(program, &settings.interface, &pins.path(link))?;
            pins.remove(classifier.name)?;
            program
                .pin(pins.path(classifier.name))
                .map_err(kernel("pin a classifier"))?;
        }
        programs.hold(&pins)?;
        let decap = decap(&mut ebpf)?;
        let attached = attachment::attach(
            decap,
            &Place {
                interface: &settings.interface,
                native: settings.native,
                present: settings.present,
                pin: &pins.path(DECAP_LINK),
            },
        )?;
        programs.take_over(&pins)?;
        let program_id = decap.info().map_err(kernel("read the program's id"))?.id();
        pins.remove(DECAP)?;
        decap
            .pin(pins.path(DECAP))
            .map_err(kernel("pin the program `decap`"))?;
        Ok((
            Self {
                program_id,
                mtu: settings.mtu,
                reasons: Rows::open(fd(&mut ebpf, "REASONS")?)?,
                _programs: programs,
                _ebpf: ebpf,
            },
            attached,
        ))
    }

    /// Detaches an instance's programs and removes their pins. Gives whether there was anything.
    pub fn detach(pins: &PinDir) -> Result<bool, DataplaneError> {
        pins.remove(DECAP_LINK)?;
        for (_, link) in CLASSIFIERS {
            pins.remove(link)?;
        }
        pins.remove_all()
    }

    /// The id of the loaded program `decap`.
    pub fn program_id(&self) -> u32 {
        self.program_id
    }

    /// The MTU that the clamp was loaded for, bytes.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// How often each of the agent's reasons was met, over all CPUs.
    pub fn reasons(&self) -> Result<Vec<(Reason, Traffic)>, DataplaneError> {
        let agent = |reason| reason >= Reason::Decapsulated;
        self.reasons.of_reasons(agent)
    }
}

/// Writes edges, peers and VIPs, new ones first, and removes what the settings no longer name.
fn fill(ebpf: &mut Ebpf, settings: &AgentSettings) -> Result<(), DataplaneError> {
    fill_prefixes(map(ebpf, "EDGES")?, &settings.edges)?;
    fill_prefixes(map(ebpf, "PEERS")?, &settings.peers)?;

    let mut vips: HashMap<MapData, Address, u32> = map(ebpf, "VIPS")?;
    let wanted: Vec<Address> = settings.vips.iter().map(|&vip| vip.into()).collect();
    for vip in &wanted {
        vips.insert(vip, 1, 0).map_err(kernel("write a VIP"))?;
    }
    let known: Vec<_> = vips.keys().flatten().collect();
    for vip in known.iter().filter(|vip| !wanted.contains(vip)) {
        vips.remove(vip).map_err(kernel("remove a VIP"))?;
    }
    Ok(())
}

fn fill_prefixes(
    mut map: LpmTrie<MapData, [u8; 16], u32>,
    prefixes: &[IpNet],
) -> Result<(), DataplaneError> {
    let wanted: Vec<Key<[u8; 16]>> = prefixes.iter().map(key).collect();
    for key in &wanted {
        map.insert(key, 1, 0).map_err(kernel("write a prefix"))?;
    }
    let known: Vec<_> = map.keys().flatten().collect();
    let same = |a: &Key<[u8; 16]>, b: &Key<[u8; 16]>| {
        a.prefix_len() == b.prefix_len() && a.data() == b.data()
    };
    for key in known
        .iter()
        .filter(|key| !wanted.iter().any(|prefix| same(prefix, key)))
    {
        map.remove(key).map_err(kernel("remove a prefix"))?;
    }
    Ok(())
}

/// A prefix as an inline list takes it.
fn prefix(prefix: &IpNet) -> (Address, u32) {
    (prefix.network().into(), u32::from(prefix.prefix_len()))
}

/// A source prefix, IPv4 in mapped form.
fn key(prefix: &IpNet) -> Key<[u8; 16]> {
    let mapped = if prefix.addr().is_ipv4() { 96 } else { 0 };
    let address = Address::from(prefix.network()).octets();
    Key::new(mapped + u32::from(prefix.prefix_len()), address)
}

fn decap(ebpf: &mut Ebpf) -> Result<&mut Xdp, DataplaneError> {
    let program = ebpf
        .program_mut("decap")
        .expect("the object has the program `decap`");
    program
        .try_into()
        .map_err(kernel("use the program `decap`"))
}
