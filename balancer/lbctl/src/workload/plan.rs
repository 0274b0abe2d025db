//! `lbctl workload plan`.

use balancer_config::{
    FleetConfig,
    workload::{
        Declarations,
        deploy::{self, PlanError, Record, render_notes},
    },
};
use clap::Args;

use super::{files::Files, record, sites::Sites};
use crate::{Context, failure::Failure};

/// Show what an apply would make, change and destroy; changes nothing
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lbctl workload plan -f main.tf")]
pub(super) struct Plan {
    #[command(flatten)]
    files: Files,
}

impl Plan {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let declarations = self.files.declarations()?;
        let fleet = self.files.fleet()?;
        let sites = Sites::of(&fleet)?;
        let record = record::read(&self.files.directory())?;
        let plan = make(&declarations, &record, &fleet, &sites).await?;
        show(context, &declarations, &plan)
    }
}

/// Compares what is wanted with what there is.
pub(super) async fn make(
    declarations: &Declarations,
    record: &Record,
    fleet: &FleetConfig,
    sites: &Sites,
) -> Result<deploy::Plan, Failure> {
    let reported = sites.report().await;
    deploy::plan(&declarations.workloads, record, fleet, &reported).map_err(refused)
}

/// What stands in the way, as one failure: that a site does not answer has an exit code of its own.
pub(super) fn refused(errors: Vec<PlanError>) -> Failure {
    let unreachable = errors
        .iter()
        .any(|error| matches!(error, PlanError::Unreachable { .. }));
    let lines: Vec<String> = errors.iter().map(PlanError::to_string).collect();
    let text = lines.join("\n");
    match unreachable {
        true => Failure::SiteUnreachable(text),
        false => Failure::Workload(text),
    }
}

/// Shows warnings, notes and the plan.
pub(super) fn show(
    context: &mut Context<'_>,
    declarations: &Declarations,
    plan: &deploy::Plan,
) -> Result<(), Failure> {
    for warning in &declarations.warnings {
        writeln!(context.out, "warning: {warning}")?;
    }
    context
        .out
        .write_all(render_notes(&declarations.notes).as_bytes())?;
    if plan.is_empty() {
        writeln!(
            context.out,
            "No changes. The sites run what the workload file says."
        )?;
        return Ok(());
    }
    write!(context.out, "{plan}")?;
    Ok(())
}
