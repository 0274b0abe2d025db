//! Who hands on, who delivers, and what is refused.

use super::*;

/// An instance of whose flows everything is known; its peers are 10.1.0.0/24 and fd00:1::/64.
struct Asked(Evidence);

const EDGE: u8 = 2;

impl Instance<&[u8]> for Asked {
    fn is_edge(&self, source: &Address) -> bool {
        Serving.is_edge(source)
    }

    fn is_peer(&self, address: &Address) -> bool {
        let octets = address.octets();
        octets[12..15] == [10, 1, 0] || octets[..8] == sample::EDGE_V6[..8]
    }

    fn is_vip(&self, address: &Address) -> bool {
        is_sample_vip(address)
    }

    fn knows(&self, segment: &Segment<&[u8]>) -> Evidence {
        assert_eq!(segment.packet[0] >> 4, if segment.ipv4 { 4 } else { 6 });
        assert_eq!(segment.segment.read(0), Some(segment.ports));
        let header = match segment.ipv4 {
            true => parse::ipv4(segment.packet, 0),
            false => parse::ipv6(segment.packet, 0),
        };
        let header = header.expect("it was read");
        let segment_at = segment.packet.len() - segment.segment.len();
        assert_eq!((header.protocol, header.fragment), (6, false));
        assert_eq!(segment_at, header.header_length);
        assert!(segment_at + 20 <= header.length);
        self.0
    }

    fn knows_quoted(&self, quote: &Quote) -> Evidence {
        assert!(is_sample_vip(&quote.flow.destination));
        assert_eq!(quote.ipv4, quote.flow.source.is_ipv4());
        self.0
    }
}

/// An address of the fabric, as it stands in an outer header.
fn host(ipv4: bool, host: u8) -> Vec<u8> {
    let mut long = sample::BACKEND_V6.to_vec();
    long[15] = host;
    match ipv4 {
        true => vec![10, 1, 0, host],
        false => long,
    }
}

/// The backend that the samples are sent to.
fn own(ipv4: bool) -> u8 {
    if ipv4 { 11 } else { 0x11 }
}

/// A frame from `source` with a private word and alternates behind it.
fn frame(ipv4: bool, inner: &[u8], source: u8, head: [u8; 4], alternates: &[u8]) -> Vec<u8> {
    let (mut frame, gue, checksum) = match ipv4 {
        true => (sample::in_gue_ipv4(inner), 42, 40),
        false => (sample::in_gue_ipv6(inner), 62, 60),
    };
    let mut private = head.to_vec();
    for alternate in alternates {
        private.extend(host(ipv4, *alternate));
    }
    let added = private.len() as u16;
    frame[gue] = (added / 4) as u8;
    frame.splice(gue + 4..gue + 4, private);
    let frame = put(frame, checksum, &[0, 0]);
    let frame = match ipv4 {
        true => put(frame, 26, &host(ipv4, source)),
        false => put(frame, 22, &host(ipv4, source)),
    };
    // UDP's length and IP's.
    [(checksum - 2), if ipv4 { 16 } else { 18 }]
        .into_iter()
        .fold(frame, |frame, at| {
            let length = u16::from_be_bytes([frame[at], frame[at + 1]]) + added;
            put(frame, at, &length.to_be_bytes())
        })
}

/// What becomes of a frame, and the last bytes of destination and alternates when it goes on.
fn fate(ipv4: bool, evidence: Evidence, frame: &[u8]) -> Result<(Reason, Vec<u8>), Reason> {
    let fate = open(frame, &Asked(evidence));
    if let Some(opened) = open_fast(frame, &Asked(evidence)) {
        assert_eq!(fate, Ok(Fate::Opened(opened)), "{frame:02x?}");
    }
    match fate? {
        Fate::Opened(opened) => Ok((opened.reason, Vec::new())),
        Fate::HandedOn(hand_on) => {
            let mut frame = frame.to_vec();
            let (head, address) = match ipv4 {
                true => {
                    hand_on.write_ipv4(&mut frame[..]);
                    assert!(frame[26..30] == host(ipv4, own(ipv4)));
                    (HandOn::IPV4_HEAD, 30..34)
                }
                false => {
                    hand_on.write_ipv6(&mut frame[..]);
                    assert!(frame[22..38] == host(ipv4, own(ipv4)));
                    (HandOn::IPV6_HEAD, 38..54)
                }
            };
            let mut said = vec![frame[address.end - 1]];
            said.extend(&frame[head..head + 4]);
            for place in 1..=usize::from(frame[head + 1]) {
                said.push(frame[head + 3 + place * address.len()]);
            }
            Ok((hand_on.reason, said))
        }
    }
}

fn each(test: impl Fn(bool, &[u8])) {
    for ipv4 in [true, false] {
        for inner in [sample::tcp_v4(), sample::tcp_v6()] {
            test(ipv4, &inner);
        }
    }
}

#[test]
fn a_flow_that_is_known_stays() {
    each(|ipv4, inner| {
        let first = frame(ipv4, inner, EDGE, [1, 2, 0, 0], &[21, 22]);
        let met = fate(ipv4, Evidence::Known, &first);
        assert_eq!(met, Ok((Reason::Decapsulated, vec![])));
        let later = frame(ipv4, inner, 20, [1, 2, 1, 0], &[20, 22]);
        let met = fate(ipv4, Evidence::Known, &later);
        assert_eq!(met, Ok((Reason::SecondChance, vec![])));
    });
}

#[test]
fn a_segment_of_a_connection_takes_the_fast_path_with_any_alternates() {
    each(|ipv4, inner| {
        for count in 1..=3 {
            let alternates = [21, 22, 23];
            let frame = frame(
                ipv4,
                inner,
                EDGE,
                [1, count, 0, 0],
                &alternates[..count.into()],
            );
            assert!(open_fast(&frame[..], &Asked(Evidence::Known)).is_some());
            assert_eq!(open_fast(&frame[..], &Asked(Evidence::Weak)), None);
            assert_eq!(open_fast(&frame[..], &Asked(Evidence::Nothing)), None);
        }
    });
}

/// What takes the fast path is decided twice, and must be decided alike: `fate` compares.
// Promise: E22
#[test]
fn whatever_is_altered_in_a_packet_of_the_fast_path_it_meets_the_same_fate() {
    let altered = |ipv4, whole: Vec<u8>| {
        let mut still_fast = 0;
        for at in 0..whole.len().min(130) {
            for value in 0..=255 {
                let frame = put(whole.clone(), at, &[value]);
                let met = fate(ipv4, Evidence::Known, &frame);
                still_fast += usize::from(met == Ok((Reason::Decapsulated, vec![])));
            }
            let _ = fate(ipv4, Evidence::Known, &whole[..at]);
        }
        assert!(still_fast > 1_000, "hardly any was opened: {still_fast}");
    };
    each(|ipv4, inner| {
        for count in 1..=3 {
            let alternates = [21, 22, 23];
            altered(
                ipv4,
                frame(
                    ipv4,
                    inner,
                    EDGE,
                    [1, count, 0, 0],
                    &alternates[..count.into()],
                ),
            );
        }
    });
    for (frame, ..) in encapsulated() {
        altered(frame[12] == 8, frame);
    }
}

/// From one to the next, each leaves its own address in the place of the one that it sends to.
#[test]
fn a_flow_that_nobody_knows_visits_each_alternate_once_and_returns() {
    each(|ipv4, inner| {
        let own = own(ipv4);
        let step = |source, head, alternates: &[u8]| {
            let frame = frame(ipv4, inner, source, head, alternates);
            fate(ipv4, Evidence::Nothing, &frame).unwrap()
        };
        let (reason, said) = step(EDGE, [1, 3, 0, 0], &[21, 22, 23]);
        assert_eq!(reason, Reason::HandedOn);
        assert_eq!(said, [21, 1, 3, 1, 0, own, 22, 23]);
        let (reason, said) = step(20, [1, 3, 1, 0], &[20, 22, 23]);
        assert_eq!(reason, Reason::HandedOn);
        assert_eq!(said, [22, 1, 3, 2, 0, 20, own, 23]);
        let (reason, said) = step(21, [1, 3, 2, 0], &[20, 21, 23]);
        assert_eq!(reason, Reason::HandedOn);
        assert_eq!(said, [23, 1, 3, 3, 0, 20, 21, own]);
        let (reason, said) = step(22, [1, 3, 3, 0], &[20, 21, 22]);
        assert_eq!(reason, Reason::ReturnedHome);
        assert_eq!(said, [20, 1, 3, 3, 1, 20, 21, 22]);
        let (reason, said) = step(22, [1, 3, 3, 1], &[own, 20, 21]);
        assert_eq!(reason, Reason::NoAlternateLeft);
        assert_eq!(said, []);
    });
}

// Promise: M3
#[test]
fn weak_evidence_gives_way_and_is_come_back_to() {
    each(|ipv4, inner| {
        let own = own(ipv4);
        let step = |source, head, alternates: &[u8]| {
            let frame = frame(ipv4, inner, source, head, alternates);
            fate(ipv4, Evidence::Weak, &frame).unwrap()
        };
        // The first one's is remembered, and no later one's.
        let (reason, said) = step(EDGE, [1, 2, 0, 0], &[21, 22]);
        assert_eq!(reason, Reason::HandedOn);
        assert_eq!(said, [21, 1, 2, 1, 0b0010, own, 22]);
        let (_, said) = step(20, [1, 2, 1, 0b0010], &[20, 22]);
        assert_eq!(said, [22, 1, 2, 2, 0b0010, 20, own]);
        let (_, said) = step(20, [1, 2, 1, 0], &[20, 22]);
        assert_eq!(said, [22, 1, 2, 2, 0b0110, 20, own]);
        // The last one keeps what nobody before had evidence of, and returns the rest.
        let (reason, _) = step(21, [1, 2, 2, 0], &[20, 21]);
        assert_eq!(reason, Reason::NoAlternateLeft);
        let (reason, said) = step(21, [1, 2, 2, 0b0110], &[20, 21]);
        assert_eq!(reason, Reason::ReturnedHome);
        assert_eq!(said, [21, 1, 2, 2, 0b0111, 20, 21]);
    });
}

#[test]
fn an_alternate_that_is_no_peer_is_none() {
    each(|ipv4, inner| {
        let mut frame = frame(ipv4, inner, EDGE, [1, 1, 0, 0], &[21]);
        let at = if ipv4 {
            HandOn::IPV4_HEAD
        } else {
            HandOn::IPV6_HEAD
        } + 4;
        frame[at] = 0x20;
        let met = fate(ipv4, Evidence::Nothing, &frame);
        assert_eq!(met, Ok((Reason::NoAlternateLeft, vec![])));
    });
}

#[test]
fn what_is_no_segment_of_a_connection_is_delivered_without_a_question() {
    let syn = |frame: Vec<u8>, at| put(frame, at, &[0x02]);
    let fragment = put(sample::tcp_v4(), 20, &[0x20, 0]);
    let stump = put(sample::tcp_v4(), 16, &[0, 39]);
    for ipv4 in [true, false] {
        for inner in [
            sample::udp_v4(),
            sample::udp_v6(),
            syn(sample::tcp_v4(), 47),
            syn(sample::tcp_v6(), 67),
            fragment.clone(),
            stump.clone(),
        ] {
            let frame = frame(ipv4, &inner, EDGE, [1, 1, 0, 0], &[21]);
            let met = fate(ipv4, Evidence::Nothing, &frame);
            assert_eq!(met, Ok((Reason::Decapsulated, vec![])), "{inner:02x?}");
        }
    }
}

#[test]
fn alternates_that_lie_are_refused() {
    each(|ipv4, inner| {
        let own = own(ipv4);
        for (head, alternates) in [
            ([1, 0, 0, 0], vec![]),
            ([1, 0, 0, 0], vec![21]),
            ([1, 4, 0, 0], vec![21, 22, 23, 24]),
            ([1, 2, 3, 0], vec![21, 22]),
            ([1, 1, 0, 0], vec![21, 22]),
            ([1, 3, 0, 0], vec![21, 22]),
            ([1, 1, 0, 0x80], vec![21]),
            ([1, 3, 1, 0b0110], vec![21, 22, 23]),
            // Themselves.
            ([1, 1, 0, 0], vec![own]),
            ([1, 3, 0, 0], vec![21, 22, own]),
            ([1, 3, 2, 0], vec![21, own, 22]),
        ] {
            let frame = frame(ipv4, inner, EDGE, head, &alternates);
            let met = fate(ipv4, Evidence::Nothing, &frame);
            assert_eq!(met, Err(Reason::BadAlternates), "{head:?} {alternates:?}");
        }
    });
}

#[test]
fn private_data_of_another_form_is_skipped() {
    each(|ipv4, inner| {
        let frame = frame(ipv4, inner, EDGE, [2, 1, 0, 0], &[21]);
        let met = fate(ipv4, Evidence::Nothing, &frame);
        assert_eq!(met, Ok((Reason::Decapsulated, vec![])));
    });
}

#[test]
fn a_peer_sends_only_what_was_handed_on() {
    each(|ipv4, inner| {
        let from = |head, alternates: &[u8]| {
            let frame = frame(ipv4, inner, 20, head, alternates);
            fate(ipv4, Evidence::Known, &frame).map(|(reason, _)| reason)
        };
        assert_eq!(from([1, 2, 0, 0], &[21, 22]), Err(Reason::SourceNotAllowed));
        assert_eq!(from([2, 2, 1, 0], &[20, 22]), Err(Reason::SourceNotAllowed));
        assert_eq!(from([1, 2, 1, 0], &[20, 22]), Ok(Reason::SecondChance));
    });
    let plain = put(sample::in_ipv4(&sample::tcp_v4()), 26, &[10, 1, 0, 20]);
    assert_eq!(
        open(&plain[..], &Asked(Evidence::Known)),
        Err(Reason::SourceNotAllowed)
    );
}

#[test]
fn a_frame_that_is_cut_short_with_alternates_is_never_opened() {
    each(|ipv4, inner| {
        let whole = frame(ipv4, inner, EDGE, [1, 3, 0, 0], &[21, 22, 23]);
        for length in 0..whole.len() {
            let met = fate(ipv4, Evidence::Nothing, &whole[..length]);
            assert!(met.is_err(), "{length} of {} bytes", whole.len());
        }
    });
}
