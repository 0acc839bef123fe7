//! The console of a pod, which drops lines when it is blocked and says how many: apps are never held up by it.

use super::clock::kernel_time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// What may wait for a blocked console.
const MAX_PENDING: usize = 64 << 10;

/// How the console is written to without ever waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never blocks.
    File,
    /// An open file description of our own, non-blocking.
    Reopened,
    /// A socket, written to with a flag.
    Socket,
    /// Neither is possible: small writes, after asking.
    Careful,
}

/// The console of a pod: what the caller sees.
#[derive(Debug)]
pub struct Console {
    fd: OwnedFd,
    kind: Kind,
    pending: Vec<u8>,
    dropped: u64,
    broken: bool,
    /// Why lines are dropped, as the notice says it.
    blocked: &'static str,
}

impl Console {
    /// What is shown to a client at the other end of a socket.
    pub fn of_client(socket: OwnedFd) -> Self {
        let blocked = "this client was too slow";
        Self { fd: socket, kind: Kind::Socket, pending: Vec::new(), dropped: 0, broken: false, blocked }
    }

    /// A console over an inherited descriptor, whose own flags are never changed: other processes hold it too.
    pub fn over(inherited: BorrowedFd<'_>) -> std::io::Result<Self> {
        let stat = rustix::fs::fstat(inherited)?;
        let duplicate = || sandbox::sys::duplicate_from(inherited, 3);
        let (fd, kind) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo | FileType::CharacterDevice => {
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&inherited));
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                match rustix::fs::open(path, flags, Mode::empty()) {
                    Ok(fd) => (fd, Kind::Reopened),
                    Err(_) => (duplicate()?, Kind::Careful),
                }
            }
            FileType::Socket => (duplicate()?, Kind::Socket),
            _ => (duplicate()?, Kind::File),
        };
        let blocked = "the console was blocked";
        Ok(Self { fd, kind, pending: Vec::new(), dropped: 0, broken: false, blocked })
    }

    /// Whether something waits until the console can be written to.
    pub fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Forgets what waits: nobody will ever see anything more.
    pub fn abandon(&mut self) {
        self.broken = true;
        self.pending = Vec::new();
        self.dropped = 0;
    }

    /// Whether nobody will ever see anything more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// How many lines were dropped since the last notice.
    #[cfg(test)]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Shows whole lines, or counts them as dropped.
    pub fn show(&mut self, lines: &[u8]) {
        if self.broken {
            return;
        }
        if !self.pending.is_empty() && self.pending.len() + lines.len() > MAX_PENDING {
            self.dropped += lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
            return;
        }
        self.pending.extend_from_slice(lines);
        self.flush();
    }

    /// Writes what can be written now.
    pub fn flush(&mut self) {
        loop {
            if self.pending.is_empty() {
                if self.dropped == 0 {
                    return;
                }
                let notice = format!("{} rkt: {} lines were dropped, {}\n", kernel_time(), self.dropped, self.blocked);
                self.dropped = 0;
                self.pending = notice.into_bytes();
            }
            match self.write_some() {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => return self.abandon(),
            }
        }
    }

    fn write_some(&self) -> rustix::io::Result<usize> {
        match self.kind {
            Kind::File | Kind::Reopened => rustix::io::write(&self.fd, &self.pending),
            Kind::Socket => rustix::net::send(&self.fd, &self.pending, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Kind::Careful => {
                if !wait_writable(self.fd.as_fd(), Duration::ZERO) {
                    return Err(Errno::AGAIN);
                }
                rustix::io::write(&self.fd, &self.pending[..self.pending.len().min(512)])
            }
        }
    }

    /// Gives the console a last chance to take what waits.
    pub fn finish(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        self.flush();
        while self.is_blocked() && wait_writable(self.fd.as_fd(), until.saturating_duration_since(Instant::now())) {
            self.flush();
        }
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn wait_writable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    matches!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], Some(&timeout)), Ok(ready) if ready > 0)
}
