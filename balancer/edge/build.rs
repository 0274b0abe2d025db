//! Leaves the objects of the kernel programs `edge` and `agent` in `OUT_DIR`: built here, or before.

use std::{env, path::Path};

use anyhow::{Context as _, Result};
use balancer_programs::{Programs, build, copy_prebuilt, prebuilt};

fn main() -> Result<()> {
    let Some(directory) = prebuilt() else {
        return build(Programs::Product);
    };
    let out_dir = env::var_os("OUT_DIR").context("cargo names no OUT_DIR")?;
    copy_prebuilt(&directory, &["edge", "agent"], Path::new(&out_dir))
}
