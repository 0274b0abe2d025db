//! The engine's network of the host's instances: found by its name, else made, and labelled as ours.

use std::collections::HashMap;

use balancer_config::HostNetwork;
use bollard::{
    models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect},
    query_parameters::InspectNetworkOptions,
};

use super::{Docker, is_missing};
use crate::runtime::RuntimeError;

const BRIDGE: &str = "com.docker.network.bridge.name";
const MTU: &str = "com.docker.network.driver.mtu";
/// Rewriting the sources of what instances send would break what goes between hosts.
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// Marks the network as ours.
const LABEL: &str = "balancer.network";

/// The engine's name for a network.
pub(super) fn name(network: &HostNetwork) -> String {
    format!("balancer-{}", network.bridge)
}

impl Docker {
    pub(super) async fn ensure_network(&self) -> Result<(), RuntimeError> {
        let name = name(&self.network);
        // Of two at the same time the engine would refuse one: its subnet is taken.
        let _alone = self.making_network.lock().await;
        match self
            .client
            .inspect_network(&name, None::<InspectNetworkOptions>)
            .await
        {
            Ok(found) => return self.compare(&found),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(self.refused(format!("look for the network {name}"))(error)),
        }
        let made = self.client.create_network(request(&self.network)).await;
        if let Err(error) = made {
            // Somebody else may have made it meanwhile.
            let found = self
                .client
                .inspect_network(&name, None::<InspectNetworkOptions>)
                .await;
            return match found {
                Ok(found) => self.compare(&found),
                Err(_) => Err(self.refused(format!("make the network {name}"))(error)),
            };
        }
        Ok(())
    }

    /// The network that is there must be the one that is described.
    fn compare(&self, found: &NetworkInspect) -> Result<(), RuntimeError> {
        let wanted = request(&self.network);
        let differs = |what: String| {
            Err(RuntimeError::OtherNetwork {
                bridge: self.network.bridge.clone(),
                what,
            })
        };
        let configs =
            |ipam: Option<&Ipam>| -> Vec<(Option<String>, Option<String>, Option<String>)> {
                let configs = ipam
                    .and_then(|ipam| ipam.config.clone())
                    .unwrap_or_default();
                let plain = |text: Option<String>| text.filter(|text| !text.is_empty());
                configs
                    .into_iter()
                    .map(|config| {
                        (
                            plain(config.subnet),
                            plain(config.ip_range),
                            plain(config.gateway),
                        )
                    })
                    .collect()
            };
        let (has, wants) = (configs(found.ipam.as_ref()), configs(wanted.ipam.as_ref()));
        if has != wants {
            return differs(format!("it has the subnets {has:?} instead of {wants:?}"));
        }
        let options = found.options.clone().unwrap_or_default();
        for (key, wanted) in wanted.options.into_iter().flatten() {
            let has = options.get(&key).map_or("nothing", String::as_str);
            if has != wanted {
                return differs(format!("its option {key} is {has} instead of {wanted}"));
            }
        }
        Ok(())
    }
}

fn request(network: &HostNetwork) -> NetworkCreateRequest {
    let mut subnets = vec![IpamConfig {
        subnet: Some(network.subnet.to_string()),
        ip_range: None,
        gateway: Some(network.gateway.to_string()),
        auxiliary_addresses: None,
    }];
    if let (Some(subnet), Some(gateway)) = (network.subnet6, network.gateway6) {
        subnets.push(IpamConfig {
            subnet: Some(subnet.to_string()),
            ip_range: None,
            gateway: Some(gateway.to_string()),
            auxiliary_addresses: None,
        });
    }
    NetworkCreateRequest {
        name: name(network),
        driver: Some("bridge".to_owned()),
        enable_ipv6: Some(network.subnet6.is_some()),
        ipam: Some(Ipam {
            config: Some(subnets),
            ..Ipam::default()
        }),
        options: Some(HashMap::from([
            (BRIDGE.to_owned(), network.bridge.clone()),
            (MTU.to_owned(), network.mtu.to_string()),
            (MASQUERADE.to_owned(), "false".to_owned()),
        ])),
        labels: Some(HashMap::from([(LABEL.to_owned(), network.bridge.clone())])),
        ..NetworkCreateRequest::default()
    }
}
