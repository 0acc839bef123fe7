//! Who listens to a filter: learns which call a process was not allowed to make, and ends the process.
//!
//! A kernel that ends a process by SIGSYS tells nobody which call it was. So the filter of an app asks its supervisor instead, and
//! the process waits meanwhile; calls that are allowed cost nothing more than without.

use super::table;
use crate::sys;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The listener of one filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that was withheld, whose process has been sent the signal that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The process, or the thread of it that made the call, in our pid namespace.
    pub thread: i32,
    /// The name of the call, or its number.
    pub name: String,
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
        let signal = if takes_signal(thread, libc::SIGSYS) { libc::SIGSYS } else { libc::SIGKILL };
        // While the thread waits its number is nobody else's.
        if !sys::is_waiting(self.0.as_fd(), notification) {
            return None;
        }
        // Gone meanwhile is what we want.
        let _ = sys::kill(thread, signal);
        let name = table::name_of(std::env::consts::ARCH, notification.architecture, notification.number);
        Some(Refused { thread, name: name.map_or_else(|| notification.number.to_string(), str::to_owned) })
    }
}

/// Whether a signal ends this process: it does not when the process catches, ignores or blocks it.
fn takes_signal(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bit = 1_u64 << (signal - 1);
    !status.lines().any(|line| {
        let masks = ["SigBlk:", "SigIgn:", "SigCgt:"].into_iter().find_map(|name| line.strip_prefix(name));
        masks.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit != 0)
    })
}
