//! Pid 1 of a pod: makes the pod's surroundings, starts the apps, reaps, records how each ended, and ends the pod by the rules of
//! the reference (stage1-abi §8).

mod attachable;
mod control;
mod end;
mod endpoint;
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
use end::{pod_status, recorded_status};
use rustix::event::epoll::{self, EventData, EventFlags};
use sandbox::cgroup::Entry;
use sandbox::channel::{Channel, Received};
use sandbox::inherited::Inherited;
use sandbox::plan::{Plan, Stream};
use sandbox::sys::{self, Ended};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use services::Service;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
pub use streams::open_terminal;
use supervised::{Phase, Supervised};
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

/// How long a console that blocks may hold up the end of a pod.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(1);

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

    fn watch(&self, fd: impl AsFd, token: Token) -> Result<()> {
        let data = EventData::new_u64(token.encode());
        epoll::add(&self.events, fd, data, EventFlags::IN).context(|| format!("watch {token:?}"))
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

    /// Whether the pod has ended: with its apps, or when it is told to.
    fn is_over(&self) -> bool {
        let goes_on = self.control.is_some() && self.deadline.is_none();
        !goes_on && self.apps.iter().all(|app| app.phase == Phase::Ended)
    }

    /// How long to wait for events: until the grace ends, and shortly while a terminal that is relayed to is blocked.
    fn timeout(&mut self) -> Option<rustix::event::Timespec> {
        let blocked = self.apps.iter_mut().flat_map(|app| app.streams.iter_mut().flatten()).any(Lines::flush_raw);
        let blocked = blocked.then_some(Duration::from_millis(50));
        let grace = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let overdue = self.apps.iter().filter_map(|app| app.kill_at).min();
        let overdue = overdue.map(|at| at.saturating_duration_since(Instant::now()));
        let left = blocked.into_iter().chain(grace).chain(overdue).min()?;
        Some(rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() })
    }

    /// Watches the console exactly while something waits for it: a console that can be written to would wake us for ever.
    fn watch_console(&mut self) {
        let wanted = self.console.is_blocked();
        if wanted == self.console_watched {
            return;
        }
        let data = EventData::new_u64(Token::Console.encode());
        // A regular file cannot be watched, and never blocks.
        let changed = if wanted {
            epoll::add(&self.events, &self.console, data, EventFlags::OUT)
        } else {
            epoll::delete(&self.events, &self.console)
        };
        if changed.is_ok() {
            self.console_watched = wanted;
        }
    }

    fn handle(&mut self, token: Token) -> Result<()> {
        match token {
            Token::Signals => self.handle_signals()?,
            Token::Channel => {
                if matches!(self.channel.receive(), Ok(Received::Closed) | Err(_)) {
                    // Whoever started the pod is gone; with pid 1 the kernel ends all the rest.
                    sys::exit_now(crate::FAILURE);
                }
            }
            Token::Console => self.console.flush(),
            Token::Terminal => {
                if let Some(lines) = self.terminal.as_mut().and_then(|terminal| terminal.lines.as_mut()) {
                    lines.pump("console", None, &mut self.console);
                }
            }
            Token::Stream(number, stream) => {
                if let Some(app) = self.apps.iter_mut().find(|app| app.number == number)
                    && let Some(ended) = app.pump(stream, &mut self.console)
                {
                    unwatch(&self.events, ended);
                }
            }
            Token::Attachable(number) => {
                if let Some(app) = self.apps.iter_mut().find(|app| app.number == number) {
                    app.attend();
                }
            }
            Token::Control => self.accept_session()?,
            Token::Session(number) => self.hear_session(number)?,
            Token::Report(number) => self.read_report(number)?,
            Token::Refusals(number) => {
                if let Some(app) = self.apps.iter_mut().find(|app| app.number == number) {
                    app.refuse(&mut self.console)?;
                }
            }
            Token::Service(number, service) => self.serve(number, service)?,
            Token::Journal(number, stream) => {
                if let Some(app) = self.apps.iter_mut().find(|app| app.number == number) {
                    app.log_stream(stream);
                }
            }
        }
        Ok(())
    }

    /// Something has come through a socket of an app.
    fn serve(&mut self, number: usize, service: Service) -> Result<()> {
        let Some(index) = self.apps.iter().position(|app| app.number == number) else { return Ok(()) };
        let app = &mut self.apps[index];
        match service {
            Service::Notify => {
                if let Some(status) = app.hear() {
                    let _ = self.channel.send_text(word::STATUS, &format!("{}: {status}", app.app.name));
                }
                self.tell_ready()
            }
            Service::Syslog | Service::Native => {
                app.log_messages(service);
                Ok(())
            }
            Service::Streams => match app.services.accept() {
                Some(stream) => match self.apps[index].services.stream(stream) {
                    Some(fd) => self.watch(fd, Token::Journal(number, stream)),
                    None => Ok(()),
                },
                None => Ok(()),
            },
        }
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let app = &mut self.apps[index];
        let terminal = self.terminal.as_ref().ok_or_else(|| Failure::new("the pod has no terminal"))?;
        app.start(&self.stage1, terminal.follower.as_fd(), self.inherited)?;
        let watched = std::mem::replace(&mut app.watched, true);
        let app = &self.apps[index];
        for service in Service::ALL.into_iter().filter(|_| !watched) {
            if let Some(socket) = app.services.socket(service) {
                self.watch(socket, Token::Service(app.number, service))?;
            }
        }
        if !watched {
            self.watch(&app.refusals, Token::Refusals(app.number))?;
        }
        for (stream, lines) in app.streams.iter().enumerate() {
            if let Some(lines) = lines {
                self.watch(lines, Token::Stream(app.number, stream))?;
            }
        }
        if let Some(attachable) = &app.attachable {
            self.watch(attachable, Token::Attachable(app.number))?;
        }
        app.report.as_ref().map_or(Ok(()), |report| self.watch(report, Token::Report(app.number)))
    }

    /// An app has been executed, or tells why not.
    fn read_report(&mut self, number: usize) -> Result<()> {
        if let Some(app) = self.apps.iter_mut().find(|app| app.number == number) {
            if let Some(report) = &app.report {
                unwatch(&self.events, report);
            }
            app.read_report(&mut self.console)?;
        }
        self.tell_ready()
    }

    /// Says so, once all apps run and those that tell when they are ready have.
    fn tell_ready(&mut self) -> Result<()> {
        if !self.ready && self.apps.iter().all(Supervised::is_settled) {
            self.ready = true;
            // In two steps, so that the link is never seen with another text.
            std::os::unix::fs::symlink("ready", "/rkt/supervisor-status").context(|| "write rkt/supervisor-status")?;
            let _ = self.channel.send(word::READY, None);
        }
        Ok(())
    }

    fn handle_signals(&mut self) -> Result<()> {
        while let Some(received) = sys::read_signal(self.signals.as_fd()) {
            match received.signal {
                libc::SIGCHLD => self.reap()?,
                // Apps cannot end the pod of the others by a signal to pid 1.
                _ if received.sender != 0 => {}
                signal if STOP_SIGNALS.contains(&signal) => self.stop(),
                signal => {
                    for app in self.apps.iter().filter(|app| app.phase == Phase::Running) {
                        // Gone meanwhile is fine.
                        let _ = sys::kill(app.pid, signal);
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins the end of the pod: everything is asked to end, and killed after the grace.
    fn stop(&mut self) {
        if self.deadline.is_some() {
            return;
        }
        let _ = self.channel.send(word::STOPPING, None);
        self.deadline = Some(Instant::now() + Duration::from_secs(self.plan.lifecycle.grace_seconds.into()));
        // Nothing there is what we want. A stopped process takes its TERM when it continues.
        let _ = sys::kill(-1, libc::SIGTERM);
        let _ = sys::kill(-1, libc::SIGCONT);
    }

    fn reap(&mut self) -> Result<()> {
        while let Some((pid, status)) = sys::reap() {
            if let Some(index) = self.apps.iter().position(|app| app.is_represented_by(pid)) {
                self.ended(index, Ended::of(status))?;
            }
        }
        Ok(())
    }

    /// The main process or a handler of an app has ended.
    fn ended(&mut self, index: usize, ended: Ended) -> Result<()> {
        let handlers = match self.apps[index].phase {
            Phase::Running => {
                let app = &mut self.apps[index];
                let status = recorded_status(
                    app.refusals.correct(app.pid, ended),
                    self.deadline.is_some() || app.kill_at.is_some(),
                );
                let path = format!("rkt/status/{}", app.app.name);
                if let Some(call) = app.refusals.cause(status) {
                    self.stage1.write(&format!("{path}.syscall"), format!("{call}\n").as_bytes(), 0o644)?;
                }
                self.stage1.write(&path, format!("{status}\n").as_bytes(), 0o644)?;
                app.detach_clients();
                app.end_remaining();
                if status != 0 && self.deadline.is_none() && self.control.is_none() {
                    self.failed = Some(status);
                    self.stop();
                }
                0
            }
            Phase::Stopping(started) => started,
            Phase::Waiting | Phase::Ended => return Ok(()),
        };
        let is_new = self.apps[index].start_post_stop(handlers, self.inherited, &mut self.console)?;
        if self.control.is_some() && self.apps[index].phase == Phase::Ended {
            self.apps[index].settle(&mut self.console);
        }
        self.tell_ready()?;
        let app = &self.apps[index];
        match &app.streams[0] {
            Some(lines) if is_new => self.watch(lines, Token::Stream(app.number, 0)),
            _ => Ok(()),
        }
    }

    /// Ends whatever is left, shows and logs its last lines, and answers the pod's status.
    fn finish(&mut self) -> i32 {
        let _ = sys::kill(-1, libc::SIGKILL);
        for app in &mut self.apps {
            app.drain(&mut self.console);
        }
        let until = Instant::now() + CONSOLE_PATIENCE;
        self.console.finish(CONSOLE_PATIENCE);
        self.apps.iter_mut().for_each(|app| app.finish_clients(until));
        pod_status(self.failed)
    }
}

/// Ends the watch of a descriptor that is about to be closed. Closing is not enough: a process that is to become an app, and waits for
/// a handler, has copies, and what has hung up would wake us all the while. One that nobody watches is what we want.
fn unwatch(events: &OwnedFd, fd: impl AsFd) {
    let _ = epoll::delete(events, fd);
}
