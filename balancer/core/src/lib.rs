//! What decides: pure functions from values to values. No clock, no I/O, no runtime; time is an argument.

pub mod model;
pub mod reconcile;
pub mod state;
pub mod table;
