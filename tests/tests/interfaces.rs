//! One edge on several interfaces: packets in by either, one interface that goes and comes back, another list, the end.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balancer_api::views::{CheckedHealth, XdpAttachment};
use testbed::{
    Agent, Edge, EdgeOptions, Load, Protocol, Topology, Workload, World, assert_native_xdp,
    attach_pass, lbd, ping, wait_for,
};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// Of 600 requests each of three instances gets at least this many.
const FEWEST: usize = 140;
const BOTH: &str = "interfaces = [\"eth0\", \"eth1\"]\n";
const TURNED: &str = "interfaces = [\"eth1\", \"eth0\"]\n";
const ONE: &str = "interface = \"eth0\"\n";

/// An edge with two interfaces. The router sends one VIP to each; the backends are behind `eth0`.
struct Bed<'w> {
    world: &'w World,
    topology: Topology,
    edge: Edge,
    _agent: Agent,
    /// Comes by `eth0`, and leaves by it.
    here: Workload,
    /// Comes by `eth1`, and leaves by `eth0`.
    there: Workload,
}

impl<'w> Bed<'w> {
    fn new(world: &'w World) -> Result<Bed<'w>> {
        let topology = Topology::build(world, &NAMES)?;
        topology.add_bridge("north", &["10.3.0.1/24"])?;
        connect(world, &topology)?;
        topology
            .router
            .ip("route add 198.51.100.20/32 via 10.3.0.2\n")?;
        let here = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
        let there = Workload {
            name: "there".to_owned(),
            ..Workload::new(Topology::vip_v4(20), Protocol::Tcp)
        };
        let agent = Agent::start(world, &topology, &[here.target.ip(), there.target.ip()])?;
        let declare = |workload: &Workload| workload.declaration(&topology.instances);
        let options = EdgeOptions {
            settings: BOTH.to_owned(),
            services: declare(&here) + &declare(&there),
        };
        let edge = Edge::start(world, "edge", &topology.edge, &options)?;
        wait_for("every backend to be up", Duration::from_secs(20), || {
            let backends = edge.backends()?;
            let up = backends
                .iter()
                .filter(|each| each.health == CheckedHealth::Up && each.slots > 0);
            ensure!(up.count() == 2 * NAMES.len(), "{backends:?}");
            Ok(())
        })?;
        Ok(Bed {
            world,
            topology,
            edge,
            _agent: agent,
            here,
            there,
        })
    }

    fn answered(&self, workload: &Workload) -> Result<()> {
        let client = &self.topology.client;
        let load = Load::send(client, workload.target, workload.protocol, 500, 600)?;
        ensure!(
            load.failed() == 0,
            "{}: {:?}",
            workload.name,
            load.failures()
        );
        load.ensure_balanced(&NAMES, FEWEST)
    }

    /// Has it start with these interfaces from now on.
    fn configure(&self, interfaces: &str) -> Result<()> {
        let text = fs::read_to_string(self.edge.config())?;
        let mut replaced = 0;
        let text: String = (text.split_inclusive('\n'))
            .map(|line| match line.starts_with("interface") {
                true => {
                    replaced += 1;
                    interfaces
                }
                false => line,
            })
            .collect();
        ensure!(replaced == 1, "{replaced} lines of interfaces");
        Ok(fs::write(self.edge.config(), text)?)
    }

    /// Kills the daemon and starts it with other interfaces.
    fn restart(&mut self, interfaces: &str) -> Result<()> {
        self.configure(interfaces)?;
        self.edge.kill();
        self.edge.start_again(self.world)
    }

    fn has_none(&self, device: &str) -> Result<()> {
        wait_for("the program to go", Duration::from_secs(5), || {
            let attached = assert_native_xdp(&self.topology.edge, device);
            let said = format!("{attached:?}");
            ensure!(said.contains("no XDP program is attached"), "{said}");
            Ok(())
        })
    }

    /// The pins of links.
    fn links(&self) -> Result<Vec<String>> {
        self.pinned("link-")
    }

    /// The pins of what daemons held that were killed while they attached, but for the last of them.
    fn unfinished(&self) -> Result<Vec<String>> {
        self.pinned("PROGRAMS-unfinished-")
    }

    fn pinned(&self, prefix: &str) -> Result<Vec<String>> {
        let mut pins = Vec::new();
        for entry in self.edge.pins(self.world).join("v2").read_dir()? {
            let name = entry?.file_name().into_string().ok().context("text")?;
            if name.starts_with(prefix) {
                pins.push(name);
            }
        }
        pins.sort();
        Ok(pins)
    }

    /// The kernel's words for the program on an interface.
    fn program(&self, device: &str) -> Result<String> {
        let shown = self.topology.edge.run("ip", &["link", "show", device])?;
        let program = shown.split("prog/xdp").nth(1);
        Ok(program.context("no program")?.trim().to_owned())
    }
}

/// Makes `eth1`, whose other end takes what a native program sends.
fn connect(world: &World, topology: &Topology) -> Result<()> {
    topology.connect(&topology.edge, "eth1", "north", &["10.3.0.2/24"])?;
    attach_pass(world, &topology.router, "edge.eth1")
}

// Promise: O6
#[test]
fn packets_come_in_by_every_interface_and_leave_by_the_backends() -> Result<()> {
    let world = World::new()?;
    let bed = Bed::new(&world)?;
    let first = assert_native_xdp(&bed.topology.edge, "eth0")?;
    let second = assert_native_xdp(&bed.topology.edge, "eth1")?;
    ensure!(first == second, "one program, not {first} and {second}");
    bed.answered(&bed.here)?;
    bed.answered(&bed.there)?;
    let status = bed.edge.status()?;
    ensure!(
        status.interface == "eth0, eth1" && status.warnings.is_empty(),
        "{status:?}"
    );
    let text = bed.edge.lbctl_ok(&["status"])?;
    ensure!(
        text.contains("\nattached    eth0 native, eth1 native, program "),
        "{text}"
    );
    for name in ["eth0", "eth1"] {
        let sample = format!("lb_xdp_attached{{interface=\"{name}\",mode=\"native\"}}");
        ensure!(bed.edge.metric(&sample)? == 1.0, "{}", bed.edge.metrics()?);
    }
    Ok(())
}

// Promise: O6
#[test]
fn one_that_goes_or_is_down_leaves_the_other_alone_and_is_taken_up_when_it_is_back() -> Result<()> {
    let world = World::new()?;
    let bed = Bed::new(&world)?;
    let load = Load::start(&bed.topology.client, bed.here.target, Protocol::Tcp, 100)?;
    bed.topology.edge.ip("link set eth1 down\n")?;
    wait_for("status to say so", Duration::from_secs(10), || {
        let status = bed.edge.status()?;
        let told = "eth1 is down: no packet comes by it".to_owned();
        ensure!(
            status.warnings == [told] && status.xdp_mode == XdpAttachment::Native,
            "{status:?}"
        );
        Ok(())
    })?;
    let before = bed.links()?;
    bed.topology.router.ip("link del edge.eth1\n")?;
    wait_for("status to say so", Duration::from_secs(10), || {
        let status = bed.edge.status()?;
        let told = status
            .warnings
            .iter()
            .any(|each| each.starts_with("no interface `eth1` here"));
        ensure!(
            told && status.xdp_mode == XdpAttachment::Native,
            "{status:?}"
        );
        ensure!(
            status.interfaces[1].xdp_mode == XdpAttachment::Detached,
            "{status:?}"
        );
        Ok(())
    })?;
    let text = bed.edge.lbctl_ok(&["status"])?;
    ensure!(text.contains("eth0 native, eth1 DETACHED"), "{text}");
    connect(&world, &bed.topology)?;
    let here = assert_native_xdp(&bed.topology.edge, "eth0")?;
    wait_for(
        "the program on the new one",
        Duration::from_secs(20),
        || {
            let there = assert_native_xdp(&bed.topology.edge, "eth1")?;
            ensure!(here == there, "one program, not {here} and {there}");
            ensure!(bed.edge.status()?.warnings.is_empty(), "warnings");
            Ok(())
        },
    )?;
    bed.answered(&bed.there)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0 && load.ok() > 50,
        "{:?}",
        load.failures()
    );
    let after = bed.links()?;
    ensure!(after.len() == 2 && after != before, "{before:?}, {after:?}");
    Ok(())
}

// Promise: O6
#[test]
fn another_list_is_taken_up_by_a_restart_without_a_failed_request() -> Result<()> {
    let world = World::new()?;
    let mut bed = Bed::new(&world)?;
    let load = Load::start(&bed.topology.client, bed.here.target, Protocol::Tcp, 200)?;
    // One less.
    bed.restart(ONE)?;
    bed.has_none("eth1")?;
    let links = bed.links()?;
    ensure!(links.len() == 1, "{links:?}");
    // One more.
    bed.restart(BOTH)?;
    ensure!(
        bed.edge.status()?.taken_over,
        "not taken over: {}",
        bed.edge.log()
    );
    let now = bed.links()?;
    ensure!(now.len() == 2 && now.contains(&links[0]), "{now:?}");
    bed.answered(&bed.there)?;
    // The same again, and in another order.
    bed.restart(TURNED)?;
    bed.answered(&bed.there)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0 && load.ok() > 100,
        "{:?}",
        load.failures()
    );
    Ok(())
}

/// Then one interface has the new program, and the other that of the daemon before, for as long as it takes.
// Promise: O6
#[test]
fn a_daemon_that_is_killed_between_two_interfaces_leaves_both_working() -> Result<()> {
    let world = World::new()?;
    let mut bed = Bed::new(&world)?;
    let load = Load::start(&bed.topology.client, bed.there.target, Protocol::Tcp, 200)?;
    for killed in 1..=3 {
        // In turns, so that it is not always the same one that waits for its program.
        bed.configure(if killed % 2 == 1 { BOTH } else { TURNED })?;
        bed.edge.kill();
        bed.edge.start_and_kill_before_update(&world, 2)?;
        let [first, second] = ["eth0", "eth1"].map(|device| bed.program(device));
        ensure!(first? != second?, "both have the same program");
        ensure!(
            bed.unfinished()?.len() == killed - 1,
            "{:?}",
            bed.unfinished()?
        );
        for workload in [&bed.here, &bed.there] {
            bed.answered(workload)?;
            // By a program that takes over from the one that is attached.
            ping(&bed.topology.client, workload.target.ip(), b"who?")?;
        }
    }
    bed.edge.start_again(&world)?;
    ensure!(bed.edge.status()?.taken_over, "{}", bed.edge.log());
    assert_eq!(bed.program("eth0")?, bed.program("eth1")?);
    assert_eq!(bed.unfinished()?, [""; 0]);
    for workload in [&bed.here, &bed.there] {
        ping(&bed.topology.client, workload.target.ip(), b"who?")?;
    }
    let load = load.stop()?;
    ensure!(
        load.failed() == 0 && load.ok() > 100,
        "{:?}",
        load.failures()
    );
    Ok(())
}

// Promise: O6
#[test]
fn detaching_leaves_nothing_on_any_interface() -> Result<()> {
    let world = World::new()?;
    let mut bed = Bed::new(&world)?;
    let gone = |bed: &Bed<'_>| -> Result<()> {
        bed.has_none("eth0")?;
        bed.has_none("eth1")?;
        let left = bed.edge.pins(bed.world).read_dir()?.count();
        ensure!(left == 0, "{left} pins are left");
        Ok(())
    };
    let said = bed.edge.lbctl_ok(&["detach"])?;
    ensure!(said.starts_with("eth0, eth1: the native program"), "{said}");
    gone(&bed)?;
    bed.edge.terminate()?;
    bed.edge.start_again(&world)?;
    bed.answered(&bed.there)?;
    bed.edge.terminate()?;
    let config = bed.edge.config().display().to_string();
    let done = lbd(&bed.topology.edge, &["detach", "edge", "--config", &config])?;
    ensure!(done.stdout == "detached\n", "{done:?}");
    gone(&bed)
}

// Promise: O6
#[test]
fn one_that_must_not_be_used_keeps_the_program_off_all_of_them() -> Result<()> {
    let world = World::new()?;
    let edge = world.add_namespace("edge")?;
    edge.ip(
        "link add eth0 type veth peer name p0\nlink add eth1 type veth peer name p1\n\
         link add slow type bridge\nlink set eth0 up\nlink set p0 up\nlink set eth1 up\n\
         link set p1 up\naddr add 10.3.0.2/24 dev eth1\nroute add default via 10.3.0.1\n",
    )?;
    let config = world.directory().join("edge.toml");
    let path = |name: &str| world.directory().join(name).display().to_string();
    let refused = |second: &str| {
        let text = format!(
            "version = 1\ninterfaces = [\"eth0\", \"{second}\"]\npin_dir = \"{}\"\nstate_dir = \"{}\"\napi_socket = \"{}\"\n",
            world.bpffs().join("edge").display(),
            path("state"),
            path("lbd.sock"),
        );
        fs::write(&config, text)?;
        let refused = lbd(&edge, &["edge", "--config", &config.to_string_lossy()])?;
        wait_for("the program to be off", Duration::from_secs(5), || {
            let first = format!("{:?}", assert_native_xdp(&edge, "eth0"));
            ensure!(first.contains("no XDP program is attached"), "{first}");
            Ok(())
        })?;
        ensure!(!world.bpffs().join("edge/v2").exists(), "pins are left");
        anyhow::Ok((refused.code, refused.stderr))
    };
    for (second, code, said) in [
        ("eth9", 4, "no interface `eth9` here"),
        ("eth1", 6, "eth1 carries the default route"),
        ("slow", 1, "slow does not take native XDP"),
    ] {
        let (exit, told) = refused(second)?;
        ensure!(
            exit == code && told.contains(said),
            "{second}: {exit}: {told}"
        );
    }
    edge.ip("route del default\n")?;
    attach_pass(&world, &edge, "eth1")?;
    let (exit, told) = refused("eth1")?;
    ensure!(
        exit == 6 && told.contains("eth1 already has an XDP program, `pass`"),
        "{exit}: {told}"
    );
    Ok(())
}
