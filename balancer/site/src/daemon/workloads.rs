//! Which workloads the site is to run, as operators change them.

use balancer_api::site_api::{command::SiteRefusal, requests::WorkloadBody};
use balancer_config::workload::rules;
use balancer_core::model::{City, Label};
use tracing::info;

use super::state::SiteState;
use crate::site::{Memory, Wanted, services};

/// Has a workload run as it is here, from now on.
pub(super) fn put(
    state: &mut SiteState,
    city: &City,
    body: WorkloadBody,
) -> Result<(), SiteRefusal> {
    let slug = body.workload.slug.clone();
    let wanted = Wanted {
        workload: body.workload,
        vips: body.vips,
        drain_timeout_ms: u64::from(body.drain_timeout_seconds) * 1_000,
        removing: false,
    };
    check(state.memory(), city, &wanted)?;
    if state.memory().workloads.get(&slug) == Some(&wanted) {
        return Ok(());
    }
    let saved = state.commit(|memory| memory.put(wanted));
    saved.map_err(not_saved)?;
    info!("{slug} is to run");
    Ok(())
}

/// Has a workload go.
pub(super) fn delete(state: &mut SiteState, slug: &Label) -> Result<(), SiteRefusal> {
    let wanted = state.memory().workloads.get(slug);
    if wanted.ok_or_else(|| no_workload(slug))?.removing {
        return Ok(());
    }
    let saved = state.commit(|memory| {
        if let Some(wanted) = memory.workloads.get_mut(slug) {
            wanted.removing = true;
        }
    });
    saved.map_err(not_saved)?;
    info!("{slug} is to go");
    Ok(())
}

/// There is no such workload.
pub(super) fn no_workload(slug: &Label) -> SiteRefusal {
    SiteRefusal::NotFound(format!("there is no workload `{slug}` here"))
}

fn check(memory: &Memory, city: &City, wanted: &Wanted) -> Result<(), SiteRefusal> {
    let slug = &wanted.workload.slug;
    if let Some(broken) = rules::check(std::slice::from_ref(&wanted.workload)).first() {
        return Err(SiteRefusal::Invalid(format!(
            "workload `{slug}`: {}: {}; expected {}",
            broken.path, broken.problem, broken.expected
        )));
    }
    let others = memory.vips_of_others(slug);
    let mut vips = wanted.vips.iter();
    if let Some((vip, other)) = vips.find_map(|vip| Some((vip, others.get(vip)?))) {
        return Err(SiteRefusal::Conflict(format!(
            "{vip} is the VIP of workload `{other}`: choose another one for `{slug}`"
        )));
    }
    if wanted.targets(city).next().is_none() {
        return Err(SiteRefusal::Invalid(format!(
            "workload `{slug}` has no target in {city}: ask the sites of its cities"
        )));
    }
    let ports = wanted.workload.ports().filter(|port| port.public).count();
    if services(wanted).len() != ports * wanted.vips.len() {
        return Err(SiteRefusal::Invalid(format!(
            "slug `{slug}` and a port's name are too long together for a service's name: shorten one"
        )));
    }
    Ok(())
}

fn not_saved(why: String) -> SiteRefusal {
    SiteRefusal::Failed(format!("nothing changed: {why}"))
}
