//! Sockets of the supervisor that apps send to (unix(7)): who sent, and the descriptors that came along.

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix, SocketFlags,
    SocketType, bind, recvmsg, socket_with, sockopt,
};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// At most so many descriptors of one message are looked at; the kernel closes the rest.
const MAX_DESCRIPTORS: usize = 4;

/// One message.
#[derive(Debug)]
pub struct Datagram {
    /// Its length in the buffer.
    pub length: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
    /// The sender's pid in our pid namespace, as the kernel vouches for it; 0 for a process that has none there.
    pub sender: i32,
    /// What came along, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// A socket at `path`, which anybody who sees it may connect or send to; non-blocking and close-on-exec.
pub fn open(path: impl AsRef<Path>, kind: SocketType) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, Mode::from_raw_mode(0o666))?;
    if kind == SocketType::DGRAM {
        sockopt::set_socket_passcred(&socket, true)?;
    } else {
        rustix::net::listen(&socket, 64)?;
    }
    Ok(socket)
}

/// The next message that waits, or none.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            other => break other?,
        }
    };
    let truncated = message.flags.contains(ReturnFlags::TRUNC);
    let mut datagram = Datagram { length: message.bytes, truncated, sender: 0, descriptors: Vec::new() };
    for message in ancillary.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(descriptors) => datagram.descriptors.extend(descriptors),
            RecvAncillaryMessage::ScmCredentials(credentials) => {
                datagram.sender = credentials.pid.as_raw_nonzero().get();
            }
            _ => {}
        }
    }
    Ok(Some(datagram))
}
