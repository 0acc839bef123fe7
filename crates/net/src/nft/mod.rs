//! A thin client of nftables over nfnetlink: batches that the kernel takes as a whole or not at all. No `nft` program.
//!
//! Numbers are those of linux/netfilter/nf_tables.h; nfnetlink wants them in network byte order.

mod batch;
mod expr;
mod read;

pub use batch::{Batch, Chain, Element, Family, Hook, Set, Value};
pub use expr::{Expr, Verdict, key, load};
pub use read::{ChainEntry, ElementEntry, RuleEntry, TableEntry};

use crate::netlink::{Message, Protocol, Refusal, Socket, flag};
use sandbox::Result;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// A socket for nftables of one network namespace.
#[derive(Debug)]
pub struct Nft {
    pub(crate) socket: Socket,
}

impl Nft {
    /// Of the caller's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Protocol::Netfilter)? })
    }

    /// Has the kernel take a batch; `what` says it for the error.
    pub fn commit(&mut self, batch: Batch, what: impl FnOnce() -> String) -> Result<()> {
        match self.try_commit(batch)? {
            None => Ok(()),
            Some(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// The same; what the kernel refused is a value.
    pub fn try_commit(&mut self, batch: Batch) -> Result<Option<Refusal>> {
        if batch.messages.is_empty() {
            return Ok(None);
        }
        let header = [0, 0, 0, SUBSYSTEM as u8];
        let begin = Message::new(BATCH_BEGIN, flag::REQUEST, &header);
        let mut messages = vec![begin];
        messages.extend(batch.messages);
        messages.push(Message::new(BATCH_END, flag::REQUEST, &header));
        self.socket.batch(messages)
    }
}

/// A message of the subsystem.
fn message(kind: u16, flags: u16, family: u8) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, flag::REQUEST | flags, &[family, 0, 0, 0])
}

/// A comment as the `nft` program reads and writes it: type 0, length, the text with its final zero.
fn comment(text: &str) -> Vec<u8> {
    let text = &text.as_bytes()[..text.len().min(127)];
    let mut bytes = vec![0, text.len() as u8 + 1];
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes
}

/// The comment in a user data attribute, if there is one.
fn read_comment(mut bytes: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = bytes {
        let value = rest.get(..usize::from(*length))?;
        if *kind == 0 {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        bytes = &rest[usize::from(*length)..];
    }
    None
}
