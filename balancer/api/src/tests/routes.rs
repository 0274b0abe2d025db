//! Every route, asked by the client.

use std::sync::atomic::Ordering;

use balancer_core::model::{BackendSpec, BackendState, Weight};

use crate::{
    client::ChangeOptions,
    replies::API_VERSION,
    testing::{
        daemon::{Daemon, Manner},
        samples::{add, busy, dns, ip, name, web},
    },
};

const DRY: ChangeOptions = ChangeOptions {
    dry_run: true,
    force: false,
    now: false,
};

#[tokio::test]
async fn what_the_daemon_shows_arrives_as_it_was_sent() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    let (status, services) = (
        daemon.client().status().await.unwrap(),
        daemon.client().services().await.unwrap(),
    );
    assert_eq!(status.items, [busy().status]);
    assert_eq!(
        (status.api_version.as_str(), status.generation),
        (API_VERSION, 1_007)
    );
    assert_eq!(services.items, busy().services);
    assert_eq!(services.generation, 1_007);
    assert_eq!(
        daemon.client().backends(None).await.unwrap().items,
        busy().backends
    );
}

#[tokio::test]
async fn backends_can_be_asked_for_by_service() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    let reply = daemon.client().backends(Some(&name("web"))).await.unwrap();
    assert_eq!(reply.items, busy().backends[1..]);
}

#[tokio::test]
async fn a_service_comes_with_all_that_was_said_of_it() {
    let daemon = Daemon::with(vec![]);
    let reply = daemon
        .client()
        .add_service(&dns(&["2001:db8:1::10"]), ChangeOptions::default())
        .await
        .unwrap();
    assert!(reply.outcome.changed && !reply.dry_run);
    assert_eq!(reply.generation, 1);
    let services = daemon.client().services().await.unwrap().items;
    assert_eq!(
        (services[0].name.as_str(), services[0].vip),
        ("dns", ip("2001:db8::53"))
    );
    let backends = daemon.client().backends(None).await.unwrap().items;
    assert_eq!(
        (backends[0].address, backends[0].slots),
        (ip("2001:db8:1::10"), services[0].slots)
    );
}

#[tokio::test]
async fn a_removed_service_is_gone() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"])), add(dns(&[]))]);
    let options = ChangeOptions {
        now: true,
        force: true,
        dry_run: false,
    };
    daemon
        .client()
        .remove_service(&name("web"), options)
        .await
        .unwrap();
    let left = daemon.client().services().await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, name("dns"));
}

#[tokio::test]
async fn an_ipv6_backend_is_added_weighed_drained_and_removed() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let client = daemon.client();
    let (web, address) = (name("web"), ip("2001:db8:1::10"));
    let look = async || {
        let backends = client.backends(Some(&web)).await.unwrap().items;
        backends
            .into_iter()
            .find(|backend| backend.address == address)
    };

    let body = BackendSpec {
        address,
        weight: Weight::default(),
    };
    let reply = client
        .add_backend(&web, &body, ChangeOptions::default())
        .await
        .unwrap();
    assert_eq!(reply.outcome.moved_slots, 128);
    assert_eq!(look().await.unwrap().slots, 128);

    client
        .set_weight(
            &web,
            address,
            Weight::try_from(3).unwrap(),
            ChangeOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(look().await.unwrap().weight, 3);

    client
        .drain(&web, address, ChangeOptions::default())
        .await
        .unwrap();
    assert_eq!(look().await.unwrap().state, BackendState::Draining);

    client
        .remove_backend(
            &web,
            address,
            ChangeOptions {
                now: true,
                ..ChangeOptions::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(look().await, None);
}

#[tokio::test]
async fn applying_makes_these_the_services_and_no_others() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let force = ChangeOptions {
        force: true,
        ..ChangeOptions::default()
    };
    daemon
        .client()
        .apply(vec![dns(&["2001:db8:1::10"])], force)
        .await
        .unwrap();
    let services = daemon.client().services().await.unwrap().items;
    assert_eq!(
        services
            .iter()
            .map(|service| service.name.as_str())
            .collect::<Vec<_>>(),
        ["dns"]
    );
}

// Promise: C1
#[tokio::test]
async fn a_dry_run_of_any_change_changes_nothing() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10", "10.1.0.11"]))]);
    let client = daemon.client();
    let before = (
        client.services().await.unwrap(),
        client.backends(None).await.unwrap(),
    );
    let (web, address) = (name("web"), ip("10.1.0.10"));
    let body = BackendSpec {
        address: ip("10.1.0.12"),
        weight: Weight::default(),
    };
    let forced = ChangeOptions {
        force: true,
        now: true,
        dry_run: true,
    };

    let replies = [
        client.add_service(&dns(&[]), DRY).await,
        client.remove_service(&web, forced).await,
        client.add_backend(&web, &body, DRY).await,
        client.remove_backend(&web, address, DRY).await,
        client.drain(&web, address, DRY).await,
        client
            .set_weight(&web, address, Weight::try_from(7).unwrap(), DRY)
            .await,
        client
            .apply(vec![dns(&[])], ChangeOptions { force: true, ..DRY })
            .await,
        client.drain_edge(DRY).await,
        client.detach(DRY).await,
    ];
    for (nth, reply) in replies.into_iter().enumerate() {
        let reply = reply.unwrap();
        assert!(
            reply.dry_run && reply.outcome.changed,
            "reply {nth}: {reply:?}"
        );
    }
    let after = (
        client.services().await.unwrap(),
        client.backends(None).await.unwrap(),
    );
    assert_eq!(before, after);
    assert!(!daemon.detached.load(Ordering::SeqCst));
}

#[tokio::test]
async fn detaching_reaches_the_daemon() {
    let daemon = Daemon::with(vec![]);
    assert!(
        daemon
            .client()
            .detach(ChangeOptions::default())
            .await
            .unwrap()
            .outcome
            .changed
    );
    assert!(daemon.detached.load(Ordering::SeqCst));
}
