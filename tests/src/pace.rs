//! How fast this machine is: in an emulated guest everything takes longer, and deadlines and rates have to know.

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

/// What says how many times slower than usual; `cargo xtask test --kernels` sets it in emulated guests.
const VARIABLE: &str = "BALANCER_SLOWNESS";

/// A deadline that is met on a usual machine, as it is met on this one.
pub fn patient(deadline: Duration) -> Duration {
    deadline * slowness()
}

/// How many a second this machine can be asked for, where a usual one can be asked for `rate`.
pub(crate) fn rate_of(rate: u32) -> u32 {
    (rate / slowness()).max(1)
}

/// 1, unless the environment says otherwise.
pub(crate) fn slowness() -> u32 {
    static SLOWNESS: OnceLock<u32> = OnceLock::new();
    *SLOWNESS.get_or_init(|| {
        let said = env::var(VARIABLE).ok();
        match said.as_deref().map(str::parse) {
            None => 1,
            Some(Ok(times)) if times > 0 => times,
            Some(_) => panic!("{VARIABLE} is no number of times: {said:?}"),
        }
    })
}
