//! The record itself, and taking it.

use crate::sys;
use std::os::fd::RawFd;

/// Resources that have a limit, numbered from 0 as setrlimit(2) does.
pub const RESOURCES: usize = 16;

/// As many activated sockets as are looked at; systemd passes a few.
const MOST_LISTEN_FDS: RawFd = 1024;

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced.
    pub soft: u64,
    /// How far the soft limit may be raised.
    pub hard: u64,
}

/// How the caller passed one of the descriptors 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// Not open.
    Closed,
    /// Open, blocking.
    Blocking,
    /// Open with O_NONBLOCK.
    NonBlocking,
}

/// Whose data a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The system's, with the rights that the caller has.
    System,
    /// An ordinary user's own.
    Own,
    /// The same, as root in a user namespace of the launcher's making.
    Namespace,
}

/// What a process inherits over execve(2) and Node does not leave as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// By number of the resource.
    pub limits: [Limit; RESOURCES],
    /// Ignored signals: bit N-1 is signal N. The two that the C library keeps for itself (32, 33) are never in it.
    pub ignored: u64,
    /// Blocked signals, the same way.
    pub blocked: u64,
    /// File mode creation mask.
    pub umask: u32,
    /// Descriptors 0, 1 and 2.
    pub stdio: [Stdio; 3],
    /// Which descriptors of socket activation (sd_listen_fds(3)) were open, ascending, when they were meant for this process.
    pub listen: Vec<RawFd>,
    /// Decided by the launcher; the system's until then.
    pub scope: Scope,
    /// The caller's `NODE_*` variables: names and values as bytes, in their order.
    pub node: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Inherited {
    /// Reads the state of this process. Must run before anything changes it: before the Rust runtime, which ignores SIGPIPE.
    pub fn capture(environment: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let stdio = [0, 1, 2].map(|fd| match sys::status_flags(fd) {
            Err(_) => Stdio::Closed,
            Ok(flags) if flags & libc::O_NONBLOCK != 0 => Stdio::NonBlocking,
            Ok(_) => Stdio::Blocking,
        });
        let node = environment.iter().filter(|(name, _)| name.starts_with(b"NODE_")).cloned().collect();
        Self {
            limits: std::array::from_fn(|resource| {
                let (soft, hard) = sys::limit(resource).unwrap_or((u64::MAX, u64::MAX));
                Limit { soft, hard }
            }),
            ignored: sys::signals().filter(|&signal| sys::is_ignored(signal)).fold(0, |set, signal| set | bit(signal)),
            blocked: sys::blocked(),
            umask: sys::umask(),
            stdio,
            listen: listen_fds(environment),
            scope: Scope::System,
            node,
        }
    }

    /// Whether the signal was ignored.
    pub fn ignores(&self, signal: i32) -> bool {
        self.ignored & bit(signal) != 0
    }
}

/// The bit of a signal in a set.
pub(crate) fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn listen_fds(environment: &[(Vec<u8>, Vec<u8>)]) -> Vec<RawFd> {
    let number = |name: &[u8]| -> Option<i64> {
        let (_, value) = environment.iter().find(|(at, _)| at == name)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    };
    if number(b"LISTEN_PID") != Some(i64::from(std::process::id())) {
        return Vec::new();
    }
    let count = number(b"LISTEN_FDS").unwrap_or(0).clamp(0, i64::from(MOST_LISTEN_FDS));
    (3..3 + count as RawFd).filter(|&fd| sys::status_flags(fd).is_ok()).collect()
}
