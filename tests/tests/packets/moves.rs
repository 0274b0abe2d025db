//! Changes of an edge that move slots from one backend to another: their earlier owners travel with packets.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balancer_core::model::{AdminState, Backend, ServiceName, Weight};
use balancer_core::state::Change;
use testbed::wait_for;

use crate::edge::{Service, Site, neighbours};

/// Services whose slots move: of [`STEPS`], and some of them stay where they were.
pub(crate) const SERVICES: &[Service] = &[
    (
        "moved4",
        "198.51.100.35",
        "gue",
        &["10.1.0.51", "10.1.0.52", "10.2.0.53"],
    ),
    (
        "moved6",
        "2001:db8::36",
        "gue",
        &["fd00:1::51", "fd00:1::52"],
    ),
    (
        "mixed",
        "198.51.100.37",
        "gue",
        &["10.1.0.54", "fd00:1::54", "10.3.0.55"],
    ),
    ("chain4", "198.51.100.38", "gue", &["10.1.0.61"]),
    ("chain6", "2001:db8::39", "gue", &["fd00:1::61"]),
    ("bare", "198.51.100.40", "ipip", &["10.1.0.57"]),
];

/// What happens to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It is there from now on.
    Joins,
    /// It takes no new flows.
    Drains,
    /// It goes at once.
    Leaves,
}

/// What happens to a backend of a service.
pub(crate) type Step = (Move, &'static str, &'static str);

/// Changes after which slots of [`SERVICES`] have had up to three other owners, of whom some cannot be reached any more, or
/// are of another family.
pub(crate) const STEPS: &[Step] = {
    use Move::{Drains, Joins, Leaves};
    &[
        (Joins, "moved4-tcp", "10.1.0.56"),
        (Drains, "moved4-tcp", "10.1.0.51"),
        (Joins, "moved4-tcp", "10.3.0.57"),
        (Drains, "moved4-tcp", "10.1.0.52"),
        (Joins, "moved4-tcp", "10.1.0.58"),
        (Leaves, "moved4-tcp", "10.1.0.52"),
        (Joins, "moved4-udp", "10.1.0.56"),
        (Drains, "moved4-udp", "10.1.0.51"),
        (Joins, "moved6-tcp", "fd00:1::53"),
        (Drains, "moved6-tcp", "fd00:1::51"),
        (Joins, "moved6-tcp", "fd00:1::55"),
        (Drains, "moved6-tcp", "fd00:1::53"),
        (Joins, "moved6-tcp", "fd00:1::56"),
        (Drains, "moved6-tcp", "fd00:1::55"),
        (Joins, "mixed-tcp", "10.1.0.59"),
        (Drains, "mixed-tcp", "10.1.0.54"),
        (Joins, "mixed-tcp", "fd00:1::57"),
        (Drains, "mixed-tcp", "10.3.0.55"),
        (Joins, "chain4-tcp", "10.1.0.62"),
        (Drains, "chain4-tcp", "10.1.0.61"),
        (Joins, "chain4-tcp", "10.1.0.63"),
        (Drains, "chain4-tcp", "10.1.0.62"),
        (Joins, "chain4-tcp", "10.1.0.64"),
        (Drains, "chain4-tcp", "10.1.0.63"),
        (Joins, "chain6-tcp", "fd00:1::62"),
        (Drains, "chain6-tcp", "fd00:1::61"),
        (Joins, "chain6-tcp", "fd00:1::63"),
        (Drains, "chain6-tcp", "fd00:1::62"),
        (Joins, "chain6-tcp", "fd00:1::64"),
        (Drains, "chain6-tcp", "fd00:1::63"),
        (Joins, "bare-tcp", "10.1.0.60"),
        (Drains, "bare-tcp", "10.1.0.57"),
    ]
};

/// How long an edge may take to find the way to a backend.
const PATIENCE: Duration = Duration::from_secs(10);

impl Site {
    /// Makes changes, one after another; the tables in user space follow, and so does what the oracle was told.
    pub(crate) fn follow(&mut self, steps: &[Step]) -> Result<()> {
        let joined = |(what, _, address): &Step| (*what == Move::Joins).then_some(*address);
        self.joined.extend(steps.iter().filter_map(joined));
        self.namespace
            .ip(&neighbours(self.joined.iter().copied()))?;
        let next_hops = self.next_hops()?;
        for step in steps {
            let (what, service, address) = *step;
            let mut arguments = vec!["backends"];
            match what {
                Move::Joins => arguments.extend(["add", service, address]),
                Move::Drains => arguments.extend(["drain", service, address]),
                Move::Leaves => arguments.extend(["remove", service, address, "--now"]),
            }
            self.edge.lbctl_ok(&arguments)?;
            let model = self.model.as_mut().context("something was changed")?;
            model.follow(&change(step)?, &next_hops)?;
            self.ways.follow(step, &next_hops)?;
            if what != Move::Joins {
                continue;
            }
            // The way to it is to be found before anybody drains.
            let expected = model.slots();
            wait_for(&format!("{step:?}"), PATIENCE, || {
                for backend in self.edge.backends()? {
                    let name = (backend.service.to_string(), backend.address.to_string());
                    let slots = expected.get(&name).copied();
                    ensure!(slots == Some(backend.slots), "{slots:?}, not {backend:?}");
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The same as a value.
fn change(&(what, service, address): &Step) -> Result<Change> {
    let service: ServiceName = service.parse().map_err(anyhow::Error::msg)?;
    let address: IpAddr = address.parse()?;
    Ok(match what {
        Move::Joins => Change::AddBackend {
            service,
            backend: Backend {
                address,
                weight: Weight::default(),
                admin: AdminState::default(),
            },
        },
        Move::Drains => Change::Drain {
            service,
            address,
            force: false,
        },
        Move::Leaves => Change::RemoveBackend {
            service,
            address,
            now: true,
            force: false,
        },
    })
}
