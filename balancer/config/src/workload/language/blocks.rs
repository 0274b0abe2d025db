//! The blocks that a file consists of.

use std::collections::BTreeMap;

use hcl_edit::{
    Span,
    structure::{Block, Body, Structure},
};

use super::{
    RESOURCE,
    eval::Scope,
    findings::Findings,
    nearest::nearest,
    source::Source,
    variables::{self, Variable},
};
use crate::workload::{Fate, Place};

/// A block, and the file that it is in.
pub(super) type Placed<'a> = (&'a Source, &'a Block);

/// The blocks of a set of files, by what they are.
#[derive(Default)]
pub(super) struct Blocks<'a> {
    pub(super) variables: BTreeMap<String, Variable>,
    /// By name, for references.
    pub(super) resources: BTreeMap<String, (&'a Source, &'a Body)>,
    /// In their order.
    pub(super) workloads: Vec<(&'a str, &'a Source, &'a Block)>,
    pub(super) outputs: Vec<(&'a str, &'a Source, &'a Block)>,
    /// `terraform` and `provider`.
    pub(super) settings: Vec<Placed<'a>>,
}

const KNOWN: [&str; 5] = ["terraform", "variable", "provider", "output", "resource"];

/// Sorts the blocks of files.
pub(super) fn sort<'a>(sources: &'a [Source], findings: &Findings) -> Blocks<'a> {
    let mut blocks = Blocks::default();
    let mut seen: BTreeMap<(&str, &str), Place> = BTreeMap::new();
    for source in sources {
        for structure in &source.body {
            let block = match structure {
                Structure::Block(block) => block,
                Structure::Attribute(attribute) => {
                    let place = source.place(attribute.key.span());
                    let problem = "it stands outside of every block";
                    findings.error(&place, attribute.key.as_str(), problem, "it in a block");
                    continue;
                }
            };
            let kind = block.ident.as_str();
            let place = source.place(block.ident.span());
            let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
            let name = match (kind, labels.as_slice()) {
                ("terraform", []) => {
                    blocks.settings.push((source, block));
                    continue;
                }
                ("provider", [_]) => {
                    blocks.settings.push((source, block));
                    continue;
                }
                ("resource", [RESOURCE, name]) | ("variable" | "output", [name]) => *name,
                ("resource", [other, _]) => {
                    let at = source.place(block.labels.first().and_then(Span::span));
                    let problem = format!("a resource {other:?} cannot be made");
                    let expected = format!("only {RESOURCE:?}: this is no Terraform");
                    findings.error(&at, "resource", problem, expected);
                    continue;
                }
                _ => {
                    refuse(kind, &place, findings);
                    continue;
                }
            };
            if let Some(first) = seen.get(&(kind, name)) {
                let problem = format!("{name:?} is declared at {first} already");
                findings.error(&place, kind, problem, "each name once");
                continue;
            }
            seen.insert((kind, name), place);
            match kind {
                "variable" => {
                    let variable = variables::declare(source, block, findings);
                    blocks.variables.insert(name.to_owned(), variable);
                }
                "output" => blocks.outputs.push((name, source, block)),
                _ => {
                    let resource = (source, &block.body);
                    blocks.resources.insert(name.to_owned(), resource);
                    blocks.workloads.push((name, source, block));
                }
            }
        }
    }
    blocks
}

/// Says what is wrong with a block that is none of those that are read.
fn refuse(kind: &str, place: &Place, findings: &Findings) {
    let (problem, expected) = match kind {
        "terraform" => (
            "it has a label".to_owned(),
            "`terraform { ... }`".to_owned(),
        ),
        "variable" | "output" | "provider" => (
            "it has no name, or more than one".to_owned(),
            format!("`{kind} \"NAME\" {{ ... }}`"),
        ),
        "resource" => (
            "it needs a type and a name".to_owned(),
            format!("`resource \"{RESOURCE}\" \"NAME\" {{ ... }}`"),
        ),
        "module" => refused("modules are"),
        "data" => refused("data sources are"),
        "locals" => refused("local values are"),
        "moved" | "removed" | "import" | "check" | "ephemeral" | "action" => {
            refused("such blocks are")
        }
        _ => {
            let expected = match nearest(kind, KNOWN.into_iter()) {
                Some(near) => format!("`{near}`"),
                None => format!("only {}", KNOWN.join(", ")),
            };
            ("there is no such block".to_owned(), expected)
        }
    };
    findings.error(place, kind, problem, expected);
}

fn refused(what: &str) -> (String, String) {
    let problem = format!("{what} not supported: this is no Terraform, and reads only workloads");
    (problem, format!("only {}", KNOWN.join(", ")))
}

/// Notes what is not acted on of `terraform` and `provider` blocks.
pub(super) fn settings<'a>(scope: &Scope<'a>, blocks: &[Placed<'a>]) {
    // A credential need not be there, for it is not used.
    scope.needs_values.set(false);
    for &(source, block) in blocks {
        let provider = block.labels.first().map(|label| label.as_str());
        for structure in &block.body {
            let (key, span) = match structure {
                Structure::Attribute(attribute) => {
                    scope.eval(source, &attribute.value);
                    (attribute.key.as_str(), attribute.key.span())
                }
                Structure::Block(block) => (block.ident.as_str(), block.ident.span()),
            };
            let place = source.place(span);
            let path = match provider {
                Some(provider) => format!("provider.{provider}.{key}"),
                None => format!("terraform.{key}"),
            };
            match fate(provider, key) {
                Ok((fate, why)) => scope.findings.note(&place, path, fate, why),
                Err(expected) => {
                    let problem = "there is no such attribute or block";
                    scope.findings.error(&place, path, problem, expected);
                }
            }
        }
    }
    scope.needs_values.set(true);
}

/// What happens to an attribute of `terraform` or a provider; what there is, if it is none.
fn fate(provider: Option<&str>, key: &str) -> Result<(Fate, &'static str), String> {
    const STACKPATH: [&str; 8] = [
        "stack_id",
        "stack",
        "client_id",
        "client_secret",
        "access_token",
        "base_url",
        "alias",
        "version",
    ];
    const TERRAFORM: [&str; 6] = [
        "required_version",
        "required_providers",
        "backend",
        "cloud",
        "experiments",
        "provider_meta",
    ];
    let expected = |known: &[&str]| match nearest(key, known.iter().copied()) {
        Some(near) => format!("`{near}`"),
        None => format!("only {}", known.join(", ")),
    };
    match (provider, key) {
        (None, "backend" | "cloud") => Ok((
            Fate::Replaced,
            "the state is kept in balancer.state.json beside the workload file",
        )),
        (None, key) if TERRAFORM.contains(&key) => {
            Ok((Fate::Ignored, "neither Terraform nor a provider of it runs"))
        }
        (None, _) => Err(expected(&TERRAFORM)),
        (Some("stackpath"), "alias" | "version") => {
            Ok((Fate::Ignored, "no provider of Terraform runs"))
        }
        (Some("stackpath"), key) if STACKPATH.contains(&key) => Ok((
            Fate::Replaced,
            "the fleet file says which sites run the workloads, and how they are reached",
        )),
        (Some("stackpath"), _) => Err(expected(&STACKPATH)),
        (Some(_), _) => Ok((Fate::Ignored, "no resource of this provider can be made")),
    }
}
