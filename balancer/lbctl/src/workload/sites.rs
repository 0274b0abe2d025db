//! The fleet's sites, asked.

use std::{collections::BTreeMap, time::Duration};

use balancer_api::{
    client::Client,
    site_api::{client::SiteClient, views::SiteView},
    token::Token,
};
use balancer_config::{
    FleetConfig,
    workload::deploy::{Reported, ReportedWorkload, SiteReport},
};
use balancer_core::model::City;
use futures::future::join_all;

use crate::failure::Failure;

/// How long a site may take for the beginning of an answer; it may have to take an image in before.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it may take to say how it is.
const VIEW: Duration = Duration::from_secs(10);

/// Every site of a fleet.
pub(super) struct Sites(BTreeMap<City, Site>);

/// The same site, asked quickly and patiently.
struct Site {
    view: SiteClient,
    work: SiteClient,
}

impl Sites {
    pub(super) fn of(fleet: &FleetConfig) -> Result<Self, Failure> {
        let mut sites = BTreeMap::new();
        for site in &fleet.sites {
            let token = match &site.token_file {
                Some(path) => Some(Token::read(path).map_err(Failure::Token)?.0),
                None => None,
            };
            let client = Client::new(site.api.clone()).with_token(token);
            let of = |patience| SiteClient::new(client.clone().with_timeout(patience));
            let (view, work) = (of(VIEW), of(PATIENCE));
            sites.insert(site.city.clone(), Site { view, work });
        }
        Ok(Self(sites))
    }

    /// The site of a city that the fleet file has.
    pub(super) fn site(&self, city: &City) -> Result<&SiteClient, Failure> {
        let none = || Failure::Workload(format!("the fleet file has no site in {city}"));
        self.0.get(city).map(|site| &site.work).ok_or_else(none)
    }

    /// What every site says, or why it says nothing.
    pub(super) async fn views(&self) -> Vec<(City, Result<SiteView, String>)> {
        let asked = self.0.iter().map(|(city, site)| async {
            let view = site.view.site().await.map_err(|error| error.to_string());
            (city.clone(), view)
        });
        join_all(asked).await
    }

    /// What plans are made of.
    pub(super) async fn report(&self) -> Reported {
        let views = self.views().await.into_iter();
        views
            .map(|(city, view)| {
                let report = match view {
                    Ok(view) => SiteReport::Workloads(
                        view.workloads
                            .into_iter()
                            .map(|workload| {
                                let replicas = workload.targets.into_iter();
                                let reported = ReportedWorkload {
                                    // One on its way out is not what anybody asked for.
                                    digest: match workload.removing {
                                        true => String::new(),
                                        false => workload.digest,
                                    },
                                    instance_digest: workload.instance_digest,
                                    vips: workload.vips,
                                    replicas: replicas
                                        .map(|target| (target.name, target.wanted_replicas))
                                        .collect(),
                                };
                                (workload.slug, reported)
                            })
                            .collect(),
                    ),
                    Err(why) => SiteReport::Unreachable { why },
                };
                (city, report)
            })
            .collect()
    }
}
