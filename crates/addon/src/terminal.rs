//! The caller's terminal, for who lends it to a program.

use crate::sys;
use napi_derive::napi;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// How a terminal behaved at some time.
#[napi]
pub struct TerminalMode {
    fd: i32,
    mode: Termios,
}

/// How the terminal of a descriptor behaves now; null when it is none.
#[napi(catch_unwind)]
pub fn terminal_mode(fd: i32) -> Option<TerminalMode> {
    let mode = sys::borrow(&fd).and_then(tcgetattr).ok()?;
    Some(TerminalMode { fd, mode })
}

#[napi]
impl TerminalMode {
    /// Has the terminal behave so again, once all that was written is shown. One that is gone needs nothing.
    #[napi(catch_unwind)]
    pub fn restore(&self) {
        let _ = sys::borrow(&self.fd).and_then(|fd| tcsetattr(fd, OptionalActions::Drain, &self.mode));
    }
}
