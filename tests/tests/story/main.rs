//! What takes minutes: the story from its beginning to its end, and applies that are killed. Run by
//! `cargo xtask test story`.

mod interrupted;
mod told;

use std::sync::RwLock;

/// The story compares the whole machine before and after: nothing else happens meanwhile.
static MACHINE: RwLock<()> = RwLock::new(());
