//! Reading a workload file: Terraform's language, as a provider `stackpath` would be told.
//!
//! Read are literals, lists, maps, string templates, heredocs, comments, `var.NAME`, and attributes of other
//! resources. Functions, operators, conditionals, `for`, `count`, `for_each`, `dynamic`, modules, data sources and local
//! values are refused. Whatever is valid and not acted on has a [`Note`](crate::workload::Note). The language:
//! <https://developer.hashicorp.com/terraform/language/syntax/configuration>; the resource is the provider's
//! `stackpath_compute_workload`.

mod blocks;
mod container;
mod eval;
mod findings;
mod meta;
mod names;
mod nearest;
mod outputs;
mod probe;
mod quotes;
mod resource;
mod section;
mod source;
mod target;
mod types;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hcl_edit::Span;

pub use outputs::{Output, OutputValue};
pub use source::SourceFile;
pub use variables::{Input, automatic_files};

use self::{eval::Scope, findings::Findings, names::Names, source::Source};
use super::{Note, Place, Warning, Workload, WorkloadError, WorkloadErrors, rules};

/// The type of the one resource that we make.
pub(super) const RESOURCE: &str = "stackpath_compute_workload";

/// What a set of workload files declares.
#[derive(Clone, Debug)]
pub struct Declarations {
    /// The workloads, in the order of the files.
    pub workloads: Vec<Declared>,
    /// What is shown after apply.
    pub outputs: Vec<Output>,
    /// What is accepted, and should be put right.
    pub warnings: Vec<Warning>,
    /// What is not acted on.
    pub notes: Vec<Note>,
}

/// A workload, and where its parts are in the file.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The name of its resource.
    pub resource: String,
    /// What it is.
    pub workload: Workload,
    place: Place,
    places: BTreeMap<String, Place>,
}

/// Reads workload files, and gives variables their values: of `inputs` the last wins.
///
/// # Errors
///
/// When a file or an input is not in the language, a value is bad, or the workloads break a rule. Every error that one
/// pass finds is among them.
pub fn read(
    files: &[SourceFile<'_>],
    inputs: &[Input<'_>],
) -> Result<Declarations, WorkloadErrors> {
    let findings = Findings::default();
    let sources: Vec<Source> = files
        .iter()
        .filter_map(|file| Source::parse(*file, &findings))
        .collect();
    let blocks = blocks::sort(&sources, &findings);
    let mut variables = blocks.variables;
    variables::assign_all(&mut variables, inputs, &findings);
    let scope = Scope::new(&findings, Names::new(variables, blocks.resources));

    blocks::settings(&scope, &blocks.settings);
    let mut workloads = Vec::new();
    for (name, source, block) in blocks.workloads {
        let workload = resource::workload(&scope, name, source, block);
        if workload.is_none() && findings.are_clean() {
            let place = source.place(block.ident.span());
            let problem = format!("{name:?} cannot be read");
            findings.error(&place, "resource", problem, "a whole workload");
        }
        workloads.extend(workload);
    }
    let outputs = outputs::outputs(&scope, &blocks.outputs);
    if findings.are_clean() {
        // Fields that could not be read would break rules, too.
        for broken in rules::check(workloads.iter().map(|declared| &declared.workload)) {
            if let Some(declared) = workloads.get(broken.workload) {
                let place = declared.place(&broken.path);
                findings.error(place, broken.path.as_str(), broken.problem, broken.expected);
            }
        }
    }
    let (warnings, notes) = findings.into_result()?;
    Ok(Declarations {
        workloads,
        outputs,
        warnings,
        notes,
    })
}

impl Declared {
    /// Where a part of it is in the file, such as `container[0].image`; the next part around it if it is not there.
    pub fn place(&self, path: &str) -> &Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return &self.place,
            }
        }
    }

    /// An error about a part of it, for what shows only when it is compared with the world.
    pub fn error(
        &self,
        path: &str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> WorkloadError {
        WorkloadError {
            place: self.place(path).clone(),
            path: path.to_owned(),
            problem: problem.into(),
            expected: expected.into(),
        }
    }
}
