//! The kernel programs' objects, as `build.rs` left them, and what is taken out of them.

use std::os::fd::{AsFd, OwnedFd};

use aya::{
    Ebpf, include_bytes_aligned,
    maps::{Map, MapError},
    programs::Xdp,
};

use super::error::{DataplaneError, kernel};

/// `balance` and its maps.
pub static EDGE_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/edge"));

/// `decap`, `clamp` and their maps.
pub static AGENT_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent"));

/// A program of the object. A prebuilt object of another version may lack it.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DataplaneError> {
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| DataplaneError::Kernel {
            doing: "use a program",
            message: format!(
                "the kernel object that lbd was built with has no `{name}`: build both from the same version"
            ),
        })?;
    program.try_into().map_err(kernel("use a program"))
}

/// Takes a map out of the object.
pub(super) fn map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, DataplaneError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).expect("the object has its maps");
    M::try_from(map).map_err(kernel("use a map"))
}

/// A descriptor of one of the object's arrays.
pub(super) fn fd(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, DataplaneError> {
    let (Map::Array(map) | Map::PerCpuArray(map) | Map::ArrayOfMaps(map)) =
        ebpf.take_map(name).expect("the object has its maps")
    else {
        unreachable!("{name} is an array");
    };
    map.fd()
        .as_fd()
        .try_clone_to_owned()
        .map_err(kernel("use a map"))
}

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
