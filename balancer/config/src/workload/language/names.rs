//! What names in expressions mean: variables, and attributes of other resources.

use std::{cell::RefCell, collections::BTreeMap};

use hcl_edit::{
    Decorated, Span,
    expr::TraversalOperator,
    structure::{Body, Structure},
};

use super::{
    RESOURCE,
    eval::{Scope, Step},
    nearest::nearest,
    source::Source,
    value::{Entry, Kind, Value},
    variables::Variable,
};
use crate::workload::Place;

/// The names of a set of files.
pub(super) struct Names<'a> {
    /// By name; `None` where only constants may stand, with a word for such a place.
    pub(super) variables: BTreeMap<String, Variable>,
    /// By name: the file and the block.
    pub(super) resources: BTreeMap<String, (&'a Source, &'a Body)>,
    /// Set where only constants may stand: what that place is.
    constant: Option<&'static str>,
    /// The attributes that are being looked up, to find circles.
    visiting: RefCell<Vec<String>>,
}

/// The annotation in which the provider gives a workload's anycast addresses.
const SUBNETS: &str = "anycast.platform.stackpath.net/subnets";

/// A longer chain of references is a mistake.
const LONGEST_CHAIN: usize = 16;

impl<'a> Names<'a> {
    pub(super) fn new(
        variables: BTreeMap<String, Variable>,
        resources: BTreeMap<String, (&'a Source, &'a Body)>,
    ) -> Names<'a> {
        Names {
            variables,
            resources,
            constant: None,
            visiting: RefCell::default(),
        }
    }

    /// No names at all, in a place such as `a default`.
    pub(super) fn none(constant: &'static str) -> Names<'a> {
        Names {
            constant: Some(constant),
            ..Names::new(BTreeMap::new(), BTreeMap::new())
        }
    }
}

impl<'a> Scope<'a> {
    /// What a name, followed by attributes and indices, comes to.
    pub(super) fn reference(
        &self,
        source: &'a Source,
        root: &str,
        operators: &'a [Decorated<TraversalOperator>],
        place: Place,
    ) -> Value {
        let value = match self.found(source, root, operators, &place) {
            Some(value) => Value { place, ..value },
            None => Value::new(Kind::Broken, place),
        };
        self.budget.set(self.budget.get().saturating_sub(1));
        value
    }

    fn found(
        &self,
        source: &'a Source,
        root: &str,
        operators: &'a [Decorated<TraversalOperator>],
        place: &Place,
    ) -> Option<Value> {
        let refuse = |problem: String, expected: &str| {
            self.findings.error(place, "", problem, expected);
            None
        };
        if let (Some(constant), true) = (self.names.constant, !operators.is_empty()) {
            return refuse(format!("{constant} refers to `{root}`"), "a constant");
        }
        if self.budget.get() == 0 {
            return refuse("too many references".to_owned(), "at most 10000 of them");
        }
        let unsupported = match (root, operators.is_empty()) {
            (_, true) => {
                let problem = format!("`{root}` is no value");
                return refuse(problem, &format!("a string in quotes, such as \"{root}\""));
            }
            ("var", _) => return self.variable(source, operators, place),
            (RESOURCE, _) => return self.resource(source, operators, place),
            ("local", _) => "local values are",
            ("module", _) => "modules are",
            ("data", _) => "data sources are",
            ("each" | "count", _) => "`for_each` and `count` are",
            ("path" | "terraform" | "self", _) => "it is",
            _ => {
                let problem = format!("there is no `{root}` to refer to");
                return refuse(
                    problem,
                    "`var.NAME` or `stackpath_compute_workload.NAME.slug`",
                );
            }
        };
        let problem = format!("`{root}` cannot be used, for {unsupported} not supported here");
        refuse(
            problem,
            "a literal, `var.NAME` or another resource's attribute",
        )
    }

    fn variable(
        &self,
        source: &'a Source,
        operators: &'a [Decorated<TraversalOperator>],
        place: &Place,
    ) -> Option<Value> {
        let (first, rest) = operators.split_first()?;
        let TraversalOperator::GetAttr(name) = first.value() else {
            let problem = "`var` has no index".to_owned();
            self.findings.error(place, "", problem, "`var.NAME`");
            return None;
        };
        let name = name.as_str();
        let Some(variable) = self.names.variables.get(name) else {
            let problem = format!("there is no variable {name:?}");
            let known = self.names.variables.keys().map(String::as_str);
            let expected = match nearest(name, known) {
                Some(near) => format!("`var.{near}`, or `variable \"{name}\" {{}}` somewhere"),
                None => format!("`variable \"{name}\" {{}}` somewhere"),
            };
            self.findings.error(place, "", problem, expected);
            return None;
        };
        let Some(value) = &variable.value else {
            if self.needs_values.get() {
                let problem = format!(
                    "variable {name:?}, which is declared at {}, has no value",
                    variable.place
                );
                let expected =
                    format!("-var {name}=..., TF_VAR_{name}, a .tfvars file or a default");
                self.findings.error(place, "", problem, expected);
            }
            return None;
        };
        let mut value = value.clone();
        value.sensitive |= variable.sensitive;
        Some(self.traverse(source, value, rest))
    }

    fn resource(
        &self,
        source: &'a Source,
        operators: &'a [Decorated<TraversalOperator>],
        place: &Place,
    ) -> Option<Value> {
        let mut names = Vec::new();
        for operator in operators.iter().take(2) {
            match operator.value() {
                TraversalOperator::GetAttr(name) => names.push(name.as_str()),
                _ => break,
            }
        }
        let [resource, attribute] = names[..] else {
            let problem = format!("this names no attribute of a {RESOURCE}");
            let expected = format!("`{RESOURCE}.NAME.slug`");
            self.findings.error(place, "", problem, expected);
            return None;
        };
        let Some(&(file, body)) = self.names.resources.get(resource) else {
            let problem = format!("there is no {RESOURCE} {resource:?}");
            let known = self.names.resources.keys().map(String::as_str);
            let expected = match nearest(resource, known) {
                Some(near) => format!("`{RESOURCE}.{near}`"),
                None => "one of this file".to_owned(),
            };
            self.findings.error(place, "", problem, expected);
            return None;
        };
        let rest = operators.get(2..).unwrap_or_default();
        if attribute == "annotations"
            && let [only] = rest
            && let Some(Step::Key(key)) = self.step(source, only.value(), place)
            && key == SUBNETS
        {
            let resource = resource.to_owned();
            return Some(Value::new(Kind::Vips { resource }, place.clone()));
        }
        let path = format!("{RESOURCE}.{resource}.{attribute}");
        let visiting = self.names.visiting.borrow().clone();
        if visiting.contains(&path) || visiting.len() >= LONGEST_CHAIN {
            let problem = format!("`{path}` refers to itself, or through too many others");
            let expected = "references without a circle, at most 16 in a chain";
            self.findings.error(place, "", problem, expected);
            return None;
        }
        self.names.visiting.borrow_mut().push(path.clone());
        let value = self.attribute(file, body, attribute);
        self.names.visiting.borrow_mut().pop();
        let Some(value) = value else {
            let problem = match attribute {
                "id" | "instances" => format!("`{path}` is not known here"),
                _ => format!("`{path}` is not set"),
            };
            let expected = format!(
                "an attribute that is set there, or `annotations[{SUBNETS:?}]` for the VIPs; \
                 `lbctl workload status` shows instances"
            );
            self.findings.error(place, "", problem, expected);
            return None;
        };
        Some(self.traverse(source, value, rest))
    }

    /// An attribute of a body, or a list of its blocks of that name.
    fn attribute(&self, source: &'a Source, body: &'a Body, name: &str) -> Option<Value> {
        if let Some(attribute) = body.get_attribute(name) {
            return Some(self.eval(source, &attribute.value));
        }
        let blocks: Vec<Value> = body
            .blocks()
            .filter(|block| block.has_ident(name))
            .map(|block| {
                let place = source.place(block.ident.span());
                let entries = self.body(source, &block.body, &[]);
                Value::new(Kind::Map(lists_of_blocks(entries)), place)
            })
            .collect();
        let place = blocks.first()?.place.clone();
        Some(Value::new(Kind::List(blocks), place))
    }

    /// What the attributes and blocks of a body come to, but for those in `without`; several blocks of a name are
    /// several entries.
    pub(super) fn body(&self, source: &'a Source, body: &'a Body, without: &[&str]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for structure in body {
            let (key, span, value) = match structure {
                Structure::Attribute(attribute) if without.contains(&attribute.key.as_str()) => {
                    continue;
                }
                Structure::Block(block) if without.contains(&block.ident.as_str()) => continue,
                Structure::Attribute(attribute) => {
                    let key = attribute.key.as_str();
                    let place = source.place(attribute.key.span());
                    if matches!(key, "count" | "for_each") {
                        let problem = format!("`{key}` makes several of one block");
                        let expected = "each block written out, for that is not supported here";
                        self.findings.error(&place, "", problem, expected);
                        continue;
                    }
                    let value = self.eval(source, &attribute.value);
                    (key, attribute.key.span(), value)
                }
                Structure::Block(block) => {
                    let place = source.place(block.ident.span());
                    if block.has_ident("dynamic") {
                        let problem = "`dynamic` makes several of one block";
                        let expected = "each block written out, for that is not supported here";
                        self.findings.error(&place, "", problem, expected);
                        continue;
                    }
                    if let Some(label) = block.labels.first() {
                        let at = source.place(label.span());
                        let problem = format!("`{}` has a label", block.ident.as_str());
                        self.findings.error(&at, "", problem, "`{` behind its name");
                    }
                    let inner = self.body(source, &block.body, &[]);
                    let value = Value::new(Kind::Map(inner), place);
                    (block.ident.as_str(), block.ident.span(), value)
                }
            };
            entries.push(Entry {
                key: key.to_owned(),
                place: source.place(span),
                value,
                is_block: matches!(structure, Structure::Block(_)),
            });
        }
        entries
    }
}

/// Blocks as references see them: of each name one list.
fn lists_of_blocks(entries: Vec<Entry>) -> Vec<Entry> {
    let mut whole: Vec<Entry> = Vec::new();
    for mut entry in entries {
        if !entry.is_block {
            whole.push(entry);
            continue;
        }
        if let Kind::Map(inner) = entry.value.kind {
            entry.value.kind = Kind::Map(lists_of_blocks(inner));
        }
        let earlier = whole.iter_mut().find(|earlier| earlier.key == entry.key);
        match earlier.map(|earlier| &mut earlier.value.kind) {
            Some(Kind::List(blocks)) => blocks.push(entry.value),
            Some(_) => {}
            None => {
                let place = entry.value.place.clone();
                let list = Kind::List(vec![entry.value]);
                whole.push(Entry {
                    value: Value::new(list, place),
                    ..entry
                });
            }
        }
    }
    whole
}
