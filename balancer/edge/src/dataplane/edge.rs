//! The edge's side of the kernel: what one task owns.

use aya::EbpfLoader;
use aya_log::EbpfLogger;
use balancer_common::{abi::Traffic, flow::HashKey};
use balancer_core::{
    model::BackendId,
    reconcile::{Plan, PlanChange},
};

use super::{
    counters::Counters,
    error::{DataplaneError, kernel},
    former::Former,
    layouts::EDGE,
    maps::EdgeMaps,
    object::{self, fd},
    pins::PinDir,
    program::EdgeProgram,
};

/// What the program is loaded with.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSettings {
    /// 64 secret bits, the same on every edge.
    pub hash_key: u64,
    /// Whether drops are logged, with a growing distance between lines.
    pub debug_packets: bool,
}

/// Where the program's own log lines go: the daemon's log.
pub type PacketLog = EbpfLogger<&'static dyn log::Log>;

/// The program `balance` with its maps.
pub struct EdgePlane {
    maps: EdgeMaps,
    counters: Counters,
    program: EdgeProgram,
    logger: Option<PacketLog>,
}

impl EdgePlane {
    /// Loads the program with the maps that are pinned already, or with new ones, and pins them.
    /// Nothing is attached yet.
    pub fn load(pins: PinDir, settings: EdgeSettings) -> Result<Self, DataplaneError> {
        pins.create()?;
        let former = Former::open(&pins)?;
        if let Some(former) = &former {
            former.hand_over(&pins)?;
        }
        pins.check(EDGE)?;
        let hash_key = HashKey::expand(settings.hash_key);
        let debug_packets = u32::from(settings.debug_packets);
        let mut loader = EbpfLoader::new();
        loader
            .override_global("HASH_KEY", &hash_key, true)
            .override_global("DEBUG_PACKETS", &debug_packets, true);
        for layout in EDGE {
            loader.map_pin_path(layout.name, pins.path(layout.name));
        }
        let mut ebpf = loader
            .load(object::EDGE_OBJECT)
            .map_err(kernel("create the edge's maps"))?;
        let logger = settings
            .debug_packets
            .then(|| EbpfLogger::init(&mut ebpf).map_err(kernel("start the packet log")))
            .transpose()?;
        // The maps are taken out of the object after the programs that use them are loaded.
        let mut program = EdgeProgram::load(ebpf, pins, former)?;
        let object = program.object();
        Ok(Self {
            maps: EdgeMaps::open(object)?,
            counters: Counters::open(fd(object, "TRAFFIC")?, fd(object, "REASONS")?)?,
            program,
            logger,
        })
    }

    /// The packet log, when it is on: to be flushed while packets flow.
    pub fn take_logger(&mut self) -> Option<PacketLog> {
        self.logger.take()
    }

    /// The program, to be attached.
    pub fn program(&mut self) -> &mut EdgeProgram {
        &mut self.program
    }

    /// What the programs have counted, to be read beside whatever else is done here.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Has the next backend of this id begin at zero; gives what the one before was sent.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the row be read or written.
    pub fn clear_traffic(&mut self, id: BackendId) -> Result<Traffic, DataplaneError> {
        let sent = self.counters.traffic(id)?;
        if sent != Traffic::default() {
            self.counters.clear(id)?;
        }
        Ok(sent)
    }

    /// What packets meet now of the services and backends that `plan` has: what an earlier daemon published last.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the maps of the version before be read.
    pub fn previous(&self, plan: &Plan) -> Result<Plan, DataplaneError> {
        match self.program.former() {
            Some(former) => former.previous(plan),
            None => Ok(self.maps.previous_of(plan)),
        }
    }

    /// Makes a change. When it returns, packets meet all of it. What they met before is used again after one grace period, for
    /// which nobody waits here.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a write, or when there is no room. A part may have been done then: [`EdgePlane::adopt`] makes the maps
    /// true again.
    pub fn publish(&mut self, change: &PlanChange) -> Result<(), DataplaneError> {
        self.maps.publish(change)
    }

    /// Makes the maps equal to `plan`, whatever is in them, and without a moment in which a service that is in both would be
    /// missing. What is equal already is not written.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a write, or when there is no room.
    pub fn adopt(&mut self, plan: &Plan) -> Result<(), DataplaneError> {
        self.maps.adopt(plan)
    }
}
