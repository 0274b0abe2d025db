//! How far instances and workloads are.

use balancer_api::site_api::views::Phase;
use balancer_core::model::Label;

use super::{Edge, Instance, Life, Wanted, World, services};

/// How far an instance is.
pub fn phase(world: &World<'_>, instance: &Instance) -> Phase {
    match instance.life {
        _ if world.is_leaving(instance) => Phase::Draining,
        Life::Ended(_) => Phase::Failed,
        Life::Running if instance.dead => Phase::Failed,
        Life::Running if is_serving(world, instance) => Phase::Serving,
        Life::Running | Life::Incomplete => Phase::Starting,
    }
}

/// Whether an instance is ready, and every edge that answers has heard so of this life of it and sends it packets.
pub(super) fn is_serving(world: &World<'_>, instance: &Instance) -> bool {
    let Some(wanted) = world.memory.workloads.get(&instance.slug) else {
        return false;
    };
    let services = services(wanted);
    let Some(address) = instance.address else {
        return false;
    };
    instance.ready
        && instance.life == Life::Running
        && world.edges.values().all(|edge| match edge {
            Edge::Seen(view) => services.iter().all(|service| {
                let key = (service.name.clone(), address);
                view.told.get(&key) == Some(&instance.incarnation)
                    && view
                        .backends
                        .get(&key)
                        .is_some_and(|backend| !backend.draining)
            }),
            Edge::Pending => false,
            Edge::Unreachable => true,
        })
}

/// Whether a workload is as it was asked for: as many instances as wanted serve, all made of what they are to be made
/// of, and no others are there.
pub fn is_converged(world: &World<'_>, slug: &Label, wanted: &Wanted) -> bool {
    let digest = wanted.workload.instance_digest();
    let instances = world.instances.iter().filter(|each| &each.slug == slug);
    let good = |each: &&Instance| is_serving(world, each) && each.digest == digest;
    let wished: usize = wanted
        .targets(world.city)
        .map(|target| world.replicas(slug, target) as usize)
        .sum();
    let count = instances.clone().count();
    count == wished && instances.filter(good).count() == wished && !wanted.removing
}
