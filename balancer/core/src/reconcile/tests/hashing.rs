//! How services hash, in plans.

use super::*;

#[test]
fn another_hash_is_one_step() {
    let state = |hash| {
        let mut web = service("web", 10, false, &[1]);
        web.hash = hash;
        edge(&[web])
    };
    let of = |hash| plan(&state(hash), &up(&[]), &hops(&[1]));
    let (before, after) = (of(HashPolicy::Flow), of(HashPolicy::Source));
    let (&key, &record) = after.services.first_key_value().unwrap();
    assert_eq!(record.hash, HashPolicy::Source);
    assert_eq!(steps(&before, &after), [Step::PutService(key, record)]);
}

#[test]
fn fragments_without_ports_go_to_a_vips_only_service_of_their_protocol_if_it_hashes_by_source() {
    let record = |id, hash| ServiceRecord {
        id: ServiceId(id),
        hash,
    };
    let key = |last, port, protocol| ServiceKey {
        vip: IpAddr::from([198, 51, 100, last]),
        port,
        protocol,
    };
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let services = BTreeMap::from([
        (key(10, 53, udp), record(0, HashPolicy::Source)),
        (key(10, 53, tcp), record(1, HashPolicy::Flow)),
        (key(11, 53, udp), record(2, HashPolicy::Source)),
        (key(11, 54, udp), record(3, HashPolicy::Source)),
        (key(11, 53, tcp), record(4, HashPolicy::Source)),
    ]);
    let port =
        |last, protocol| only_by_source(&services, IpAddr::from([198, 51, 100, last]), protocol);
    assert_eq!((port(10, udp), port(10, tcp)), (Some(53), None));
    assert_eq!((port(11, udp), port(11, tcp)), (None, Some(53)));
    assert_eq!((port(12, udp), port(12, tcp)), (None, None));
}
