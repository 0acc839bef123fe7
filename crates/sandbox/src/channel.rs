//! Words and descriptors between two processes of ours (unix(7), SOCK_SEQPACKET). The end of the channel is the end of the peer.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest text.
const MAX_TEXT: usize = 2048;

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What came through a channel.
#[derive(Debug)]
pub enum Received {
    /// One word, and the descriptor that came with it.
    Word(u8, Option<OwnedFd>),
    /// A word that a text belongs to.
    Text(u8, String),
    /// The peer is gone.
    Closed,
}

impl From<OwnedFd> for Channel {
    /// Over a socket of this kind.
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl Channel {
    /// Both ends of a new channel.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The same end, as a descriptor not below `least`.
    pub fn above(self, least: i32) -> io::Result<Self> {
        crate::sys::duplicate_from(self.0.as_fd(), least).map(Self)
    }

    /// Sends a word.
    pub fn send(&self, word: u8, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(&self.0, &[IoSlice::new(&[word])], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Sends a word with a text, of which too long an end is cut off.
    pub fn send_text(&self, word: u8, text: &str) -> io::Result<()> {
        let text = &text.as_bytes()[..text.len().min(MAX_TEXT)];
        rustix::net::send(&self.0, &[&[word], text].concat(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next word; waits for it.
    pub fn receive(&self) -> io::Result<Received> {
        let mut word = [0; 1 + MAX_TEXT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut word)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::Closed),
                other => break other?,
            }
        };
        if message.bytes == 0 {
            return Ok(Received::Closed);
        }
        if message.bytes > 1 {
            return Ok(Received::Text(word[0], String::from_utf8_lossy(&word[1..message.bytes]).into_owned()));
        }
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(Received::Word(word[0], descriptor))
    }
}
