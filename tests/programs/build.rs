//! Leaves the objects of the kernel programs `pass` and `bench` in `OUT_DIR`.

use balancer_programs::{Programs, build};

fn main() -> anyhow::Result<()> {
    build(Programs::Testbed)
}
