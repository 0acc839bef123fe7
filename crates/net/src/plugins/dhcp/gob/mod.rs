//! Go's `encoding/gob`, as much of it as `net/rpc` needs: what the CNI reference plugin and its daemon talk.
//!
//! A message is its length and its content: a negative type number with a type's definition, or a type number with a value. Fields are
//! told apart by their distance from the field before, zero values are left out.

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

/// Numbers of the types that need no definition.
mod basic {
    pub const BOOL: i64 = 1;
    pub const INT: i64 = 2;
    pub const UINT: i64 = 3;
    pub const FLOAT: i64 = 4;
    pub const BYTES: i64 = 5;
    pub const STRING: i64 = 6;
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `int` and its like.
    Int(i64),
    /// `uint` and its like, `bool`, the bits of a `float64`.
    Uint(u64),
    /// `[]byte`.
    Bytes(Vec<u8>),
    /// `string`.
    Text(String),
    /// A slice; what its elements are is told by an example, which is not part of it.
    List(Vec<Value>, Box<Value>),
    /// A struct: its name and its fields.
    Struct(&'static str, Vec<(String, Value)>),
}

impl Value {
    /// A struct of fields.
    pub fn of(name: &'static str, fields: Vec<(&str, Self)>) -> Self {
        Self::Struct(name, fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A string.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A field of a struct.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(_, fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A string of a struct; empty if it is absent.
    pub fn text_at(&self, name: &str) -> String {
        match self.get(name) {
            Some(Self::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// Bytes of a struct; empty if they are absent.
    pub fn bytes_at(&self, name: &str) -> &[u8] {
        match self.get(name) {
            Some(Self::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// Elements of a slice of a struct; none if it is absent.
    pub fn list_at(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::List(list, _)) => list,
            _ => &[],
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Int(number) => *number == 0,
            Self::Uint(number) => *number == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Text(text) => text.is_empty(),
            Self::List(list, _) => list.is_empty(),
            Self::Struct(..) => false,
        }
    }
}

/// A type, as the other side defined it.
#[derive(Clone, Debug)]
enum Definition {
    List(i64),
    Struct(Vec<(String, i64)>),
}

#[cfg(test)]
mod tests;
