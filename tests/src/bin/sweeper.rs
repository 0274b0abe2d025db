//! What a world starts to have its rest swept up when its owner is killed.

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// The process that the world belongs to
    owner: u32,
    /// The world's name
    world: String,
}

fn main() -> Result<()> {
    let Arguments { owner, world } = Arguments::parse();
    testbed::sweep(owner, &world)
}
