//! Addresses from the pool.

use super::*;

#[test]
fn a_vip_is_the_first_free_address_of_each_family() {
    let choose = |used: &[&str]| {
        let used = used.iter().map(|vip| vip.parse().unwrap()).collect();
        let vips = choose_vips(&fleet(FLEET), &used).unwrap();
        vips.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(choose(&[]), ["198.51.100.1", "2001:db8:100::1"]);
    assert_eq!(
        choose(&["198.51.100.1", "198.51.100.3", "2001:db8:100::1"]),
        ["198.51.100.2", "2001:db8:100::2"]
    );
    let only = |pool: &str| {
        let text = FLEET.replace("ipv4 = [\"198.51.100.0/28\"]", pool);
        fleet(&text.replace("ipv6 = [\"2001:db8:100::/64\"]", ""))
    };
    for (pool, count) in [
        ("ipv4 = [\"192.0.2.0/32\"]", 1),
        ("ipv4 = [\"192.0.2.0/31\"]", 2),
        ("ipv4 = [\"192.0.2.0/30\"]", 2),
        ("ipv4 = [\"192.0.2.4/32\", \"198.51.100.0/28\"]", 15),
        ("ipv6 = [\"2001:db8::/126\"]", 3),
        ("ipv6 = [\"2001:db8::/127\"]", 2),
    ] {
        let (fleet, mut used) = (only(pool), BTreeSet::new());
        while let Ok(vips) = choose_vips(&fleet, &used) {
            assert!(used.insert(vips[0]), "{vips:?} twice");
        }
        assert_eq!(used.len(), count, "{pool}");
    }
}

#[test]
fn a_pool_without_a_free_address_is_refused_with_its_line() {
    let error = |text: &str, used: &BTreeSet<IpAddr>| {
        choose_vips(&fleet(text), used).unwrap_err().to_string()
    };
    let none = FLEET
        .replace("ipv4 = [\"198.51.100.0/28\"]", "ipv4 = []")
        .replace("ipv6 = [\"2001:db8:100::/64\"]", "");
    assert_eq!(
        error(&none, &BTreeSet::new()),
        "fleet.toml:5: key `vip_pool`: a workload asks for an anycast address, and the pool has none; expected prefixes such as ipv4 = [\"198.51.100.0/28\"]"
    );
    let one = FLEET.replace("198.51.100.0/28", "198.51.100.7/32");
    let used = BTreeSet::from(["198.51.100.7".parse().unwrap()]);
    assert_eq!(
        error(&one, &used),
        "fleet.toml:5: key `vip_pool.ipv4`: all 1 addresses are in use; expected one more prefix"
    );
}
