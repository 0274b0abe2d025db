//! Which VIPs routers are told of.

use super::*;
use crate::model::WhenUnhealthy;

/// An edge with service `web` on VIP 10 and two services on VIP 20, in the best of conditions.
struct Scene {
    state: State,
    known: &'static [u16],
    trusted: &'static [u16],
    reached: &'static [u8],
    drained: bool,
    attached: bool,
    stopping: bool,
    when_unhealthy: WhenUnhealthy,
    served: BTreeSet<IpAddr>,
    announced: BTreeSet<IpAddr>,
}

fn vip(n: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, n).into()
}

fn scene() -> Scene {
    let other_port = |name: &str, port, backends: &[u8]| {
        let mut service = service(name, 20, true, backends);
        service.key.port = port;
        service
    };
    Scene {
        state: edge(&[
            service("web", 10, true, &[1, 2]),
            other_port("xmpp", 5222, &[3]),
            other_port("xmpps", 5223, &[4]),
        ]),
        known: &[1, 2, 3, 4],
        trusted: &[1, 2, 3, 4],
        reached: &[1, 2, 3, 4],
        drained: false,
        attached: true,
        stopping: false,
        when_unhealthy: WhenUnhealthy::Withdraw,
        served: [vip(10), vip(20)].into(),
        announced: BTreeSet::new(),
    }
}

impl Scene {
    fn of(&self, n: u8) -> Result<(), WithheldReason> {
        let conditions = EdgeConditions {
            drained: self.drained,
            attached: self.attached,
            stopping: self.stopping,
            when_unhealthy: self.when_unhealthy,
            served: &self.served,
            announced: &self.announced,
        };
        let services = self.state.services.values().map(|service| {
            let (known, trusted) = (up(self.known), up(self.trusted));
            let usable = Usable::of(service, &known, &trusted, &hops(self.reached));
            (service.service.key.vip, usable)
        });
        announcement(services, conditions)[&vip(n)]
    }
}

// Promise: B1
#[test]
fn a_vip_is_announced_while_it_can_be_served() {
    assert_eq!(scene().of(10), Ok(()));
    assert_eq!(scene().of(20), Ok(()));
}

// Promise: B1
#[test]
fn each_cause_withholds_every_vip_and_is_named() {
    let cases = [
        (
            Scene {
                drained: true,
                ..scene()
            },
            WithheldReason::Drained,
        ),
        (
            Scene {
                attached: false,
                ..scene()
            },
            WithheldReason::Detached,
        ),
        (
            Scene {
                stopping: true,
                ..scene()
            },
            WithheldReason::Stopping,
        ),
        (
            Scene {
                served: BTreeSet::new(),
                ..scene()
            },
            WithheldReason::NotServed,
        ),
        (
            Scene {
                known: &[],
                trusted: &[],
                ..scene()
            },
            WithheldReason::NoBackend,
        ),
        (
            Scene {
                reached: &[],
                ..scene()
            },
            WithheldReason::NoBackend,
        ),
    ];
    for (scene, why) in cases {
        assert_eq!(scene.of(10), Err(why));
        assert_eq!(scene.of(20), Err(why));
    }
}

// Promise: B1
#[test]
fn one_service_with_a_usable_backend_keeps_the_vip_of_several_announced() {
    let half = Scene {
        known: &[3],
        trusted: &[3],
        ..scene()
    };
    assert_eq!(half.of(20), Ok(()));
    assert_eq!(half.of(10), Err(WithheldReason::NoBackend));
}

#[test]
fn by_policy_a_vip_without_a_usable_backend_stays_announced_but_not_a_detached_one() {
    let mut alone = Scene {
        known: &[],
        trusted: &[],
        when_unhealthy: WhenUnhealthy::Announce,
        ..scene()
    };
    assert_eq!(alone.of(10), Ok(()));
    alone.attached = false;
    assert_eq!(alone.of(10), Err(WithheldReason::Detached));
}

// Promise: B1
#[test]
fn trust_keeps_a_vip_announced_and_does_not_begin_it() {
    let mut unproven = Scene {
        known: &[],
        ..scene()
    };
    assert_eq!(unproven.of(10), Err(WithheldReason::NoBackend));
    unproven.announced = [vip(10)].into();
    assert_eq!(unproven.of(10), Ok(()));
    unproven.trusted = &[];
    assert_eq!(unproven.of(10), Err(WithheldReason::NoBackend));
}

#[test]
fn a_vip_whose_backends_all_drain_is_withdrawn() {
    let mut scene = scene();
    for n in [1, 2] {
        let drain = Change::Drain {
            service: "web".parse().unwrap(),
            address: address(n),
            force: true,
        };
        scene.state = scene.state.change(&drain, 0).unwrap().0;
    }
    assert_eq!(scene.of(10), Err(WithheldReason::NoBackend));
}
