//! Telling whether a file declares other services than the last time.

use balancer_core::model::Service;

/// A digest of a set of services: FNV-1a of 64 bits over their canonical JSON, sorted by name, in 16
/// hexadecimal digits.
///
/// Comments, order and values that equal their defaults make no difference.
pub fn services_digest(services: &[Service]) -> String {
    let mut sorted: Vec<&Service> = services.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let json = serde_json::to_vec(&sorted).expect("services have string keys and no foreign types");
    format!("{:016x}", fnv1a(&json))
}

/// FNV-1a of 64 bits.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a_of_64_bits() {
        // The test vectors of the reference.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
