//! What the caller of `rkt` gave this process and an app must find again, as far as we change it: the signal mask, the umask, the
//! limit of descriptors, and whether SIGPIPE is ignored. Other limits and dispositions are never touched, so they pass through by
//! themselves.

use crate::sys::{self, SignalSet};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The caller's process state, taken before anything is changed.
pub struct Inherited {
    ignores_pipe: bool,
    mask: SignalSet,
    umask: Mode,
    descriptors: Rlimit,
}

impl Inherited {
    /// Records the state of this process. The umask is left at 022, under which everything of ours is written.
    pub fn record() -> Self {
        Self {
            ignores_pipe: sys::is_ignored(libc::SIGPIPE),
            mask: SignalSet::current(),
            umask: rustix::process::umask(Mode::from_raw_mode(0o022)),
            descriptors: getrlimit(Resource::Nofile),
        }
    }

    /// Lets this process have as many descriptors as the caller could have asked for: a supervisor holds several an app.
    pub fn raise_descriptor_limit(&self) {
        // Where it is refused, the limit that was given has to do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: self.descriptors.maximum, ..self.descriptors });
    }

    /// Gives this process the recorded state back.
    pub fn restore(&self) {
        sys::set_ignored(libc::SIGPIPE, self.ignores_pipe);
        rustix::process::umask(self.umask);
        let _ = setrlimit(Resource::Nofile, self.descriptors);
        self.mask.block();
    }
}
