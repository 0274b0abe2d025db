//! The types that variables can have, and the conversions that Terraform makes.

use hcl_edit::{
    Number,
    expr::{Expression, ObjectKey},
};

use super::value::{Entry, Kind, Value};

/// A type constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    String,
    Number,
    Bool,
    List(Box<Type>),
    Map(Box<Type>),
    Object(Vec<(String, Type)>),
}

/// What a type looks like.
pub(super) const TYPE: &str =
    "string, number, bool, any, list(TYPE), set(TYPE), map(TYPE) or object({ NAME = TYPE })";

impl Type {
    /// The type that an expression names.
    pub(super) fn read(expression: &Expression) -> Option<Type> {
        match expression {
            Expression::Variable(name) => Type::word(name.as_str()),
            // As Terraform wrote types up to 0.11.
            Expression::String(name) => Type::word(name.as_str()),
            Expression::FuncCall(call) => {
                let mut arguments = call.args.iter();
                let (argument, None) = (arguments.next()?, arguments.next()) else {
                    return None;
                };
                match call.name.name.as_str() {
                    "list" | "set" => Some(Type::List(Box::new(Type::read(argument)?))),
                    "map" => Some(Type::Map(Box::new(Type::read(argument)?))),
                    "object" => {
                        let field = |(key, value): (&ObjectKey, &hcl_edit::expr::ObjectValue)| {
                            let name = match key {
                                ObjectKey::Ident(name) => name.as_str(),
                                ObjectKey::Expression(key) => key.as_str()?,
                            };
                            Some((name.to_owned(), Type::read(value.expr())?))
                        };
                        let fields = argument.as_object()?.iter().map(field);
                        Some(Type::Object(fields.collect::<Option<_>>()?))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn word(name: &str) -> Option<Type> {
        match name {
            "string" => Some(Type::String),
            "number" => Some(Type::Number),
            "bool" => Some(Type::Bool),
            "any" => Some(Type::Any),
            "list" => Some(Type::List(Box::new(Type::Any))),
            "map" => Some(Type::Map(Box::new(Type::Any))),
            _ => None,
        }
    }

    /// Whether Terraform reads a flag's text as an expression, and not as the string that it is.
    pub(super) fn is_expression(&self) -> bool {
        !matches!(self, Type::String | Type::Number | Type::Bool)
    }

    /// How people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Type::Any => "a value",
            Type::String => "a string",
            Type::Number => "a number",
            Type::Bool => "true or false",
            Type::List(_) => "a list",
            Type::Map(_) => "a map",
            Type::Object(_) => "an object",
        }
    }

    /// The value as one of this type. If it cannot be, the error has what is none, and what would be.
    pub(super) fn convert(&self, value: Value) -> Result<Value, (Value, String)> {
        let expected = |value: &Value| Err((value.clone(), self.name().to_owned()));
        let kind = match (self, &value.kind) {
            (_, Kind::Null | Kind::Broken) | (Type::Any, _) => return Ok(value),
            (Type::String, _) => value.as_text().map(Kind::Text),
            (Type::Bool, _) => value.as_bool().map(Kind::Bool),
            (Type::Number, Kind::Number(number)) => Some(Kind::Number(*number)),
            (Type::Number, Kind::Text(text)) => number(text).map(Kind::Number),
            (Type::Number, _) => None,
            (Type::List(inner), Kind::List(values)) => {
                let convert = |value: &Value| inner.convert(value.clone());
                let values: Result<Vec<Value>, _> = values.iter().map(convert).collect();
                Some(Kind::List(values?))
            }
            (Type::Map(inner), Kind::Map(entries)) => {
                let convert = |entry: &Entry| {
                    let value = inner.convert(entry.value.clone())?;
                    Ok(Entry {
                        value,
                        ..entry.clone()
                    })
                };
                let entries: Result<Vec<Entry>, _> = entries.iter().map(convert).collect();
                Some(Kind::Map(entries?))
            }
            (Type::Object(fields), Kind::Map(entries)) => {
                let mut converted = Vec::new();
                for (name, inner) in fields {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                        return Err((value.clone(), format!("an object with {name:?}")));
                    };
                    converted.push(Entry {
                        value: inner.convert(entry.value.clone())?,
                        ..entry.clone()
                    });
                }
                Some(Kind::Map(converted))
            }
            (Type::List(_) | Type::Map(_) | Type::Object(_), _) => None,
        };
        match kind {
            Some(kind) => Ok(Value { kind, ..value }),
            None => expected(&value),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(whole) => Some(Number::from(whole)),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}
