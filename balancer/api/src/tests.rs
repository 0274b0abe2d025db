//! Both ends of the interface over a socket, with a daemon that owns a state but no data plane.

mod answers;
mod bodies;
mod refusals;
mod routes;
mod taking;
mod tcp;
mod wire;
mod writers;
