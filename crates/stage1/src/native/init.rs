//! Pid 1 of a pod: makes the pod's surroundings, starts the apps, reaps, records how each ended, and ends the pod.

mod attachable;
mod control;
mod end;
mod endpoint;
mod events;
mod life;
mod mutable;
mod refusals;
mod services;
mod sockets;
mod streams;
mod supervised;
mod surroundings;
mod token;

use super::console::Console;
use super::lines::Lines;
use super::network::Additions;
use super::outside::Outside;
use super::users;
pub use attachable::{DIRECTORY as IOTTYMUX, ENDPOINTS, SIZE_SOCKET};
use events::unwatch;
use rustix::event::epoll;
use sandbox::cgroup::Entry;
use sandbox::channel::{Channel, Received};
use sandbox::inherited::Inherited;
use sandbox::plan::{Plan, Stream};
use sandbox::sys;
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
pub use streams::open_terminal;
use supervised::Supervised;
use token::Token;

/// Words between pid 1 and the process outside.
pub mod word {
    /// Outside: the user namespace of the pod has its ids, and its network is there; with what is known of that only now.
    pub const MAPPED: u8 = b'm';
    /// Outside: the pod is recorded, the apps may start.
    pub const GO: u8 = b'g';
    /// Pid 1: all apps run.
    pub const READY: u8 = b'r';
    /// Pid 1: the pod is ending.
    pub const STOPPING: u8 = b's';
    /// Pid 1: here is the terminal of the app.
    pub const TERMINAL: u8 = b't';
    /// Pid 1: a line on the state of the pod, for people.
    pub const STATUS: u8 = b'i';
}

/// SIGRTMIN+4 of libc: what `machinectl poweroff` sends, as it does to a systemd.
const POWER_OFF: i32 = 38;

/// Signals by which an orderly end is asked for.
pub const STOP_SIGNALS: [i32; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, POWER_OFF];

/// Signals that are handed to the apps.
pub const PASSED_SIGNALS: [i32; 2] = [libc::SIGUSR1, libc::SIGUSR2];

/// What pid 1 is given.
pub struct Setup<'a> {
    /// Its apps are taken out of it.
    pub plan: &'a mut Plan,
    pub outside: Outside,
    pub inherited: &'a Inherited,
    /// The pod's own cgroups; pid 1 was born in that of version 2.
    pub cgroups: &'a Entry,
    pub channel: Channel,
    pub console: Console,
}

/// Is pid 1; answers the pod's status.
pub fn main(setup: Setup<'_>) -> i32 {
    sys::set_name(c"rkt-pod");
    // Pid 1 holds descriptors of the host; apps with the same user must not reach them through /proc.
    sys::set_dumpable(false);
    match become_root(setup).and_then(Init::prepare).and_then(Init::run) {
        Ok(status) => status,
        Err(failure) => crate::report("stage1", &failure),
    }
}

/// In a pod with a user namespace, becomes its root, and learns what came to be known meanwhile.
fn become_root(mut setup: Setup<'_>) -> Result<Setup<'_>> {
    if setup.plan.namespaces.users.is_some()
        && let Some(network) = users::become_root(&setup.channel, setup.plan.namespaces.ipc)?
    {
        Additions::read(network)?.apply(setup.plan, Some(&mut setup.outside));
    }
    Ok(setup)
}

struct Init<'a> {
    plan: &'a Plan,
    inherited: &'a Inherited,
    channel: Channel,
    console: Console,
    console_watched: bool,
    stage1: Root,
    terminal: Option<Terminal>,
    apps: Vec<Supervised>,
    events: OwnedFd,
    signals: OwnedFd,
    /// The status of the first app that failed.
    failed: Option<i32>,
    /// When what still runs is killed.
    deadline: Option<Instant>,
    ready: bool,
    /// Where requests come in, in a pod whose apps come and go.
    control: Option<control::Control>,
}

/// The first terminal of the pod: its console, or the terminal of its only app.
struct Terminal {
    /// Kept open, so that the terminal is never hung up while the pod runs.
    follower: OwnedFd,
    lines: Option<Lines>,
}

impl<'a> Init<'a> {
    fn prepare(setup: Setup<'a>) -> Result<Self> {
        let handled: Vec<i32> = [&[libc::SIGCHLD][..], &STOP_SIGNALS, &PASSED_SIGNALS].concat();
        sys::SignalSet::of(&handled).block();
        sys::set_ignored(libc::SIGPIPE, true);
        setup.inherited.raise_descriptor_limit();
        let signals = sys::SignalSet::of(&handled).descriptor().context(|| "watch signals")?;
        let events = epoll::create(epoll::CreateFlags::CLOEXEC).context(|| "watch events")?;
        let (stage1, apps) = surroundings::make(setup.plan, setup.outside, setup.cgroups)?;
        let Setup { plan, inherited, channel, console, .. } = setup;
        let mut init = Self {
            plan,
            inherited,
            channel,
            console,
            console_watched: false,
            stage1,
            terminal: None,
            apps,
            events,
            signals,
            failed: None,
            deadline: None,
            ready: false,
            control: None,
        };
        init.open_terminal()?;
        init.open_control()?;
        init.watch(&init.signals, Token::Signals)?;
        init.watch(&init.channel, Token::Channel)?;
        Ok(init)
    }

    /// Opens the pod's first terminal, which apps see as /dev/console.
    fn open_terminal(&mut self) -> Result<()> {
        let (leader, follower) = streams::open_terminal("/dev/pts/ptmx")?;
        let lines = if self.apps.iter().any(|one| one.app.stdio.has(Stream::Terminal)) {
            self.channel.send(word::TERMINAL, Some(leader.as_fd())).context(|| "hand the terminal over")?;
            None
        } else {
            rustix::io::ioctl_fionbio(&leader, true).context(|| "open the console")?;
            self.watch(&leader, Token::Terminal)?;
            Some(Lines::new(leader, "stdout"))
        };
        self.terminal = Some(Terminal { follower, lines });
        Ok(())
    }

    /// The life of the pod.
    fn run(mut self) -> Result<i32> {
        match self.channel.receive().context(|| "wait for the start")? {
            Received::Word(word::GO, _) => {}
            _ => return Err(Failure::new("the process outside of the pod is gone")),
        }
        for index in 0..self.apps.len() {
            self.start(index).map_err(|failure| failure.of(format!("app \"{}\"", self.apps[index].app.name)))?;
        }
        self.tell_ready()?;
        let mut events = Vec::with_capacity(32);
        while !self.is_over() {
            self.watch_console();
            events.clear();
            let timeout = self.timeout();
            match epoll::wait(&self.events, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::system("wait for events", error)),
            }
            for event in &events {
                self.handle(Token::decode(event.data.u64()))?;
            }
            self.kill_overdue();
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // Again and again: a handler may have started since.
                let _ = sys::kill(-1, libc::SIGKILL);
                self.deadline = Some(Instant::now() + Duration::from_secs(1));
            }
        }
        Ok(self.finish())
    }
}
