//! A city's site: what it does next, what its instances run in, how many a load needs, and `lbd site`, which puts it together.

pub mod autoscale;
pub mod daemon;
pub mod runtime;
pub mod site;
