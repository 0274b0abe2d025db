//! The kernel programs' objects, as `build.rs` left them.

use aya::include_bytes_aligned;

/// `balance` and its maps.
pub static EDGE_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/edge"));

/// `decap`, `clamp` and their maps.
pub static AGENT_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent"));

#[cfg(test)]
mod tests {
    use aya_obj::{Object, ProgramSection};

    use super::*;

    /// The XDP programs of an object, and whether they take frames with frags.
    fn programs(object: &[u8]) -> Vec<(String, bool)> {
        let parsed = Object::parse(object).unwrap();
        let of = parsed.programs.into_iter();
        let mut programs: Vec<_> = of
            .filter_map(|(name, program)| match program.section {
                ProgramSection::Xdp { frags, .. } => Some((name, frags)),
                _ => None,
            })
            .collect();
        programs.sort();
        programs
    }

    /// All or none: the kernel puts no two kinds into one map of programs.
    // Promise: E20
    #[test]
    fn every_xdp_program_takes_frames_with_frags() {
        for (object, names) in [
            (EDGE_OBJECT, &["balance", "balance_slow", "too_large"][..]),
            (AGENT_OBJECT, &["decap", "decap_slow"]),
        ] {
            let expected: Vec<_> = names.iter().map(|n| ((*n).to_owned(), true)).collect();
            assert_eq!(programs(object), expected);
        }
    }
}
