//! What the caller of `rkt` gave this process and an app must find again, as far as we change it: the signal mask, the umask, and
//! whether SIGPIPE is ignored. Limits and other dispositions are never touched, so they pass through by themselves.

use crate::sys::{self, SignalSet};
use rustix::fs::Mode;

/// The caller's process state, taken before anything is changed.
#[derive(Clone)]
pub struct Inherited {
    ignores_pipe: bool,
    mask: SignalSet,
    umask: Mode,
}

impl Inherited {
    /// Records the state of this process. The umask is left at 022, under which everything of ours is written.
    pub fn record() -> Self {
        Self {
            ignores_pipe: sys::is_ignored(libc::SIGPIPE),
            mask: SignalSet::current(),
            umask: rustix::process::umask(Mode::from_raw_mode(0o022)),
        }
    }

    /// Gives this process the recorded state back.
    pub fn restore(&self) {
        sys::set_ignored(libc::SIGPIPE, self.ignores_pipe);
        rustix::process::umask(self.umask);
        self.mask.block();
    }
}
