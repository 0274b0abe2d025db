//! `lbctl workload destroy`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use balancer_config::workload::deploy;
use balancer_core::model::{City, Label};
use clap::Args;

use super::{
    apply::{Waiting, confirm},
    files::Files,
    plan::refused,
    record::RecordFile,
    sites::Sites,
};
use crate::{Context, failure::Failure};

/// Drain and remove everything that was applied
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lbctl workload destroy -f main.tf")]
pub(super) struct Destroy {
    #[command(flatten)]
    files: Files,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

impl Destroy {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let fleet = self.files.fleet()?;
        let sites = Sites::of(&fleet)?;
        let mut file = RecordFile::open(&self.files.directory())?;
        let plan =
            deploy::plan(&[], &file.record, &fleet, &sites.report().await).map_err(refused)?;
        if plan.workloads.is_empty() {
            writeln!(context.out, "No changes. Nothing is applied.")?;
            return Ok(());
        }
        write!(context.out, "{plan}")?;
        if context.dry_run {
            return Ok(());
        }
        confirm(context, self.yes)?;
        let recorded: Vec<(Label, BTreeSet<City>)> = file
            .record
            .workloads
            .iter()
            .map(|(slug, recorded)| (slug.clone(), recorded.cities.clone()))
            .collect();
        for (slug, _) in &recorded {
            file.record.begin_destroy(slug);
        }
        file.save()?;
        for (slug, cities) in &recorded {
            for city in cities {
                sites.site(city)?.delete_workload(slug).await?;
            }
        }
        let waiting = Waiting {
            sites: &sites,
            until: Instant::now() + Duration::from_secs(self.timeout),
            seconds: self.timeout,
        };
        for (slug, cities) in &recorded {
            waiting
                .follow(context, slug, &BTreeSet::new(), cities)
                .await?;
            file.record.finish(slug);
            file.save()?;
        }
        writeln!(context.out, "Destroyed: {} workloads.", recorded.len())?;
        Ok(())
    }
}
