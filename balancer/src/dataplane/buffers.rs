//! Frames of several buffers: programs say in their section's name that they take them, and a kernel that does not know
//! of them refuses such a program.

use std::borrow::Cow;

use super::release;

/// The name of the section of a program that takes such frames, as the object's table of names has it.
const SEVERAL: &[u8] = b"xdp.frags\0";
/// What it becomes: the name ends early.
const ONE: &[u8] = b"xdp\0rags\0";

/// What programs are loaded with.
pub(super) struct Object {
    pub(super) bytes: Cow<'static, [u8]>,
    /// The value of the programs' constant of the same name.
    pub(super) several_buffers: u32,
}

impl Object {
    /// The object as the running kernel takes it.
    pub(super) fn for_this_kernel(bytes: &'static [u8]) -> Self {
        Self::new(bytes, release::has_several_buffers())
    }

    fn new(bytes: &'static [u8], several: bool) -> Self {
        Self {
            bytes: match several {
                true => bytes.into(),
                false => without(bytes).into(),
            },
            several_buffers: several.into(),
        }
    }
}

/// The object with every section of programs that take one buffer alone.
fn without(object: &[u8]) -> Vec<u8> {
    let mut object = object.to_vec();
    let mut at = 0;
    while let Some(found) = object[at..]
        .windows(SEVERAL.len())
        .position(|w| w == SEVERAL)
    {
        at += found;
        object[at..at + ONE.len()].copy_from_slice(ONE);
    }
    object
}

#[cfg(test)]
mod tests {
    use aya_obj::{Object as Parsed, ProgramSection};

    use super::{super::object, *};

    /// The XDP programs of an object, and whether they take frames of several buffers.
    fn programs(object: &[u8]) -> Vec<(String, bool)> {
        let parsed = Parsed::parse(object).unwrap();
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

    // Promise: E20
    #[test]
    fn programs_take_several_buffers_where_the_kernel_knows_of_them() {
        for (bytes, names) in [
            (
                object::EDGE_OBJECT,
                &["balance", "too_large", "unusual"][..],
            ),
            (object::AGENT_OBJECT, &["decap", "thorough"]),
        ] {
            for several in [true, false] {
                let object = Object::new(bytes, several);
                let expected: Vec<_> = names.iter().map(|n| ((*n).to_owned(), several)).collect();
                assert_eq!(programs(&object.bytes), expected);
                assert_eq!(object.several_buffers, u32::from(several));
            }
        }
    }
}
