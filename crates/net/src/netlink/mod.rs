//! A thin blocking client of netlink: one socket, one request at a time, or several in one system call.
//!
//! A socket belongs to the network namespace in which it was opened.

mod message;
pub mod rt;

pub use message::{Attributes, HEADER, Message, Reply, number};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use sandbox::{Context, Failure, Result};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Flags of a request's header (linux/netlink.h).
pub mod flag {
    /// Every request has it.
    pub const REQUEST: u16 = 0x1;
    /// Answer with an acknowledgement.
    pub const ACK: u16 = 0x4;
    /// Answer with all objects.
    pub const DUMP: u16 = 0x300;
    /// Remove nothing that holds other things.
    pub const NONRECURSIVE: u16 = 0x100;
    /// Replace what is there.
    pub const REPLACE: u16 = 0x100;
    /// Fail if it is there.
    pub const EXCL: u16 = 0x200;
    /// Make it if it is not there.
    pub const CREATE: u16 = 0x400;
    /// Add behind the others.
    pub const APPEND: u16 = 0x800;
}

/// Messages of this length are taken by any socket.
const SMALL: usize = 64 << 10;

/// How long a dump is tried that others' changes interrupt.
const DUMP_PATIENCE: Duration = Duration::from_secs(10);

const ERROR: u16 = 2;
const DONE: u16 = 3;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_ATTRIBUTES: u16 = 0x200;
const FLAG_INTERRUPTED: u16 = 0x10;

/// Which part of the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, queues.
    Route,
    /// nftables and conntrack.
    Netfilter,
}

/// A netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What the kernel said to one message of a batch.
#[derive(Debug)]
pub struct Refusal {
    /// Which of the batch's messages, from 0.
    pub index: usize,
    /// An errno.
    pub errno: i32,
    /// The kernel's own words, if it has any.
    pub words: String,
}

impl Socket {
    /// A socket in the caller's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self> {
        let protocol = match protocol {
            Protocol::Route => None, // NETLINK_ROUTE is 0, which rustix writes so
            Protocol::Netfilter => Some(net::netlink::NETFILTER),
        };
        let open = || -> io::Result<OwnedFd> {
            let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
            crate::sys::explain_refusals(fd.as_fd())?;
            Ok(fd)
        };
        let fd = open().context(|| "open a netlink socket")?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; 64 * 1024] })
    }

    /// Has the kernel do one thing; `what` says it for the error.
    pub fn request(&mut self, message: Message, what: impl FnOnce() -> String) -> Result<()> {
        match self.try_request(message)? {
            None => Ok(()),
            Some(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// The same; what the kernel refused is a value.
    pub fn try_request(&mut self, message: Message) -> Result<Option<Refusal>> {
        self.batch(vec![message])
    }

    /// Sends messages in one system call. Each that asks for an acknowledgement is waited for; answers the first refusal. The kernel
    /// does the others all the same, unless they are parts of a transaction.
    pub fn batch(&mut self, messages: Vec<Message>) -> Result<Option<Refusal>> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        let acknowledged: Vec<bool> = messages.iter().map(|message| message.flags() & flag::ACK != 0).collect();
        let mut waiting = acknowledged.iter().filter(|wanted| **wanted).count();
        for message in messages {
            self.sequence += 1;
            bytes.extend(message.finish(self.sequence));
        }
        let last = self.sequence;
        if bytes.len() > SMALL {
            // The kernel takes no message that is longer than this buffer.
            let _ = net::sockopt::set_socket_send_buffer_size_force(&self.fd, 2 * bytes.len());
        }
        net::send(&self.fd, &bytes, SendFlags::empty()).context(|| "send a netlink request")?;
        let mut refused: Option<Refusal> = None;
        while waiting > 0 {
            let length = self.receive()?;
            for (kind, flags, sequence, payload) in split(&self.buffer[..length]) {
                if kind != ERROR || !(first..=last).contains(&sequence) {
                    continue;
                }
                let errno = -(number(payload) as i32);
                let index = (sequence - first) as usize;
                if errno != 0 && refused.is_none() {
                    refused = Some(Refusal { index, errno, words: words(flags, payload) });
                }
                if !acknowledged[index] {
                    return Ok(refused); // a transaction that was refused as a whole, perhaps without another answer
                }
                waiting -= 1;
                if waiting == 0 {
                    break;
                }
            }
        }
        Ok(refused)
    }

    /// Asks for objects; `what` says it for the error. The message asks either for one object or for a dump.
    pub fn query(&mut self, message: Message, what: impl Fn() -> String) -> Result<Vec<Reply>> {
        match self.try_query(message)? {
            Ok(replies) => Ok(replies),
            Err(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// The same; what the kernel refused is a value.
    pub fn try_query(&mut self, message: Message) -> Result<std::result::Result<Vec<Reply>, Refusal>> {
        // A dump during which something changed may lack objects: ask again, less and less often where many change much.
        let until = Instant::now() + DUMP_PATIENCE;
        let mut pause = Duration::ZERO;
        while Instant::now() < until {
            if let Some(answer) = self.query_once(message.clone())? {
                return Ok(answer);
            }
            std::thread::sleep(pause);
            pause = (2 * pause + Duration::from_micros(100)).min(Duration::from_millis(20));
        }
        Err(Failure::system("read a netlink dump", io::Error::from_raw_os_error(libc::EINTR)))
    }

    fn query_once(&mut self, message: Message) -> Result<Option<std::result::Result<Vec<Reply>, Refusal>>> {
        let dump = message.flags() & flag::DUMP == flag::DUMP;
        self.sequence += 1;
        let bytes = message.finish(self.sequence);
        net::send(&self.fd, &bytes, SendFlags::empty()).context(|| "send a netlink request")?;
        let (mut replies, mut interrupted) = (Vec::new(), false);
        loop {
            let length = self.receive()?;
            for (kind, flags, sequence, payload) in split(&self.buffer[..length]) {
                if sequence != self.sequence {
                    continue;
                }
                interrupted |= flags & FLAG_INTERRUPTED != 0;
                match kind {
                    DONE if interrupted => return Ok(None),
                    DONE => return Ok(Some(Ok(replies))),
                    ERROR if number(payload) == 0 => return Ok(Some(Ok(replies))),
                    ERROR => {
                        let errno = -(number(payload) as i32);
                        return Ok(Some(Err(Refusal { index: 0, errno, words: words(flags, payload) })));
                    }
                    _ => replies.push(Reply { kind, payload: payload.to_vec() }),
                }
            }
            if !dump && !replies.is_empty() {
                return Ok(Some(Ok(replies)));
            }
        }
    }

    fn receive(&mut self) -> Result<usize> {
        let (_, length) =
            net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC).context(|| "receive a netlink answer")?;
        if length > self.buffer.len() {
            return Err(Failure::new("a netlink answer is longer than 64 KiB"));
        }
        Ok(length)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Refusal {
    /// The refusal as a failure to do `what`.
    pub fn into_failure(self, what: String) -> Failure {
        let sentence = if self.words.is_empty() { what } else { format!("{what} ({})", self.words) };
        Failure::system(sentence, io::Error::from_raw_os_error(self.errno))
    }
}

/// The messages of one datagram: type, flags, sequence number, payload.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(..HEADER)?;
        let length = number(head) as usize;
        let payload = bytes.get(HEADER..length)?;
        let (kind, flags) = (number(&head[4..6]) as u16, number(&head[6..8]) as u16);
        let sequence = number(&head[8..12]);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, flags, sequence, payload))
    })
}

/// The kernel's words in an error message: attributes behind the error number and the request's header.
fn words(flags: u16, payload: &[u8]) -> String {
    const MESSAGE: u16 = 1;
    if flags & FLAG_ACK_ATTRIBUTES == 0 {
        return String::new();
    }
    let request = payload.get(4..8).map_or(0, number) as usize;
    let skip = if flags & FLAG_CAPPED != 0 { HEADER } else { request.next_multiple_of(4) };
    Attributes(payload.get(4 + skip..).unwrap_or(&[])).text(MESSAGE).unwrap_or_default()
}
