//! From what is wanted to what has to be done: VIPs, differences, and the plan that people read.

mod attributes;
mod counts;
mod error;
mod plan;
mod record;
mod render;
mod vip;

#[cfg(test)]
mod tests;

pub use attributes::{Attribute, Change};
pub use counts::Counts;
pub use error::PlanError;
pub use plan::{
    Action, CityPlan, Plan, Reported, ReportedWorkload, SiteReport, Vips, WorkloadPlan, plan,
};
pub use record::{Operation, Record, RecordError, RecordedWorkload};
pub use render::render_notes;
pub use vip::choose_vips;
