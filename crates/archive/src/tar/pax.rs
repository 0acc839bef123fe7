//! PAX extended headers (POSIX.1-2001, pax(1)): `LENGTH KEY=VALUE\n`, the value being any bytes.

use super::{
    header::Timestamp,
    sparse::{Form, MAX_SEGMENTS},
};

/// What an extended header says of the entry behind it.
#[derive(Debug, Default)]
pub struct Pax {
    pub path: Option<Vec<u8>>,
    pub link_path: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Timestamp>,
    pub atime: Option<Timestamp>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// GNU tar's keys for sparse files, formats 0.0, 0.1 and 1.0.
#[derive(Debug, Default)]
pub struct Sparse {
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub form: Option<Form>,
}

/// Reads all records; the last of a key counts, an empty value takes it back.
pub fn parse(data: &[u8]) -> Result<Option<Pax>, String> {
    let mut pax = Pax::default();
    let mut map = Vec::new();
    let mut major = None;
    let mut rest = data;
    while !rest.is_empty() {
        let (key, value, next) = record(rest).ok_or("a PAX record whose length does not fit")?;
        rest = next;
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let bad = || format!("a PAX record with a bad {}", key.escape_ascii());
        let unsigned = || if value.is_empty() { Ok(None) } else { decimal(value).map(Some).ok_or_else(bad) };
        let time = || if value.is_empty() { Ok(None) } else { timestamp(value).map(Some).ok_or_else(bad) };
        match key {
            b"path" => pax.path = text(),
            b"linkpath" => pax.link_path = text(),
            b"size" => pax.size = unsigned()?,
            b"uid" => pax.uid = unsigned()?,
            b"gid" => pax.gid = unsigned()?,
            b"mtime" => pax.mtime = time()?,
            b"atime" => pax.atime = time()?,
            b"GNU.sparse.name" => pax.sparse.name = text(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => pax.sparse.size = unsigned()?,
            b"GNU.sparse.major" => major = unsigned()?,
            b"GNU.sparse.offset" => map.push((decimal(value).ok_or_else(bad)?, 0)),
            b"GNU.sparse.numbytes" => map.last_mut().ok_or_else(bad)?.1 = decimal(value).ok_or_else(bad)?,
            b"GNU.sparse.map" => map = pairs(value).ok_or_else(bad)?,
            b"GNU.sparse.numblocks" => pax.sparse.form = Some(Form::Listed(Vec::new())),
            _ => {
                let attribute = match (key.strip_prefix(b"SCHILY.xattr."), key.strip_prefix(b"LIBARCHIVE.xattr.")) {
                    (Some(name), _) => Some((name.to_vec(), value.to_vec())),
                    // bsdtar writes both; its own form has names in percent-encoding and values in Base64.
                    (None, Some(name)) => percent_decoded(name).zip(base64_decoded(value)),
                    (None, None) => None,
                };
                if let Some((name, value)) = attribute {
                    pax.xattrs.retain(|(seen, _)| *seen != name);
                    pax.xattrs.push((name, value));
                }
            }
        }
        if map.len() > MAX_SEGMENTS {
            return Err("a sparse map that is too long".to_owned());
        }
    }
    if major.is_some_and(|major| major > 0) {
        pax.sparse.form = Some(Form::InData);
    } else if !map.is_empty() || pax.sparse.form.is_some() {
        pax.sparse.form = Some(Form::Listed(map));
    }
    Ok(Some(pax))
}

/// The first record: key, value, and what follows.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..blank])?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let pair = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

/// Decimal digits, nothing else, up to 2^63 - 1.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0_i64, |value, byte| match byte {
            b'0'..=b'9' => value.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
            _ => None,
        })
        .map(i64::cast_unsigned)
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, next)) = rest.split_first() {
        rest = next;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, next) = rest.split_first_chunk::<2>()?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = next;
    }
    Some(bytes)
}

/// Base64 (RFC 4648), with or without padding.
fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().position(|byte| *byte == b'=').map_or(text, |end| &text[..end]);
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

fn pairs(text: &[u8]) -> Option<Vec<(u64, u64)>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers = text.split(|byte| *byte == b',').map(decimal).collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}

/// Seconds with an optional fraction; digits beyond nanoseconds are cut. `-1.5` is half a second after -2.
fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let mut nanoseconds = 0;
    for place in 0..9 {
        let digit = match fraction.get(place).copied().unwrap_or(b'0') {
            digit @ b'0'..=b'9' => u32::from(digit - b'0'),
            _ => return None,
        };
        nanoseconds = nanoseconds * 10 + digit;
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Timestamp { seconds: whole, nanoseconds },
        (true, 0) => Timestamp { seconds: -whole, nanoseconds },
        (true, _) => Timestamp { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_any_byte() {
        let pax = parse(b"34 SCHILY.xattr.user.a=b\nc=\0\xff1234\n30 mtime=1700000000.123456789\n").unwrap().unwrap();
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"b\nc=\0\xff1234".to_vec())]);
        assert_eq!(pax.mtime, Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 }));
    }

    #[test]
    fn lengths_and_numbers_are_checked() {
        for bad in ["99 path=a\n", "5 a=b", "x", "9999999999999999999999 path=a\n", "9 size=x\n", "10 size=-1\n"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        assert_eq!(timestamp(b"-1.5"), Some(Timestamp { seconds: -2, nanoseconds: 500_000_000 }));
        assert_eq!(timestamp(b"-3"), Some(Timestamp { seconds: -3, nanoseconds: 0 }));
        assert_eq!(timestamp(b"1.5x"), None);
    }
}
