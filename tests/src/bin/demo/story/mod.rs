//! The story: one workload file, two cities, an anycast address, in under a minute.

mod acts;
mod stage;
mod workload;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testbed::{Runs, World};

use self::stage::Stage;
use crate::narrate::{act, step};

/// Tells it all with instances that run like this, and writes the last line to `summary`.
pub(crate) fn tell(runs: Runs, summary: &Path) -> Result<()> {
    let world = World::new()?;
    let told = tell_in(&world, runs, summary);
    if told.is_err() {
        eprintln!("{}", world.logs());
    }
    told
}

fn tell_in(world: &World, runs: Runs, summary: &Path) -> Result<()> {
    act(
        "Seattle and Dallas: a client, a router, an edge and a host in each, a backbone between them",
    );
    let how = match runs {
        Runs::Docker => "containers of a Docker engine on each host",
        Runs::Builtin => "processes in network namespaces, without a container engine",
    };
    println!("instances are {how}");
    let mut stage = step(
        "routers, speakers, `lbd edge`, `lbd agent`, `lbd site`",
        || Stage::set(world, runs),
    )?;
    acts::apply(&mut stage)?;
    acts::ten_curls(&mut stage)?;
    acts::grows_with_load(&mut stage)?;
    acts::edits(&mut stage)?;
    let failover = acts::edge_cut_off(&mut stage)?;
    acts::one_city_stops(&mut stage)?;
    acts::logs(&stage)?;
    acts::destroy(&mut stage)?;
    let line = format!(
        "{} requests to two cities; none failed but those of the edge that was cut off, whose clients \
         the other city served after {failover:.1?}",
        stage.sent
    );
    fs::write(summary, line).context("cannot write the summary")
}
