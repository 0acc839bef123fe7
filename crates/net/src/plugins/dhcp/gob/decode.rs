//! Bytes to values. They come from whoever may talk to the socket, and are bounded.

use super::{Definition, Value, basic};
use std::collections::HashMap;
use std::io::{self, Read};

/// A longer message is refused.
const LONGEST: u64 = 1 << 20;
const DEEPEST: usize = 16;

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
