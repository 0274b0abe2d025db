//! Variables: how they are declared, and where their values come from.

use std::collections::BTreeMap;

use hcl_edit::{
    Span,
    expr::Expression,
    structure::{Block, Structure},
};

use super::{
    eval::Scope,
    findings::Findings,
    names::Names,
    nearest::nearest,
    source::{Source, SourceFile},
    types::{TYPE, Type},
    value::{Kind, Value},
};
use crate::workload::{Fate, Place};

/// A value for a variable from outside of the workload file.
///
/// Terraform's order, weakest first: the environment, `terraform.tfvars`, `*.auto.tfvars` in the order of their names,
/// then `-var` and `-var-file` as they stand on the command line.
/// <https://developer.hashicorp.com/terraform/language/values/variables#variable-definition-precedence>
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// `TF_VAR_name=value`. A name that is not declared is none of ours.
    Environment {
        /// What follows `TF_VAR_`.
        name: &'a str,
        /// The value.
        value: &'a str,
    },
    /// A `.tfvars` file. A name that is not declared is a warning.
    Tfvars(SourceFile<'a>),
    /// `-var name=value`. A name that is not declared is an error.
    Flag {
        /// What stands before the first `=`.
        name: &'a str,
        /// What stands behind it.
        value: &'a str,
    },
}

/// Which of the files beside a workload file Terraform reads values from unasked, weakest first.
pub fn automatic_files<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const FIRST: &str = "terraform.tfvars";
    let mut files: Vec<&str> = names
        .into_iter()
        .filter(|name| *name == FIRST || name.ends_with(".auto.tfvars"))
        .collect();
    files.sort_by_key(|name| (*name != FIRST, *name));
    files
}

/// A variable of the workload file.
pub(super) struct Variable {
    /// Where it is declared.
    pub(super) place: Place,
    type_: Type,
    /// Whether it was declared with a type.
    typed: bool,
    pub(super) sensitive: bool,
    nullable: bool,
    pub(super) value: Option<Value>,
}

/// The variable that a block declares, with its default.
pub(super) fn declare(source: &Source, block: &Block, findings: &Findings) -> Variable {
    let mut variable = Variable {
        place: source.place(block.ident.span()),
        type_: Type::Any,
        typed: false,
        sensitive: false,
        nullable: true,
        value: None,
    };
    let scope = Scope::new(findings, Names::none("a variable's declaration"));
    let mut default = None;
    for structure in &block.body {
        let (key, span) = match structure {
            Structure::Attribute(attribute) => (attribute.key.as_str(), attribute.key.span()),
            Structure::Block(block) => (block.ident.as_str(), block.ident.span()),
        };
        let place = source.place(span);
        let flag = |value: &Value| {
            let flag = value.as_bool();
            if flag.is_none() {
                let problem = format!("it is {}", value.type_name());
                findings.error(&value.place, key, problem, "true or false");
            }
            flag
        };
        match (key, structure) {
            ("type", Structure::Attribute(attribute)) => match Type::read(&attribute.value) {
                Some(type_) => (variable.type_, variable.typed) = (type_, true),
                None => {
                    let place = source.place(attribute.value.span());
                    findings.error(&place, key, "it is no type that is known here", TYPE);
                }
            },
            ("default", Structure::Attribute(attribute)) => {
                default = Some(scope.eval(source, &attribute.value));
            }
            ("sensitive", Structure::Attribute(attribute)) => {
                let value = scope.eval(source, &attribute.value);
                variable.sensitive = flag(&value).unwrap_or(true);
            }
            ("nullable", Structure::Attribute(attribute)) => {
                let value = scope.eval(source, &attribute.value);
                variable.nullable = flag(&value).unwrap_or(true);
            }
            ("description", Structure::Attribute(_)) => {}
            ("validation", _) => {
                let problem = "conditions are not evaluated, and a bad value would pass";
                findings.error(&place, key, problem, "a variable without `validation`");
            }
            _ => {
                const KNOWN: [&str; 5] =
                    ["type", "default", "description", "sensitive", "nullable"];
                let problem = "there is no such attribute or block";
                let expected = match nearest(key, KNOWN.into_iter()) {
                    Some(near) => format!("`{near}`"),
                    None => format!("only {}", KNOWN.join(", ")),
                };
                findings.error(&place, key, problem, expected);
            }
        }
    }
    if let Some(default) = default {
        assign(&mut variable, default, findings);
    }
    variable
}

/// Gives variables their values, the strongest last.
pub(super) fn assign_all(
    variables: &mut BTreeMap<String, Variable>,
    inputs: &[Input<'_>],
    findings: &Findings,
) {
    for input in inputs {
        match *input {
            Input::Environment { name, value } => {
                if let Some(variable) = variables.get_mut(name) {
                    let value = from_text(variable, &format!("TF_VAR_{name}"), value, findings);
                    assign_from(variable, value, findings);
                }
            }
            Input::Flag { name, value } => {
                let place = start_of(&format!("-var {name}"));
                match variables.get_mut(name) {
                    Some(variable) => {
                        let value = from_text(variable, &place.file, value, findings);
                        assign_from(variable, value, findings);
                    }
                    None => {
                        let problem = format!("there is no variable {name:?}");
                        let known = variables.keys().map(String::as_str);
                        let expected = match nearest(name, known) {
                            Some(near) => format!("{near:?}"),
                            None => "one that the workload file declares".to_owned(),
                        };
                        findings.error(&place, "", problem, expected);
                    }
                }
            }
            Input::Tfvars(file) => assign_file(variables, file, findings),
        }
    }
    for (name, variable) in variables {
        if variable.value.is_none() {
            let why = "it has no value, and nothing that is acted on uses it";
            let path = format!("variable {name:?}");
            findings.note(&variable.place, path, Fate::Ignored, why);
        }
    }
}

fn assign_file(
    variables: &mut BTreeMap<String, Variable>,
    file: SourceFile<'_>,
    findings: &Findings,
) {
    let Some(source) = Source::parse(file, findings) else {
        return;
    };
    let scope = Scope::new(findings, Names::none("a .tfvars file"));
    for structure in &source.body {
        let attribute = match structure {
            Structure::Attribute(attribute) => attribute,
            Structure::Block(block) => {
                let place = source.place(block.ident.span());
                let problem = "this is a block".to_owned();
                findings.error(&place, block.ident.as_str(), problem, "`NAME = VALUE`");
                continue;
            }
        };
        let name = attribute.key.as_str();
        let value = scope.eval(&source, &attribute.value);
        match variables.get_mut(name) {
            Some(variable) => assign(variable, value, findings),
            None => {
                let place = source.place(attribute.key.span());
                let text = format!("there is no variable {name:?}, so its value is not used");
                findings.warning(&place, text);
            }
        }
    }
}

/// The value that a text from the command line or the environment means for a variable.
fn from_text(variable: &Variable, origin: &str, text: &str, findings: &Findings) -> Option<Value> {
    if !variable.typed || !variable.type_.is_expression() {
        return Some(Value::new(Kind::Text(text.to_owned()), start_of(origin)));
    }
    let file = SourceFile { name: origin, text };
    let (source, expression): (Source, Expression) = Source::parse_expression(file, findings)?;
    let scope = Scope::new(findings, Names::none("a variable's value"));
    Some(scope.eval(&source, &expression))
}

fn assign_from(variable: &mut Variable, value: Option<Value>, findings: &Findings) {
    if let Some(value) = value {
        assign(variable, value, findings);
    }
}

fn assign(variable: &mut Variable, value: Value, findings: &Findings) {
    if !variable.nullable && matches!(value.kind, Kind::Null) {
        return;
    }
    match variable.type_.convert(value) {
        Ok(value) => variable.value = Some(value),
        Err((value, expected)) => {
            // Not the value: it may be a secret.
            let problem = format!("it is {}", value.type_name());
            findings.error(&value.place, "", problem, expected);
            variable.value = Some(Value::new(Kind::Broken, value.place));
        }
    }
}

fn start_of(origin: &str) -> Place {
    Place {
        file: origin.to_owned(),
        line: 1,
        column: 1,
    }
}
