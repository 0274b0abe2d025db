//! What takes minutes: the story from its beginning to its end, and applies that are killed. Run by
//! `cargo xtask test story`.

mod interrupted;
mod told;

use std::sync::RwLock;

/// The story takes its time, and its figures are of a machine that does nothing else: nothing happens meanwhile.
static MACHINE: RwLock<()> = RwLock::new(());
