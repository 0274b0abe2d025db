//! What is measured: each case with its frame, its floor and what it has to reach.

use balancer_common::bench::{NEW_FLOWS, ONE_FLOW};

use crate::frame;

/// Where a case's program is, and with which configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `bench/edge.toml`.
    Edge,
    /// What [`crate::many`] makes.
    Many,
    /// `bench/agent.toml`.
    Agent,
}

/// What the kernel has to do with each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Drop = 1,
    Pass = 2,
    Transmit = 3,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// The program that drives, and the floor that it drives as well.
    pub(crate) driver: &'static str,
    pub(crate) floor: &'static str,
    pub(crate) verdict: Verdict,
    /// Bytes by which each frame has to become longer.
    pub(crate) growth: i32,
    pub(crate) flows: u32,
    pub(crate) services: u32,
    /// The first service's VIP and port.
    pub(crate) vip: &'static str,
    pub(crate) port: u16,
    /// Without addresses and ports; none where the place has the frame.
    pub(crate) frame: Vec<u8>,
    /// The largest ratio to the floor that is allowed, and what it should be.
    pub(crate) must: f64,
    pub(crate) aim: f64,
}

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

const MANY_FLOWS: u32 = 1_000_000;

/// Every case, in the table's order.
pub(crate) fn all() -> Vec<Case> {
    let v4_tcp = Case {
        name: "v4_tcp",
        place: Place::Edge,
        driver: "drive_ipv4",
        floor: "floor_ipip",
        verdict: Verdict::Transmit,
        growth: 20,
        flows: ONE_FLOW,
        services: 1,
        vip: "198.18.0.1",
        port: 80,
        frame: frame::ipv4(&frame::tcp(ACK), 6),
        must: 2.0,
        aim: 1.6,
    };
    let v6_tcp = Case {
        name: "v6_tcp",
        driver: "drive_ipv6",
        floor: "floor_ip6ip6",
        growth: 40,
        vip: "2001:db8:1::1",
        frame: frame::ipv6(&frame::tcp(ACK), 6),
        must: 2.1,
        aim: 1.7,
        ..v4_tcp.clone()
    };
    let v4_tcp_gue = Case {
        name: "v4_tcp_gue",
        floor: "floor_gue",
        growth: 32,
        vip: "198.18.0.2",
        aim: 1.65,
        ..v4_tcp.clone()
    };
    let decap_ipip = Case {
        name: "decap_ipip",
        place: Place::Agent,
        driver: "drive_ipip",
        floor: "floor_decap_ipip",
        verdict: Verdict::Pass,
        growth: -20,
        frame: Vec::new(),
        must: 1.35,
        aim: 1.15,
        ..v4_tcp.clone()
    };
    vec![
        v4_tcp.clone(),
        Case {
            name: "v4_udp",
            port: 443,
            frame: frame::ipv4(&frame::udp(), 17),
            ..v4_tcp.clone()
        },
        v6_tcp.clone(),
        v4_tcp_gue.clone(),
        Case {
            name: "v4_tcp_1m",
            flows: MANY_FLOWS,
            must: 2.4,
            aim: 1.85,
            ..v4_tcp.clone()
        },
        Case {
            name: "v6_tcp_1m",
            flows: MANY_FLOWS,
            must: 2.8,
            aim: 2.2,
            ..v6_tcp
        },
        Case {
            name: "v4_syn_flood",
            flows: NEW_FLOWS,
            frame: frame::ipv4(&frame::tcp(SYN), 6),
            must: 2.4,
            aim: 1.85,
            ..v4_tcp.clone()
        },
        Case {
            name: "v4_tcp_512_services_1m",
            place: Place::Many,
            flows: MANY_FLOWS,
            services: 512,
            vip: "198.18.0.0",
            must: 3.6,
            aim: 2.6,
            ..v4_tcp.clone()
        },
        Case {
            name: "v4_tcp_alternates",
            floor: "floor_carrying",
            growth: 48,
            vip: "198.18.0.3",
            must: 2.4,
            aim: 1.9,
            ..v4_tcp_gue
        },
        Case {
            name: "not_for_us",
            floor: "floor_pass",
            verdict: Verdict::Pass,
            growth: 0,
            vip: "198.18.255.1",
            must: 1.25,
            aim: 1.05,
            ..v4_tcp
        },
        decap_ipip.clone(),
        Case {
            name: "decap_gue",
            driver: "drive_gue",
            floor: "floor_decap_gue",
            growth: -32,
            ..decap_ipip.clone()
        },
        Case {
            name: "decap_second_chance",
            driver: "drive_carried",
            floor: "floor_decap_carried",
            growth: -48,
            must: 2.9,
            aim: 2.5,
            ..decap_ipip
        },
    ]
}

/// `v4_tcp` with more and more flows.
pub(crate) fn by_flows() -> Vec<Case> {
    let first = all().remove(0);
    (0..=6)
        .map(|power| Case {
            flows: 10_u32.pow(power),
            ..first.clone()
        })
        .collect()
}

/// `v4_tcp_1m` with live frames, of which nothing is demanded.
pub(crate) fn live() -> Case {
    let mut case = all().remove(0);
    case.name = "live_v4_tcp_1m";
    case.flows = MANY_FLOWS;
    (case.must, case.aim) = (f64::NAN, f64::NAN);
    case
}

/// The cases of these names; all of them for none.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Case>, String> {
    let all = all();
    if let Some(unknown) = names
        .iter()
        .find(|name| all.iter().all(|case| case.name != **name))
    {
        let known: Vec<_> = all.iter().map(|case| case.name).collect();
        return Err(format!(
            "there is no case {unknown}: choose among {}",
            known.join(", ")
        ));
    }
    let wanted = |case: &Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(all.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name_and_all_of_them_by_none() {
        let names = |chosen: &[&str]| {
            let chosen: Vec<_> = chosen.iter().map(|name| (*name).to_owned()).collect();
            super::chosen(&chosen).map(|cases| cases.iter().map(|case| case.name).collect())
        };
        assert_eq!(
            names(&["not_for_us", "v4_udp"]),
            Ok(vec!["v4_udp", "not_for_us"])
        );
        assert_eq!(names(&[]).map(|all: Vec<_>| all.len()), Ok(13));
        let error = names(&["v5"]).unwrap_err();
        assert!(
            error.starts_with("there is no case v5: choose among v4_tcp, "),
            "{error}"
        );
    }

    #[test]
    fn services_are_a_power_of_two() {
        assert!(all().iter().all(|case| case.services.is_power_of_two()));
    }
}
