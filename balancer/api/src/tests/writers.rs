//! Many writers at once.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use balancer_core::model::{BackendSpec, Weight};
use tokio::task::JoinSet;

use crate::{
    client::ChangeOptions,
    testing::{
        daemon::Daemon,
        samples::{add, name, web},
    },
};

// Promise: C2
#[tokio::test]
async fn two_hundred_writers_at_once_lose_nothing() {
    let daemon = Daemon::with(vec![add(web(&[]))]);
    // Unoptimised tables for two hundred backends take their time.
    let client = daemon.client().with_timeout(Duration::from_secs(120));
    let addresses: BTreeSet<IpAddr> = (1..=200).map(|n| IpAddr::from([10, 1, 0, n])).collect();

    let mut writers = JoinSet::new();
    for address in addresses.clone() {
        let client = client.clone();
        writers.spawn(async move {
            let backend = BackendSpec {
                address,
                weight: Weight::default(),
            };
            client
                .add_backend(&name("web"), &backend, ChangeOptions::default())
                .await
                .unwrap()
                .generation
        });
    }
    let generations: BTreeSet<u64> = writers.join_all().await.into_iter().collect();

    // One generation made the service.
    assert_eq!(generations, (2..=201).collect());
    let there: BTreeSet<IpAddr> = client
        .backends(None)
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|backend| backend.address)
        .collect();
    assert_eq!(there, addresses);
}
