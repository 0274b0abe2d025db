//! Reading TOML so that every error knows its place.

use std::{fmt::Display, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::ConfigError;

/// The text of a file and what people call it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
}

impl<'a> Source<'a> {
    /// The file as TOML.
    pub(super) fn parse(&self) -> Result<DeTable<'a>, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.error(
                offset,
                String::new(),
                error.message().to_owned(),
                "valid TOML",
            )
        })?;
        Ok(table.into_inner())
    }

    fn error(&self, offset: usize, key: String, problem: String, expected: &str) -> ConfigError {
        let before = self.text.as_bytes().iter().take(offset);
        ConfigError {
            file: self.file.to_owned(),
            line: 1 + before.filter(|&&byte| byte == b'\n').count(),
            key,
            problem,
            expected: expected.to_owned(),
        }
    }
}

/// A table of a file that has no key but the known ones.
#[derive(Clone)]
pub(super) struct Section<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
    /// Empty for the file itself.
    path: String,
    offset: usize,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn file(
        source: Source<'a>,
        table: &'a DeTable<'a>,
        keys: &[&str],
    ) -> Result<Section<'a>, ConfigError> {
        let file = Section {
            source,
            table,
            path: String::new(),
            offset: 0,
        };
        // First, for another version may have other keys.
        super::check_version(&file)?;
        file.knows(keys)?;
        Ok(file)
    }

    /// The whole of a file whose `version` may be left out.
    pub(super) fn drop_in(
        source: Source<'a>,
        table: &'a DeTable<'a>,
        keys: &[&str],
    ) -> Result<Section<'a>, ConfigError> {
        let file = Section {
            source,
            table,
            path: String::new(),
            offset: 0,
        };
        if file.get("version").is_some() {
            super::check_version(&file)?;
        }
        file.knows(keys)?;
        Ok(file)
    }

    /// Refuses a key that is not among `keys`.
    fn knows(&self, keys: &[&str]) -> Result<(), ConfigError> {
        let unknown = |key: &&Spanned<_>| !keys.contains(&AsRef::<str>::as_ref(key.get_ref()));
        // The first in the file, for the table is sorted.
        let Some(key) = self
            .table
            .keys()
            .filter(unknown)
            .min_by_key(|key| key.span().start)
        else {
            return Ok(());
        };
        let path = self.path_of(key.get_ref());
        Err(no_such_key(self.source, key.span().start, path, keys))
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.table.get(key)?;
        Some(Value {
            source: self.source,
            path: self.path_of(key),
            value,
        })
    }

    /// The value of a key that has to be there.
    pub(super) fn required(&self, key: &str, expected: &str) -> Result<Value<'a>, ConfigError> {
        let missing = || self.error(key, "it is missing".into(), expected);
        self.get(key).ok_or_else(missing)
    }

    /// An error about a key, such as `vip` or `check.rise`, that is there or not.
    pub(super) fn error(&self, key: &str, problem: String, expected: &str) -> ConfigError {
        let offset = offset_of(self.table, key).unwrap_or(self.offset);
        self.source
            .error(offset, self.path_of(key), problem, expected)
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn no_such_key(source: Source<'_>, offset: usize, path: String, known: &[&str]) -> ConfigError {
    let expected = format!("only {}", known.join(", "));
    source.error(offset, path, "there is no such key".into(), &expected)
}

fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

/// Where the value of a key such as `check.rise` or `backend[1].address` begins, or as much of it as there is.
fn offset_of(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let mut offset = None;
    let mut table = Some(table);
    for part in key.split('.') {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(mut value) = table.and_then(|table| table.get(name)) else {
            break;
        };
        if let Some(index) = index {
            value = value.get_ref().as_array()?.get(index)?;
        }
        offset = Some(value.span().start);
        table = value.get_ref().as_table();
    }
    offset
}

/// A value of a file.
#[derive(Clone)]
pub(super) struct Value<'a> {
    source: Source<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    /// An error about this value.
    pub(super) fn error(&self, problem: String, expected: &str) -> ConfigError {
        self.source.error(
            self.value.span().start,
            self.path.clone(),
            problem,
            expected,
        )
    }

    /// An error about a key inside of it, such as `check.rise` or `backend[1].address`, that is there or not.
    pub(super) fn error_at(&self, key: &str, problem: String, expected: &str) -> ConfigError {
        let table = self.value.get_ref().as_table();
        let inside = table.and_then(|table| offset_of(table, key));
        let offset = inside.unwrap_or(self.value.span().start);
        self.source
            .error(offset, join(&self.path, key), problem, expected)
    }

    /// The error about a key of it that nobody knows.
    pub(super) fn unknown(&self, key: &str, known: &[&str]) -> ConfigError {
        let table = self.value.get_ref().as_table();
        let offset = table
            .and_then(|table| table.get_key_value(key))
            .map_or(self.value.span().start, |(key, _)| key.span().start);
        no_such_key(self.source, offset, join(&self.path, key), known)
    }

    /// Its keys and their values, in the order of the file; `None` if it is no table.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let table = self.value.get_ref().as_table()?;
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Spanned<_>, &'a _)| {
            let key: &str = AsRef::<str>::as_ref(key.get_ref());
            let (source, path) = (self.source, join(&self.path, key));
            (
                key,
                Value {
                    source,
                    path,
                    value,
                },
            )
        };
        Some(entries.into_iter().map(entry).collect())
    }

    /// The value as TOML has it.
    pub(super) fn raw(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// The last part of its key, without its place in an array: `weight`, `backend[]`.
    pub(super) fn kind_of_key(&self) -> String {
        let last = self.path.rsplit('.').next().unwrap_or_default();
        match last.split_once('[') {
            Some((name, _)) => format!("{name}[]"),
            None => last.to_owned(),
        }
    }

    /// The line that it begins at, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.error(String::new(), "").line
    }

    pub(super) fn string(&self, expected: &str) -> Result<&'a str, ConfigError> {
        self.value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type(expected))
    }

    /// A string that reads as a `T`.
    pub(super) fn parse<T>(&self, expected: &str) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.string(expected)?;
        text.parse()
            .map_err(|error| self.error(format!("{text:?}: {error}"), expected))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = names.join(" or ");
        let text = self.string(&expected)?;
        let known = words.iter().find(|(word, _)| *word == text);
        known
            .map(|&(_, meaning)| meaning)
            .ok_or_else(|| self.error(format!("{text:?}"), &expected))
    }

    /// A whole number that a `T` can hold.
    pub(super) fn integer<T: TryFrom<i128>>(&self, expected: &str) -> Result<T, ConfigError> {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .ok_or_else(|| self.wrong_type(expected))?;
        i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.error(format!("{number} is out of range"), expected))
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        let expected = "true or false";
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.wrong_type(expected))
    }

    /// The values of an array.
    pub(super) fn array(&self, expected: &str) -> Result<Vec<Value<'a>>, ConfigError> {
        let array = self
            .value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong_type(expected))?;
        let source = self.source;
        let item = |(index, value)| Value {
            source,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(array.iter().enumerate().map(item).collect())
    }

    /// A table that has no key but `keys`.
    pub(super) fn section(
        &self,
        keys: &[&str],
        expected: &str,
    ) -> Result<Section<'a>, ConfigError> {
        let table = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type(expected))?;
        let (source, path) = (self.source, self.path.clone());
        let section = Section {
            source,
            table,
            path,
            offset: self.value.span().start,
        };
        section.knows(keys)?;
        Ok(section)
    }

    pub(super) fn wrong_type(&self, expected: &str) -> ConfigError {
        self.error(
            format!("it is of type {}", self.value.get_ref().type_str()),
            expected,
        )
    }
}
