//! What the kernel says about tc programs on a link.

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TcAttachType};
use aya::util::KernelVersion;
use serde_json::Value;

use crate::namespace::Namespace;

/// The ids of the programs that see what a link receives or sends: on tcx, or on clsact before Linux 6.6.
pub fn classifiers(
    namespace: &Namespace,
    device: &str,
    direction: TcAttachType,
) -> Result<Vec<u32>> {
    if KernelVersion::current()? >= KernelVersion::new(6, 6, 0) {
        let (_, present) = namespace.enter(|| SchedClassifier::query_tcx(device, direction))??;
        return Ok(present.iter().map(|program| program.id()).collect());
    }
    let parent = match direction {
        TcAttachType::Ingress => "ingress",
        _ => "egress",
    };
    let arguments = ["-json", "filter", "show", "dev", device, parent];
    let text = namespace.run("tc", &arguments)?;
    let filters: Vec<Value> = serde_json::from_str(&text).context("`tc -json` made no JSON")?;
    let ids = filters
        .iter()
        .filter_map(|filter| filter["options"]["prog"]["id"].as_u64());
    ids.map(|id| Ok(u32::try_from(id)?)).collect()
}
