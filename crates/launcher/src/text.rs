//! The record as text, for one environment variable:
//!
//! ```text
//! 1;l=SOFT:HARD,…;i=IGNORED;m=BLOCKED;u=UMASK;d=STDIO;s=FD,…;o=SCOPE;n=NAME=VALUE,…
//! ```
//!
//! All nine fields, in this order. `l`: sixteen pairs, hexadecimal, `-` for no limit. `i`, `m`: sets of signals, hexadecimal. `u`: octal.
//! `d`: three letters, `b`locking, `n`on-blocking or `-` closed. `s`: decimal descriptors, may be empty. `o`: `s`ystem, `o`wn or `n`amespace. `n`: may be empty; in names and
//! values every byte but letters, digits and `_-./:` stands as `%XX`. The parser believes nothing: whoever starts Node by hand may have written it.

use crate::record::{Inherited, Limit, RESOURCES, Scope, Stdio};
use std::fmt::{self, Write};
use std::os::fd::RawFd;

/// The kernel takes no longer string in an environment than 128 KiB.
const MOST_BYTES: usize = 128 * 1024;
const MOST_DESCRIPTORS: usize = 1024;

/// A text that is no record; names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub &'static str);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record of the launcher is damaged at its {}", self.0)
    }
}

impl std::error::Error for ParseError {}

impl Inherited {
    /// The record as text.
    pub fn encode(&self) -> String {
        let limits = self.limits.map(|limit| format!("{}:{}", amount(limit.soft), amount(limit.hard))).join(",");
        let stdio: String = self.stdio.iter().map(|stdio| letter(*stdio)).collect();
        let listen = self.listen.iter().map(RawFd::to_string).collect::<Vec<_>>().join(",");
        let node =
            self.node.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>();
        let Self { ignored, blocked, scope, umask, .. } = self;
        format!(
            "1;l={limits};i={ignored:x};m={blocked:x};u={umask:o};d={stdio};s={listen};o={};n={}",
            scope_letter(*scope),
            node.join(",")
        )
    }

    /// The record of a text.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > MOST_BYTES {
            return Err(ParseError("length"));
        }
        let mut fields = text.split(';');
        if fields.next() != Some("1") {
            return Err(ParseError("version"));
        }
        let mut field = |key: &str, name| -> Result<&str, ParseError> {
            let value = fields.next().and_then(|field| field.strip_prefix(key)?.strip_prefix('='));
            value.ok_or(ParseError(name))
        };
        let record = Self {
            limits: parse_limits(field("l", "limits")?).ok_or(ParseError("limits"))?,
            ignored: hex(field("i", "ignored signals")?).ok_or(ParseError("ignored signals"))?,
            blocked: hex(field("m", "signal mask")?).ok_or(ParseError("signal mask"))?,
            umask: parse_umask(field("u", "umask")?).ok_or(ParseError("umask"))?,
            stdio: parse_stdio(field("d", "descriptors")?).ok_or(ParseError("descriptors"))?,
            listen: parse_listen(field("s", "sockets")?).ok_or(ParseError("sockets"))?,
            scope: parse_scope(field("o", "scope")?).ok_or(ParseError("scope"))?,
            node: parse_variables(field("n", "variables")?).ok_or(ParseError("variables"))?,
        };
        if fields.next().is_some() { Err(ParseError("end")) } else { Ok(record) }
    }
}

fn amount(limit: u64) -> String {
    if limit == u64::MAX { "-".to_owned() } else { format!("{limit:x}") }
}

fn letter(stdio: Stdio) -> char {
    match stdio {
        Stdio::Closed => '-',
        Stdio::Blocking => 'b',
        Stdio::NonBlocking => 'n',
    }
}

fn scope_letter(scope: Scope) -> char {
    match scope {
        Scope::System => 's',
        Scope::Own => 'o',
        Scope::Namespace => 'n',
    }
}

fn parse_scope(text: &str) -> Option<Scope> {
    [Scope::System, Scope::Own, Scope::Namespace].into_iter().find(|scope| text == scope_letter(*scope).to_string())
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // a String takes everything
        }
    }
    text
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(hex(std::str::from_utf8(&digits).ok()?)? as u8);
            }
            _ if byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte) => bytes.push(byte),
            _ => return None,
        }
    }
    Some(bytes)
}

/// Digits only: `from_str_radix` would take a sign.
fn hex(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, 16).ok())?
}

fn parse_limits(text: &str) -> Option<[Limit; RESOURCES]> {
    let parse = |text: &str| if text == "-" { Some(u64::MAX) } else { hex(text) };
    let mut limits = [Limit { soft: u64::MAX, hard: u64::MAX }; RESOURCES];
    let mut items = text.split(',');
    for limit in &mut limits {
        let (soft, hard) = items.next()?.split_once(':')?;
        *limit = Limit { soft: parse(soft)?, hard: parse(hard)? };
    }
    items.next().is_none().then_some(limits)
}

fn parse_umask(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(text, 8).ok().filter(|umask| digits && *umask <= 0o777)
}

fn parse_stdio(text: &str) -> Option<[Stdio; 3]> {
    let parsed: Option<Vec<Stdio>> = text
        .chars()
        .map(|letter| match letter {
            '-' => Some(Stdio::Closed),
            'b' => Some(Stdio::Blocking),
            'n' => Some(Stdio::NonBlocking),
            _ => None,
        })
        .collect();
    parsed?.try_into().ok()
}

fn parse_listen(text: &str) -> Option<Vec<RawFd>> {
    let parse = |item: &str| {
        let fd: RawFd = item.bytes().all(|byte| byte.is_ascii_digit()).then(|| item.parse().ok())??;
        (3..3 + MOST_DESCRIPTORS as RawFd).contains(&fd).then_some(fd)
    };
    items(text).map(parse).collect()
}

fn parse_variables(text: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let parse = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let (name, value) = (unescape(name)?, unescape(value)?);
        (name.starts_with(b"NODE_") && !name.contains(&0) && !value.contains(&0)).then_some((name, value))
    };
    items(text).map(parse).collect()
}

/// The items of a comma list, where the empty text has none.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(move |_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Inherited {
        let mut limits = [Limit { soft: u64::MAX, hard: u64::MAX }; RESOURCES];
        limits[7] = Limit { soft: 1024, hard: 20_000 };
        limits[4] = Limit { soft: 0, hard: u64::MAX };
        Inherited {
            limits,
            ignored: 0x1000,
            blocked: 1 << 63,
            umask: 0o027,
            stdio: [Stdio::Blocking, Stdio::Closed, Stdio::NonBlocking],
            scope: Scope::Namespace,
            listen: vec![3, 5],
            node: vec![
                (b"NODE_OPTIONS".to_vec(), b"--max-old-space-size=100 --title=\"a;b,c\"".to_vec()),
                (b"NODE_PATH".to_vec(), vec![0xff, b'%', b'=', b'\n']),
                (b"NODE_NOTHING".to_vec(), Vec::new()),
            ],
        }
    }

    #[test]
    fn a_record_survives_its_text() {
        assert_eq!(Inherited::parse(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn the_text_is_the_documented_one() {
        let none = ["-:-"; 16].join(",");
        let limits = none.replacen("-:-", "@", 8).replace("@,@,@,@,@,@,@,@", "-:-,-:-,-:-,-:-,0:-,-:-,-:-,400:4e20");
        let expected = format!(
            "1;l={limits};i=1000;m=8000000000000000;u=27;d=b-n;s=3,5;o=n;n=NODE_OPTIONS=--max-old-space-size%3D100%20--title%3D%22a%3Bb%2Cc%22,\
             NODE_PATH=%FF%25%3D%0A,NODE_NOTHING="
        );
        assert_eq!(sample().encode(), expected);
    }

    #[test]
    fn an_empty_list_has_no_items() {
        let record = Inherited { listen: Vec::new(), node: Vec::new(), ..sample() };
        assert!(record.encode().ends_with(";s=;o=n;n="));
        assert_eq!(Inherited::parse(&record.encode()), Ok(record));
    }

    #[test]
    fn damage_names_its_field() {
        let good = sample().encode();
        let cases = [
            ("1;", "2;", "version"),
            ("400:4e20", "400", "limits"),
            ("400:4e20", "+400:4e20", "limits"),
            ("400:4e20", "10000000000000000:1", "limits"),
            ("-:-,", "", "limits"),
            (";i=1000", "", "ignored signals"),
            (";i=1000", ";i=1z", "ignored signals"),
            (";m=8", ";m=88", "signal mask"),
            (";u=27", ";u=7777", "umask"),
            (";u=27", ";u=", "umask"),
            (";d=b-n", ";d=b-", "descriptors"),
            (";d=b-n", ";d=b-x", "descriptors"),
            (";o=n", ";o=x", "scope"),
            (";o=n", ";o=", "scope"),
            (";s=3,5", ";s=2", "sockets"),
            (";s=3,5", ";s=99999999999", "sockets"),
            (";n=NODE_", ";n=LD_", "variables"),
            ("%FF", "%F", "variables"),
            ("%0A", "%00", "variables"),
            ("NODE_NOTHING=", "NODE_NOTHING=;x=1", "end"),
        ];
        for (from, to, field) in cases {
            assert_eq!(Inherited::parse(&good.replacen(from, to, 1)), Err(ParseError(field)), "{from} -> {to}");
        }
        assert_eq!(Inherited::parse(""), Err(ParseError("version")));
        assert_eq!(Inherited::parse(&"1".repeat(MOST_BYTES + 1)), Err(ParseError("length")));
    }
}
