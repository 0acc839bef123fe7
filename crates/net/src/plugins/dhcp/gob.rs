//! Go's `encoding/gob`, as much of it as `net/rpc` needs: what the CNI reference plugin and its daemon talk.
//!
//! A message is its length and its content: a negative type number with a type's definition, or a type number with a value. Fields are
//! told apart by their distance from the field before, zero values are left out.

use std::collections::HashMap;
use std::io::{self, Read, Write};

/// A longer message is refused.
const LONGEST: u64 = 1 << 20;
const DEEPEST: usize = 16;

/// Numbers of the types that need no definition.
mod basic {
    pub const BOOL: i64 = 1;
    pub const INT: i64 = 2;
    pub const UINT: i64 = 3;
    pub const FLOAT: i64 = 4;
    pub const BYTES: i64 = 5;
    pub const STRING: i64 = 6;
}

/// The first number that a definition may have.
const FIRST_OWN: i64 = 65;

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

/// A type, as the other side defined it.
#[derive(Clone, Debug)]
enum Definition {
    List(i64),
    Struct(Vec<(String, i64)>),
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

fn put_uint(content: &mut Vec<u8>, number: u64) {
    if number < 128 {
        content.push(number as u8);
        return;
    }
    let bytes = number.to_be_bytes();
    let bytes = &bytes[number.leading_zeros() as usize / 8..];
    content.push((bytes.len() as u8).wrapping_neg());
    content.extend_from_slice(bytes);
}

fn put_int(content: &mut Vec<u8>, number: i64) {
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

/// Reads values.
#[derive(Debug)]
pub struct Decoder<R> {
    source: R,
    types: HashMap<i64, Definition>,
}

impl<R: Read> Decoder<R> {
    /// A decoder that knows no type yet.
    pub fn new(source: R) -> Self {
        Self { source, types: HashMap::new() }
    }

    /// Reads the next value; none at the end.
    pub fn read(&mut self) -> io::Result<Option<Value>> {
        while let Some(content) = self.message()? {
            let mut bytes = Bytes(&content);
            let id = bytes.int()?;
            if id < 0 {
                let definition = bytes.definition()?;
                self.types.insert(id.checked_neg().ok_or_else(malformed)?, definition);
                continue;
            }
            if !matches!(self.types.get(&id), Some(Definition::Struct(_))) {
                bytes.uint()?; // what is no struct is the one field of none
            }
            return bytes.value(id, &self.types, 0).map(Some);
        }
        Ok(None)
    }

    fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut first = [0];
        if self.source.read(&mut first)? == 0 {
            return Ok(None);
        }
        let mut length = u64::from(first[0]);
        if first[0] >= 128 {
            let count = usize::from(first[0].wrapping_neg());
            let mut bytes = [0; 8];
            let from = bytes.len().checked_sub(count).ok_or_else(malformed)?;
            self.source.read_exact(&mut bytes[from..])?;
            length = u64::from_be_bytes(bytes);
        }
        if length > LONGEST {
            return Err(malformed());
        }
        let mut content = vec![0; length as usize];
        self.source.read_exact(&mut content)?;
        Ok(Some(content))
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn uint(&mut self) -> io::Result<u64> {
        let first = self.take(1)?[0];
        if first < 128 {
            return Ok(u64::from(first));
        }
        let bytes = self.take(usize::from(first.wrapping_neg()))?;
        if bytes.len() > 8 {
            return Err(malformed());
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn int(&mut self) -> io::Result<i64> {
        let number = self.uint()?;
        Ok(if number & 1 == 1 { !((number >> 1) as i64) } else { (number >> 1) as i64 })
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.uint()?;
        self.take(usize::try_from(length).map_err(|_| malformed())?)
    }

    fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// The fields of a struct: calls `read` with the number of each, from 0.
    fn fields(&mut self, mut read: impl FnMut(&mut Self, usize) -> io::Result<()>) -> io::Result<()> {
        let mut next = 0_u64;
        loop {
            match self.uint()? {
                0 => return Ok(()),
                delta => {
                    next = next.checked_add(delta).ok_or_else(malformed)?;
                    read(self, usize::try_from(next - 1).map_err(|_| malformed())?)?;
                }
            }
        }
    }

    /// A `wireType` of a slice or a struct.
    fn definition(&mut self) -> io::Result<Definition> {
        let mut found = None;
        self.fields(|bytes, kind| {
            let (mut element, mut described) = (0, Vec::new());
            bytes.fields(|bytes, field| match field {
                0 => {
                    bytes.fields(|bytes, field| if field == 0 { bytes.text().map(drop) } else { bytes.int().map(drop) })
                }
                1 if kind == 1 => bytes.int().map(|id| element = id),
                1 if kind == 2 => {
                    for _ in 0..bytes.uint()? {
                        let (mut name, mut id) = (String::new(), 0);
                        bytes.fields(|bytes, field| match field {
                            0 => bytes.text().map(|text| name = text),
                            _ => bytes.int().map(|number| id = number),
                        })?;
                        described.push((name, id));
                    }
                    Ok(())
                }
                _ => Err(malformed()),
            })?;
            found = Some(if kind == 1 { Definition::List(element) } else { Definition::Struct(described) });
            Ok(())
        })?;
        found.ok_or_else(malformed)
    }

    fn value(&mut self, id: i64, types: &HashMap<i64, Definition>, depth: usize) -> io::Result<Value> {
        if depth > DEEPEST {
            return Err(malformed());
        }
        match id {
            basic::INT => return self.int().map(Value::Int),
            basic::BOOL | basic::UINT | basic::FLOAT => return self.uint().map(Value::Uint),
            basic::BYTES => return self.bytes().map(|bytes| Value::Bytes(bytes.to_vec())),
            basic::STRING => return self.text().map(Value::Text),
            _ => {}
        }
        match types.get(&id).ok_or_else(malformed)? {
            Definition::List(element) => {
                let count = self.uint()?;
                let mut list = Vec::new();
                for _ in 0..count {
                    if self.0.is_empty() {
                        return Err(malformed());
                    }
                    list.push(self.value(*element, types, depth + 1)?);
                }
                Ok(Value::List(list, Box::new(Value::Uint(0))))
            }
            Definition::Struct(fields) => {
                let mut values = Vec::new();
                self.fields(|bytes, field| {
                    let (name, id) = fields.get(field).ok_or_else(malformed)?;
                    values.push((name.clone(), bytes.value(*id, types, depth + 1)?));
                    Ok(())
                })?;
                Ok(Value::Struct("", values))
            }
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed gob")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_documentation_of_gob_shows() {
        let uint = |number| {
            let mut bytes = Vec::new();
            put_uint(&mut bytes, number);
            bytes
        };
        let int = |number| {
            let mut bytes = Vec::new();
            put_int(&mut bytes, number);
            bytes
        };
        assert_eq!((uint(7), uint(256)), (vec![7], vec![0xfe, 1, 0]));
        assert_eq!((int(-129), int(65), int(-65)), (vec![0xfe, 1, 1], vec![0xff, 0x82], vec![0xff, 0x81]));
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        // type Point struct { X, Y int }; Point{22, 33}
        let bytes = [
            0x1f, 0xff, 0x81, 0x03, 0x01, 0x01, 0x05, 0x50, 0x6f, 0x69, 0x6e, 0x74, 0x01, 0xff, 0x82, 0x00, 0x01, 0x02,
            0x01, 0x01, 0x58, 0x01, 0x04, 0x00, 0x01, 0x01, 0x59, 0x01, 0x04, 0x00, 0x00, 0x00, 0x07, 0xff, 0x82, 0x01,
            0x2c, 0x01, 0x42, 0x00,
        ];
        let mut decoder = Decoder::new(&bytes[..]);

        let point = decoder.read().unwrap().unwrap();

        assert_eq!(point.get("X"), Some(&Value::Int(22)));
        assert_eq!(point.get("Y"), Some(&Value::Int(33)));
        assert_eq!(decoder.read().unwrap(), None);
        let mut written = Vec::new();
        Encoder::new(&mut written)
            .write(&Value::of("Point", vec![("X", Value::Int(22)), ("Y", Value::Int(33))]))
            .unwrap();
        assert_eq!(written, bytes);
    }

    #[test]
    fn slices_of_structs_come_back_and_garbage_ends_with_an_error() {
        let item = |text: &str, number| {
            Value::of("Item", vec![("Name", Value::text(text)), ("Bits", Value::Bytes(vec![number; 3]))])
        };
        let list = Value::List(vec![item("a", 1), item("", 2)], Box::new(item("", 0)));
        let mut written = Vec::new();
        let mut encoder = Encoder::new(&mut written);
        for _ in 0..2 {
            encoder.write(&Value::of("All", vec![("None", Value::Uint(0)), ("Items", list.clone())])).unwrap();
        }

        let mut decoder = Decoder::new(&written[..]);
        for _ in 0..2 {
            let all = decoder.read().unwrap().unwrap();
            assert_eq!(all.list_at("Items").len(), 2);
            assert_eq!(all.list_at("Items")[0].text_at("Name"), "a");
            assert_eq!(all.list_at("Items")[1].bytes_at("Bits"), [2, 2, 2]);
        }
        for cut in 1..written.len() {
            let mut decoder = Decoder::new(&written[..cut]);
            while let Ok(Some(_)) = decoder.read() {}
        }
        for bytes in [&[0xff, 0xff][..], &[0xf8, 1, 1, 1, 1, 1, 1, 1, 1], &[0x80], &[2, 0x90, 0], &[1, 0x80]] {
            assert!(Decoder::new(bytes).read().is_err(), "{bytes:?}");
        }
    }
}
