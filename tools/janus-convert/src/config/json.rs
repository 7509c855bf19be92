//! JSON files beside the weights, read strictly: bounded, no key twice, every value checked.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde_json::{Map, Value};

use super::unique::Unique;
use crate::beside;
use crate::error::{Error, Result};

/// No configuration file is larger.
const LIMIT: u64 = 1 << 20;
/// No size of a network is larger.
const MAX_SIZE: usize = 1 << 24;

/// A JSON file whose outermost value is an object.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    object: Map<String, Value>,
    /// Settings that were passed over, where that is allowed.
    passed_over: Option<RefCell<Vec<String>>>,
}

impl Document {
    /// Reads `name` in `dir`.
    pub(crate) fn read(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let bytes = beside::read(dir, name, LIMIT)?;
        let Unique(value) = serde_json::from_slice(&bytes).map_err(|source| Error::ParseJson {
            path: path.clone(),
            source,
        })?;
        match value {
            Value::Object(object) => Ok(Self {
                path,
                object,
                passed_over: None,
            }),
            other => Err(Error::ParseJson {
                path,
                source: serde_json::Error::custom(format!("{} is not an object", kind(&other))),
            }),
        }
    }

    /// Reads `name` in `dir` if there is such a file.
    pub(crate) fn read_optional(dir: &Path, name: &str) -> Result<Option<Self>> {
        beside::optional(Self::read(dir, name))
    }

    /// Allows unknown numbers to be passed over.
    pub(crate) fn tolerant(self) -> Self {
        Self {
            passed_over: Some(RefCell::default()),
            ..self
        }
    }

    /// The settings that were passed over so far.
    pub(crate) fn passed_over(&self) -> Vec<String> {
        self.passed_over
            .as_ref()
            .map(|settings| settings.borrow().clone())
            .unwrap_or_default()
    }

    /// The outermost object.
    pub(crate) fn root(&self) -> Section<'_> {
        Section {
            document: self,
            path: String::new(),
            object: Some(&self.object),
        }
    }
}

/// An object within a document; one that is not there has no fields.
#[derive(Clone, Debug)]
pub(crate) struct Section<'d> {
    document: &'d Document,
    path: String,
    object: Option<&'d Map<String, Value>>,
}

impl<'d> Section<'d> {
    /// An object within this one.
    pub(crate) fn section(&self, key: &str) -> Result<Self> {
        let object = match self.value(key) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object),
            Some(other) => return Err(self.wrong(key, other, "an object")),
        };
        Ok(Self {
            document: self.document,
            path: self.full(key),
            object,
        })
    }

    /// Whether there is anything but `null` under this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| !value.is_null())
    }

    /// A whole number.
    pub(crate) fn size(&self, key: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        self.checked(
            key,
            &format!("a whole number, {} to {}", range.start(), range.end()),
            |v| {
                v.as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|n| range.contains(n))
            },
        )
    }

    /// A number within a range.
    pub(crate) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        self.checked(
            key,
            &format!("a number, {:?} to {:?}", range.start(), range.end()),
            |v| v.as_f64().filter(|n| range.contains(n)),
        )
    }

    /// A truth value.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.checked(key, "true or false", Value::as_bool)
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'d str>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a text")),
        }
    }

    /// Three numbers within a range.
    pub(crate) fn triple(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<[f64; 3]>> {
        let expected = format!("three numbers, {:?} to {:?}", range.start(), range.end());
        self.checked(key, &expected, |value| {
            let numbers: Option<Vec<_>> = value
                .as_array()?
                .iter()
                .map(|n| n.as_f64().filter(|n| range.contains(n)))
                .collect();
            numbers?.try_into().ok()
        })
    }

    /// Refuses every value but this one, if there is any.
    pub(crate) fn expect(&self, key: &str, expected: &Value) -> Result<()> {
        match self.value(key) {
            Some(value) if value != expected => Err(self.wrong(
                key,
                value,
                &format!("{expected}; nothing else is supported"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a setting that is there and not `null`.
    pub(crate) fn refuse(&self, key: &str) -> Result<()> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(self.wrong(key, value, "absent; it is not supported")),
        }
    }

    /// Refuses numbers under names that are not on the list, unless the document is tolerant:
    /// they might change what is computed.
    pub(crate) fn refuse_unknown_numbers(&self, known: &[&[&str]]) -> Result<()> {
        for (key, value) in self.object.into_iter().flatten() {
            if !value.is_number() || known.iter().any(|names| names.contains(&key.as_str())) {
                continue;
            }
            let (field, found) = (self.full(key), value.to_string());
            match &self.document.passed_over {
                Some(settings) => settings.borrow_mut().push(format!("{field} = {found}")),
                None => {
                    let path = self.document.path.clone();
                    return Err(Error::UnknownField { path, field, found });
                }
            }
        }
        Ok(())
    }

    /// The error for a setting without a default that is not there.
    pub(crate) fn missing(&self, key: &str) -> Error {
        Error::MissingField {
            path: self.document.path.clone(),
            field: self.full(key),
        }
    }

    /// The error for a setting that does not go with others.
    pub(crate) fn unfit(&self, key: &str, found: impl fmt::Display, expected: String) -> Error {
        let (path, field) = (self.document.path.clone(), self.full(key));
        Error::Field {
            path,
            field,
            found: found.to_string(),
            expected,
        }
    }

    /// The error for a setting that something else contradicts.
    pub(crate) fn disagrees(&self, key: &str, stated: usize, found: String) -> Error {
        Error::Disagreement {
            path: self.document.path.clone(),
            field: self.full(key),
            stated,
            found,
        }
    }

    /// Fails if a size is stated and the weights have another number of `what`.
    pub(crate) fn agree(&self, key: &str, found: usize, what: &str) -> Result<()> {
        match self.size(key, 0..=MAX_SIZE)? {
            Some(stated) if stated != found => {
                Err(self.disagrees(key, stated, format!("the weights have {found} {what}")))
            }
            _ => Ok(()),
        }
    }

    fn checked<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        convert(value)
            .map(Some)
            .ok_or_else(|| self.wrong(key, value, expected))
    }

    fn value(&self, key: &str) -> Option<&'d Value> {
        self.object.and_then(|object| object.get(key))
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        self.unfit(key, value, expected.to_owned())
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
