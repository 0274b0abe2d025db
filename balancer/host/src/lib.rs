//! What every daemon needs of its host: network namespaces, health checks, a state directory with a state file and a journal in
//! it, the clock, signals and exit codes.

pub mod clock;
pub mod exit_code;
pub mod health;
pub mod journal;
pub mod netns;
pub mod signals;
pub mod state_dir;
pub mod store;
