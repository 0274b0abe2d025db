//! What an interface does to frames before a program sees them.

use ethtool::{EthtoolAttr, EthtoolFeatureAttr};
use futures::StreamExt;

use super::{InterfaceView, Interfaces, NextHopError};

/// The kernel's names for stripping 802.1Q and 802.1ad tags (`ethtool -k`: `rx-vlan-offload`, `rx-vlan-stag-hw-parse`).
const STRIP_FEATURES: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

const WHAT: &str = "an interface's offloads";

/// Who strips VLAN tags from frames that come by the interface, by name: itself, or members of a bond, among `all`, on which its
/// program runs. A program, native or generic, takes such frames for untagged.
///
/// Never a veth, whatever it says: it hands on what the other end was given to send. Nor a bond itself, which only says it.
pub async fn taking_tags_off(
    interface: &InterfaceView,
    all: &Interfaces,
) -> Result<Vec<String>, NextHopError> {
    let asked = if interface.bond {
        all.members_of(interface.index).collect()
    } else {
        vec![interface.clone()]
    };
    let mut stripping = Vec::new();
    for InterfaceView { name, .. } in asked.into_iter().filter(|each| !each.veth) {
        if has_any(&name, &STRIP_FEATURES).await? {
            stripping.push(name);
        }
    }
    Ok(stripping)
}

/// Whether one of these features is on.
pub(crate) async fn has_any(interface: &str, features: &[&str]) -> Result<bool, NextHopError> {
    let unusable = |reason: String| NextHopError::NoAnswer { what: WHAT, reason };
    let (connection, mut kernel, _) =
        ethtool::new_connection().map_err(|source| NextHopError::Open { source })?;
    tokio::spawn(connection);
    let answers = kernel.feature().get(Some(interface)).execute().await;
    let mut answers = answers
        .map(Box::pin)
        .map_err(|error| unusable(error.to_string().to_lowercase()))?;
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| unusable(error.to_string().to_lowercase()))?;
        for attribute in answer.payload.nlas {
            if let EthtoolAttr::Feature(EthtoolFeatureAttr::Active(on)) = attribute {
                return Ok(on.iter().any(|bit| features.contains(&bit.name.as_str())));
            }
        }
    }
    Err(unusable("it ended early".to_owned()))
}
