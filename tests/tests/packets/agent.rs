//! An agent for one instance, on an interface that leads to nobody.

use anyhow::{Result, ensure};
use aya::programs::{ProgramInfo, TcAttachType};
use testbed::{Agent, Namespace, World, assert_native_xdp, classifiers};

use crate::counts::Counts;
use crate::oracle;
use crate::row::Bench;
use crate::run::{self, Arrival, FirstBuffer, Ran};

/// The VIPs that the instance serves.
pub(crate) const VIP_V4: &str = "198.51.100.10";
pub(crate) const VIP_V6: &str = "2001:db8::10";

/// The instance's addresses, which edges send to.
pub(crate) const OWN_V4: &str = "10.1.0.11";
pub(crate) const OWN_V6: &str = "fd00:1::11";

/// An edge that the agent knows, in either family.
pub(crate) const EDGE_V4: &str = "10.1.0.2";
pub(crate) const EDGE_V6: &str = "fd00:1::2";

/// An agent that runs, and the namespace of its instance.
pub(crate) struct Site {
    /// Where the other end of the instance's interface is, `w0`.
    pub(crate) host: Namespace,
    pub(crate) instance: Namespace,
    /// Where the first buffers of frames end that come in.
    pub(crate) first: Option<FirstBuffer>,
    _agent: Agent,
    world: World,
}

/// More edges, peers and VIPs than the constants of a program hold: then it asks its maps.
const CROWD: [&str; 3] = [
    ", \"203.0.113.0/28\", \"203.0.113.16/28\", \"203.0.113.32/28\", \"203.0.113.48/28\"",
    ", \"203.0.113.64/28\", \"203.0.113.80/28\", \"203.0.113.96/28\", \"203.0.113.112/28\"",
    ", \"198.51.100.20\", \"198.51.100.21\", \"198.51.100.22\", \"198.51.100.23\"",
];

impl Site {
    pub(crate) fn new() -> Result<Site> {
        Site::with([""; 3])
    }

    /// The same, with more edges, peers and VIPs than a short list holds.
    pub(crate) fn crowded() -> Result<Site> {
        Site::with(CROWD)
    }

    fn with([edges, peers, vips]: [&str; 3]) -> Result<Site> {
        let world = World::new()?;
        let host = world.add_namespace("host")?;
        let instance = world.add_namespace("one")?;
        // Whoever has no address says nothing.
        host.sysctls(&[("ipv6/conf/default/disable_ipv6", "1")])?;
        instance.sysctls(&[("ipv6/conf/default/accept_dad", "0")])?;
        host.ip(
            "link add w0 mtu 1600 type veth peer name eth0 mtu 1600 netns one\n\
             link set w0 up\n",
        )?;
        instance.ip(&format!(
            "link set eth0 address 02:00:00:00:00:02\n\
             addr add {OWN_V4}/24 dev eth0\n\
             addr add {OWN_V6}/64 dev eth0 nodad\n\
             link set eth0 up\n"
        ))?;
        let config = format!(
            "edges = [\"10.1.0.0/28\", \"fd00:1::/124\"{edges}]\n\
             peers = [\"10.1.0.0/24\", \"fd00:1::/64\"{peers}]\n\
             [[instance]]\nname = \"one\"\nnetns = \"{}\"\nvips = [\"{VIP_V4}\", \"{VIP_V6}\"{vips}]\n",
            instance.path().display()
        );
        let agent = Agent::start_with(&world, &host, &config)?;
        let attached = assert_native_xdp(&instance, "eth0")?;
        let site = Site {
            host,
            instance,
            first: None,
            _agent: agent,
            world,
        };
        let decap = ProgramInfo::from_pin(site.pin("decap"))?.id();
        ensure!(
            attached == u64::from(decap),
            "decap {decap} is not what runs"
        );
        for (name, direction) in [
            ("clamp", TcAttachType::Egress),
            ("hand_on", TcAttachType::Ingress),
        ] {
            let id = ProgramInfo::from_pin(site.pin(name))?.id();
            let present = classifiers(&site.instance, "eth0", direction)?;
            ensure!(
                present.contains(&id),
                "{name} {id} is not what runs, but {present:?}"
            );
        }
        Ok(site)
    }

    pub(crate) fn pin(&self, program: &str) -> std::path::PathBuf {
        Agent::pins(&self.world, "one").join(program)
    }

    fn counts(&self) -> Result<Counts> {
        Counts::of_agent(&Agent::metrics(&self.host)?)
    }
}

/// The program `decap`.
pub(crate) struct Decap(pub(crate) Site);

impl Bench for Decap {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let Decap(site) = self;
        let arrival = Arrival {
            first: site.first,
            ..Arrival::default()
        };
        run::xdp(&site.instance, &site.pin("decap"), arrival, frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        oracle::judge_opened(frame, ran)
    }
}

/// The program `hand_on`.
pub(crate) struct HandOn(pub(crate) Site);

impl Bench for HandOn {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let HandOn(site) = self;
        run::classifier(&site.instance, &site.pin("hand_on"), frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        match ran.frame == frame {
            true => Ok(()),
            false => Err("changed".to_owned()),
        }
    }
}

/// The program `clamp`.
pub(crate) struct Clamp(pub(crate) Site);

impl Bench for Clamp {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let Clamp(site) = self;
        run::classifier(&site.instance, &site.pin("clamp"), frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        oracle::judge_clamped(frame, ran)
    }
}
