//! The faults: each is one line of the packet path that somebody could get wrong.

/// One fault.
pub(super) struct Fault {
    /// What it is called; unique.
    pub(super) name: &'static str,
    /// From the workspace's root.
    pub(super) file: &'static str,
    /// What stands there, exactly once.
    pub(super) text: &'static str,
    /// What stands there instead.
    pub(super) replacement: &'static str,
}

const fn fault(
    name: &'static str,
    file: &'static str,
    text: &'static str,
    replacement: &'static str,
) -> Fault {
    Fault {
        name,
        file,
        text,
        replacement,
    }
}

/// All of them, in the order of a packet's way.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "long-options-cut-off",
        "balancer-common/src/parse.rs",
        "((first & 0x0f) as usize) * 4",
        "((first & 0x07) as usize) * 4",
    ),
    fault(
        "length-one-byte-beyond-the-frame",
        "balancer-common/src/parse.rs",
        "if self.length < self.header_length || !frame.holds(EthHdr::LEN + self.length) {
            return Err(Reason::BadTotalLength);
        }
        let payload",
        "if self.length < self.header_length || !frame.holds(EthHdr::LEN + self.length - 1) {
            return Err(Reason::BadTotalLength);
        }
        let payload",
    ),
    fault(
        "first-fragment-taken-for-a-packet",
        "balancer-common/src/parse.rs",
        "fragment: fragment & FRAGMENT != 0,",
        "fragment: fragment & OFFSET != 0,",
    ),
    fault(
        "vip-not-asked-for",
        "balancer-common/src/edge.rs",
        "network.is_misplaced(destination) || !tables.is_vip(destination)",
        "network.is_misplaced(destination)",
    ),
    fault(
        "ipv4-address-in-ipv6-taken",
        "balancer-common/src/edge.rs",
        "network.is_misplaced(destination) || !tables.is_vip(destination)",
        "!tables.is_vip(destination)",
    ),
    fault(
        "slot-of-half-the-table",
        "balancer-common/src/edge.rs",
        "hash.wrapping_shr(service.shift) as u32",
        "hash.wrapping_shr(service.shift + 1) as u32",
    ),
    fault(
        "mtu-off-by-one",
        "balancer-common/src/edge.rs",
        "packet.length > backend.longest_inner as usize",
        "packet.length > backend.longest_inner as usize + 1",
    ),
    fault(
        "alternates-in-the-wrong-order",
        "balancer-common/src/edge.rs",
        "Ok([first, second, third])",
        "Ok([second, first, third])",
    ),
    fault(
        "wrong-owner-of-a-line",
        "balancer-ebpf/src/bin/edge/maps.rs",
        "line[slot as usize % LINE_SLOTS]",
        "line[(slot as usize + 1) % LINE_SLOTS]",
    ),
    fault(
        "history-of-the-first-table",
        "balancer-common/src/abi.rs",
        "table.wrapping_mul(LINE_SLOTS as u32).wrapping_add(slot)",
        "slot",
    ),
    fault(
        "ipv6-service-of-any-port",
        "balancer-common/src/directory.rs",
        "if words[0] == port && words[1] == high && words[2] == low {",
        "if words[0] != 0 && words[1] == high && words[2] == low {",
    ),
    fault(
        "checksum-folded-once",
        "balancer-common/src/checksum.rs",
        "    let sum = (sum & 0xffff) + (sum >> 16);\n    !(sum as u16)",
        "    !(sum as u16)",
    ),
    fault(
        "outer-ttl-off-by-one",
        "balancer-common/src/outer.rs",
        "frame.write(at + 8, 64_u8);",
        "frame.write(at + 8, 63_u8);",
    ),
    fault(
        "ecn-left-inside",
        "balancer-common/src/outer.rs",
        "u32::from(inner.tos) << 20",
        "u32::from(inner.tos & 0xfc) << 20",
    ),
    fault(
        "udp-length-without-alternates",
        "balancer-common/src/outer.rs",
        "((inner.length + UDP_GUE + private) as u16)",
        "((inner.length + UDP_GUE) as u16)",
    ),
    fault(
        "one-outer-port-for-all-flows",
        "balancer-common/src/outer.rs",
        "0xc000 | inner.hash as u16 & 0x3fff",
        "0xc000 | inner.hash as u16 & 0x0fff",
    ),
    fault(
        "provider-tag-unknown",
        "balancer-common/src/tags.rs",
        "ether_type == EtherType::Ieee8021q as u16 || ether_type == EtherType::Ieee8021ad as u16",
        "ether_type == EtherType::Ieee8021q as u16",
    ),
    fault(
        "tag-taken-to-another-wire",
        "balancer-common/src/tags.rs",
        "if egress == ingress { self }",
        "if egress != 0 || ingress != 0 { self }",
    ),
    fault(
        "room-of-the-tags-kept",
        "balancer-ebpf/src/bin/edge/send.rs",
        "let growth = HEAD as i32 - 14 + link.growth();",
        "let growth = HEAD as i32 - 14 + link.growth().max(0);",
    ),
    fault(
        "hop-by-hop-options-anywhere",
        "balancer-common/src/extensions.rs",
        "if kind == HOP_BY_HOP && network.header_length != Ipv6Hdr::LEN {",
        "if kind == HOP_BY_HOP && network.header_length == 0 {",
    ),
    fault(
        "fragment-header-in-the-padding",
        "balancer-common/src/slow_path.rs",
        "if network.later_fragment && network.length < network.header_length {",
        "if network.later_fragment && network.length == 0 {",
    ),
    fault(
        "fragments-of-all-datagrams-alike",
        "balancer-common/src/fragments.rs",
        "identification: network.identification,",
        "identification: 0,",
    ),
    fault(
        "later-fragments-port-swapped",
        "balancer-common/src/fragments.rs",
        "ports: u32::from(port) << 16,",
        "ports: u32::from(port),",
    ),
    fault(
        "quoted-ports-not-swapped",
        "balancer-common/src/icmp_error.rs",
        "ports: ports.rotate_left(16),",
        "ports,",
    ),
    fault(
        "quote-of-anybodys-packet",
        "balancer-common/src/icmp_error.rs",
        "        || quoted.source != network.destination\n",
        "",
    ),
    fault(
        "quote-without-its-ports",
        "balancer-common/src/icmp_error.rs",
        "        || quoted.length < quoted.header_length + QUOTED\n",
        "",
    ),
    fault(
        "echo-checksum-of-the-request",
        "balancer-common/src/echo.rs",
        "checksum: checksum::replace(word(at + 2)?, request, reply),",
        "checksum: checksum::replace(word(at + 2)?, request, request),",
    ),
    fault(
        "echo-answered-to-groups",
        "balancer-common/src/echo.rs",
        "first != 0 && first != 127 && first < 224",
        "first != 0 && first != 127",
    ),
    fault(
        "told-mtu-without-room-for-alternates",
        "balancer-common/src/too_large.rs",
        "backend.longest_inner.saturating_sub(room as u16)",
        "backend.longest_inner.saturating_sub(room as u16 & 0)",
    ),
    fault(
        "told-where-fragmenting-is-allowed",
        "balancer-common/src/too_large.rs",
        "if flags & DONT_FRAGMENT == 0 {",
        "if flags == u16::MAX {",
    ),
    fault(
        "gue-control-message-opened",
        "balancer-common/src/gue.rs",
        "first & 0xe0 != 0",
        "first & 0xc0 != 0",
    ),
    fault(
        "more-visited-than-there-are",
        "balancer-common/src/alternates.rs",
        "visited > count",
        "visited > count + 1",
    ),
    fault(
        "peer-sends-what-no-edge-sent",
        "balancer-common/src/agent.rs",
        "if !is_edge && !head.was_handed_on() {",
        "if !is_edge && head.count == 0 {",
    ),
    fault(
        "fast-path-from-anybody",
        "balancer-common/src/agent/fast_path.rs",
        "!outer.is_misplaced(&outer.source) && instance.is_edge(&outer.source)",
        "!outer.is_misplaced(&outer.source)",
    ),
    fault(
        "fast-path-longer-than-what-it-came-in",
        "balancer-common/src/agent/fast_path.rs",
        "|| outer_length + inner.length > outer.length",
        "|| outer_length > outer.length",
    ),
    fault(
        "fast-path-that-names-its-receiver",
        "balancer-common/src/agent/fast_path.rs",
        "== outer.destination",
        "== outer.source",
    ),
    fault(
        "inner-packet-for-anybody",
        "balancer-common/src/agent.rs",
        "inner.is_misplaced(&inner.destination) || !instance.is_vip(&inner.destination)",
        "inner.is_misplaced(&inner.destination)",
    ),
    fault(
        "fast-path-for-no-vip",
        "balancer-common/src/agent/fast_path.rs",
        "        || !instance.is_vip(&inner.destination)\n",
        "",
    ),
    fault(
        "alternates-taken-behind-options",
        "balancer-common/src/agent/second_chance.rs",
        "word.map(Head::is_ours)",
        "word.map(|_: u32| false)",
    ),
    fault(
        "receiver-as-the-third-alternate",
        "balancer-common/src/agent/second_chance.rs",
        "is_own(2)? && head.count > 2",
        "is_own(2)? && head.count > 3",
    ),
    fault(
        "quoted-later-fragment-taken-for-the-first",
        "balancer-common/src/icmp_error.rs",
        "quoted.later_fragment = high != 0 || low & 0xf8 != 0;",
        "quoted.later_fragment = high != 0 || low & 0xf0 != 0;",
    ),
    fault(
        "request-asked-for-the-acknowledged-number",
        "balancer-ebpf/src/sockets.rs",
        "acknowledged.map(|it| it.wrapping_sub(1))",
        "acknowledged",
    ),
    fault(
        "request-knows-any-number",
        "balancer-ebpf/src/sockets.rs",
        "if sequence == Some(sent) {",
        "if sequence.is_some() && sent != 0 {",
    ),
    fault(
        "any-cookie-taken",
        "balancer-ebpf/src/sockets.rs",
        "0 => Evidence::Known,",
        "..=0 => Evidence::Known,",
    ),
    fault(
        "no-cookie-known",
        "balancer-ebpf/src/sockets.rs",
        "BPF_TCP_LISTEN => socket.cookie(segment),",
        "BPF_TCP_LISTEN => Evidence::Nothing,",
    ),
    fault(
        "error-about-time-wait-kept",
        "balancer-ebpf/src/sockets.rs",
        "BPF_TCP_NEW_SYN_RECV => socket.request(Some(quote.sequence), snt_isn),
        BPF_TCP_TIME_WAIT => Evidence::Weak,",
        "BPF_TCP_NEW_SYN_RECV => socket.request(Some(quote.sequence), snt_isn),
        BPF_TCP_TIME_WAIT => Evidence::Known,",
    ),
    fault(
        "handed-on-unmarked-and-passed",
        "balancer-ebpf/src/bin/agent.rs",
        "(hand_on.reason, xdp_action::XDP_TX)",
        "verdict(hand_on.reason)",
    ),
    fault(
        "handed-on-in-the-wrong-place",
        "balancer-common/src/agent/hand_on.rs",
        "frame.write(Self::IPV4_HEAD + alternates::length(place, 4), own)",
        "frame.write(Self::IPV4_HEAD + alternates::length(place, 4), next)",
    ),
    fault(
        "congestion-not-told",
        "balancer-common/src/agent/congestion.rs",
        "(MET, CAPABLE_0 | CAPABLE_1) => MET,",
        "(MET, CAPABLE_0) => MET,",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::workspace;

    #[test]
    fn each_fault_has_its_place_and_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        for fault in FAULTS {
            assert!(names.insert(fault.name), "{} twice", fault.name);
            let text = fs::read_to_string(workspace::root().join(fault.file)).unwrap();
            let found = text.matches(fault.text).count();
            assert_eq!(found, 1, "{} in {}", fault.name, fault.file);
        }
        assert!(names.len() >= 20);
    }

    #[test]
    fn each_fault_is_one_line() {
        for fault in FAULTS {
            let (old, new): (Vec<&str>, Vec<&str>) = (
                fault.text.lines().collect(),
                fault.replacement.lines().collect(),
            );
            let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
            let behind = old[same..]
                .iter()
                .rev()
                .zip(new[same..].iter().rev())
                .take_while(|(a, b)| a == b)
                .count();
            assert!(old.len() - same - behind <= 1, "{}", fault.name);
            assert!(new.len() - same - behind <= 1, "{}", fault.name);
        }
    }
}
