//! A block of a file, read so that every error knows its place.

use std::{cell::RefCell, collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr};

use super::{
    findings::Findings,
    nearest::nearest,
    value::{Entry, Kind, Value},
};
use crate::workload::Place;

/// Where the parts of a resource are in the file, by their path.
pub(super) type Places = RefCell<BTreeMap<String, Place>>;

/// A block, or a map in its place, that has no attribute but the known ones.
#[derive(Clone)]
pub(super) struct Section<'a> {
    findings: &'a Findings,
    places: &'a Places,
    entries: &'a [Entry],
    pub(super) place: &'a Place,
    /// Empty for the resource itself.
    pub(super) path: String,
}

/// An attribute that is set.
pub(super) struct Field<'a> {
    findings: &'a Findings,
    pub(super) value: &'a Value,
    pub(super) path: String,
}

impl<'a> Section<'a> {
    /// The body of a resource.
    pub(super) fn resource(
        findings: &'a Findings,
        places: &'a Places,
        entries: &'a [Entry],
        place: &'a Place,
    ) -> Section<'a> {
        Section {
            findings,
            places,
            entries,
            place,
            path: String::new(),
        }
    }

    /// Refuses what is not among `known`.
    pub(super) fn knows(&self, known: &[&str]) {
        for entry in self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let expected = match nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("`{near}`"),
                None => format!("only {}", known.join(", ")),
            };
            let path = self.path_of(&entry.key);
            let problem = "there is no such attribute or block";
            self.findings.error(&entry.place, path, problem, expected);
        }
    }

    /// An attribute that may be there.
    pub(super) fn field(&self, key: &str) -> Option<Field<'a>> {
        let mut entries = self.entries.iter().filter(|entry| entry.key == key);
        let entry = entries.next()?;
        if let Some(second) = entries.next() {
            let problem = "it is there already";
            let path = self.path_of(key);
            self.findings.error(&second.place, path, problem, "it once");
        }
        // `null` is Terraform's word for "not set".
        if matches!(entry.value.kind, Kind::Null | Kind::Broken) {
            return None;
        }
        let path = self.path_of(key);
        self.remember(&path, &entry.value.place);
        Some(Field {
            findings: self.findings,
            value: &entry.value,
            path,
        })
    }

    /// An attribute that has to be there.
    pub(super) fn required(&self, key: &str, expected: &str) -> Option<Field<'a>> {
        let broken = |entry: &Entry| entry.key == key && matches!(entry.value.kind, Kind::Broken);
        let field = self.field(key);
        if field.is_none() && !self.entries.iter().any(broken) {
            self.error(key, "it is missing", expected);
        }
        field
    }

    /// A block that may be there, once.
    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        let mut sections = self.all(key, |_| self.path_of(key));
        if let Some(second) = sections.get(1) {
            let problem = "it is there already";
            let path = self.path_of(key);
            self.findings.error(second.place, path, problem, "it once");
        }
        sections.truncate(1);
        sections.pop()
    }

    /// Every block of that name.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        self.all(key, |index| format!("{}[{index}]", self.path_of(key)))
    }

    fn all(&self, key: &str, path: impl Fn(usize) -> String) -> Vec<Section<'a>> {
        let mut sections: Vec<Section<'a>> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            let values = match &entry.value.kind {
                // `port = [{ ... }, { ... }]`
                Kind::List(values) => values.iter().collect(),
                _ => vec![&entry.value],
            };
            for value in values {
                let path = path(sections.len());
                match &value.kind {
                    Kind::Map(entries) => {
                        self.remember(&path, &value.place);
                        sections.push(Section {
                            entries,
                            place: &value.place,
                            path,
                            ..self.clone()
                        });
                    }
                    Kind::Null | Kind::Broken => {}
                    _ => {
                        let problem = format!("it is {}", value.type_name());
                        let expected = format!("a block `{key} {{ ... }}`");
                        self.findings.error(&value.place, path, problem, expected);
                    }
                }
            }
        }
        sections
    }

    /// The entries of a map with any keys, as `{ ... }` or `= { ... }`.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.entries.iter().filter_map(|entry| {
            let field = self.field(&entry.key)?;
            Some((entry.key.as_str(), field))
        })
    }

    /// An error about an attribute that is there or not.
    pub(super) fn error(&self, key: &str, problem: impl Into<String>, expected: impl Into<String>) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let place = entry.map_or(self.place, |entry| &entry.value.place);
        self.findings
            .error(place, self.path_of(key), problem, expected);
    }

    /// Whether an attribute or block of that name is set, and where the first is.
    pub(super) fn has(&self, key: &str) -> Option<&'a Place> {
        let is_set = |entry: &&Entry| entry.key == key && !matches!(entry.value.kind, Kind::Null);
        let entry = self.entries.iter().find(is_set);
        entry.map(|entry| &entry.place)
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    /// Keeps the place of a part for later errors about it.
    pub(super) fn remember(&self, path: &str, place: &Place) {
        let mut places = self.places.borrow_mut();
        places
            .entry(path.to_owned())
            .or_insert_with(|| place.clone());
    }
}

impl<'a> Field<'a> {
    pub(super) fn error(&self, problem: impl Into<String>, expected: impl Into<String>) {
        self.findings
            .error(&self.value.place, self.path.as_str(), problem, expected);
    }

    /// A string that may be shown.
    pub(super) fn text(&self, expected: &str) -> Option<String> {
        if self.value.is_sensitive() {
            let problem = "it comes from a sensitive variable, and would be shown";
            self.error(problem, "a value that may be seen by everyone");
            return None;
        }
        self.secret_text(expected)
    }

    /// A string that is shown nowhere.
    pub(super) fn secret_text(&self, expected: &str) -> Option<String> {
        let text = self.value.as_text();
        if text.is_none() {
            self.wrong_type(expected);
        }
        text
    }

    /// A string that reads as a `T`.
    pub(super) fn parse<T>(&self, expected: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match self.text(expected)?.parse() {
            Ok(value) => Some(value),
            Err(problem) => {
                self.error(format!("{problem}"), expected);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = names.join(" or ");
        let text = self.text(&expected)?;
        let known = words.iter().find(|(word, _)| *word == text);
        if known.is_none() {
            self.error(format!("{text:?}"), expected);
        }
        known.map(|&(_, meaning)| meaning)
    }

    /// A whole number of a range.
    pub(super) fn integer(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a whole number, {} to {}", range.start(), range.end());
        let text = self.text(&expected)?;
        let number = self.value.as_integer();
        let fits = number.and_then(|number| u32::try_from(number).ok());
        let fits = fits.filter(|number| range.contains(number));
        if fits.is_none() {
            let problem = match number {
                Some(number) => format!("{number} is out of range"),
                None => format!("{text:?}"),
            };
            self.error(problem, expected);
        }
        fits
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let expected = "true or false";
        self.text(expected)?;
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type(expected);
        }
        value
    }

    /// The items of a list.
    pub(super) fn list(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        let Kind::List(values) = &self.value.kind else {
            self.wrong_type(expected);
            return None;
        };
        let item = |(index, value)| Field {
            findings: self.findings,
            value,
            path: format!("{}[{index}]", self.path),
        };
        Some(values.iter().enumerate().map(item).collect())
    }

    fn wrong_type(&self, expected: &str) {
        if !matches!(self.value.kind, Kind::Broken) {
            self.error(format!("it is {}", self.value.type_name()), expected);
        }
    }
}
