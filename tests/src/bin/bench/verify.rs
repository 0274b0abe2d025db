//! Whether frames became what a case has them become, and were counted as the reference says of the same flows.

use std::net::IpAddr;

use balancer_common::Address;
use balancer_common::bench::{Drive, Generator, NEW_FLOWS};

use crate::cases::Case;
use crate::counts::{Counts, Row};
use crate::kernel::Ran;
use crate::reference::{Expected, Reference};

/// What a case's driver is told at first.
pub(crate) fn drive(case: &Case, frame: &[u8], generator: Generator) -> Drive {
    let vip: IpAddr = case.vip.parse().expect("a case's VIP is an address");
    let octets = Address::from(vip).octets();
    let word = |at: usize| {
        let bytes = frame.get(at..at + 4).unwrap_or(&[0; 4]);
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    let long = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [prefix @ .., last] = [0, 4, 8, 12]
        .map(|at| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]));
    Drive {
        generator,
        packets: 0,
        violations: 0,
        vip_prefix: match vip {
            IpAddr::V4(_) => [0; 2],
            IpAddr::V6(_) => [long(prefix[0], prefix[1]), long(prefix[2], 0)],
        },
        ethernet: [long(word(0), word(4)), long(word(8), word(12) & 0xffff)],
        vip: u32::from_be(last),
        length: frame.len() as u32,
        growth: case.growth,
        flows: case.flows,
        services_mask: case.services - 1,
        port: u32::from(case.port.to_be()) << 16,
        outer: std::array::from_fn(|i| word(14 + 4 * i)),
    }
}

/// What of a run is not as the case has it. Every packet but the last was checked by the driver.
pub(crate) fn ran(case: &Case, length: usize, packets: u32, ran: &Ran) -> Vec<String> {
    let mut faults = Vec::new();
    if ran.verdict != case.verdict as u32 {
        let expected = case.verdict as u32;
        faults.push(format!("verdict {}, not {expected}", ran.verdict));
    }
    let grown = ran.length as i64 - length as i64;
    if grown != i64::from(case.growth) {
        faults.push(format!(
            "a frame grew by {grown} bytes, not {}",
            case.growth
        ));
    }
    if ran.drive.violations != 0 {
        let (some, of) = (ran.drive.violations, ran.drive.packets);
        faults.push(format!(
            "{some} of {of} frames did not grow by {} bytes",
            case.growth
        ));
    }
    if ran.drive.packets != u64::from(packets) {
        faults.push(format!("{} packets were driven", ran.drive.packets));
    }
    faults
}

/// What the reference says of `packets` of a case's flows, and what of it is not as the case has it.
pub(crate) fn expected(
    case: &Case,
    reference: &Reference,
    frame: &[u8],
    mut drive: Drive,
    packets: u64,
) -> (Counts, Option<String>) {
    let mut frame = frame.to_vec();
    let mut counts = Counts::new();
    let mut fault = None;
    let mut add = |drive: &Drive, index: u32, times: u64| {
        match case.driver {
            "drive_ipv4" => drive.write_ipv4(index, &mut frame[..]),
            "drive_ipv6" => drive.write_ipv6(index, &mut frame[..]),
            // The frame is the flow.
            _ => {}
        }
        let Expected {
            row,
            verdict,
            growth,
        } = reference.of(&frame);
        *counts.entry(row).or_default() += times;
        if verdict != case.verdict || growth != case.growth {
            fault = Some(format!(
                "by the reference, flow {index} is {row:?}: {verdict:?}, {growth} bytes longer"
            ));
        }
    };
    if case.flows == NEW_FLOWS {
        for _ in 0..packets {
            let index = drive.next_flow();
            add(&drive, index, 1);
        }
    } else {
        let mut times = vec![0; case.flows as usize];
        for _ in 0..packets {
            times[drive.next_flow() as usize] += 1;
        }
        for (index, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
            add(&drive, index as u32, times);
        }
    }
    (counts, fault)
}

/// What does not agree; nothing if all does.
pub(crate) fn faults(
    case: &Case,
    reference: &Reference,
    frame: &[u8],
    start: Drive,
    packets: u64,
    counted: &Counts,
) -> Vec<String> {
    let (expected, fault) = expected(case, reference, frame, start, packets);
    let mut faults: Vec<String> = fault.into_iter().collect();
    let rows = expected.keys().chain(counted.keys());
    let differs = |row: &&Row| expected.get(row) != counted.get(row);
    if let Some(row) = rows.clone().find(differs) {
        let of = |counts: &Counts| counts.get(row).copied().unwrap_or(0);
        faults.push(format!(
            "{row:?} has counted {} packets, and the reference {}",
            of(counted),
            of(&expected)
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use balancer_config::EdgeConfig;

    use super::*;
    use crate::frame;
    use crate::reference::{EdgeTables, Serving, Way};

    fn reference() -> Reference {
        let text = include_str!("../../../../bench/edge.toml");
        let text = format!("version = 1\ninterface = \"eth0\"\n{text}");
        let config = EdgeConfig::parse(&text, "edge.toml").unwrap();
        let way = Way {
            interface: 2,
            mtu: 1_600,
        };
        Reference::Edge(EdgeTables::new(&config, &[], &way).unwrap())
    }

    fn case(name: &str) -> Case {
        crate::cases::chosen(&[name.to_owned()]).unwrap().remove(0)
    }

    fn counted(case: &Case) -> (Drive, Counts) {
        let start = drive(case, &case.frame, Generator::new(1));
        let (counts, fault) = expected(case, &reference(), &case.frame, start, 20_000);
        assert_eq!(fault, None);
        (start, counts)
    }

    #[test]
    fn many_flows_reach_every_backend_and_one_flow_reaches_one() {
        let (_, counts) = counted(&case("v4_tcp_1m"));
        assert_eq!(counts.len(), 100);
        assert_eq!(counts.values().sum::<u64>(), 20_000);
        assert_eq!(counted(&case("v6_tcp")).1.len(), 1);
    }

    #[test]
    fn a_packet_at_the_wrong_backend_is_a_fault() {
        let case = case("v4_syn_flood");
        let (start, mut counts) = counted(&case);
        let reference = reference();
        let faults =
            |counts: &Counts| faults(&case, &reference, &case.frame, start, 20_000, counts);
        assert_eq!(faults(&counts), [""; 0]);
        let mut rows = counts.values_mut();
        *rows.next().unwrap() -= 1;
        *rows.next().unwrap() += 1;
        let said = faults(&counts);
        assert!(said[0].contains("packets, and the reference"), "{said:?}");
        counts.clear();
        assert_eq!(faults(&counts).len(), 1);
    }

    #[test]
    fn packets_without_their_alternates_are_a_fault() {
        let case = case("v4_tcp_alternates");
        let start = drive(&case, &case.frame, Generator::new(1));
        // Nobody was replaced, so there are no earlier owners.
        let (_, fault) = expected(&case, &reference(), &case.frame, start, 1);
        let fault = fault.unwrap();
        assert!(fault.ends_with("Transmit, 32 bytes longer"), "{fault}");
    }

    #[test]
    fn packets_that_an_instance_would_not_open_are_a_fault() {
        let (edge, instance, vip) = ([10, 1, 0, 2], [10, 1, 0, 11], [198, 18, 0, 1]);
        let inner = frame::ipv4(&frame::tcp(0x10), 6);
        let inner = frame::addressed(inner, [10, 9, 9, 9], vip);
        let serving = |edge| {
            Reference::Agent(Serving {
                edge: Address::from_ipv4(edge),
                vip: Address::from_ipv4(vip),
            })
        };
        for (name, frame) in [
            ("decap_ipip", frame::ipip(&inner, edge, instance)),
            ("decap_gue", frame::gue(&inner, edge, instance, &[])),
            (
                "decap_second_chance",
                frame::gue(&inner, edge, instance, &[1, 1, 0, 0, 10, 1, 0, 21]),
            ),
        ] {
            let case = Case {
                growth: inner.len() as i32 - frame.len() as i32,
                ..case(name)
            };
            let fault = |edge| {
                let start = drive(&case, &frame, Generator::new(1));
                expected(&case, &serving(edge), &frame, start, 1).1
            };
            assert_eq!(fault(edge), None, "{name}");
            let said = fault([10, 1, 0, 3]).unwrap_or_default();
            assert!(said.contains("0 bytes longer"), "{name}: {said}");
        }
    }

    #[test]
    fn a_run_in_which_a_frame_is_not_as_it_has_to_be_is_a_fault() {
        let case = case("decap_second_chance");
        let drive = Drive {
            packets: 10,
            ..drive(&case, &[0; 150], Generator::new(1))
        };
        let good = || Ran {
            ns: vec![1.0],
            verdict: case.verdict as u32,
            length: 102,
            drive,
        };
        let said = |run: Ran| ran(&case, 150, 10, &run).join("; ");
        assert_eq!(said(good()), "");
        assert_eq!(
            said(Ran {
                verdict: 1,
                ..good()
            }),
            "verdict 1, not 2"
        );
        let whole = Ran {
            length: 150,
            ..good()
        };
        assert_eq!(said(whole), "a frame grew by 0 bytes, not -48");
        let violated = Drive {
            violations: 3,
            ..drive
        };
        let violated = Ran {
            drive: violated,
            ..good()
        };
        assert_eq!(said(violated), "3 of 10 frames did not grow by -48 bytes");
        let fewer = Drive {
            packets: 9,
            ..drive
        };
        let fewer = Ran {
            drive: fewer,
            ..good()
        };
        assert_eq!(said(fewer), "9 packets were driven");
    }

    #[test]
    fn a_case_whose_frames_should_grow_otherwise_is_a_fault() {
        let case = Case {
            growth: 40,
            ..case("v4_tcp")
        };
        let start = drive(&case, &case.frame, Generator::new(1));
        let (_, fault) = expected(&case, &reference(), &case.frame, start, 1);
        let fault = fault.unwrap();
        assert!(fault.ends_with("Transmit, 20 bytes longer"), "{fault}");
    }
}
