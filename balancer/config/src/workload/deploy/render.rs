//! The plan as people read it, in Terraform's manner.

use std::{fmt, net::IpAddr};

use super::{
    Action, Attribute, CityPlan, Plan, Vips, WorkloadPlan,
    attributes::{Change, attributes},
};
use crate::workload::Note;

/// What is not acted on, below the plan; nothing if everything is.
pub fn render_notes(notes: &[Note]) -> String {
    let lines: String = notes.iter().map(|note| format!("  {note}\n")).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("Not acted on:\n{lines}"),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "No changes. The sites run what the workload file says.");
        }
        for workload in &self.workloads {
            if workload.action != Action::Unchanged {
                writeln!(f, "{workload}")?;
            }
        }
        let counts = self.counts();
        write!(
            f,
            "Plan: {} to add, {} to change, {} to destroy.",
            counts.created, counts.changed, counts.destroyed
        )?;
        writeln!(
            f,
            " Instances: {} to start, {} to replace, {} to stop.",
            counts.started, counts.replaced, counts.stopped
        )
    }
}

impl fmt::Display for WorkloadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slug, resource, .. } = self;
        let what = match self.action {
            Action::Create => "will be created",
            Action::Change => "will be changed",
            Action::Destroy => "will be destroyed, each instance after it has drained",
            Action::Unchanged => "is unchanged",
        };
        writeln!(f, "# {slug} {what}")?;
        if self.interrupted {
            writeln!(f, "# (what was interrupted the last time is finished)")?;
        }
        let sign = self.action.sign();
        writeln!(
            f,
            "{sign} resource \"stackpath_compute_workload\" {resource:?} {{"
        )?;
        match (&self.wanted, self.action) {
            (Some(wanted), Action::Create) => {
                let attributes = attributes(wanted);
                let width = attributes.iter().map(|a| a.path.len()).max().unwrap_or(0);
                for Attribute { path, value, .. } in attributes {
                    writeln!(f, "    + {path:width$} = {value}")?;
                }
            }
            _ => {
                let width = self.changes.iter().map(|c| c.path.len()).max().unwrap_or(0);
                for change in &self.changes {
                    write_change(f, change, width)?;
                }
            }
        }
        write_vips(f, &self.vips)?;
        for city in &self.cities {
            write_city(f, city)?;
        }
        writeln!(f, "  }}")
    }
}

impl Action {
    /// How Terraform marks it.
    fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Change => "~",
            Self::Destroy => "-",
            Self::Unchanged => " ",
        }
    }
}

fn write_change(f: &mut fmt::Formatter<'_>, change: &Change, width: usize) -> fmt::Result {
    let Change { path, old, new, .. } = change;
    match (old, new) {
        (Some(old), Some(new)) => write!(f, "    ~ {path:width$} = {old} -> {new}")?,
        (None, Some(new)) => write!(f, "    + {path:width$} = {new}")?,
        (Some(old), None) => write!(f, "    - {path:width$} = {old} -> null")?,
        (None, None) => write!(f, "      {path}")?,
    }
    writeln!(
        f,
        "{}",
        if change.replaces {
            " # replaces instances"
        } else {
            ""
        }
    )
}

fn write_vips(f: &mut fmt::Formatter<'_>, vips: &Vips) -> fmt::Result {
    let list = |vips: &[IpAddr]| {
        let texts: Vec<String> = vips.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    match vips {
        Vips::None => Ok(()),
        Vips::Kept(vips) => writeln!(f, "      vips = {} (kept)", list(vips)),
        Vips::Chosen(vips) => writeln!(f, "    + vips = {} (from the pool)", list(vips)),
        Vips::Released(vips) => writeln!(f, "    - vips = {} (back to the pool)", list(vips)),
    }
}

fn write_city(f: &mut fmt::Formatter<'_>, plan: &CityPlan) -> fmt::Result {
    let sign = plan.action.sign();
    for (target, &(now, then)) in &plan.targets {
        write!(
            f,
            "    {sign} {}, target {:?}: ",
            plan.city,
            target.as_str()
        )?;
        match (now, then) {
            (0, then) => write!(f, "{}", instances(then))?,
            (now, 0) => write!(f, "{} -> none", instances(now))?,
            (now, then) if now == then => write!(f, "{}", instances(then))?,
            (now, then) => write!(f, "{now} -> {}", instances(then))?,
        }
        writeln!(f, "{}", if plan.replaces { ", replaced" } else { "" })?;
    }
    Ok(())
}

fn instances(count: u32) -> String {
    match count {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}
