//! promtool, which one test asks about the metrics: unpacked into the cache, because the package
//! would start a Prometheus server on this machine.

use std::path::PathBuf;

use anyhow::Result;

use super::{packages, unpack::unpack};
use crate::cache;

/// The directory of promtool where it is on no `PATH` already.
pub(crate) fn find_or_unpack() -> Result<Option<PathBuf>> {
    if packages::is_command("promtool") {
        return Ok(None);
    }
    let root = cache::directory()?.join("prometheus");
    let directory = root.join("usr/bin");
    if !directory.join("promtool").is_file() {
        unpack(
            &root,
            &["prometheus"],
            "promtool, which a test of the metrics asks",
        )?;
    }
    Ok(Some(directory))
}
