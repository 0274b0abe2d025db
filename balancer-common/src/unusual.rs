//! What an edge does with a frame that is none of the plain ones: the decision of the program `unusual`, as a pure
//! function. `balance` hands such frames on, so that they cost the others nothing.

use crate::{
    Frame, Reason,
    edge::{self, Choice, Tables},
    flow::HashKey,
    tags::{self, Tags},
};

/// Whether a reason that a frame met on the main path may not be the last word.
#[inline(always)]
pub fn is_unusual<F: Frame>(frame: F, reason: Reason) -> bool {
    match reason {
        Reason::NotIp => tags::is_tagged(frame, 0),
        _ => false,
    }
}

/// As [`edge::choose`], behind the frame's tags.
#[inline(always)]
pub fn choose<'a, F: Frame, T: Tables>(
    frame: F,
    tags: &Tags,
    tables: &'a T,
    key: &HashKey,
) -> Result<Choice<'a>, Reason> {
    edge::choose(frame.skip(tags.length), tables, key)
}
