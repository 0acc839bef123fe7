//! Who listens to a filter: learns which call a process was not allowed to make, and ends the process.
//!
//! A kernel that ends a process by SIGSYS tells nobody which call it was. So the filter of an app asks its supervisor instead, and
//! the process waits meanwhile; calls that are allowed cost nothing more than without.

use super::table;
use crate::sys;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The listener of one filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that was withheld, whose process has been sent the signal that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The process, in our pid namespace.
    pub process: i32,
    /// The name of the call, or its number.
    pub name: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "process {} was ended: system call {} is not allowed", self.process, self.name)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl Listener {
    /// Ends the process that made a withheld call, as the kernel would: by SIGSYS, and a process that catches, ignores or blocks that
    /// signal by SIGKILL. None when there is nothing to do. The call itself is never answered: it ends with its process.
    pub fn refuse(&self) -> Option<Refused> {
        let notification = sys::receive_notification(self.0.as_fd()).ok()??;
        let thread = notification.thread;
        // 0 and below mean other things than one process to kill(2), 1 is ourselves.
        if thread <= 1 {
            return None;
        }
        let status = Status::read(thread);
        let signal = if status.takes_signal(libc::SIGSYS) { libc::SIGSYS } else { libc::SIGKILL };
        // While the thread waits its number is nobody else's.
        if !sys::is_waiting(self.0.as_fd(), notification) {
            return None;
        }
        // Gone meanwhile is what we want. The number of a thread means its process here.
        let _ = sys::kill(thread, signal);
        let name = table::name_of(std::env::consts::ARCH, notification.architecture, notification.number);
        let name = name.map_or_else(|| notification.number.to_string(), str::to_owned);
        Some(Refused { process: status.process.unwrap_or(thread), name })
    }
}

/// What /proc says of a thread, as far as it matters here.
#[derive(Debug, Default)]
struct Status {
    process: Option<i32>,
    /// Signals that do not end it: blocked, ignored or caught.
    kept: u64,
}

impl Status {
    fn read(thread: i32) -> Self {
        Self::parse(&std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match name {
                "Tgid" => status.process = value.trim().parse().ok(),
                "SigBlk" | "SigIgn" | "SigCgt" => {
                    status.kept |= u64::from_str_radix(value.trim(), 16).unwrap_or_default();
                }
                _ => {}
            }
        }
        status
    }

    fn takes_signal(&self, signal: i32) -> bool {
        self.kept & (1 << (signal - 1)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_blocked_ignored_or_caught_is_not_taken() {
        let status = Status::parse(
            "Name:\tx\nTgid:\t12\nSigBlk:\t0000000040000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000002\n",
        );

        assert_eq!(status.process, Some(12));
        for (signal, taken) in
            [(libc::SIGSYS, false), (libc::SIGPIPE, false), (libc::SIGINT, false), (libc::SIGTERM, true)]
        {
            assert_eq!(status.takes_signal(signal), taken, "{signal}");
        }
    }
}
