//! The requests of entrypoints on the host, as they come in.

use super::super::control::{SOCKET, word};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use sandbox::channel::{Channel, Received};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// So many may ask at once.
const MAX_SESSIONS: usize = 16;

/// More descriptors than this need none.
const MAX_DESCRIPTORS: usize = 512;

/// A request that is whole.
pub struct Request {
    pub word: u8,
    pub app: String,
    pub descriptors: Vec<OwnedFd>,
    /// For the answer.
    pub channel: Channel,
}

struct Session {
    channel: Channel,
    descriptors: Vec<OwnedFd>,
}

/// Where requests come in.
pub struct Control {
    listener: OwnedFd,
    sessions: [Option<Session>; MAX_SESSIONS],
}

impl Control {
    /// Listens in the root of this process, which is that of stage1.
    pub fn open() -> Result<Self> {
        let path = format!("/{SOCKET}");
        // Left by a supervisor before us.
        let _ = std::fs::remove_file(&path);
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            bind(&listener, &SocketAddrUnix::new(path.as_str())?)?;
            rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(0o600))?;
            listen(&listener, MAX_SESSIONS as i32)?;
            Ok::<_, rustix::io::Errno>(listener)
        };
        let listener = open().context(|| format!("listen at {path}"))?;
        Ok(Self { listener, sessions: [const { None }; MAX_SESSIONS] })
    }

    /// Takes somebody in; answers the number. One too many is hung up.
    pub fn accept(&mut self) -> Option<usize> {
        let peer = accept_with(&self.listener, SocketFlags::CLOEXEC).ok()?;
        let free = self.sessions.iter().position(Option::is_none)?;
        self.sessions[free] = Some(Session { channel: Channel::from(peer), descriptors: Vec::new() });
        Some(free)
    }

    /// What to watch of a session.
    pub fn session(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.sessions.get(number)?.as_ref().map(|session| session.channel.as_fd())
    }

    /// Takes a word that has come; answers the request once it is whole. Then, and when the peer has gone, the session is over.
    pub fn hear(&mut self, number: usize) -> (bool, Option<Request>) {
        let Some(slot) = self.sessions.get_mut(number) else { return (false, None) };
        let Some(session) = slot else { return (false, None) };
        match session.channel.receive() {
            Ok(Received::Word(word::DESCRIPTOR, Some(fd))) if session.descriptors.len() < MAX_DESCRIPTORS => {
                session.descriptors.push(fd);
                (true, None)
            }
            Ok(Received::Text(word, app)) => {
                let request =
                    slot.take().map(|Session { channel, descriptors }| Request { word, app, descriptors, channel });
                (false, request)
            }
            _ => {
                *slot = None;
                (false, None)
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
