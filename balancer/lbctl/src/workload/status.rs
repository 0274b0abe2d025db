//! `lbctl workload status`.

use balancer_api::{replies::ListReply, site_api::views::SiteView};
use clap::Args;

use super::{files::Files, sites::Sites};
use crate::{
    Context,
    failure::Failure,
    table::{Side, table},
};

/// Show what each site runs
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lbctl workload status -f main.tf")]
pub(super) struct Status {
    #[command(flatten)]
    files: Files,
}

impl Status {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let fleet = self.files.fleet()?;
        let mut views = Vec::new();
        let mut silent = Vec::new();
        for (city, view) in Sites::of(&fleet)?.views().await {
            match view {
                Ok(view) => views.push(view),
                Err(why) => silent.push(format!("site {city} does not answer: {why}")),
            }
        }
        context.show(&ListReply::new(0, views), |reply| text(&reply.items))?;
        match silent.is_empty() {
            true => Ok(()),
            false => Err(Failure::SiteUnreachable(silent.join("\n"))),
        }
    }
}

fn text(sites: &[SiteView]) -> String {
    let mut rows = Vec::new();
    let mut below = String::new();
    for site in sites {
        for workload in &site.workloads {
            for instance in &workload.instances {
                let addresses: Vec<String> =
                    instance.addresses.iter().map(ToString::to_string).collect();
                rows.push([
                    site.city.to_string(),
                    instance.name.clone(),
                    instance.phase.to_string(),
                    addresses.join(" "),
                    instance.restarts.to_string(),
                    instance.reason.clone().unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            for target in &workload.targets {
                let cpu = target.cpu_percent.map(|cpu| format!(", cpu {cpu} %"));
                below.push_str(&format!(
                    "{} {} {}: {} wanted, {} to {}{}\n",
                    site.city,
                    workload.slug,
                    target.name,
                    target.wanted_replicas,
                    target.min_replicas,
                    target.max_replicas,
                    cpu.unwrap_or_default()
                ));
            }
            if let Some(problem) = &workload.problem {
                below.push_str(&format!("{} {}: {problem}\n", site.city, workload.slug));
            }
        }
        for warning in &site.warnings {
            below.push_str(&format!("{}: warning: {warning}\n", site.city));
        }
    }
    let head = ["SITE", "INSTANCE", "PHASE", "ADDRESSES", "RESTARTS", "WHY"]
        .map(|title| (title, Side::Left));
    format!("{}{below}", table(head, rows))
}
