//! For tests, also of other crates: a daemon that owns a state but no data plane, and what it shows.

#![allow(
    missing_docs,
    reason = "the names of samples say what they are, and tests alone read them"
)]

pub mod daemon;
pub mod samples;
