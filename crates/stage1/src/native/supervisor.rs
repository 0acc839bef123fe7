//! The way from an entrypoint on the host to the supervisor of a running pod: sockets below the root of stage1.
//!
//! A pod could have put anything in their place, if it got there. So a path is resolved inside of that root, through no link, and
//! the kernel has to vouch that it is pid 1 of the pod who listens.

use super::state;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use sandbox::tree::read_bounded;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor may take to accept.
const PATIENCE: Duration = Duration::from_secs(15);

/// The supervisor of the pod of the current directory.
pub struct Supervisor {
    pub pid: i32,
    root: OwnedFd,
}

impl Supervisor {
    /// Finds it. What the caller says it is (stage1-abi §2.5) has to be right.
    pub fn find() -> Result<Self> {
        let (pid, _pidfd) = state::open_pod(Path::new("."))?;
        if let Ok(said) = std::env::var("RKT_STAGE1_ENTERPID")
            && said.trim().parse() != Ok(pid)
        {
            return Err(Failure::new(format!("process {said} is not the first of this pod")));
        }
        let path = format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).context(|| format!("open {path}"))?;
        Ok(Self { pid, root })
    }

    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Reads a file of the root; none when it is absent.
    pub fn read(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => read_bounded(fd, Path::new(path), max).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Failure::system(format!("open /{path}"), error)),
        }
    }

    /// Connects to a socket of the supervisor; the descriptor is non-blocking. None when there is no such socket.
    pub fn connect(&self, path: &str, kind: SocketType) -> Result<Option<OwnedFd>> {
        let failed = || format!("connect to /{path}");
        let place = match self.open(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(Failure::system(failed(), error)),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, kind, flags, None).context(failed)?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", place.as_raw_fd())).context(failed)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::AGAIN) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(Failure::system(failed(), error)),
            }
        }
        // Datagrams have no peer to ask, and tell it nothing that matters.
        let listens = kind == SocketType::DGRAM
            || sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.pid.as_raw_nonzero().get() == self.pid);
        if !listens {
            return Err(Failure::new(format!("{}: it is not the supervisor who listens there", failed())));
        }
        Ok(Some(socket))
    }
}
