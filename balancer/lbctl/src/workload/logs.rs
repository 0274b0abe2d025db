//! `lbctl workload logs`.

use balancer_api::{client::ClientError, replies::ErrorCode, site_api::command::InstanceLine};
use clap::Args;
use tokio::sync::mpsc;

use super::{files::Files, record, sites::Sites};
use crate::{Context, failure::Failure};

/// Show what instances write, each line with its instance's name
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lbctl workload logs -f main.tf web-global-sea-0 --follow")]
pub(super) struct Logs {
    #[command(flatten)]
    files: Files,
    /// Only this instance's
    instance: Option<String>,
    /// Go on until Ctrl-C (`-f` is the workload file)
    #[arg(long)]
    follow: bool,
    /// Only so many lines of each, the newest
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
}

impl Logs {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let fleet = self.files.fleet()?;
        let sites = Sites::of(&fleet)?;
        let record = record::read(&self.files.directory())?;
        let (lines_in, mut lines) = mpsc::channel::<Result<InstanceLine, ClientError>>(64);
        let mut found = false;
        for (slug, recorded) in &record.workloads {
            for city in &recorded.cities {
                let name = self.instance.as_deref();
                let logs = sites.site(city)?.logs(slug, name, self.tail, self.follow);
                let mut logs = match logs.await {
                    Ok(logs) => logs,
                    // It is another site's, or another workload's.
                    Err(ClientError::Refused {
                        code: ErrorCode::NotFound,
                        ..
                    }) => continue,
                    Err(error) => return Err(error.into()),
                };
                found = true;
                let lines_in = lines_in.clone();
                tokio::spawn(async move {
                    while let Some(line) = logs.next().await.transpose() {
                        if lines_in.send(line).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
        drop(lines_in);
        if !found {
            let what = match &self.instance {
                Some(name) => format!("no site has an instance `{name}` of this workload file"),
                None => "nothing of this workload file runs".to_owned(),
            };
            return Err(Failure::NothingThere(format!(
                "{what}: see `lbctl workload status`"
            )));
        }
        while let Some(line) = lines.recv().await {
            let InstanceLine { instance, text, .. } = line?;
            writeln!(context.out, "{instance} | {text}")?;
            context.out.flush()?;
        }
        Ok(())
    }
}
