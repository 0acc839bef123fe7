//! One client of an app's streams, from the first byte to the end of an output, of its input, or of its caller's patience.

use super::super::terminal::{Relay, Sizes, Ways, Wish, write_all};
use super::Connected;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;
use sandbox::sys;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// When one output has ended, how long the others may take to tell what is left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What waits for an app that does not read.
const MAX_PENDING: usize = 64 << 10;

/// Signals that end the session, with the terminal given back.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The terminal of an app.
pub struct Terminal {
    pub socket: OwnedFd,
    /// Where the size of the caller's goes.
    pub sizes: Option<OwnedFd>,
    /// What is typed goes to the app.
    pub input: bool,
    /// What the app shows is shown.
    pub output: bool,
}

/// A session.
pub struct Session {
    relay: Option<Relay>,
    /// Of the app; none once all has been written.
    stdin: Option<OwnedFd>,
    pending: Vec<u8>,
    input_open: bool,
    outputs: [Option<OwnedFd>; 2],
    /// There was one to begin with.
    has_output: bool,
    /// One of them has ended.
    ended: bool,
    signals: OwnedFd,
}

impl Session {
    /// Begins; a terminal is in raw mode from here on. `caller` is the parent that this process began with.
    pub fn begin(connected: Connected, caller: Option<Pid>) -> Result<Self> {
        let handled = [&ENDING[..], &[libc::SIGWINCH, libc::SIGTSTP]].concat();
        sys::SignalSet::of(&handled).block();
        sys::set_ignored(libc::SIGPIPE, true);
        // A caller that is killed gives nothing back: we end with it.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context(|| "watch the caller")?;
        // The end of one that ended before this line is told to nobody.
        if rustix::process::getppid() != caller {
            return Err(Failure::new("the caller is gone"));
        }
        let signals = sys::SignalSet::of(&handled).descriptor().context(|| "watch signals")?;
        let Connected { terminal, stdin, outputs } = connected;
        let has_output = outputs.iter().any(Option::is_some);
        let relay = terminal.map(|Terminal { socket, sizes, input, output }| {
            Relay::with(socket, true, Ways { input, output, sizes: Sizes::Socket(sizes) })
        });
        let relay = relay.transpose().context(|| "begin with the terminal")?;
        Ok(Self {
            relay,
            input_open: stdin.is_some(),
            stdin,
            pending: Vec::new(),
            outputs,
            has_output,
            ended: false,
            signals,
        })
    }

    /// Carries bytes until it is over.
    pub fn run(mut self) -> Result<()> {
        let mut until: Option<Instant> = None;
        while !self.is_over(&mut until) {
            let stdin = rustix::stdio::stdin();
            let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
            let leader = self.relay.as_ref().map(Relay::leader);
            let mut watched = Vec::with_capacity(5);
            if let (Some(relay), Some(leader)) = (&self.relay, &leader) {
                fds.push(PollFd::new(&stdin, relay.input_events()));
                fds.push(PollFd::new(leader, relay.leader_events()));
                watched.extend([Watched::Typed, Watched::Leader]);
            }
            if self.input_open && self.pending.len() < MAX_PENDING {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
                watched.push(Watched::Input);
            }
            if let Some(socket) = &self.stdin {
                let wanted = if self.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                fds.push(PollFd::new(socket, wanted));
                watched.push(Watched::Stdin);
            }
            for (number, output) in self.outputs.iter().enumerate() {
                if let Some(output) = output {
                    fds.push(PollFd::new(output, PollFlags::IN));
                    watched.push(Watched::Output(number));
                }
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
            match poll(&mut fds, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Failure::system("wait for the app", error)),
            }
            let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            drop(fds);
            drop(leader);
            let mut relayed = [PollFlags::empty(); 2];
            for (what, &flags) in watched.iter().zip(&ready[1..]) {
                match what {
                    Watched::Typed => relayed[0] = flags,
                    Watched::Leader => relayed[1] = flags,
                    Watched::Input if !flags.is_empty() => self.read_input(),
                    Watched::Stdin if !flags.is_empty() => self.write_input(flags),
                    Watched::Output(number) if !flags.is_empty() => self.show(*number),
                    _ => {}
                }
            }
            if let Some(relay) = &mut self.relay
                && relay.pump(relayed[0], relayed[1]) == Wish::End
            {
                return Ok(());
            }
            if !ready[0].is_empty() {
                self.take_signals();
            }
        }
        Ok(())
    }

    /// The first output that ends ends the session; one without outputs ends with its input, once that is delivered.
    fn is_over(&self, until: &mut Option<Instant>) -> bool {
        if let Some(relay) = &self.relay {
            return relay.is_over();
        }
        if !self.has_output {
            return self.stdin.is_none();
        }
        let open = self.outputs.iter().flatten().count();
        if open == 0 {
            return true;
        }
        if self.ended {
            return *until.get_or_insert_with(|| Instant::now() + LAST_WORDS) <= Instant::now();
        }
        false
    }

    fn read_input(&mut self) {
        let mut chunk = [0; 16 << 10];
        match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
            Ok(count) if count > 0 => self.pending.extend_from_slice(&chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            _ => self.input_open = false,
        }
        self.write_input(PollFlags::empty());
    }

    fn write_input(&mut self, flags: PollFlags) {
        let Some(socket) = &self.stdin else { return };
        // The app reads no more.
        let mut over = flags.intersects(PollFlags::HUP | PollFlags::ERR);
        while !self.pending.is_empty() && !over {
            match rustix::net::send(socket, &self.pending, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => over = true,
            }
        }
        if over {
            self.input_open = false;
        }
        if !self.input_open {
            // What was sent is delivered all the same.
            self.stdin = None;
        }
    }

    fn show(&mut self, number: usize) {
        let Some(output) = &self.outputs[number] else { return };
        let mut chunk = [0; 16 << 10];
        let open = match rustix::io::read(output, &mut chunk) {
            Ok(count) if count > 0 && number == 0 => write_all(rustix::stdio::stdout(), &chunk[..count]),
            Ok(count) if count > 0 => write_all(rustix::stdio::stderr(), &chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => true,
            _ => false,
        };
        if !open {
            self.outputs[number] = None;
            self.ended = true;
        }
    }

    fn take_signals(&mut self) {
        while let Some(received) = sys::read_signal(self.signals.as_fd()) {
            match (received.signal, &mut self.relay) {
                (libc::SIGWINCH, Some(relay)) => relay.resize(),
                (libc::SIGTSTP, Some(relay)) => relay.pause(|| sys::stop_by(libc::SIGTSTP)),
                (libc::SIGTSTP, None) => sys::stop_by(libc::SIGTSTP),
                (libc::SIGWINCH, None) => {}
                (signal, relay) => {
                    *relay = None;
                    sys::die_by(signal);
                }
            }
        }
    }
}

/// What a descriptor that is waited for is.
enum Watched {
    Typed,
    Leader,
    Input,
    Stdin,
    Output(usize),
}
