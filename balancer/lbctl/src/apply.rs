//! `lbctl apply`.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use balancer_api::client::ChangeOptions;
use balancer_config::parse_services;
use balancer_core::model::ServiceSpec;
use clap::Args;

use super::{Context, change_summary::ChangeSummary, failure::Failure};

/// Make the services of a file the services of this edge, and no others
///
/// Backends that are not in the file drain, services that are not in it go; everything is checked before anything
/// changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl --dry-run apply -f services.toml
  lbctl apply -f services.toml
  generate-services | lbctl apply -f -")]
pub(super) struct Apply {
    /// The services file (TOML); `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Even when it takes away a service's last backend
    #[arg(long)]
    force: bool,
}

impl Apply {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (text, name) = self.read()?;
        let services = parse_services(&text, &name)?;
        let bodies: Vec<_> = services.iter().map(ServiceSpec::from).collect();
        let what = match bodies.len() {
            1 => "1 service".to_owned(),
            several => format!("{several} services"),
        };
        let options = ChangeOptions {
            force: self.force,
            ..context.change_options()
        };
        let reply = context.client.apply(bodies, options).await?;
        let summary = ChangeSummary {
            subject: name,
            done: format!("{what} applied"),
            would: format!("{what} would be applied"),
        };
        context.tell(&reply, &summary)
    }

    /// The file's text and the name that messages call it.
    fn read(&self) -> Result<(String, String), Failure> {
        if self.file.as_os_str() == "-" {
            let mut text = String::new();
            return match io::stdin().read_to_string(&mut text) {
                Ok(_) => Ok((text, "standard input".to_owned())),
                Err(source) => Err(Failure::Unreadable {
                    path: "standard input".into(),
                    source,
                }),
            };
        }
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok((text, self.file.display().to_string())),
            Err(source) => Err(Failure::Unreadable {
                path: self.file.clone(),
                source,
            }),
        }
    }
}
