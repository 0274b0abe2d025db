//! What an expression of the language comes to.

use hcl_edit::Number;

use crate::workload::Place;

/// A value, and where its expression is.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// Whether it comes from a variable that is never shown.
    pub(super) sensitive: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// The addresses of the resource's VIPs with their prefix lengths, which are known after apply.
    Vips {
        resource: String,
    },
    /// A string with parts that are known after apply.
    Template(Vec<Value>),
    List(Vec<Value>),
    Map(Vec<Entry>),
    /// What is wrong with it has been said.
    Broken,
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key is.
    pub(super) place: Place,
    pub(super) value: Value,
    /// Whether it is a block, of which there may be several with this key.
    pub(super) is_block: bool,
}

impl Value {
    pub(super) fn new(kind: Kind, place: Place) -> Value {
        Value {
            kind,
            place,
            sensitive: false,
        }
    }

    /// How people call its type.
    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a bool",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::Vips { .. } | Kind::Template(_) => "known only after apply",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Broken => "broken",
        }
    }

    /// As a string, as Terraform converts bools and numbers.
    pub(super) fn as_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Number(number) => Some(number_text(number)),
            _ => None,
        }
    }

    /// As a whole number, as Terraform converts strings.
    pub(super) fn as_integer(&self) -> Option<i64> {
        match &self.kind {
            Kind::Number(number) => number_text(number).parse().ok(),
            Kind::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// As a bool, as Terraform converts strings.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(value) => Some(*value),
            Kind::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether it, or a part of it, is sensitive.
    pub(super) fn is_sensitive(&self) -> bool {
        self.sensitive
            || match &self.kind {
                Kind::List(values) | Kind::Template(values) => {
                    values.iter().any(Value::is_sensitive)
                }
                Kind::Map(entries) => entries.iter().any(|entry| entry.value.is_sensitive()),
                _ => false,
            }
    }
}

/// A number as Terraform writes it into a string.
pub(super) fn number_text(number: &Number) -> String {
    // Whole numbers up to here are exact in 64 bits of floating point.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            format!("{float:.0}")
        }
        _ => number.to_string(),
    }
}
