//! `lbctl workload apply`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, IsTerminal},
    net::IpAddr,
    time::{Duration, Instant},
};

use balancer_api::{
    client::ClientError,
    site_api::{
        requests::{DEFAULT_DRAIN_TIMEOUT_SECONDS, WorkloadBody},
        views::{Phase, SiteView},
    },
};
use balancer_config::workload::{
    Declarations,
    deploy::{Action, Vips, WorkloadPlan},
};
use balancer_core::model::{City, Label};
use clap::Args;
use tokio::time::sleep;

use super::{context::tar_of, files::Files, plan, record::RecordFile, sites::Sites};
use crate::{Context, failure::Failure};

/// How often sites are asked how far they are.
const PACE: Duration = Duration::from_millis(250);

/// How long a problem may last before it is a failure.
const STAYS: Duration = Duration::from_secs(8);

/// Make the sites run what the workload file says
///
/// Shows the plan and asks before anything changes. An apply that was interrupted is finished by the next one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lbctl workload apply -f main.tf --var image=web:2")]
pub(super) struct Apply {
    #[command(flatten)]
    files: Files,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

impl Apply {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let declarations = self.files.declarations()?;
        let fleet = self.files.fleet()?;
        let sites = Sites::of(&fleet)?;
        let mut file = RecordFile::open(&self.files.directory())?;
        let plan = plan::make(&declarations, &file.record, &fleet, &sites).await?;
        plan::show(context, &declarations, &plan)?;
        if plan.is_empty() || context.dry_run {
            return outputs(context, &declarations, &file);
        }
        confirm(context, self.yes)?;

        let changed = || {
            let all = plan.workloads.iter();
            all.filter(|workload| workload.action != Action::Unchanged)
        };
        // All images before anything else: one that there is not stops everything.
        for workload in changed() {
            self.prepare_images(context, &sites, &declarations, workload)
                .await?;
        }
        // Known before a site hears of it, so that nothing is lost when this ends half-way.
        for workload in changed() {
            match &workload.wanted {
                Some(wanted) => {
                    let vips = vips(workload);
                    file.record.begin_apply(&workload.resource, wanted, vips);
                }
                None => file.record.begin_destroy(&workload.slug),
            }
        }
        file.save()?;
        for workload in changed() {
            carry_out(&sites, workload).await?;
        }
        let waited = Waiting {
            sites: &sites,
            until: Instant::now() + Duration::from_secs(self.timeout),
            seconds: self.timeout,
        };
        for workload in changed() {
            let wanted: BTreeSet<City> = workload
                .wanted
                .iter()
                .flat_map(|wanted| wanted.cities().into_iter().cloned())
                .collect();
            let left = workload.cities.iter().map(|plan| plan.city.clone());
            let left: BTreeSet<City> = left.filter(|city| !wanted.contains(city)).collect();
            waited
                .follow(context, &workload.slug, &wanted, &left)
                .await?;
            file.record.finish(&workload.slug);
            file.save()?;
        }
        outputs(context, &declarations, &file)
    }

    /// Has every site of a workload that runs containers have its images.
    async fn prepare_images(
        &self,
        context: &mut Context<'_>,
        sites: &Sites,
        declarations: &Declarations,
        workload: &WorkloadPlan,
    ) -> Result<(), Failure> {
        let mut of_file = declarations.workloads.iter();
        let Some(declared) = of_file.find(|each| each.workload.slug == workload.slug) else {
            return Ok(());
        };
        let build_context = match self.files.image_context() {
            Some(directory) => Some(tar_of(&directory)?),
            None => None,
        };
        for city in declared.workload.cities() {
            let site = sites.site(city)?;
            if site.site().await?.runtime != "docker" {
                continue;
            }
            let mut ready = BTreeSet::new();
            for (index, container) in declared.workload.containers.iter().enumerate() {
                let image = &container.image;
                if !ready.insert(image) {
                    continue;
                }
                writeln!(context.out, "{city}: image {image}")?;
                let made = site.prepare_image(image, build_context.clone(), |line| {
                    // Progress: who does not read it needs no other way out.
                    let _ = writeln!(context.out, "  {line}").and_then(|()| context.out.flush());
                });
                made.await.map_err(|error| match error {
                    ClientError::Refused { error, .. } => {
                        let problem = format!("{image:?} is not to be had in {city}: {error}");
                        let expected = "an image of its store or of a registry, or a Dockerfile beside this file";
                        let path = format!("container[{index}].image");
                        Failure::Workload(declared.error(&path, problem, expected).to_string())
                    }
                    other => other.into(),
                })?;
            }
        }
        Ok(())
    }
}

/// Tells the sites of one workload.
async fn carry_out(sites: &Sites, workload: &WorkloadPlan) -> Result<(), Failure> {
    for plan in &workload.cities {
        let site = sites.site(&plan.city)?;
        let wanted = workload.wanted.as_ref();
        match wanted.filter(|wanted| wanted.cities().contains(&plan.city)) {
            Some(wanted) => {
                site.put_workload(&WorkloadBody {
                    workload: wanted.clone(),
                    vips: vips(workload),
                    drain_timeout_seconds: DEFAULT_DRAIN_TIMEOUT_SECONDS,
                })
                .await?;
            }
            None => site.delete_workload(&workload.slug).await?,
        }
    }
    Ok(())
}

/// The VIPs that a workload has from now on.
fn vips(workload: &WorkloadPlan) -> Vec<IpAddr> {
    match &workload.vips {
        Vips::Kept(vips) | Vips::Chosen(vips) => vips.clone(),
        Vips::None | Vips::Released(_) => Vec::new(),
    }
}

/// Goes on only after a yes.
pub(super) fn confirm(context: &mut Context<'_>, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(
            "nobody can be asked here: look at `lbctl workload plan`, then use --yes".to_owned(),
        ));
    }
    write!(
        context.out,
        "\nDo you want to perform these actions? Only 'yes' will be accepted.\n  Enter a value: "
    )?;
    context.out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::NotConfirmed("nothing was changed".to_owned())),
    }
}

/// Waiting for sites to get there.
pub(super) struct Waiting<'a> {
    pub(super) sites: &'a Sites,
    pub(super) until: Instant,
    pub(super) seconds: u64,
}

impl Waiting<'_> {
    /// Until a workload is as wanted in some cities, and gone in others; says each step of its instances.
    pub(super) async fn follow(
        &self,
        context: &mut Context<'_>,
        slug: &Label,
        wanted: &BTreeSet<City>,
        gone: &BTreeSet<City>,
    ) -> Result<(), Failure> {
        let mut phases: BTreeMap<String, Phase> = BTreeMap::new();
        let mut trouble: Option<(Instant, String)> = None;
        loop {
            let mut missing = Vec::new();
            let mut problem = None;
            for (city, view) in self.sites.views().await {
                if !wanted.contains(&city) && !gone.contains(&city) {
                    continue;
                }
                let view = match view {
                    Ok(view) => view,
                    Err(why) => {
                        missing.push(format!("{city}: {why}"));
                        continue;
                    }
                };
                tell(context, &city, slug, &view, &mut phases)?;
                missing.extend(lacks(&city, slug, &view, wanted.contains(&city)));
                let of_slug = view.workloads.iter().find(|each| &each.slug == slug);
                let said = of_slug.and_then(|workload| workload.problem.as_ref());
                problem = said.map(|said| format!("{city}: {said}")).or(problem);
            }
            // Sites try again by themselves: only what stays is a failure.
            trouble = problem.map(|said| (trouble.map_or_else(Instant::now, |(at, _)| at), said));
            if let Some((since, said)) = &trouble
                && since.elapsed() >= STAYS
            {
                return Err(Failure::Workload(said.clone()));
            }
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= self.until {
                return Err(Failure::NotThereYet {
                    seconds: self.seconds,
                    missing: missing.join("\n"),
                });
            }
            sleep(PACE).await;
        }
    }
}

/// Says what changed of each instance.
fn tell(
    context: &mut Context<'_>,
    city: &City,
    slug: &Label,
    view: &SiteView,
    phases: &mut BTreeMap<String, Phase>,
) -> Result<(), Failure> {
    let of_slug = view
        .workloads
        .iter()
        .filter(|workload| &workload.slug == slug);
    for instance in of_slug.flat_map(|workload| &workload.instances) {
        if phases.insert(instance.name.clone(), instance.phase) != Some(instance.phase) {
            writeln!(context.out, "{city}: {} {}", instance.name, instance.phase)?;
            context.out.flush()?;
        }
    }
    Ok(())
}

/// What a city lacks of a workload.
fn lacks(city: &City, slug: &Label, view: &SiteView, wanted: bool) -> Option<String> {
    let workload = view.workloads.iter().find(|each| &each.slug == slug);
    let Some(workload) = workload else {
        return wanted.then(|| format!("{city}: {slug} is not there yet"));
    };
    if !wanted {
        return Some(format!("{city}: {slug} is not gone yet"));
    }
    if workload.converged {
        return None;
    }
    let waiting = workload
        .instances
        .iter()
        .filter(|each| each.phase != Phase::Serving);
    let waiting: Vec<String> = waiting
        .map(|each| {
            let reason = each.reason.as_deref().unwrap_or("no reason is known");
            format!("{city}: {} is {}: {reason}", each.name, each.phase)
        })
        .collect();
    Some(match waiting.is_empty() {
        true => format!("{city}: instances are missing, or old ones are still there"),
        false => waiting.join("\n"),
    })
}

/// The outputs, and the VIPs.
fn outputs(
    context: &mut Context<'_>,
    declarations: &Declarations,
    file: &RecordFile,
) -> Result<(), Failure> {
    let recorded = &file.record.workloads;
    let vips = |resource: &str| {
        let of = recorded
            .values()
            .find(|recorded| recorded.resource == resource);
        of.map(|recorded| recorded.vips.clone())
    };
    if !declarations.outputs.is_empty() {
        writeln!(context.out, "\nOutputs:\n")?;
    }
    for output in &declarations.outputs {
        let value = match output.sensitive {
            true => "<sensitive>".to_owned(),
            false => output.value.render(&vips),
        };
        writeln!(context.out, "{} = {value}", output.name)?;
    }
    for recorded in recorded.values() {
        for vip in &recorded.vips {
            writeln!(context.out, "vip = {vip}")?;
        }
    }
    Ok(())
}
