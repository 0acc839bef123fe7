//! What programs send to a journal, as lines of a log: datagrams of syslog(3) (RFC 3164 as glibc writes it), of journald's native
//! protocol, and streams of its stdout protocol (systemd's JOURNAL_NATIVE_PROTOCOL, sd_journal_stream_fd(3)). All of it is hostile.

/// Severities from here to the most urgent go to the stream of errors.
const WARNING: u8 = 4;

/// What a program that says nothing about it means: informational.
const INFORMATIONAL: u8 = 6;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// `stdout` or `stderr`, as the log says it.
    pub stream: &'static str,
    /// One or more lines.
    pub text: Vec<u8>,
}

fn record(priority: u8, identifier: &[u8], message: &[u8]) -> Record {
    let stream = if priority & 7 <= WARNING { "stderr" } else { "stdout" };
    let text = if identifier.is_empty() { message.to_vec() } else { [identifier, b": ", message].concat() };
    Record { stream, text }
}

/// Takes `<N>` off the beginning of a text.
fn priority(text: &[u8]) -> (Option<u8>, &[u8]) {
    let number = text.strip_prefix(b"<").and_then(|rest| {
        let end = rest.iter().take(4).position(|&byte| byte == b'>')?;
        let number: u16 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some(((number & 7) as u8, &rest[end + 1..]))
    });
    number.map_or((None, text), |(number, rest)| (Some(number), rest))
}

/// A datagram of syslog(3): `<PRIORITY>Mmm dd hh:mm:ss TAG: TEXT`, of which everything before the tag may be missing.
pub fn syslog(datagram: &[u8]) -> Option<Record> {
    let (severity, rest) = priority(datagram);
    let text = without_date(rest);
    let end = text.iter().rposition(|&byte| !matches!(byte, b'\n' | b'\0' | b' ' | b'\r'))?;
    Some(record(severity.unwrap_or(INFORMATIONAL), b"", &text[..=end]))
}

/// Takes `Mmm dd hh:mm:ss ` off: the log has times of its own.
fn without_date(text: &[u8]) -> &[u8] {
    const SHAPE: &[u8] = b"aaa d0 00:00:00 ";
    let fits = text.len() >= SHAPE.len()
        && text.iter().zip(SHAPE).all(|(&byte, &shape)| match shape {
            b'a' => byte.is_ascii_alphabetic(),
            b'd' => byte.is_ascii_digit() || byte == b' ',
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        });
    if fits { &text[SHAPE.len()..] } else { text }
}

/// A datagram of the native protocol: fields `NAME=VALUE` or `NAME`, a length of 64 bits little-endian, and so many bytes.
pub fn native(datagram: &[u8]) -> Option<Record> {
    let (mut message, mut identifier, mut severity) = (None, &b""[..], INFORMATIONAL);
    let mut rest = datagram;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None if line.is_empty() => continue,
            None => {
                let (length, after) = rest.split_first_chunk::<8>()?;
                let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
                let value = after.get(..length)?;
                rest = after.get(length + 1..).unwrap_or_default();
                (line, value)
            }
        };
        match name {
            b"MESSAGE" => message = Some(value),
            b"SYSLOG_IDENTIFIER" => identifier = value,
            b"PRIORITY" => {
                severity = match value {
                    [digit @ b'0'..=b'7'] => digit - b'0',
                    _ => severity,
                }
            }
            _ => {}
        }
    }
    message.filter(|message| !message.is_empty()).map(|message| record(severity, identifier, message))
}

/// How many lines stand before the text of a stream: identifier, unit, priority, whether lines have a priority, three of no use here.
const HEADER_LINES: usize = 7;

/// The longest line of a stream, and the longest header.
const MAX_LINE: usize = 8 << 10;

/// A stream of the stdout protocol.
#[derive(Debug, Default)]
pub struct Stream {
    buffer: Vec<u8>,
    header: Option<Header>,
}

#[derive(Debug)]
struct Header {
    identifier: Vec<u8>,
    severity: u8,
    prefixed: bool,
}

/// The stream does not speak the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Stream {
    /// Takes bytes in; answers the lines that are complete, at the end of the stream also the last.
    pub fn feed(&mut self, bytes: &[u8], end: bool) -> Result<Vec<Record>, Malformed> {
        self.buffer.extend_from_slice(bytes);
        if self.header.is_none() && !self.read_header()? {
            return Ok(Vec::new());
        }
        let Some(header) = &self.header else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            let rest = &self.buffer[at..];
            let (line, length) = match rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n') {
                Some(length) => (&rest[..length], length + 1),
                None if rest.len() >= MAX_LINE => (&rest[..MAX_LINE], MAX_LINE),
                None if end && !rest.is_empty() => (rest, rest.len()),
                None => break,
            };
            at += length;
            let (own, text) = if header.prefixed { priority(line) } else { (None, line) };
            entries.push(record(own.unwrap_or(header.severity), &header.identifier, text));
        }
        self.buffer.drain(..at);
        Ok(entries)
    }

    fn read_header(&mut self) -> Result<bool, Malformed> {
        let ends: Vec<usize> =
            self.buffer.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        let Some(&last) = ends.get(HEADER_LINES - 1) else {
            return if self.buffer.len() > MAX_LINE { Err(Malformed) } else { Ok(false) };
        };
        let mut lines = self.buffer[..last].split(|&byte| byte == b'\n');
        let identifier = lines.next().unwrap_or_default().to_vec();
        let severity = match lines.nth(1) {
            Some([digit @ b'0'..=b'7']) => digit - b'0',
            _ => return Err(Malformed),
        };
        let prefixed = lines.next() == Some(b"1");
        self.header = Some(Header { identifier, severity, prefixed });
        self.buffer.drain(..=last);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(record: Option<Record>) -> Option<(&'static str, String)> {
        record.map(|record| (record.stream, String::from_utf8(record.text).unwrap()))
    }

    #[test]
    fn a_datagram_of_syslog_keeps_its_tag_and_loses_priority_and_date() {
        assert_eq!(
            said(syslog(b"<13>Nov 25 22:00:01 tool[7]: hello\n")),
            Some(("stdout", "tool[7]: hello".to_owned()))
        );
        assert_eq!(said(syslog(b"<11>Nov  5 22:00:01 tool: bad")), Some(("stderr", "tool: bad".to_owned())));
        assert_eq!(said(syslog(b"plain")), Some(("stdout", "plain".to_owned())));
        assert_eq!(said(syslog(b"<999999>x")), Some(("stdout", "<999999>x".to_owned())));
        assert_eq!(said(syslog(b"<13>\n\0")), None);
    }

    #[test]
    fn a_native_datagram_has_fields_of_text_and_of_bytes() {
        let text = b"PRIORITY=3\nSYSLOG_IDENTIFIER=tool\nMESSAGE=it broke\nOTHER=x\n";
        assert_eq!(said(native(text)), Some(("stderr", "tool: it broke".to_owned())));
        let binary = [&b"MESSAGE\n"[..], &7u64.to_le_bytes(), b"one\ntwo", b"\nPRIORITY=6\n"].concat();
        assert_eq!(said(native(&binary)), Some(("stdout", "one\ntwo".to_owned())));
        assert_eq!(native(b"PRIORITY=6\n"), None);
    }

    #[test]
    fn a_length_that_lies_is_refused_and_nothing_panics() {
        for length in [8, 1 << 20, u64::MAX] {
            assert_eq!(native(&[&b"MESSAGE\n"[..], &length.to_le_bytes(), b"short"].concat()), None);
        }
        let whole = [&b"MESSAGE\n"[..], &3u64.to_le_bytes(), b"abc\n"].concat();
        for end in 0..whole.len() {
            let _ = native(&whole[..end]);
        }
    }

    #[test]
    fn a_stream_has_a_header_and_then_lines_which_may_have_priorities() {
        let mut stream = Stream::default();

        assert_eq!(stream.feed(b"tool\n\n6\n1\n0\n0", false), Ok(vec![]));
        let lines = stream.feed(b"\n0\none\n<3>two\nthr", false).unwrap();
        let last = stream.feed(b"ee", true).unwrap();

        let all: Vec<_> = lines.into_iter().chain(last).map(|record| said(Some(record)).unwrap()).collect();
        let all: Vec<_> = all.iter().map(|(stream, text)| (*stream, text.as_str())).collect();
        assert_eq!(all, [("stdout", "tool: one"), ("stderr", "tool: two"), ("stdout", "tool: three")]);
    }

    #[test]
    fn a_stream_without_a_header_is_ended_and_not_kept() {
        assert_eq!(Stream::default().feed(&[b'x'; MAX_LINE + 1], false), Err(Malformed));
        assert_eq!(Stream::default().feed(b"a\nb\nnine\n0\n0\n0\n0\n", false), Err(Malformed));
    }
}
