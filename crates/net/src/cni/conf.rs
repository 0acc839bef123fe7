//! A configuration, asked for values. Keys match whatever their case, as in the first rkt and in every plugin written in Go.

use super::{CniError, code};
use serde_json::Value;

/// One object of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Conf<'a>(&'a Value);

static NOTHING: Value = Value::Null;

impl<'a> Conf<'a> {
    /// A view of an object; anything else has no keys.
    pub fn of(value: &'a Value) -> Self {
        Self(value)
    }

    /// The value of a key; the exact spelling wins over another case.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let object = self.0.as_object()?;
        object
            .get(key)
            .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
            .filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        key: &str,
        what: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CniError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| {
                CniError::new(code::DECODING, format!("failed to load netconf: \"{key}\" is not {what}"))
            }),
        }
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, CniError> {
        self.typed(key, "a string", Value::as_str)
    }

    /// A truth value, false if absent.
    pub fn flag(&self, key: &str) -> Result<bool, CniError> {
        Ok(self.optional_flag(key)?.unwrap_or(false))
    }

    /// A truth value.
    pub fn optional_flag(&self, key: &str) -> Result<Option<bool>, CniError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A whole number that is not negative.
    pub fn number(&self, key: &str) -> Result<Option<u64>, CniError> {
        self.typed(key, "a whole number", Value::as_u64)
    }

    /// A number that fits an `u32`.
    pub fn number32(&self, key: &str) -> Result<Option<u32>, CniError> {
        self.typed(key, "a number of 32 bits", |value| value.as_u64().and_then(|number| u32::try_from(number).ok()))
    }

    /// A list; an absent one is empty.
    pub fn list(&self, key: &str) -> Result<&'a [Value], CniError> {
        Ok(self.typed(key, "a list", Value::as_array)?.map_or(&[], Vec::as_slice))
    }

    /// A list of strings; an absent one is empty.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>, CniError> {
        let list = self.list(key)?;
        let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        texts.ok_or_else(|| {
            CniError::new(code::DECODING, format!("failed to load netconf: \"{key}\" is not a list of strings"))
        })
    }

    /// An object; an absent one has no keys.
    pub fn object(&self, key: &str) -> Result<Conf<'a>, CniError> {
        let object = self.typed(key, "an object", |value| value.is_object().then_some(value))?;
        Ok(Conf(object.unwrap_or(&NOTHING)))
    }

    /// The keys and values.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.0.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.as_object().is_none_or(serde_json::Map::is_empty)
    }

    /// The value itself.
    pub fn value(&self) -> &'a Value {
        self.0
    }
}
