//! The agent's programs and maps, one set for each instance.
//!
//! Everything here acts in the network namespace of the calling thread.

use std::{io, net::IpAddr, path::Path};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, LpmTrie, MapData, MapType, PerCpuArray, lpm_trie::Key},
    programs::{SchedClassifier, TcAttachType, Xdp, links::FdLink, tc},
    util::KernelVersion,
};
use balancer_common::{Address, Reason, abi::Traffic, clamp::Limits, reason};
use ipnet::IpNet;

use super::{
    attachment::{self, Attached, Place, Present, pinned},
    edge::{map, total},
    error::{DataplaneError, kernel},
    object,
    pins::{Layout, PinDir},
};

/// The pins of the two links.
const DECAP_LINK: &str = "decap-link";
const CLAMP_LINK: &str = "clamp-link";
/// The pins of the programs, for `bpftool` and for tests that run them on frames of their own.
const DECAP: &str = "decap";
const CLAMP: &str = "clamp";

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "EDGES",
        map_type: MapType::LpmTrie,
        key_size: 20,
        value_size: 4,
        max_entries: 1_024,
    },
    Layout {
        name: "VIPS",
        map_type: MapType::Hash,
        key_size: 16,
        value_size: 4,
        max_entries: 1_024,
    },
    Layout {
        name: "REASONS",
        map_type: MapType::PerCpuArray,
        key_size: 4,
        value_size: 16,
        max_entries: reason::ROWS,
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
    /// The VIPs that the instance serves.
    pub vips: Vec<IpAddr>,
}

/// The programs `decap` and `clamp` on one instance's interface.
pub struct AgentPlane {
    program_id: u32,
    mtu: u32,
    reasons: PerCpuArray<MapData, Traffic>,
    /// Kept: without tcx the classifier's link must not be dropped.
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
        loader.override_global("LIMITS", &limits, true);
        for layout in LAYOUTS {
            loader.map_pin_path(layout.name, pins.path(layout.name));
        }
        let mut ebpf = loader
            .load(object::AGENT)
            .map_err(kernel("create the agent's maps"))?;
        // Programs before maps: a map that nothing holds is gone.
        decap(&mut ebpf)?
            .load()
            .map_err(kernel("load the program `decap`"))?;
        clamp(&mut ebpf)?
            .load()
            .map_err(kernel("load the program `clamp`"))?;
        fill(&mut ebpf, settings)?;

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
        let program_id = decap.info().map_err(kernel("read the program's id"))?.id();
        pins.remove(DECAP)?;
        decap
            .pin(pins.path(DECAP))
            .map_err(kernel("pin the program `decap`"))?;
        let clamp = clamp(&mut ebpf)?;
        attach_clamp(clamp, &settings.interface, &pins.path(CLAMP_LINK))?;
        pins.remove(CLAMP)?;
        clamp
            .pin(pins.path(CLAMP))
            .map_err(kernel("pin the program `clamp`"))?;
        Ok((
            Self {
                program_id,
                mtu: settings.mtu,
                reasons: map(&mut ebpf, "REASONS")?,
                _ebpf: ebpf,
            },
            attached,
        ))
    }

    /// Detaches an instance's programs and removes their pins. Gives whether there was anything.
    pub fn detach(pins: &PinDir) -> Result<bool, DataplaneError> {
        pins.remove(DECAP_LINK)?;
        pins.remove(CLAMP_LINK)?;
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
        let agent = Reason::ALL
            .iter()
            .filter(|&&reason| reason >= Reason::Decapsulated);
        agent
            .map(|&reason| Ok((reason, total(&self.reasons, reason as u32)?)))
            .collect()
    }
}

/// Writes the edges and VIPs, new ones first, and removes what the settings no longer name.
fn fill(ebpf: &mut Ebpf, settings: &AgentSettings) -> Result<(), DataplaneError> {
    let mut edges: LpmTrie<MapData, [u8; 16], u32> = map(ebpf, "EDGES")?;
    let wanted: Vec<Key<[u8; 16]>> = settings.edges.iter().map(prefix).collect();
    for key in &wanted {
        edges.insert(key, 1, 0).map_err(kernel("write an edge"))?;
    }
    let known: Vec<_> = edges.keys().flatten().collect();
    let same = |a: &Key<[u8; 16]>, b: &Key<[u8; 16]>| {
        a.prefix_len() == b.prefix_len() && a.data() == b.data()
    };
    for key in known
        .iter()
        .filter(|key| !wanted.iter().any(|edge| same(edge, key)))
    {
        edges.remove(key).map_err(kernel("remove an edge"))?;
    }

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

/// A source prefix, IPv4 in mapped form.
fn prefix(edge: &IpNet) -> Key<[u8; 16]> {
    let mapped = if edge.addr().is_ipv4() { 96 } else { 0 };
    let address = Address::from(edge.network()).octets();
    Key::new(mapped + u32::from(edge.prefix_len()), address)
}

fn decap(ebpf: &mut Ebpf) -> Result<&mut Xdp, DataplaneError> {
    let program = ebpf
        .program_mut("decap")
        .expect("the object has the program `decap`");
    program
        .try_into()
        .map_err(kernel("use the program `decap`"))
}

fn clamp(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, DataplaneError> {
    let program = ebpf
        .program_mut("clamp")
        .expect("the object has the program `clamp`");
    program
        .try_into()
        .map_err(kernel("use the program `clamp`"))
}

/// Attaches `clamp` to egress: through tcx with a pinned link, or through clsact before Linux 6.6.
fn attach_clamp(
    clamp: &mut SchedClassifier,
    interface: &str,
    pin: &Path,
) -> Result<(), DataplaneError> {
    let tcx = KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0));
    if !tcx {
        return clamp_by_clsact(clamp, interface);
    }
    if let Some(link) = pinned(pin)? {
        let id = link
            .info()
            .map_err(kernel("read the pinned link"))?
            .program_id();
        let (_, present) = SchedClassifier::query_tcx(interface, TcAttachType::Egress)
            .map_err(kernel("list the interface's classifiers"))?;
        if present.iter().any(|program| program.id() == id) {
            let link =
                tc::SchedClassifierLink::try_from(link).map_err(kernel("use the pinned link"))?;
            let link = clamp
                .attach_to_link(link)
                .map_err(kernel("replace the program `clamp`"))?;
            // The pin alone holds the link from now on, so that removing it detaches.
            drop(clamp.take_link(link).map_err(kernel("take the link"))?);
            return Ok(());
        }
        std::fs::remove_file(pin).map_err(|source| DataplaneError::Pin {
            path: pin.to_owned(),
            source,
        })?;
    }
    let link = clamp
        .attach(interface, TcAttachType::Egress)
        .map_err(kernel("attach the program `clamp`"))?;
    let link = clamp.take_link(link).map_err(kernel("take the link"))?;
    let link = FdLink::try_from(link).map_err(kernel("pin the link"))?;
    link.pin(pin).map_err(kernel("pin the link"))?;
    Ok(())
}

/// A filter on clsact stays when the agent stops; an earlier agent's is replaced.
fn clamp_by_clsact(clamp: &mut SchedClassifier, interface: &str) -> Result<(), DataplaneError> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) => {}
        Err(tc::TcError::AlreadyAttached) => {}
        Err(error) => return Err(kernel("add clsact")(error)),
    }
    match tc::qdisc_detach_program(interface, TcAttachType::Egress, "clamp") {
        Ok(()) => {}
        Err(tc::TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(kernel("remove the earlier program `clamp`")(error)),
    }
    let link = clamp
        .attach(interface, TcAttachType::Egress)
        .map_err(kernel("attach the program `clamp`"))?;
    // Dropped, the link would take the filter with it.
    std::mem::forget(clamp.take_link(link).map_err(kernel("take the link"))?);
    Ok(())
}
