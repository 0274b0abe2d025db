//! What the daemon shows of itself: the bodies of replies and the source of metrics.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use balancer_core::{
    model::{BackendState, Encapsulation, HashPolicy, Health, Protocol, ServiceName},
    state::{DoneReason, Operation, OperationId, Outcome},
};

/// Everything that the daemon shows, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The edge as a whole.
    pub status: StatusView,
    /// Its services, in the order of their names.
    pub services: Vec<ServiceView>,
    /// Their backends, in the order of service and address.
    pub backends: Vec<BackendView>,
}

/// The edge as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The daemon's version.
    pub version: String,
    /// The version of the ABI between the daemon and its XDP program.
    pub abi_version: u32,
    /// The desired state's generation.
    pub generation: u64,
    /// The interface that the XDP program is on; several are joined by `, `.
    pub interface: String,
    /// Each of them.
    #[serde(default)]
    pub interfaces: Vec<InterfaceStatus>,
    /// How the program is attached, as the kernel says: `generic` on any interface, or `detached` from all.
    pub xdp_mode: XdpAttachment,
    /// The kernel's number of the program; 0 when detached.
    pub program_id: u32,
    /// Whether the program was found running when the daemon started, and kept.
    pub taken_over: bool,
    /// How long the daemon has run, in seconds.
    pub uptime_seconds: u64,
    /// How many services there are.
    pub services: usize,
    /// How many backends there are, over all services.
    pub backends: usize,
    /// How many packets met which fate, in the order of the reasons' numbers.
    pub reasons: Vec<ReasonCount>,
    /// What an operator should know, a sentence each.
    pub warnings: Vec<String>,
    /// Whether the operator has drained the edge: then no VIP is announced.
    #[serde(default)]
    pub drained: bool,
    /// How announcing is going; `None` if routers are not told of VIPs.
    #[serde(default)]
    pub announce: Option<AnnounceView>,
}

/// One interface of the edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// How the program is attached to it, as the kernel says.
    pub xdp_mode: XdpAttachment,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// Whether it takes VLAN tags off before the program sees the frame.
    pub takes_tags_off: bool,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum XdpAttachment {
    /// In the driver.
    Native,
    /// After the driver, on socket buffers: slow.
    Generic,
    /// In the device.
    Offload,
    /// Not at all.
    #[default]
    Detached,
}

/// How routers are told of the VIPs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceView {
    /// Who tells them, such as `gobgp at 127.0.0.1:50051`.
    pub speaker: String,
    /// Why it is not as wanted, a sentence; tried again all the time.
    pub error: Option<String>,
    /// The VIPs of the services.
    pub vips: Vec<VipView>,
}

/// One VIP and its announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipView {
    /// The anycast address.
    pub vip: IpAddr,
    /// Whether the speaker is known to announce it for this edge.
    pub announced: bool,
    /// Why it is not to be announced; `None` if it is.
    pub withheld: Option<String>,
}

/// How many packets met one fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The reason's name, snake_case.
    pub reason: String,
    /// What becomes of such packets.
    pub verdict: Verdict,
    /// How many there were since the program was loaded.
    pub packets: u64,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// They go on to the host's own stack.
    Pass,
    /// They end here.
    Drop,
    /// What the edge says to them goes back the way that they came.
    Answer,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// The anycast address.
    pub vip: IpAddr,
    /// The destination port.
    pub port: u16,
    /// The protocol above IP.
    pub protocol: Protocol,
    /// How packets travel to its backends.
    pub encapsulation: Encapsulation,
    /// Which of a packet's fields choose its slot.
    #[serde(default)]
    pub hash: HashPolicy,
    /// How many slots its table has.
    pub slots: usize,
    /// Its table's generation.
    pub generation: u64,
    /// How many backends it has.
    pub backends: usize,
    /// How many of them are active.
    pub active: usize,
    /// Whether no backend is usable, so that all get packets nevertheless.
    pub fails_open: bool,
    /// How many packets went to its backends.
    pub packets: u64,
    /// How many bytes of inner IP packets went to its backends.
    pub bytes: u64,
    /// Its health check in short, such as `http :8000/ every 1000 ms`; empty without a check.
    pub check: String,
}

/// One backend of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendView {
    /// The service's name.
    pub service: ServiceName,
    /// The backend's address.
    pub address: IpAddr,
    /// Its weight, 0 to 1,000.
    pub weight: u16,
    /// What it is to the data plane.
    pub state: BackendState,
    /// What its checks say.
    pub health: CheckedHealth,
    /// How many slots it owns in the table that packets meet.
    pub slots: usize,
    /// How many packets went to it.
    pub packets: u64,
    /// How many bytes of inner IP packets went to it.
    pub bytes: u64,
    /// Its next hop, such as `02:00:00:00:00:01 dev eth0`, or `... dev eth0 vlan 100`; `None` while there is none, and no packet can go to it.
    pub next_hop: Option<String>,
    /// Why its last probe failed; `None` when it passed.
    pub last_check: Option<String>,
}

impl BackendView {
    /// Whether its health does not stand in its way: `up`, or never asked for.
    pub fn is_up(&self) -> bool {
        matches!(self.health, CheckedHealth::Up | CheckedHealth::Unchecked)
    }
}

/// What a backend's checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CheckedHealth {
    /// They pass.
    Up,
    /// They fail.
    Down,
    /// No probe has ended.
    Unknown,
    /// Its service has no check.
    Unchecked,
}

impl From<Health> for CheckedHealth {
    fn from(health: Health) -> Self {
        match health {
            Health::Up => Self::Up,
            Health::Down => Self::Down,
            Health::Unknown => Self::Unknown,
        }
    }
}

/// A drain that a `backend.terminating` event began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// `SERVICE~ADDRESS~INCARNATION`.
    pub id: OperationId,
    /// The backend's service.
    pub service: ServiceName,
    /// The backend's address.
    pub address: IpAddr,
    /// What packets call the service.
    pub vip: IpAddr,
    /// The service's port.
    pub port: u16,
    /// The service's protocol.
    pub protocol: Protocol,
    /// Whether it is over.
    pub state: OperationState,
    /// Why it is over; `None` while it is not.
    pub reason: Option<DoneReason>,
    /// How many sockets of the service the backend had when its agent was last asked; `None` when nobody could tell.
    pub sockets: Option<u64>,
    /// The generation that the data plane had.
    pub generation: u64,
    /// When it is over at the latest, in milliseconds since 1970.
    pub deadline_unix_ms: Option<u64>,
    /// The agent that is asked; without one only the deadline, or the backend's end, ends the drain.
    pub agent: Option<String>,
    /// What that agent calls the backend.
    pub instance: Option<String>,
}

/// Whether a drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It goes on.
    Running,
    /// It is over; the backend may be stopped.
    Done,
}

impl OperationView {
    /// A drain as people see it; `generation` is the data plane's.
    pub fn new(operation: Operation, generation: u64) -> Self {
        let Operation { id, key, done, .. } = operation;
        Self {
            service: id.service.clone(),
            address: id.address,
            id,
            vip: key.vip,
            port: key.port,
            protocol: key.protocol,
            state: match done {
                Some(_) => OperationState::Done,
                None => OperationState::Running,
            },
            reason: done,
            sockets: None,
            generation,
            deadline_unix_ms: operation.deadline_unix_ms,
            agent: operation.agent,
            instance: operation.instance,
        }
    }
}

/// What an instance's sockets are asked for: the query of the agent's `GET /v1/sockets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketQuery {
    /// The VIP.
    pub vip: IpAddr,
    /// The service's port.
    pub port: u16,
    /// The service's protocol; `tcp` when left out.
    #[serde(default)]
    pub protocol: Protocol,
}

/// How many sockets of a service an instance has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketView {
    /// What the agent calls the instance.
    pub instance: String,
    /// An address of its interface; an instance with several has an item for each.
    pub address: IpAddr,
    /// Sockets on the VIP and port that are established, or are closing and may still carry data.
    pub established: u64,
}

/// What a change did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeView {
    /// Whether it changed anything.
    pub changed: bool,
    /// How many slots it gives to another backend.
    pub moved_slots: usize,
    /// How many slots the tables that it touches have.
    pub total_slots: usize,
    /// The least number of slots that any table would have to move for this change.
    pub minimum_moved_slots: usize,
    /// What else the operator should know, a sentence each.
    pub notes: Vec<String>,
}

impl From<&Outcome> for OutcomeView {
    fn from(outcome: &Outcome) -> Self {
        Self {
            changed: outcome.changed,
            moved_slots: outcome.moved_slots,
            total_slots: outcome.total_slots,
            minimum_moved_slots: outcome.minimum_moved_slots,
            notes: outcome.notes.clone(),
        }
    }
}
