//! For build scripts: leaves objects of the kernel programs in `OUT_DIR`.
//!
//! [`build`] builds them with the toolchain that `cargo xtask setup` has chosen; [`copy_prebuilt`] takes those that somebody has
//! built before.

mod build;
mod prebuilt;

pub use build::{Programs, build};
pub use prebuilt::{copy_prebuilt, prebuilt};
