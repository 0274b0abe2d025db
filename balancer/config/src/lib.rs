//! The files that people write: configuration and fleet files here, in TOML, and workload files in [`workload`]. Text in,
//! checked values out.
//!
//! Nothing of a file is used before all of it is known to be right. Every error says file, line, key, what is
//! wrong and what was expected. What services must fulfil is in [`balancer_core::state::rules`].

mod agent;
mod announce;
mod api;
mod digest;
mod edge;
mod endpoint;
mod error;
mod fleet;
mod host_network;
mod outer_source;
mod schema;
mod section;
mod services;
pub mod workload;

#[cfg(test)]
mod tests;

pub use agent::{AgentConfig, Instance};
pub use announce::AnnounceConfig;
pub use api::ApiListen;
pub use digest::{fnv1a, services_digest};
pub use edge::{EdgeConfig, XdpMode};
pub use error::ConfigError;
pub use fleet::{FleetConfig, RuntimeKind, Site, SiteEdge, SiteHost, VipPool};
pub use host_network::HostNetwork;
pub use services::parse_services;

/// The version of the files' schema that this program reads.
const VERSION: u32 = 1;

/// Checks the `version` that every file begins with, before anything else of it is believed.
fn check_version(file: &section::Section<'_>) -> Result<(), ConfigError> {
    let version = file.required("version", "`version = 1`")?;
    if version.integer::<u32>("the number 1")? != VERSION {
        let problem = "this program does not know that version".to_owned();
        return Err(version.error(problem, "`version = 1`, or a newer program"));
    }
    Ok(())
}
