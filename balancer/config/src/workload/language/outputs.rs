//! Outputs: what a workload file wants to be shown after apply.

use std::{cell::RefCell, net::IpAddr};

use hcl_edit::{Span, structure::Block};

use super::{
    eval::Scope,
    section::Section,
    source::Source,
    value::{Kind, Value, number_text},
};
use crate::workload::{Fate, Place};

/// A value that is shown after apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Whether its value is hidden.
    pub sensitive: bool,
    /// Its value.
    pub value: OutputValue,
}

/// The value of an output.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as Terraform writes it.
    Number(String),
    /// A string.
    Text(String),
    /// The VIPs of a resource with their prefix lengths, such as `198.51.100.1/32`, with commas between them; known
    /// after apply.
    Vips {
        /// The resource's name.
        resource: String,
    },
    /// A string of several parts.
    Joined(Vec<OutputValue>),
    /// A list.
    List(Vec<OutputValue>),
    /// A map, in the file's order.
    Map(Vec<(String, OutputValue)>),
}

impl OutputValue {
    /// The value in Terraform's manner, once VIPs are known by the name of their resource.
    pub fn render(&self, vips: &dyn Fn(&str) -> Option<Vec<IpAddr>>) -> String {
        self.render_at(vips, 0)
    }

    fn render_at(&self, vips: &dyn Fn(&str) -> Option<Vec<IpAddr>>, depth: usize) -> String {
        let inner = "  ".repeat(depth + 1);
        let outer = "  ".repeat(depth);
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.clone(),
            Self::Text(_) | Self::Vips { .. } | Self::Joined(_) => match self.text(vips) {
                Some(text) => format!("{text:?}"),
                None => "(known after apply)".to_owned(),
            },
            Self::List(values) if values.is_empty() => "[]".to_owned(),
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::List(values) => {
                let item = |value: &Self| format!("{inner}{},\n", value.render_at(vips, depth + 1));
                let items: String = values.iter().map(item).collect();
                format!("[\n{items}{outer}]")
            }
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| {
                    format!("{inner}{key:?} = {}\n", value.render_at(vips, depth + 1))
                };
                let entries: String = entries.iter().map(entry).collect();
                format!("{{\n{entries}{outer}}}")
            }
        }
    }

    fn text(&self, vips: &dyn Fn(&str) -> Option<Vec<IpAddr>>) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Vips { resource } => {
                let prefix = |vip: IpAddr| match vip {
                    IpAddr::V4(vip) => format!("{vip}/32"),
                    IpAddr::V6(vip) => format!("{vip}/128"),
                };
                let vips: Vec<String> = vips(resource)?.into_iter().map(prefix).collect();
                Some(vips.join(","))
            }
            Self::Joined(parts) => parts.iter().map(|part| part.text(vips)).collect(),
            _ => None,
        }
    }

    fn of(value: &Value) -> OutputValue {
        match &value.kind {
            Kind::Null | Kind::Broken => Self::Null,
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Number(number) => Self::Number(number_text(number)),
            Kind::Text(text) => Self::Text(text.clone()),
            Kind::Vips { resource } => Self::Vips {
                resource: resource.clone(),
            },
            Kind::Template(parts) => Self::Joined(parts.iter().map(Self::of).collect()),
            Kind::List(values) => Self::List(values.iter().map(Self::of).collect()),
            Kind::Map(entries) => {
                let entry =
                    |entry: &super::value::Entry| (entry.key.clone(), Self::of(&entry.value));
                Self::Map(entries.iter().map(entry).collect())
            }
        }
    }
}

/// Reads the outputs.
pub(super) fn outputs<'a>(
    scope: &Scope<'a>,
    blocks: &[(&'a str, &'a Source, &'a Block)],
) -> Vec<Output> {
    let mut outputs = Vec::new();
    for &(name, source, block) in blocks {
        let place = source.place(block.ident.span());
        outputs.extend(output(scope, name, source, block, &place));
    }
    outputs
}

fn output<'a>(
    scope: &Scope<'a>,
    name: &str,
    source: &'a Source,
    block: &'a Block,
    place: &Place,
) -> Option<Output> {
    let places = RefCell::default();
    let entries = scope.body(source, &block.body, &["depends_on", "precondition"]);
    let section = Section::resource(scope.findings, &places, &entries, place);
    section.knows(&["value", "description", "sensitive", "ephemeral"]);
    for structure in &block.body {
        let key = structure.as_attribute().map(|attribute| &attribute.key);
        let key = key.or(structure.as_block().map(|block| &block.ident));
        let Some(key) = key else { continue };
        let place = source.place(key.span());
        match key.as_str() {
            "depends_on" => {
                let why = "outputs are shown after everything is done";
                scope
                    .findings
                    .note(&place, "depends_on", Fate::Ignored, why);
            }
            "precondition" => {
                let problem = "conditions are not evaluated";
                let expected = "an output without it";
                scope
                    .findings
                    .error(&place, "precondition", problem, expected);
            }
            _ => {}
        }
    }
    let sensitive = section.field("sensitive").and_then(|field| field.boolean());
    let sensitive = sensitive.unwrap_or(false);
    let field = section.required("value", "what to show")?;
    if field.value.is_sensitive() && !sensitive {
        let problem = "it comes from a sensitive variable, and would be shown";
        field.error(problem, "`sensitive = true` in the output");
    }
    let description = section.field("description");
    Some(Output {
        name: name.to_owned(),
        description: description.and_then(|field| field.text("a sentence")),
        sensitive,
        value: OutputValue::of(field.value),
    })
}
