//! Which instances are started, restarted, and sent on their way out.

use balancer_config::workload::Target;
use balancer_core::model::Label;

use super::{
    Action, Instance, InstanceAction, Life, StateChange, Wanted, World, edges, phase::is_serving,
};

/// The longest wait before a restart, in milliseconds.
const LONGEST_BACKOFF_MS: u64 = 300_000;

/// Who has run for so long is restarted as if for the first time, as Kubernetes has it; in milliseconds.
const STEADY_MS: u64 = 600_000;

pub(super) fn plan(world: &World<'_>, slug: &Label, wanted: &Wanted, actions: &mut Vec<Action>) {
    let digest = wanted.workload.instance_digest();
    let of_workload = || world.instances.iter().filter(|each| &each.slug == slug);
    for target in wanted.targets(world.city) {
        let there: Vec<&Instance> = of_workload()
            .filter(|each| each.target == target.name && !world.is_leaving(each))
            .collect();
        for instance in &there {
            mend(world, slug, instance, actions);
        }
        count(world, slug, wanted, target, &digest, &there, actions);
    }
    for instance in of_workload() {
        let placed = wanted
            .targets(world.city)
            .any(|target| target.name == instance.target);
        if world.is_leaving(instance) {
            if edges::are_rid_of(world, instance) {
                let removal = InstanceAction::Remove(instance.name.clone());
                actions.push(Action::Instance(removal));
            }
        } else if !placed {
            actions.push(leave(world, wanted, instance));
        }
    }
}

/// Restarts one that ended or does not answer, after a while that doubles with each restart.
fn mend(world: &World<'_>, slug: &Label, instance: &Instance, actions: &mut Vec<Action>) {
    let (ended, since) = match instance.life {
        Life::Incomplete => {
            actions.push(Action::Instance(InstanceAction::Launch {
                name: instance.name.clone(),
                slug: slug.clone(),
                target: instance.target.clone(),
            }));
            return;
        }
        Life::Ended(at) => (at, at),
        Life::Running if instance.dead => (world.now_unix_ms, instance.incarnation),
        Life::Running => return,
    };
    let was_steady = ended.saturating_sub(instance.incarnation) >= STEADY_MS;
    let restarts = if was_steady { 0 } else { instance.restarts };
    if world.now_unix_ms >= since.saturating_add(backoff_ms(restarts)) {
        let restart = InstanceAction::Restart(instance.name.clone());
        actions.push(Action::Instance(restart));
    }
}

/// None before the first restart, then 1 s, 2 s, 4 s and so on.
pub(super) fn backoff_ms(restarts: u32) -> u64 {
    match restarts {
        0 => 0,
        restarts => (1_000_u64 << (restarts - 1).min(16)).min(LONGEST_BACKOFF_MS),
    }
}

/// Brings a target to its number of instances, all made of what they are to be made of: one more than wanted while
/// old ones are replaced, and an old one goes only when all new ones serve.
fn count(
    world: &World<'_>,
    slug: &Label,
    wanted: &Wanted,
    target: &Target,
    digest: &str,
    there: &[&Instance],
    actions: &mut Vec<Action>,
) {
    let replicas = world.replicas(slug, target) as usize;
    let (fresh, stale): (Vec<&Instance>, Vec<&Instance>) =
        there.iter().partition(|each| each.digest == digest);
    let surge = usize::from(!stale.is_empty());
    let settled = fresh.iter().all(|each| is_serving(world, each));
    let missing = match there.len() {
        count if count < replicas => replicas - count,
        count if count < replicas + surge && settled => 1,
        _ => 0,
    };
    for name in free_names(world, wanted, target, missing) {
        actions.push(Action::Instance(InstanceAction::Launch {
            name,
            slug: slug.clone(),
            target: target.name.clone(),
        }));
    }
    let spare = there.len().saturating_sub(replicas);
    // More than even a replacement asks for goes in any case.
    let must = there.len().saturating_sub(replicas + surge);
    let mut going: Vec<&Instance> = least_missed_first(world, &stale)
        .take(spare)
        .enumerate()
        // One that serves waits until all new ones serve.
        .filter(|(nth, each)| *nth < must || settled || !is_serving(world, each))
        .map(|(_, each)| each)
        .collect();
    if stale.is_empty() {
        going.extend(least_missed_first(world, &fresh).take(spare));
    }
    actions.extend(going.into_iter().map(|each| leave(world, wanted, each)));
}

/// Those that do not serve, and then the one that was numbered last.
fn least_missed_first<'a>(
    world: &World<'_>,
    instances: &[&'a Instance],
) -> impl Iterator<Item = &'a Instance> {
    let mut sorted = instances.to_vec();
    sorted.sort_by_key(|each| {
        let last = std::cmp::Reverse((each.name.len(), each.name.clone()));
        (is_serving(world, each), last)
    });
    sorted.into_iter()
}

fn free_names(world: &World<'_>, wanted: &Wanted, target: &Target, count: usize) -> Vec<String> {
    (0..)
        .map(|number| wanted.workload.instance_name(target, world.city, number))
        .filter(|name| world.instances.iter().all(|each| &each.name != name))
        .take(count)
        .collect()
}

fn leave(world: &World<'_>, wanted: &Wanted, instance: &Instance) -> Action {
    Action::Remember(StateChange::Leave {
        name: instance.name.clone(),
        deadline_unix_ms: world.now_unix_ms.saturating_add(wanted.drain_timeout_ms),
    })
}
