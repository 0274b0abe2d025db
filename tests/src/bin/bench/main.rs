//! The bench of the packet path: nanoseconds a packet in the kernel, beside the least that a program could take.
//!
//! The real `lbd` loads programs and maps from the configurations in `bench/`, in network namespaces of its own. Each
//! program is driven by `BPF_PROG_TEST_RUN`, in turns with its floor, and what it did is checked packet by packet.

mod cases;
mod counts;
mod frame;
mod kernel;
mod live;
mod loaded;
mod low;
mod many;
mod measure;
mod plot;
mod reference;
mod report;
mod site;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use balancer_common::bench::{MAX_PACKETS, STRIDE};
use clap::Parser;
use testbed::World;

use cases::Case;
use measure::{Extent, measure};
use report::Line;
use site::Site;

/// Two stamps of the clock.
const MIN_PACKETS: i64 = 2 * STRIDE as i64;

/// Measures the packet path.
#[derive(Parser)]
struct Arguments {
    /// What to measure, by name; everything if nothing is named
    cases: Vec<String>,
    /// One object of JSON a line, in place of the table
    #[arg(long)]
    json: bool,
    /// Measure `v4_tcp` with 1 to 1,000,000 flows, and draw nanoseconds by flows into this file (SVG)
    #[arg(long, value_name = "FILE", conflicts_with = "cases")]
    plot: Option<PathBuf>,
    /// Measure `v4_tcp_1m` end to end: live frames over a veth pair and back, all on one CPU
    #[arg(long, conflicts_with_all = ["cases", "plot"])]
    live: bool,
    /// Rounds of each case: program and floor take turns
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Packets in each turn; of every 1,024 the time is taken, and of all times a low one counts
    #[arg(long, default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(MIN_PACKETS..=MAX_PACKETS.into()))]
    packets: u32,
    /// The CPU to measure on
    #[arg(long, default_value_t = 1)]
    cpu: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut cases = match arguments.plot {
        Some(_) => cases::by_flows(),
        None if arguments.live => vec![cases::live()],
        None => cases::chosen(&arguments.cases).map_err(anyhow::Error::msg)?,
    };
    let mut points = Vec::new();
    let extent = Extent {
        rounds: arguments.rounds.into(),
        packets: arguments.packets,
        cpu: arguments.cpu,
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench");
    let world = World::new()?;
    let mut unverified = Vec::new();
    if !arguments.json {
        println!("{}", report::header());
    }
    while let Some(first) = cases.first() {
        let place = first.place;
        let here: Vec<Case>;
        (here, cases) = cases.into_iter().partition(|case| case.place == place);
        let site = Site::start(&world, place, &directory)?;
        eprintln!("{place:?}: {}: {}", site.program, site.loaded);
        for case in here {
            let measured = match arguments.live {
                true => live::measure(&case, &site, extent)?,
                false => measure(&case, &site, extent)?,
            };
            let line = Line::new(&case, site.reference.backends_of(&case), &measured);
            match arguments.json {
                true => println!("{}", line.json()),
                false => println!("{}", line.row()),
            }
            points.push((case.flows, measured.ns, measured.floor_ns));
            for fault in &measured.faults {
                eprintln!("{}: {fault}", case.name);
            }
            if !line.is_verified() {
                unverified.push(case.name);
            }
        }
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::svg("v4_tcp: nanoseconds a packet by flows", &points);
        fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    ensure!(
        unverified.is_empty(),
        "not verified: {}",
        unverified.join(", ")
    );
    Ok(())
}
