//! What every runtime of instances must do, asked of each of them.

mod bed;
mod contract;
mod vip;

use anyhow::Result;
use testbed::World;

use bed::Bed;

/// The same tests for both runtimes.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod docker {
            use super::{Bed, contract};
            $(#[test] fn $name() { contract::$name(&Bed::docker().expect("an engine")); })*
        }
        mod builtin {
            use super::{Bed, contract};
            $(#[test] fn $name() { contract::$name(&Bed::builtin().expect("a host")); })*
        }
    };
}

contract! {
    // Promise: R1
    a_launched_instance_is_found_and_answers,
    command_and_environment_are_the_containers_own,
    // Promise: R2
    requests_become_limits,
    // Promise: R3
    an_ended_instance_is_seen_with_its_code_and_restarted,
    // Promise: R3
    logs_are_followed_across_a_restart,
    // Promise: R2
    cpu_time_grows_with_work,
    // Promise: R5
    removal_leaves_nothing_and_may_be_repeated,
    // Promise: R1
    a_new_daemon_finds_everything_again,
    // Promise: R4
    an_interrupted_launch_is_made_whole_by_the_next,
    containers_of_an_instance_share_its_network,
    // Promise: R4
    what_cannot_run_is_named_and_leaves_nothing,
    // Promise: R4
    another_specification_does_not_take_a_name,
    an_instance_takes_a_native_program,
    the_gateway_keeps_its_mac_when_instances_come_and_go,
    // Promise: R5
    an_instance_holds_nothing_that_its_daemon_inherited,
}

// Promise: R6
#[test]
fn containers_answer_and_are_uploaded_to_by_their_vip() -> Result<()> {
    let world = World::new()?;
    let (topology, host) = vip::connect(&world)?;
    vip::instances_answer_and_are_uploaded_to_by_their_vip(&Bed::docker_on(world, host)?, topology)
}

// Promise: R6
#[test]
fn processes_answer_and_are_uploaded_to_by_their_vip() -> Result<()> {
    let world = World::new()?;
    let (topology, host) = vip::connect(&world)?;
    vip::instances_answer_and_are_uploaded_to_by_their_vip(&Bed::builtin_on(world, host)?, topology)
}
