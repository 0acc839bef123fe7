//! The caller's terminal beside a terminal of the pod: bytes go to and fro, and no process of the pod ever holds the caller's.

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// `^]`, which three times within a second means: end it.
const ESCAPE: u8 = 0x1d;

/// The caller's terminal in raw mode; dropping it gives the mode back.
struct Raw {
    before: Termios,
}

impl Raw {
    fn begin() -> Option<Self> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Whether the caller goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Continue,
    /// `^]^]^]` was typed.
    End,
}

/// Which ways bytes go, and where the size of the caller's terminal goes.
pub struct Ways {
    /// What is typed goes to the pod.
    pub input: bool,
    /// What the pod writes is shown; else it is read all the same.
    pub output: bool,
    pub sizes: Sizes,
}

/// Where the size of the caller's terminal goes.
pub enum Sizes {
    /// To the terminal itself.
    Leader,
    /// To whoever has it: two numbers of 16 bits, rows and columns.
    Socket(Option<OwnedFd>),
}

/// Carries bytes between the caller's terminal and one of the pod.
pub struct Relay {
    leader: OwnedFd,
    /// Typed, and not taken by the pod yet.
    typed: Vec<u8>,
    escapes: Escapes,
    input_open: bool,
    output_open: bool,
    raw: Option<Raw>,
    ways: Ways,
}

impl Relay {
    /// Begins: the caller's terminal becomes raw, the pod's takes its size. `escape` tells whether `^]^]^]` has a meaning.
    pub fn begin(leader: OwnedFd, escape: bool) -> std::io::Result<Self> {
        Self::with(leader, escape, Ways { input: true, output: true, sizes: Sizes::Leader })
    }

    /// The same, by these ways; `leader` may be a socket whose other end is a terminal's.
    pub fn with(leader: OwnedFd, escape: bool, ways: Ways) -> std::io::Result<Self> {
        rustix::io::ioctl_fionbio(&leader, true)?;
        let relay = Self {
            leader,
            typed: Vec::new(),
            escapes: Escapes { enabled: escape, seen: Vec::new() },
            input_open: ways.input,
            output_open: true,
            raw: ways.input.then(Raw::begin).flatten(),
            ways,
        };
        relay.resize();
        Ok(relay)
    }

    /// Gives the pod's terminal the size of the caller's.
    pub fn resize(&self) {
        let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) else { return };
        // A terminal that is gone needs none.
        match &self.ways.sizes {
            Sizes::Leader => drop(tcsetwinsize(&self.leader, size)),
            Sizes::Socket(None) => {}
            Sizes::Socket(Some(socket)) => {
                let message = [size.ws_row.to_ne_bytes(), size.ws_col.to_ne_bytes()].concat();
                let _ = rustix::net::send(socket, &message, rustix::net::SendFlags::DONTWAIT);
            }
        }
    }

    /// Gives the caller's terminal back for as long as `away` takes.
    pub fn pause(&mut self, away: impl FnOnce()) {
        self.raw = None;
        away();
        self.raw = self.ways.input.then(Raw::begin).flatten();
        self.resize();
    }

    /// Whether nothing more can come: the pod has closed its end, or its output is not asked for and all input is delivered.
    pub fn is_over(&self) -> bool {
        !self.output_open || (!self.ways.output && !self.input_open && self.typed.is_empty())
    }

    /// What to wait for on standard input.
    pub fn input_events(&self) -> PollFlags {
        if self.input_open && self.typed.is_empty() { PollFlags::IN } else { PollFlags::empty() }
    }

    /// What to wait for on the pod's terminal.
    pub fn leader_events(&self) -> PollFlags {
        let output = if self.output_open { PollFlags::IN } else { PollFlags::empty() };
        output | if self.typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT }
    }

    /// The pod's terminal.
    pub fn leader(&self) -> impl AsFd + '_ {
        &self.leader
    }

    /// Does what poll(2) said can be done on standard input and on the pod's terminal.
    pub fn pump(&mut self, input: PollFlags, leader: PollFlags) -> Wish {
        if self.input_open
            && input.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && self.pump_input() == Wish::End
        {
            return Wish::End;
        }
        if leader.contains(PollFlags::OUT) {
            self.push_typed();
        }
        if leader.intersects(PollFlags::IN | PollFlags::HUP) {
            self.pump_output();
        }
        Wish::Continue
    }

    /// Takes what was typed.
    fn pump_input(&mut self) -> Wish {
        let mut chunk = [0; 1024];
        match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
            Ok(0) => self.input_open = false,
            Ok(count) => {
                if self.escapes.complete(&chunk[..count], Instant::now()) {
                    return Wish::End;
                }
                self.typed.extend_from_slice(&chunk[..count]);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.input_open = false,
        }
        self.push_typed();
        Wish::Continue
    }

    /// Hands typed bytes on, as far as the pod takes them.
    fn push_typed(&mut self) {
        while !self.typed.is_empty() {
            match rustix::io::write(&self.leader, &self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Shows what the pod has written; answers whether there may be more at once.
    fn pump_output(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match rustix::io::read(&self.leader, &mut chunk) {
            Ok(count) if count > 0 => !self.ways.output || write_all(rustix::stdio::stdout(), &chunk[..count]),
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            // EIO: nobody holds the other end any more.
            _ => {
                self.output_open = false;
                false
            }
        }
    }

    /// Shows what is left, without waiting for more.
    pub fn finish(mut self) {
        while self.pump_output() {}
    }
}

/// Writes all of it to a descriptor that is not ours; false when nobody reads it any more.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Somebody else made the descriptor non-blocking; it is not ours to change.
                let _ = rustix::event::poll(&mut [rustix::event::PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}

/// Watches for three escapes within a second.
struct Escapes {
    enabled: bool,
    seen: Vec<Instant>,
}

impl Escapes {
    fn complete(&mut self, typed: &[u8], now: Instant) -> bool {
        for &byte in typed {
            if byte != ESCAPE {
                self.seen.clear();
                continue;
            }
            self.seen.retain(|&then| now.duration_since(then) < Duration::from_secs(1));
            self.seen.push(now);
            if self.enabled && self.seen.len() >= 3 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_escapes_within_a_second_end_it_and_slower_or_interrupted_ones_do_not() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut escapes = Escapes { enabled: true, seen: Vec::new() };

        assert!(!escapes.complete(&[ESCAPE, ESCAPE, b'x', ESCAPE], after(0)));
        assert!(!escapes.complete(&[ESCAPE], after(900)));
        assert!(!escapes.complete(&[ESCAPE], after(1100)));
        assert!(escapes.complete(&[ESCAPE], after(1200)));
    }
}
