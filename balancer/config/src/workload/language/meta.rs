//! What Terraform lets every resource have, whatever its provider.

use hcl_edit::{
    Span,
    structure::{Block, Structure},
};

use super::{eval::Scope, source::Source};
use crate::workload::Fate;

/// The names of these attributes and blocks; they are not evaluated.
pub(super) const META: [&str; 6] = [
    "depends_on",
    "provider",
    "lifecycle",
    "provisioner",
    "connection",
    "timeouts",
];

/// Notes or refuses each of them.
pub(super) fn arguments<'a>(scope: &Scope<'a>, source: &'a Source, resource: &'a Block) {
    for structure in &resource.body {
        let (key, span) = match structure {
            Structure::Attribute(attribute) => (attribute.key.as_str(), attribute.key.span()),
            Structure::Block(block) => (block.ident.as_str(), block.ident.span()),
        };
        let place = source.place(span);
        match (key, structure) {
            ("depends_on", _) => {
                let why = "workloads do not wait for each other";
                scope.findings.note(&place, key, Fate::Ignored, why);
            }
            ("provider", _) => {
                let why = "no provider of Terraform runs";
                scope.findings.note(&place, key, Fate::Ignored, why);
            }
            ("timeouts", _) => {
                let why = "`lbctl workload apply` has a timeout of its own";
                scope.findings.note(&place, key, Fate::Replaced, why);
            }
            ("lifecycle", Structure::Block(block)) => lifecycle(scope, source, block),
            ("provisioner" | "connection", _) => {
                let problem = "nothing is run on an instance but its containers";
                let expected = "an image that has what it needs";
                scope.findings.error(&place, key, problem, expected);
            }
            _ => {}
        }
    }
}

fn lifecycle<'a>(scope: &Scope<'a>, source: &'a Source, block: &'a Block) {
    for structure in &block.body {
        let (key, span) = match structure {
            Structure::Attribute(attribute) => (attribute.key.as_str(), attribute.key.span()),
            Structure::Block(block) => (block.ident.as_str(), block.ident.span()),
        };
        let place = source.place(span);
        let path = format!("lifecycle.{key}");
        let refuse = |problem: &str| {
            let expected = "a resource without it";
            scope
                .findings
                .error(&place, path.as_str(), problem, expected);
        };
        match (key, structure) {
            ("prevent_destroy", Structure::Attribute(attribute)) => {
                let value = scope.eval(source, &attribute.value);
                match value.as_bool() {
                    Some(false) => {
                        let why = "it is false, which is what happens anyhow";
                        scope.findings.note(&place, path, Fate::Ignored, why);
                    }
                    _ => refuse("the workload would be destroyed all the same"),
                }
            }
            ("create_before_destroy", _) => {
                let why = "instances are replaced a few at a time, in the site's own order";
                scope.findings.note(&place, path, Fate::Replaced, why);
            }
            ("ignore_changes", _) => refuse("a change would be made all the same"),
            ("replace_triggered_by", _) => refuse("nothing would be replaced"),
            ("precondition" | "postcondition", _) => refuse("conditions are not evaluated"),
            _ => refuse("there is no such attribute or block"),
        }
    }
}
