//! Network namespaces, packets and processes for the integration tests and the demo.
//!
//! A [`World`] is a private place to make namespaces in; a [`Topology`] is client, router, edge and
//! instances inside it; [`Edge`], [`Agent`] and [`lbctl`](Edge::lbctl) are the real programs run there;
//! a [`Site`] is all of these with one [`Workload`] on it.

pub mod bgp;
mod capture;
mod cities;
mod classifiers;
mod connection;
mod control;
mod deployment;
mod engine;
mod fleet;
mod interrupt;
mod lb;
mod load;
mod maps;
mod memory;
mod namespace;
mod pace;
mod ping;
mod ports;
mod process;
mod programs;
mod site;
mod site_daemon;
mod sweep;
mod topology;
mod traces;
mod trunk;
mod wait;
mod wire;
mod wiring;
mod workload;
mod world;
mod xdp;

pub use capture::Capture;
pub use cities::{Cities, City};
pub use classifiers::classifiers;
pub use connection::Connection;
pub use control::{Reply, lbd, lbd_as};
pub use deployment::{Deployment, workload_directory};
pub use engine::{Engine, find, image_context};
pub use fleet::{Fleet, Runs, Staffed};
pub use lb::{Agent, Edge, EdgeOptions, Guard};
pub use load::{Load, Request, Running};
pub use maps::MapContents;
pub use memory::MapBytes;
pub use namespace::Namespace;
pub use pace::patient;
pub use ping::ping;
pub use ports::ask_from_ports;
pub use process::Process;
pub use programs::program;
pub use site::Site;
pub use site_daemon::SiteDaemon;
pub use sweep::{CGROUPS, sweep};
pub use topology::{Instance, Topology};
pub use traces::Traces;
pub use trunk::Trunk;
pub use wait::wait_for;
pub use wire::Wire;
pub use workload::{Protocol, Workload};
pub use world::{Record, World};
pub use xdp::{assert_native_xdp, attach_pass};
