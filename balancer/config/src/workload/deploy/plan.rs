//! What has to be done so that the sites run what a workload file says.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    PlanError,
    attributes::{self, Change},
    choose_vips,
    record::{Operation, Record, RecordedWorkload},
};
use crate::{
    FleetConfig,
    workload::{Declared, Workload},
};
use balancer_core::model::{City, Label};

/// What has to be done, workload by workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order of the file; then those that are not in it any more.
    pub workloads: Vec<WorkloadPlan>,
}

/// What has to be done to a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadPlan {
    /// The name of its resource.
    pub resource: String,
    /// Its slug.
    pub slug: Label,
    /// What is wanted; `None` if it is to be destroyed.
    pub wanted: Option<Workload>,
    /// What is done, in short.
    pub action: Action,
    /// Whether an earlier apply or destroy of it did not end.
    pub interrupted: bool,
    /// Its VIPs.
    pub vips: Vips,
    /// What of it differs from what was asked for last; for a new workload nothing.
    pub changes: Vec<Change>,
    /// What is done in each city where it is or will be.
    pub cities: Vec<CityPlan>,
}

/// What is done in a city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CityPlan {
    /// The city.
    pub city: City,
    /// What is done, in short.
    pub action: Action,
    /// Instances by target, now and then. A target that is new has none now, one that goes has none then.
    pub targets: BTreeMap<Label, (u32, u32)>,
    /// Whether instances that stay are replaced, because what they are made of changes.
    pub replaces: bool,
}

/// What is done to a workload, or to it in a city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is not there yet.
    Create,
    /// It is there, and otherwise than wanted.
    Change,
    /// It is there, and not wanted.
    Destroy,
    /// It is as wanted.
    Unchanged,
}

/// What happens to the VIPs of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vips {
    /// It has none, and asks for none.
    None,
    /// It keeps these.
    Kept(Vec<IpAddr>),
    /// It gets these.
    Chosen(Vec<IpAddr>),
    /// It gives these back.
    Released(Vec<IpAddr>),
}

/// What the sites say, by city: of every site that could be asked.
pub type Reported = BTreeMap<City, SiteReport>;

/// What a site says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteReport {
    /// It does not answer.
    Unreachable {
        /// Why not.
        why: String,
    },
    /// It has these workloads.
    Workloads(BTreeMap<Label, ReportedWorkload>),
}

/// A workload as a site has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedWorkload {
    /// The digest of what it was asked for ([`Workload::digest`]).
    pub digest: String,
    /// The digest of what its instances are made of ([`Workload::instance_digest`]).
    pub instance_digest: String,
    /// Its VIPs there.
    pub vips: Vec<IpAddr>,
    /// How many instances it wants now, by target.
    pub replicas: BTreeMap<Label, u32>,
}

/// Compares what is wanted with what was applied and what the sites say. To destroy everything, want nothing.
///
/// # Errors
///
/// Every reason why it cannot be done: an unknown city, a pool without a free address, a site that does not answer.
pub fn plan(
    wanted: &[Declared],
    record: &Record,
    fleet: &FleetConfig,
    reported: &Reported,
) -> Result<Plan, Vec<PlanError>> {
    let mut used: BTreeSet<IpAddr> = record.vips().collect();
    for report in reported.values() {
        if let SiteReport::Workloads(workloads) = report {
            used.extend(workloads.values().flat_map(|reported| &reported.vips));
        }
    }
    let mut planner = Planner {
        record,
        fleet,
        reported,
        used,
        errors: Vec::new(),
    };
    let mut workloads = Vec::new();
    for declared in wanted {
        workloads.extend(planner.wanted(declared));
    }
    let is_wanted = |slug: &Label| wanted.iter().any(|d| d.workload.slug == *slug);
    for (slug, recorded) in &record.workloads {
        if !is_wanted(slug) {
            workloads.push(planner.unwanted(slug, recorded));
        }
    }
    match planner.errors.is_empty() {
        true => Ok(Plan { workloads }),
        false => Err(planner.errors),
    }
}

struct Planner<'a> {
    record: &'a Record,
    fleet: &'a FleetConfig,
    reported: &'a Reported,
    /// The VIPs that nobody else can have.
    used: BTreeSet<IpAddr>,
    errors: Vec<PlanError>,
}

impl Planner<'_> {
    fn wanted(&mut self, declared: &Declared) -> Option<WorkloadPlan> {
        let workload = &declared.workload;
        let slug = &workload.slug;
        self.refuse_unknown_cities(declared);
        let recorded = self.record.workloads.get(slug);
        let vips = self.vips(workload, recorded)?;
        let held: &[IpAddr] = match &vips {
            Vips::Kept(vips) | Vips::Chosen(vips) => vips,
            Vips::None | Vips::Released(_) => &[],
        };
        let wanted_cities = workload.cities();
        let mut cities: BTreeSet<&City> = wanted_cities.clone();
        cities.extend(recorded.iter().flat_map(|recorded| &recorded.cities));
        let mut plans = Vec::new();
        for city in cities {
            let here = wanted_cities.contains(city).then_some(workload);
            if here.is_some() && self.fleet.site(city).is_none() {
                continue;
            }
            let there = self.at_site(slug, city)?;
            if there.is_some() && recorded.is_none() {
                self.errors.push(PlanError::Stranger {
                    place: declared.place("slug").clone(),
                    slug: slug.clone(),
                    city: city.clone(),
                });
            }
            plans.extend(city_plan(city, here, there, held));
        }
        let changes = recorded.map_or_else(Vec::new, |recorded| {
            let changes = attributes::changes(&recorded.workload, workload);
            match changes.is_empty() && recorded.digest != workload.digest() {
                true => attributes::hidden_changes(workload),
                false => changes,
            }
        });
        let interrupted = recorded.is_some_and(|recorded| recorded.pending.is_some());
        let settled = plans.iter().all(|plan| plan.action == Action::Unchanged);
        let action = match recorded {
            None => Action::Create,
            Some(_) if settled && changes.is_empty() && !interrupted => Action::Unchanged,
            Some(_) => Action::Change,
        };
        Some(WorkloadPlan {
            resource: declared.resource.clone(),
            slug: slug.clone(),
            wanted: Some(workload.clone()),
            action,
            interrupted,
            vips,
            changes,
            cities: plans,
        })
    }

    fn unwanted(&mut self, slug: &Label, recorded: &RecordedWorkload) -> WorkloadPlan {
        let mut plans = Vec::new();
        for city in &recorded.cities {
            let there = self.at_site(slug, city).flatten();
            plans.extend(city_plan(city, None, there, &[]));
        }
        WorkloadPlan {
            resource: recorded.resource.clone(),
            slug: slug.clone(),
            wanted: None,
            action: Action::Destroy,
            interrupted: recorded.pending == Some(Operation::Destroy),
            vips: match recorded.vips.is_empty() {
                true => Vips::None,
                false => Vips::Released(recorded.vips.clone()),
            },
            changes: Vec::new(),
            cities: plans,
        }
    }

    fn refuse_unknown_cities(&mut self, declared: &Declared) {
        let known: Vec<&str> = self
            .fleet
            .sites
            .iter()
            .map(|site| site.city.as_str())
            .collect();
        for (t, target) in declared.workload.targets.iter().enumerate() {
            for (c, city) in target.cities.iter().enumerate() {
                if self.fleet.site(city).is_none() {
                    let path = format!("target[{t}].selector.values[{c}]");
                    let problem = format!("{} has no site in {city}", self.fleet.file);
                    let error = declared.error(&path, problem, known.join(" or "));
                    self.errors.push(PlanError::Workload(error));
                }
            }
        }
    }

    /// What the site of a city has of a workload; the outer `None` if nobody knows.
    fn at_site(&mut self, slug: &Label, city: &City) -> Option<Option<ReportedWorkload>> {
        let fleet = self.fleet.file.clone();
        let error = match self.reported.get(city) {
            Some(SiteReport::Workloads(workloads)) => return Some(workloads.get(slug).cloned()),
            Some(SiteReport::Unreachable { why }) => PlanError::Unreachable {
                city: city.clone(),
                why: why.clone(),
                fleet,
            },
            None if self.fleet.site(city).is_none() => PlanError::SiteGone {
                slug: slug.clone(),
                city: city.clone(),
                fleet,
            },
            None => PlanError::Unreachable {
                city: city.clone(),
                why: "it was not asked".to_owned(),
                fleet,
            },
        };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
        None
    }

    fn vips(&mut self, workload: &Workload, recorded: Option<&RecordedWorkload>) -> Option<Vips> {
        let held = recorded.map_or(&[][..], |recorded| recorded.vips.as_slice());
        match (workload.anycast, held.is_empty()) {
            (true, false) => Some(Vips::Kept(held.to_vec())),
            (false, true) => Some(Vips::None),
            (false, false) => Some(Vips::Released(held.to_vec())),
            (true, true) => match choose_vips(self.fleet, &self.used) {
                Ok(vips) => {
                    self.used.extend(&vips);
                    Some(Vips::Chosen(vips))
                }
                Err(error) => {
                    self.errors.push(PlanError::Pool(error));
                    None
                }
            },
        }
    }
}

/// What is done in a city, if anything is or should be there.
fn city_plan(
    city: &City,
    wanted: Option<&Workload>,
    there: Option<ReportedWorkload>,
    vips: &[IpAddr],
) -> Option<CityPlan> {
    let action = match (wanted, &there) {
        (Some(_), None) => Action::Create,
        (None, Some(_)) => Action::Destroy,
        (None, None) => return None,
        (Some(wanted), Some(there)) if there.digest == wanted.digest() && there.vips == vips => {
            Action::Unchanged
        }
        (Some(_), Some(_)) => Action::Change,
    };
    let mut targets: BTreeMap<Label, (u32, u32)> = BTreeMap::new();
    for (target, &now) in there.iter().flat_map(|there| &there.replicas) {
        targets.entry(target.clone()).or_default().0 = now;
    }
    let here = wanted.iter().flat_map(|wanted| &wanted.targets);
    for target in here.filter(|target| target.cities.contains(city)) {
        let (now, then) = targets.entry(target.name.clone()).or_default();
        // What the autoscaler has added stays as long as the limits let it.
        *then = (*now).clamp(target.min_replicas, target.max_replicas);
    }
    let replaces = match (wanted, &there) {
        (Some(wanted), Some(there)) => there.instance_digest != wanted.instance_digest(),
        _ => false,
    };
    Some(CityPlan {
        city: city.clone(),
        action,
        targets,
        replaces,
    })
}
