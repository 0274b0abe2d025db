//! What each edge is told.

use std::net::IpAddr;

use balancer_core::{model::ServiceName, state::OperationId};

use super::{Declared, Edge, EdgeAction, EdgeView, Event, Instance, Life, What, World, services};

pub(super) fn plan(world: &World<'_>, view: &EdgeView) -> Vec<EdgeAction> {
    let mut actions = Vec::new();
    for service in &world.memory.unwanted {
        if view.services.contains(service) {
            actions.push(EdgeAction::Withdraw(service.name.clone()));
        }
    }
    for (slug, wanted) in &world.memory.workloads {
        let instances: Vec<&Instance> = world
            .instances
            .iter()
            .filter(|each| &each.slug == slug)
            .collect();
        let over = wanted.removing && instances.is_empty();
        for service in services(wanted) {
            let there = view.has(&service.name);
            if there && !view.services.contains(&Declared::from(&service)) {
                // The old one of this name goes first.
                continue;
            }
            match (over, there) {
                (true, true) => {
                    actions.push(EdgeAction::Withdraw(service.name));
                    continue;
                }
                (true, false) => continue,
                _ => {}
            }
            if !there || view.declared.get(&service.name) != Some(&service) {
                actions.push(EdgeAction::Declare(service.clone()));
            }
            if !there {
                continue;
            }
            for instance in &instances {
                let event = event(world, view, &service.name, instance);
                actions.extend(event.map(EdgeAction::Tell));
            }
            for address in strangers(world, view, &service.name) {
                actions.push(EdgeAction::Tell(Event {
                    what: What::Terminated,
                    service: service.name.clone(),
                    address,
                    incarnation: world.now_unix_ms,
                    instance: None,
                }));
            }
        }
    }
    actions
}

/// What an edge has to hear of an instance.
fn event(
    world: &World<'_>,
    view: &EdgeView,
    service: &ServiceName,
    instance: &Instance,
) -> Option<Event> {
    let address = instance.address?;
    let key = (service.clone(), address);
    let backend = view.backends.get(&key);
    let what = match world.memory.leaving.get(&instance.name) {
        None => {
            let known = view.told.get(&key) == Some(&instance.incarnation);
            let takes = backend.is_some_and(|backend| !backend.draining);
            let runs = instance.life == Life::Running && instance.ready;
            (runs && !(known && takes)).then_some(What::Launched)?
        }
        Some(&deadline_unix_ms) => {
            let backend = backend?;
            let over = world.now_unix_ms >= deadline_unix_ms
                || view.done.contains(&operation(service, instance, address));
            match (backend.draining, over) {
                (false, _) => What::Terminating { deadline_unix_ms },
                (true, true) => What::Terminated,
                (true, false) => return None,
            }
        }
    };
    Some(Event {
        what,
        service: service.clone(),
        address,
        incarnation: instance.incarnation,
        instance: Some(instance.name.clone()),
    })
}

fn operation(service: &ServiceName, instance: &Instance, address: IpAddr) -> OperationId {
    OperationId {
        service: service.clone(),
        address,
        incarnation: instance.incarnation,
    }
}

/// Backends of a service that are no instance's.
fn strangers<'a>(
    world: &'a World<'_>,
    view: &'a EdgeView,
    service: &'a ServiceName,
) -> impl Iterator<Item = IpAddr> + 'a {
    let of_service = view.backends.keys().filter(move |(of, _)| of == service);
    of_service.map(|(_, address)| *address).filter(|address| {
        world
            .instances
            .iter()
            .all(|each| each.address != Some(*address))
    })
}

/// Whether no edge sends anything to an instance on its way out any more. One that does not answer is waited for
/// until the deadline.
pub(super) fn are_rid_of(world: &World<'_>, instance: &Instance) -> bool {
    let Some(&deadline) = world.memory.leaving.get(&instance.name) else {
        return false;
    };
    let Some(address) = instance.address else {
        return true;
    };
    world.edges.values().all(|edge| match edge {
        Edge::Seen(view) => view.backends.keys().all(|(_, of)| *of != address),
        Edge::Pending => false,
        Edge::Unreachable => world.now_unix_ms >= deadline,
    })
}
