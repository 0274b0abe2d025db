//! Values of a file, read as schemas of the model: what serde finds wrong, with its place.

use std::{fmt::Display, vec::IntoIter};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        Visitor,
    },
    forward_to_deserialize_any,
};
use toml::de::DeValue;

use super::{ConfigError, section::Value};

/// How a file has a schema.
pub(super) struct Style {
    /// Keys that the file has under another name: the file's, and the schema's.
    pub(super) renamed: &'static [(&'static str, &'static str)],
    /// What the value of a key has to be, where a reader of the file needs more than the words of its type. `backend` is an
    /// array, `backend[]` each of its values.
    pub(super) expected: fn(&str) -> Option<String>,
}

/// Reads a value as a schema.
///
/// # Errors
///
/// The first thing in the file that is wrong; keys that are missing come last.
pub(super) fn read<'de, T: Deserialize<'de>>(
    value: &Value<'de>,
    style: &'static Style,
) -> Result<T, ConfigError> {
    let reader = Reader {
        value: value.clone(),
        style,
    };
    T::deserialize(reader.clone()).map_err(|trouble| reader.place(trouble))
}

#[derive(Clone)]
struct Reader<'de> {
    value: Value<'de>,
    style: &'static Style,
}

/// What serde finds wrong with a value, before somebody [places](Reader::place) it. Its own words are never shown.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Placed(ConfigError),
    #[error("it is of another type")]
    Type { expected: String },
    #[error("it is out of range")]
    Range { expected: String },
    #[error("{word} is another word")]
    Word { word: String, expected: String },
    #[error("there is no key {key}")]
    Unknown {
        key: String,
        known: &'static [&'static str],
    },
    #[error("{key} is missing")]
    Missing { key: &'static str },
    #[error("{0}")]
    Said(String),
}

impl Error for Trouble {
    fn custom<T: Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        Self::Type { expected }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        Self::Range { expected }
    }

    fn unknown_variant(word: &str, words: &'static [&'static str]) -> Self {
        let (word, expected) = (word.to_owned(), one_of(words));
        Self::Word { word, expected }
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let key = key.to_owned();
        Self::Unknown { key, known }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Missing { key }
    }
}

/// `"tcp" or "udp"`.
pub(super) fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    words.join(" or ")
}

impl<'de> Reader<'de> {
    /// What is wrong with this value, or with a key of it.
    fn place(&self, trouble: Trouble) -> ConfigError {
        let value = &self.value;
        let expected = |of_type: String| {
            let in_words = (self.style.expected)(&value.kind_of_key());
            in_words.unwrap_or(of_type)
        };
        match trouble {
            Trouble::Placed(error) => error,
            Trouble::Type { expected: of_type } => value.wrong_type(&expected(of_type)),
            Trouble::Range { expected: of_type } => {
                let number = match value.raw() {
                    DeValue::Integer(number) => number.to_string(),
                    _ => "it".to_owned(),
                };
                value.error(format!("{number} is out of range"), &expected(of_type))
            }
            Trouble::Word { word, expected } => value.error(format!("{word:?}"), &expected),
            Trouble::Unknown { key, known } => {
                let known: Vec<&str> = known.iter().map(|key| self.in_file(key)).collect();
                value.unknown(&key, &known)
            }
            Trouble::Missing { key } => {
                let key = self.in_file(key);
                let expected = (self.style.expected)(key).unwrap_or_else(|| "it".to_owned());
                value.error_at(key, "it is missing".to_owned(), &expected)
            }
            Trouble::Said(message) => {
                let problem = match value.raw() {
                    DeValue::String(text) => format!("{text:?}: {message}"),
                    _ => message,
                };
                value.error(problem, &expected("another value".to_owned()))
            }
        }
    }

    /// A value inside of this one, read.
    fn read<T: DeserializeSeed<'de>>(
        &self,
        value: Value<'de>,
        seed: T,
    ) -> Result<T::Value, Trouble> {
        let inside = Self { value, ..*self };
        let read = seed.deserialize(inside.clone());
        read.map_err(|trouble| Trouble::Placed(inside.place(trouble)))
    }

    /// What the file calls a key of the schema.
    fn in_file(&self, key: &'static str) -> &'static str {
        let renamed = self.style.renamed.iter();
        let mut renamed = renamed.filter(|(_, schemas)| *schemas == key);
        renamed.next().map_or(key, |(files, _)| files)
    }

    /// What the schema calls a key of the file; `None` if the file has no such key, for the schema's is another one in files.
    fn in_schema<'k>(&self, key: &'k str) -> Option<&'k str> {
        let mut renamed = self.style.renamed.iter();
        match renamed.find(|(files, schemas)| [*files, *schemas].contains(&key)) {
            Some((files, schemas)) => (*files == key).then_some(schemas),
            None => Some(key),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        let other = |what| Err(Trouble::invalid_type(Unexpected::Other(what), &visitor));
        match self.value.raw() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(flag) => visitor.visit_bool(*flag),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => Err(Trouble::invalid_value(
                        Unexpected::Other("integer"),
                        &visitor,
                    )),
                }
            }
            // No schema has them.
            DeValue::Float(_) => other("float"),
            DeValue::Datetime(_) => other("datetime"),
            DeValue::Array(_) => {
                let values = self.value.array("").map_err(Trouble::Placed)?.into_iter();
                visitor.visit_seq(Items {
                    reader: self,
                    values,
                })
            }
            DeValue::Table(_) => self.deserialize_struct("a table", &[], visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        let Some(entries) = self.value.entries() else {
            let expected = name.to_owned();
            return Err(Trouble::Type { expected });
        };
        visitor.visit_map(Entries {
            reader: self,
            keys,
            entries: entries.into_iter(),
            value: None,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        match self.value.raw() {
            DeValue::String(word) => visitor.visit_enum(word.as_ref().into_deserializer()),
            _ => {
                let expected = one_of(words);
                Err(Trouble::Type { expected })
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// The values of an array.
struct Items<'de> {
    reader: Reader<'de>,
    values: IntoIter<Value<'de>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Trouble;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble> {
        let next = self.values.next();
        next.map(|value| self.reader.read(value, seed)).transpose()
    }
}

/// The keys and values of a table, in the order of the file.
struct Entries<'de> {
    reader: Reader<'de>,
    keys: &'static [&'static str],
    entries: IntoIter<(&'de str, Value<'de>)>,
    /// That of the last key.
    value: Option<Value<'de>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Trouble;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Trouble> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        match self.reader.in_schema(key) {
            Some(key) => seed.deserialize(key.into_deserializer()).map(Some),
            None => Err(Trouble::unknown_field(key, self.keys)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Trouble> {
        match self.value.take() {
            Some(value) => self.reader.read(value, seed),
            None => Err(Trouble::custom("a value was asked for before its key")),
        }
    }
}
