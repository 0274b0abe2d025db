//! Expressions and what they come to. Functions, operators, conditionals, loops and directives are refused.

use std::cell::Cell;

use hcl_edit::{
    Decorated, Span,
    expr::{Array, Expression, Object, ObjectKey, TraversalOperator},
    template::Element,
};

use super::{
    findings::Findings,
    names::Names,
    source::Source,
    value::{Entry, Kind, Value},
};
use crate::workload::Place;

/// What expressions are evaluated with.
pub(super) struct Scope<'a> {
    pub(super) findings: &'a Findings,
    /// What names mean.
    pub(super) names: Names<'a>,
    /// Whether a variable without a value is an error; not in what we do not act on.
    pub(super) needs_values: Cell<bool>,
    /// How many more references are followed, so that no file takes for ever.
    pub(super) budget: Cell<u32>,
}

/// A longer string is no sensible value of anything, in bytes.
const LONGEST_STRING: usize = 1 << 16;
/// Nor is one of more parts.
const MAX_PARTS: usize = 1_000;

impl<'a> Scope<'a> {
    pub(super) fn new(findings: &'a Findings, names: Names<'a>) -> Scope<'a> {
        Scope {
            findings,
            names,
            needs_values: Cell::new(true),
            budget: Cell::new(10_000),
        }
    }

    /// What an expression of a file comes to. What is wrong with it goes to the findings.
    pub(super) fn eval(&self, source: &'a Source, expression: &'a Expression) -> Value {
        let place = source.place(expression.span());
        let kind = match expression {
            Expression::Null(_) => Kind::Null,
            Expression::Bool(value) => Kind::Bool(*value.value()),
            Expression::Number(number) => Kind::Number(*number.value()),
            Expression::String(text) => Kind::Text(text.value().clone()),
            Expression::Array(array) => self.list(source, array),
            Expression::Object(object) => self.map(source, object),
            Expression::StringTemplate(template) => {
                return self.template(source, template.iter().collect(), place);
            }
            Expression::HeredocTemplate(heredoc) => {
                return self.template(source, heredoc.template.iter().collect(), place);
            }
            Expression::Parenthesis(inner) => return self.eval(source, inner.inner()),
            Expression::Variable(name) => {
                return self.reference(source, name.as_str(), &[], place);
            }
            Expression::Traversal(traversal) => match &traversal.expr {
                Expression::Variable(name) => {
                    return self.reference(source, name.as_str(), &traversal.operators, place);
                }
                inner => {
                    let value = self.eval(source, inner);
                    return self.traverse(source, value, &traversal.operators);
                }
            },
            Expression::FuncCall(call) => {
                let name = call.name.name.as_str();
                self.refuse(&place, format!("`{name}(...)` is a function call"))
            }
            Expression::Conditional(_) => {
                self.refuse(&place, "`... ? ... : ...` is a conditional".to_owned())
            }
            Expression::UnaryOp(_) | Expression::BinaryOp(_) => {
                self.refuse(&place, "this is an operation".to_owned())
            }
            Expression::ForExpr(_) => self.refuse(&place, "this is a `for` expression".to_owned()),
        };
        Value::new(kind, place)
    }

    /// Says that this part of Terraform's language is not read.
    fn refuse(&self, place: &Place, problem: String) -> Kind {
        let problem = format!("{problem}, and those are not evaluated here");
        let expected = "a literal, a reference or a string template";
        self.findings.error(place, "", problem, expected);
        Kind::Broken
    }

    fn list(&self, source: &'a Source, array: &'a Array) -> Kind {
        Kind::List(array.iter().map(|item| self.eval(source, item)).collect())
    }

    fn map(&self, source: &'a Source, object: &'a Object) -> Kind {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, value) in object.iter() {
            let value = self.eval(source, value.expr());
            let (key, place) = match key {
                ObjectKey::Ident(name) => (Some(name.as_str().to_owned()), name.span()),
                ObjectKey::Expression(expression) => {
                    let key = self.eval(source, expression);
                    let text = key.as_text();
                    if text.is_none() && !matches!(key.kind, Kind::Broken) {
                        let problem = format!("a key is {}", key.type_name());
                        self.findings.error(&key.place, "", problem, "a string");
                    }
                    (text, expression.span())
                }
            };
            let place = source.place(place);
            let Some(key) = key else { continue };
            if entries.iter().any(|entry| entry.key == key) {
                let problem = format!("the key {key:?} is there already");
                self.findings.error(&place, "", problem, "each key once");
                continue;
            }
            entries.push(Entry {
                key,
                place,
                value,
                is_block: false,
            });
        }
        Kind::Map(entries)
    }

    /// A string of its parts. One interpolation alone keeps its type, as in Terraform.
    fn template(&self, source: &'a Source, elements: Vec<&'a Element>, place: Place) -> Value {
        if let [Element::Interpolation(only)] = elements.as_slice() {
            let value = self.eval(source, &only.expr);
            return Value { place, ..value };
        }
        let mut parts: Vec<Value> = Vec::new();
        let (mut broken, mut sensitive, mut bytes) = (false, false, 0);
        for element in elements {
            let part = match element {
                Element::Literal(text) => {
                    Value::new(Kind::Text(text.value().clone()), place.clone())
                }
                Element::Interpolation(interpolation) => self.eval(source, &interpolation.expr),
                Element::Directive(_) => {
                    let at = source.place(element.span());
                    let kind = self.refuse(&at, "`%{...}` is a directive".to_owned());
                    Value::new(kind, at)
                }
            };
            sensitive |= part.is_sensitive();
            match (&part.kind, part.as_text()) {
                (_, Some(text)) => {
                    bytes += text.len();
                    parts.push(Value {
                        kind: Kind::Text(text),
                        ..part
                    });
                }
                (Kind::Vips { .. }, _) => parts.push(part),
                (Kind::Template(inner), _) => parts.extend(inner.iter().cloned()),
                (Kind::Broken, _) => broken = true,
                _ => {
                    let problem = format!("{} is put into a string", part.type_name());
                    let expected = "a string, a number or a bool";
                    self.findings.error(&part.place, "", problem, expected);
                    broken = true;
                }
            }
            if bytes > LONGEST_STRING || parts.len() > MAX_PARTS {
                let problem = "the string is too long".to_owned();
                self.findings
                    .error(&place, "", problem, "at most 64 KiB in 1000 parts");
                return Value::new(Kind::Broken, place);
            }
        }
        let known = |part: &Value| matches!(part.kind, Kind::Text(_));
        let kind = match (broken, parts.iter().all(known)) {
            (true, _) => Kind::Broken,
            (false, true) => Kind::Text(parts.iter().filter_map(Value::as_text).collect()),
            (false, false) => Kind::Template(parts),
        };
        Value {
            kind,
            place,
            sensitive,
        }
    }

    /// What attributes and indices of a value come to.
    pub(super) fn traverse(
        &self,
        source: &'a Source,
        mut value: Value,
        operators: &'a [Decorated<TraversalOperator>],
    ) -> Value {
        for operator in operators {
            let place = source.place(operator.span());
            if matches!(value.kind, Kind::Broken) {
                return value;
            }
            let sensitive = value.sensitive;
            let found = match self.step(source, operator.value(), &place) {
                Some(Step::Key(key)) => match value.kind {
                    Kind::Map(entries) => entries
                        .into_iter()
                        .find(|entry| entry.key == key)
                        .map(|entry| entry.value)
                        .ok_or_else(|| format!("there is no {key:?} in the map")),
                    _ => Err(format!("{} has no {key:?}", value.type_name())),
                },
                Some(Step::Index(index)) => match value.kind {
                    Kind::List(mut values) if index < values.len() => Ok(values.swap_remove(index)),
                    Kind::List(values) => Err(format!(
                        "there is no [{index}] in a list of {}",
                        values.len()
                    )),
                    _ => Err(format!("{} has no [{index}]", value.type_name())),
                },
                None => return Value::new(Kind::Broken, place),
            };
            match found {
                Ok(found) => {
                    value = Value {
                        sensitive: sensitive || found.sensitive,
                        ..found
                    }
                }
                Err(problem) => {
                    self.findings
                        .error(&place, "", problem, "something that is there");
                    return Value::new(Kind::Broken, place);
                }
            }
        }
        value
    }

    /// What an operator asks for.
    pub(super) fn step(
        &self,
        source: &'a Source,
        operator: &'a TraversalOperator,
        place: &Place,
    ) -> Option<Step> {
        match operator {
            TraversalOperator::GetAttr(name) => Some(Step::Key(name.as_str().to_owned())),
            TraversalOperator::LegacyIndex(index) => {
                usize::try_from(*index.value()).ok().map(Step::Index)
            }
            TraversalOperator::Index(expression) => {
                let index = self.eval(source, expression);
                let number = index.as_integer().and_then(|n| usize::try_from(n).ok());
                match (&index.kind, number) {
                    (Kind::Text(key), _) => Some(Step::Key(key.clone())),
                    (_, Some(number)) => Some(Step::Index(number)),
                    (Kind::Broken, _) => None,
                    _ => {
                        let problem = format!("an index is {}", index.type_name());
                        let expected = "a string, or a whole number from 0";
                        self.findings.error(place, "", problem, expected);
                        None
                    }
                }
            }
            TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                self.refuse(place, "`*` is a splat".to_owned());
                None
            }
        }
    }
}

/// One step into a value.
pub(super) enum Step {
    Key(String),
    Index(usize),
}
