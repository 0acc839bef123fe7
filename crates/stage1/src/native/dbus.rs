//! As much of D-Bus (its specification, version 1) as it takes to call a service of the system: one connection, calls that nobody
//! waits for, and at its end a bounded wait until they are answered.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest message that is read.
const MAX_MESSAGE: usize = 64 << 10;

/// Message types.
const METHOD_CALL: u8 = 1;
const ANSWERS: [u8; 2] = [2, 3];

/// The letter that says how a message is to be read.
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// Whose method is called, and where.
pub struct Method<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
}

/// A connection to a bus, authenticated as root.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    calls: u32,
}

impl Bus {
    /// Connects without waiting: a bus that cannot take one more right now is none.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::over(UnixStream::from(socket))
    }

    fn over(stream: UnixStream) -> io::Result<Self> {
        let mut bus = Self { stream, calls: 0 };
        // The kernel tells the bus who we are; `30` is the user 0, in hexadecimal digits of its text.
        bus.stream.write_all(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")?;
        let own = "org.freedesktop.DBus";
        bus.call(
            &Method { destination: own, path: "/org/freedesktop/DBus", interface: own, member: "Hello" },
            Body::new(),
        )?;
        Ok(bus)
    }

    /// Sends a call; its answer comes later, and is not shown.
    pub fn call(&mut self, method: &Method<'_>, body: Body) -> io::Result<()> {
        self.calls += 1;
        self.stream.write_all(&message(self.calls, method, &body))
    }

    /// Waits until all calls are answered, at most so long.
    pub fn finish(self, patience: Duration) -> io::Result<()> {
        let until = Instant::now() + patience;
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(patience))?;
        let mut reader = BufReader::new(&self.stream);
        reader.by_ref().take(1024).read_until(b'\n', &mut Vec::new())?;
        let mut left = self.calls;
        while left > 0 {
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if ANSWERS.contains(&read_message(&mut reader)?) {
                left -= 1;
            }
        }
        Ok(())
    }
}

/// Reads a message and answers its type.
fn read_message(reader: &mut impl Read) -> io::Result<u8> {
    let mut head = [0; 16];
    reader.read_exact(&mut head)?;
    let [order, kind, _, _, body @ .., f0, f1, f2, f3] = head;
    let body = u32::from_ne_bytes([body[0], body[1], body[2], body[3]]) as usize;
    let fields = u32::from_ne_bytes([f0, f1, f2, f3]) as usize;
    let rest = fields.checked_next_multiple_of(8).and_then(|fields| fields.checked_add(body));
    let rest = rest.filter(|&rest| order == ORDER && rest <= MAX_MESSAGE).ok_or(io::ErrorKind::InvalidData)?;
    reader.read_exact(&mut vec![0; rest])?;
    Ok(kind)
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub struct Body {
    signature: String,
    bytes: Vec<u8>,
}

impl Body {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn string(mut self, text: &str) -> Self {
        self.signature.push('s');
        put_string(&mut self.bytes, text);
        self
    }

    pub fn byte_array(mut self, bytes: &[u8]) -> Self {
        self.signature.push_str("ay");
        put_number(&mut self.bytes, bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.signature.push('u');
        put_number(&mut self.bytes, number);
        self
    }
}

fn message(serial: u32, method: &Method<'_>, body: &Body) -> Vec<u8> {
    let mut fields = Vec::new();
    for (code, kind, text) in [
        (1, b'o', method.path),
        (2, b's', method.interface),
        (3, b's', method.member),
        (6, b's', method.destination),
        (8, b'g', &body.signature),
    ] {
        align(&mut fields, 8);
        fields.extend_from_slice(&[code, 1, kind, 0]);
        if kind == b'g' {
            fields.push(text.len() as u8);
            fields.extend_from_slice(text.as_bytes());
            fields.push(0);
        } else {
            put_string(&mut fields, text);
        }
    }
    let mut message = vec![ORDER, METHOD_CALL, 0, 1];
    for number in [body.bytes.len() as u32, serial, fields.len() as u32] {
        put_number(&mut message, number);
    }
    message.append(&mut fields);
    align(&mut message, 8);
    message.extend_from_slice(&body.bytes);
    message
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_number(bytes: &mut Vec<u8>, number: u32) {
    align(bytes, 4);
    bytes.extend_from_slice(&number.to_ne_bytes());
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len() as u32);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method<'_> = Method { destination: "a.b", path: "/a", interface: "a.b", member: "Do" };

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let text = message(2, &METHOD, &Body::new().string("x").number(7));

        let mut expected = b"l\x01\0\x01\x0c\0\0\0\x02\0\0\0\x48\0\0\0".to_vec();
        expected.extend_from_slice(b"\x01\x01o\0\x02\0\0\0/a\0\0\0\0\0\0");
        expected.extend_from_slice(b"\x02\x01s\0\x03\0\0\0a.b\0\0\0\0\0");
        expected.extend_from_slice(b"\x03\x01s\0\x02\0\0\0Do\0\0\0\0\0\0");
        expected.extend_from_slice(b"\x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0");
        expected.extend_from_slice(b"\x08\x01g\0\x02su\0");
        expected.extend_from_slice(b"\x01\0\0\0x\0\0\0\x07\0\0\0");
        assert_eq!(text, expected);
    }

    /// A bus that says this once it is spoken to.
    fn bus(says: &'static [u8]) -> Bus {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(says).unwrap();
        // Kept open, as a bus that hangs would be.
        std::mem::forget(theirs);
        Bus::over(ours).unwrap()
    }

    const SIGNAL: &[u8] = b"l\x04\0\x01\x04\0\0\0\x01\0\0\0\0\0\0\0four";
    const ANSWER: &[u8] = b"l\x02\0\x01\0\0\0\0\x02\0\0\0\x03\0\0\0abc\0\0\0\0\0";

    #[test]
    fn a_connection_ends_when_every_call_has_its_answer() {
        let says = [&b"OK 0123\r\n"[..], ANSWER, SIGNAL, ANSWER].concat().leak();
        let mut bus = bus(says);
        bus.call(&METHOD, Body::new()).unwrap();

        bus.finish(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn a_bus_that_hangs_or_talks_nonsense_holds_nobody_up() {
        let patience = Duration::from_millis(20);
        let error = |says| bus(says).finish(patience).unwrap_err().kind();

        assert_eq!(error(b"OK 0123\r\n"), io::ErrorKind::WouldBlock);
        assert_eq!(error(b"OK\r\nl\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff"), io::ErrorKind::InvalidData);
        assert_eq!(error(b"OK\r\nx234567890123456"), io::ErrorKind::InvalidData);
    }
}
