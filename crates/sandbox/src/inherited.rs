//! What the caller of `rkt` gave this process and an app must find again: signal dispositions, signal mask, umask.
//!
//! Limits are not here because nothing of ours changes them.

use crate::sys::{self, SIGNAL_END, SignalSet};
use rustix::fs::Mode;

/// The caller's process state, taken before anything is changed.
#[derive(Clone)]
pub struct Inherited {
    ignored: Vec<i32>,
    mask: SignalSet,
    umask: Mode,
}

impl Inherited {
    /// Records the state of this process. The umask is left at 022, under which everything of ours is written.
    pub fn record() -> Self {
        Self {
            ignored: (1..SIGNAL_END).filter(|&signal| sys::is_ignored(signal)).collect(),
            mask: SignalSet::current(),
            umask: rustix::process::umask(Mode::from_raw_mode(0o022)),
        }
    }

    /// Gives this process the recorded state back; every signal that was not ignored gets its default action.
    pub fn restore(&self) {
        for signal in 1..SIGNAL_END {
            sys::set_ignored(signal, self.ignored.contains(&signal));
        }
        rustix::process::umask(self.umask);
        self.mask.block();
    }
}
