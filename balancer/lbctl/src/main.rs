//! The operator's tool; see `lbctl --help`.

use std::{
    io::{stderr, stdout},
    process::ExitCode,
};

fn main() -> ExitCode {
    ExitCode::from(balancer_lbctl::run(
        std::env::args_os(),
        &mut stdout(),
        &mut stderr(),
    ))
}
