//! Values to bytes.

use super::{Definition, Value, basic};
use std::collections::HashMap;
use std::io::{self, Write};

/// The first number that a definition may have.
const FIRST_OWN: i64 = 65;

/// Writes values; a type is defined when it is met first.
#[derive(Debug)]
pub struct Encoder<W> {
    sink: W,
    types: HashMap<String, i64>,
}

impl<W: Write> Encoder<W> {
    /// An encoder that has defined nothing yet.
    pub fn new(sink: W) -> Self {
        Self { sink, types: HashMap::new() }
    }

    /// Writes a struct.
    pub fn write(&mut self, value: &Value) -> io::Result<()> {
        let mut message = Vec::new();
        let id = self.define(value, &mut message)?;
        let mut content = Vec::new();
        put_int(&mut content, id);
        put_value(&mut content, value);
        put_uint(&mut message, content.len() as u64);
        message.extend(content);
        self.sink.write_all(&message)?;
        self.sink.flush()
    }

    /// The number of a value's type; writes definitions that are needed.
    fn define(&mut self, value: &Value, message: &mut Vec<u8>) -> io::Result<i64> {
        let (key, definition) = match value {
            Value::Int(_) => return Ok(basic::INT),
            Value::Uint(_) => return Ok(basic::UINT),
            Value::Bytes(_) => return Ok(basic::BYTES),
            Value::Text(_) => return Ok(basic::STRING),
            Value::List(_, example) => {
                let element = self.define(example, message)?;
                (format!("[]{element}"), Definition::List(element))
            }
            Value::Struct(name, fields) => {
                let mut described = Vec::new();
                for (field, value) in fields {
                    described.push((field.clone(), self.define(value, message)?));
                }
                ((*name).to_owned(), Definition::Struct(described))
            }
        };
        if let Some(id) = self.types.get(&key) {
            return Ok(*id);
        }
        let id = FIRST_OWN + self.types.len() as i64;
        self.types.insert(key.clone(), id);
        let mut content = Vec::new();
        put_int(&mut content, -id);
        definition.put(&mut content, &key, id);
        put_uint(message, content.len() as u64);
        message.extend(content);
        Ok(id)
    }
}

impl Definition {
    /// A `wireType`: field 2 a slice, field 3 a struct; both begin with a `CommonType` of name and number.
    fn put(&self, content: &mut Vec<u8>, name: &str, id: i64) {
        put_uint(content, if matches!(self, Self::List(_)) { 2 } else { 3 });
        put_uint(content, 1);
        if !name.starts_with('[') {
            put_uint(content, 1);
            put_bytes(content, name.as_bytes());
            put_uint(content, 1);
        } else {
            put_uint(content, 2);
        }
        put_int(content, id);
        put_uint(content, 0);
        match self {
            Self::List(element) => {
                put_uint(content, 1);
                put_int(content, *element);
            }
            Self::Struct(fields) if fields.is_empty() => {}
            Self::Struct(fields) => {
                put_uint(content, 1);
                put_uint(content, fields.len() as u64);
                for (field, id) in fields {
                    put_uint(content, 1);
                    put_bytes(content, field.as_bytes());
                    put_uint(content, 1);
                    put_int(content, *id);
                    put_uint(content, 0);
                }
            }
        }
        put_uint(content, 0);
        put_uint(content, 0);
    }
}

pub(super) fn put_uint(content: &mut Vec<u8>, number: u64) {
    if number < 128 {
        content.push(number as u8);
        return;
    }
    let bytes = number.to_be_bytes();
    let bytes = &bytes[number.leading_zeros() as usize / 8..];
    content.push((bytes.len() as u8).wrapping_neg());
    content.extend_from_slice(bytes);
}

pub(super) fn put_int(content: &mut Vec<u8>, number: i64) {
    put_uint(content, if number < 0 { (!(number as u64) << 1) | 1 } else { (number as u64) << 1 });
}

fn put_bytes(content: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(content, bytes.len() as u64);
    content.extend_from_slice(bytes);
}

fn put_value(content: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(number) => put_int(content, *number),
        Value::Uint(number) => put_uint(content, *number),
        Value::Bytes(bytes) => put_bytes(content, bytes),
        Value::Text(text) => put_bytes(content, text.as_bytes()),
        Value::List(list, _) => {
            put_uint(content, list.len() as u64);
            list.iter().for_each(|value| put_value(content, value));
        }
        Value::Struct(_, fields) => {
            let mut skipped = 1;
            for (_, value) in fields {
                if value.is_zero() {
                    skipped += 1;
                } else {
                    put_uint(content, skipped);
                    put_value(content, value);
                    skipped = 1;
                }
            }
            put_uint(content, 0);
        }
    }
}
