//! Pid 1 of a pod: makes the pod's surroundings, starts the apps, reaps, records how each ended, and ends the pod by the rules of
//! the reference (stage1-abi §8).

use super::app::{Launch, Report, Streams, become_app, become_handler};
use super::console::{Console, Lines};
use super::state::MOUNT_NAMESPACES;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::LinkNameSpaceType;
use sandbox::cgroup::Entry;
use sandbox::channel::{Channel, Received};
use sandbox::inherited::Inherited;
use sandbox::plan::{Network, Plan, Stdio};
use sandbox::sys::{self, Ended, Fork};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result, mounts};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Words between pid 1 and the process outside.
pub mod word {
    /// Outside: the pod is recorded, the apps may start.
    pub const GO: u8 = b'g';
    /// Pid 1: all apps run.
    pub const READY: u8 = b'r';
    /// Pid 1: the pod is ending.
    pub const STOPPING: u8 = b's';
    /// Pid 1: here is the terminal of the app.
    pub const TERMINAL: u8 = b't';
}

/// Signals by which the process outside asks for an orderly end.
pub const STOP_SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// Signals that are handed to the apps.
pub const PASSED_SIGNALS: [i32; 2] = [libc::SIGUSR1, libc::SIGUSR2];

/// How long a console that blocks may hold up the end of a pod.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(1);

/// What pid 1 is given.
pub struct Setup<'a> {
    pub plan: &'a Plan,
    pub directory: &'a Path,
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
    match Init::prepare(setup).and_then(Init::run) {
        Ok(status) => status,
        Err(failure) => crate::report("stage1", &failure),
    }
}

/// Where an app is in its life.
#[derive(Debug)]
enum Phase {
    /// Not started yet.
    Waiting,
    /// Its process runs.
    Running,
    /// It has ended; this many of its handlers were started.
    Stopping(usize),
    /// Everything of it has ended.
    Ended,
}

/// One app as pid 1 knows it.
struct State {
    phase: Phase,
    /// Of the main process or the handler that runs.
    pid: i32,
    streams: [Option<Lines>; 2],
    log: Option<File>,
    report: Option<OwnedFd>,
    mount_namespace: Option<OwnedFd>,
    cgroups: Entry,
    taken: Vec<Option<OwnedFd>>,
}

/// What a descriptor of the event loop is.
#[derive(Clone, Copy, Debug)]
enum Token {
    Signals,
    Channel,
    Console,
    Terminal,
    Stream(usize, usize),
    Report(usize),
}

impl Token {
    const fn encode(self) -> u64 {
        match self {
            Self::Signals => 0,
            Self::Channel => 1,
            Self::Console => 2,
            Self::Terminal => 3,
            Self::Stream(app, stream) => 4 + (app as u64) * 3 + stream as u64,
            Self::Report(app) => 4 + (app as u64) * 3 + 2,
        }
    }

    const fn decode(number: u64) -> Self {
        match number {
            0 => Self::Signals,
            1 => Self::Channel,
            2 => Self::Console,
            3 => Self::Terminal,
            _ => {
                let (app, which) = ((number - 4) / 3, (number - 4) % 3);
                if which == 2 { Self::Report(app as usize) } else { Self::Stream(app as usize, which as usize) }
            }
        }
    }
}

struct Init<'a> {
    plan: &'a Plan,
    inherited: &'a Inherited,
    channel: Channel,
    console: Console,
    console_watched: bool,
    stage1: Root,
    terminal: Option<Terminal>,
    apps: Vec<State>,
    events: OwnedFd,
    signals: OwnedFd,
    /// The status of the first app that failed.
    failed: Option<i32>,
    /// When what still runs is killed.
    deadline: Option<Instant>,
    ready: bool,
}

/// The first terminal of the pod: its console, or the terminal of its only app.
struct Terminal {
    /// Kept open, so that the terminal is never hung up while the pod runs.
    follower: OwnedFd,
    lines: Option<Lines>,
}

impl<'a> Init<'a> {
    /// Makes the surroundings of the pod. The order matters: what is outside is taken before the root changes.
    fn prepare(setup: Setup<'a>) -> Result<Self> {
        let Setup { plan, directory, inherited, cgroups, channel, console } = setup;
        let handled: Vec<i32> = [&[libc::SIGCHLD][..], &STOP_SIGNALS, &PASSED_SIGNALS].concat();
        sys::SignalSet::of(&handled).block();
        sys::set_ignored(libc::SIGPIPE, true);
        inherited.raise_descriptor_limit();
        let signals = sys::SignalSet::of(&handled).descriptor().context(|| "watch signals")?;
        let events = epoll::create(epoll::CreateFlags::CLOEXEC).context(|| "watch events")?;

        let mut apps = Vec::with_capacity(plan.apps.len());
        cgroups.join()?;
        for (index, app) in plan.apps.iter().enumerate() {
            let places = plan.cgroups.hierarchies.iter();
            let cgroups = Entry::open(places.map(|place| (place.apps[index].as_path(), place.unified)))?;
            let log = if app.stdio == Stdio::Log { Some(open_log(directory, &app.name)?) } else { None };
            apps.push(State {
                phase: Phase::Waiting,
                pid: 0,
                streams: [None, None],
                log,
                report: None,
                mount_namespace: None,
                cgroups,
                taken: Vec::new(),
            });
        }
        sys::unshare(libc::CLONE_NEWCGROUP).context(|| "unshare the cgroup namespace")?;

        mounts::follow_host()?;
        for (app, state) in plan.apps.iter().zip(&mut apps) {
            state.taken = app.mounts.iter().map(mounts::take_host_source).collect::<Result<_>>()?;
        }
        let stage1 = mounts::attach_root(directory.join("stage1/rootfs"), true)?;
        mounts::enter_root(&stage1)?;
        rustix::system::sethostname(plan.hostname.as_bytes()).context(|| "set the hostname")?;
        if plan.namespaces.network == Network::Loopback {
            sys::loopback_up().context(|| "bring the loopback interface up")?;
        }
        mounts::make_masks(&stage1)?;
        for mount in &plan.mounts {
            mounts::perform(&stage1, &stage1, mount, None)?;
        }
        let _ = std::fs::remove_file("/rkt/supervisor-status");

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
        };
        init.open_terminal()?;
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
        let (leader, follower) = open_terminal("/dev/pts/ptmx")?;
        let lines = if self.plan.apps.iter().any(|app| app.stdio == Stdio::Terminal) {
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
            self.start(index).map_err(|failure| failure.of(format!("app \"{}\"", self.plan.apps[index].name)))?;
        }
        let mut events = Vec::with_capacity(32);
        while !self.apps.iter().all(|app| matches!(app.phase, Phase::Ended)) {
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
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // Again and again: a handler may have started since.
                let _ = sys::kill(-1, libc::SIGKILL);
                self.deadline = Some(Instant::now() + Duration::from_secs(1));
            }
        }
        Ok(self.finish())
    }

    /// How long to wait for events: until the grace ends, and shortly while a terminal that is relayed to is blocked.
    fn timeout(&mut self) -> Option<rustix::event::Timespec> {
        let blocked = self.apps.iter_mut().flat_map(|app| app.streams.iter_mut().flatten()).any(Lines::flush_raw);
        let blocked = blocked.then_some(Duration::from_millis(50));
        let grace = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = blocked.into_iter().chain(grace).min()?;
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
            Token::Stream(app, stream) => self.pump(app, stream),
            Token::Report(app) => self.read_report(app)?,
        }
        Ok(())
    }

    fn pump(&mut self, app: usize, stream: usize) {
        let label = self.label(app);
        let state = &mut self.apps[app];
        let Some(lines) = &mut state.streams[stream] else { return };
        if !lines.pump(&label, state.log.as_mut(), &mut self.console) {
            // Dropping the last descriptor ends the watch.
            state.streams[stream] = None;
        }
    }

    fn label(&self, app: usize) -> String {
        format!("{}[{}]", self.plan.apps[app].name, self.apps[app].pid)
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let app = &self.plan.apps[index];
        let state = &mut self.apps[index];
        let (report, report_writer) = pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .context(|| "open /dev/null")?;
        let mut writers = Vec::new();
        if app.stdio == Stdio::Log {
            for (slot, name) in state.streams.iter_mut().zip(["stdout", "stderr"]) {
                let (lines, writer) = line_stream(name, app.user.uid, app.user.gid)?;
                *slot = Some(lines);
                writers.push(writer);
            }
        }
        if app.stdio == Stdio::Stream {
            let inherited = [rustix::stdio::stdout(), rustix::stdio::stderr()];
            for (slot, stream) in state.streams.iter_mut().zip(inherited) {
                if rustix::termios::isatty(stream) {
                    let terminal = Console::over(stream).context(|| "open the terminal")?;
                    let (reader, writer) = stream_pipe(app.user.uid, app.user.gid)?;
                    *slot = Some(Lines::raw(reader, terminal));
                    writers.push(writer);
                }
            }
        }
        let follower = self.terminal.as_ref().map_or(null.as_fd(), |terminal| terminal.follower.as_fd());
        if app.stdio == Stdio::Terminal {
            rustix::fs::fchown(follower, Some(Uid::from_raw(app.user.uid)), None)
                .context(|| "hand the terminal to the app")?;
        }
        let streams = match app.stdio {
            Stdio::Log => {
                Streams { stdin: null.as_fd(), stdout: writers[0].as_fd(), stderr: writers[1].as_fd(), terminal: false }
            }
            Stdio::Terminal => Streams { stdin: follower, stdout: follower, stderr: follower, terminal: true },
            Stdio::Stream => {
                // The caller's own, but a relay in the place of a terminal.
                let mut relays = writers.iter();
                let mut stream = |index: usize, own| match &state.streams[index] {
                    Some(_) => relays.next().map_or(own, AsFd::as_fd),
                    None => own,
                };
                let (stdout, stderr) = (stream(0, rustix::stdio::stdout()), stream(1, rustix::stdio::stderr()));
                Streams { stdin: rustix::stdio::stdin(), stdout, stderr, terminal: false }
            }
        };
        let launch = Launch {
            app,
            taken: std::mem::take(&mut state.taken),
            streams,
            cgroups: &state.cgroups,
            inherited: self.inherited,
            report: report_writer,
            gate: pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?,
        };
        let child = match sys::fork_into(libc::CLONE_NEWNS as u64, launch.cgroups.birthplace()).context(|| "fork")? {
            Fork::Child => become_app(launch),
            Fork::Parent(child) => child,
        };
        state.pid = child.pid;
        state.phase = Phase::Running;
        let namespace = super::state::open_proc(child.pid, "ns/mnt")?;
        let number = MOUNT_NAMESPACES + index as i32;
        let namespace = sys::duplicate_from(namespace.as_fd(), number).context(|| "keep the mount namespace")?;
        if namespace.as_raw_fd() != number {
            return Err(Failure::new(format!("descriptor {number} is taken")));
        }
        state.mount_namespace = Some(namespace);
        // Closes our ends of its pipes, and with them the gate.
        drop(launch);
        let data = |token: Token| EventData::new_u64(token.encode());
        for (stream, lines) in state.streams.iter().enumerate() {
            if let Some(lines) = lines {
                epoll::add(&self.events, lines, data(Token::Stream(index, stream)), EventFlags::IN)
                    .context(|| "watch an app")?;
            }
        }
        epoll::add(&self.events, &report, data(Token::Report(index)), EventFlags::IN).context(|| "watch an app")?;
        state.report = Some(report);
        Ok(())
    }

    /// An app has been executed, or tells why not.
    fn read_report(&mut self, index: usize) -> Result<()> {
        let Some(report) = self.apps[index].report.take() else { return Ok(()) };
        let mut text = Vec::new();
        File::from(report).take(64 << 10).read_to_end(&mut text).context(|| "read an app's report")?;
        let text = String::from_utf8_lossy(&text);
        if let Some(reason) = text.strip_prefix(char::from(Report::Exec as u8)) {
            self.console.show(format!("Error: {reason}\n").as_bytes());
        } else if let Some(reason) = text.strip_prefix(char::from(Report::Setup as u8)) {
            eprintln!("stage1: app \"{}\": {reason}", self.plan.apps[index].name);
        }
        if !self.ready && self.apps.iter().all(|app| app.report.is_none()) {
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
                    for app in self.apps.iter().filter(|app| matches!(app.phase, Phase::Running)) {
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
            if let Some(index) = self.apps.iter().position(|app| app.pid == pid && !matches!(app.phase, Phase::Ended)) {
                self.ended(index, Ended::of(status))?;
            }
        }
        Ok(())
    }

    /// The main process or a handler of an app has ended.
    fn ended(&mut self, index: usize, ended: Ended) -> Result<()> {
        let started = match self.apps[index].phase {
            Phase::Running => {
                let status = recorded_status(ended, self.deadline.is_some());
                let path = format!("rkt/status/{}", self.plan.apps[index].name);
                self.stage1.write(&path, format!("{status}\n").as_bytes(), 0o644)?;
                self.end_remaining(index);
                if status != 0 && self.deadline.is_none() {
                    self.failed = Some(status);
                    self.stop();
                }
                0
            }
            Phase::Stopping(started) => started,
            Phase::Waiting | Phase::Ended => return Ok(()),
        };
        self.apps[index].phase = match self.plan.apps[index].post_stop.get(started) {
            Some(_) => {
                self.start_post_stop(index, started)?;
                Phase::Stopping(started + 1)
            }
            None => Phase::Ended,
        };
        Ok(())
    }

    /// What the app's main process left behind in its cgroup is asked to end, as the reference does.
    fn end_remaining(&self, index: usize) {
        for pid in self.apps[index].cgroups.processes().into_iter().filter(|&pid| pid > 1) {
            let _ = sys::kill(pid, libc::SIGTERM);
            let _ = sys::kill(pid, libc::SIGCONT);
        }
    }

    fn start_post_stop(&mut self, index: usize, handler: usize) -> Result<()> {
        let app = &self.plan.apps[index];
        let state = &mut self.apps[index];
        let namespace = state.mount_namespace.as_ref().ok_or_else(|| Failure::new("an app has no mount namespace"))?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .context(|| "open /dev/null")?;
        let log = state.log.as_ref().map(|_| line_stream("stdout", 0, 0)).transpose()?;
        match sys::fork_into(0, state.cgroups.birthplace()).context(|| "fork")? {
            Fork::Child => {
                let output = log.as_ref().map_or(rustix::stdio::stdout(), |(_, writer)| writer.as_fd());
                let streams = Streams { stdin: null.as_fd(), stdout: output, stderr: output, terminal: false };
                let joined = super::app::new_session(&streams).and_then(|()| {
                    state.cgroups.join()?;
                    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
                        .context(|| "enter the app's mount namespace")
                });
                match joined {
                    Ok(()) => become_handler(app, &app.post_stop[handler], self.inherited),
                    Err(_) => sys::exit_now(crate::FAILURE),
                }
            }
            Fork::Parent(child) => state.pid = child.pid,
        }
        if let Some((mut lines, _writer)) = log {
            // What the main process wrote last comes before.
            let label = format!("{}[{}]", app.name, state.pid);
            if let Some(mut before) = state.streams[0].take() {
                before.drain(&label, state.log.as_mut(), &mut self.console);
            }
            lines.drain(&label, state.log.as_mut(), &mut self.console);
            let data = EventData::new_u64(Token::Stream(index, 0).encode());
            epoll::add(&self.events, &lines, data, EventFlags::IN).context(|| "watch an app")?;
            state.streams[0] = Some(lines);
        }
        Ok(())
    }

    /// Ends whatever is left, shows and logs its last lines, and answers the pod's status.
    fn finish(&mut self) -> i32 {
        let _ = sys::kill(-1, libc::SIGKILL);
        for index in 0..self.apps.len() {
            let label = self.label(index);
            let state = &mut self.apps[index];
            for lines in state.streams.iter_mut().flatten() {
                lines.drain(&label, state.log.as_mut(), &mut self.console);
            }
        }
        self.console.finish(CONSOLE_PATIENCE);
        pod_status(self.failed)
    }
}

/// What the status file of an app says: an app that ended by the TERM of an orderly end was stopped cleanly.
fn recorded_status(ended: Ended, stopping: bool) -> i32 {
    match ended {
        Ended::Killed(libc::SIGTERM) if stopping => 0,
        other => other.code(),
    }
}

/// The status of the pod: that of the first app which failed by itself; an end that somebody asked for is no failure.
fn pod_status(failed: Option<i32>) -> i32 {
    failed.unwrap_or(0)
}

/// A pipe whose end for the app belongs to its user, so that it may open /dev/stdout, and the lines that come out.
fn line_stream(name: &'static str, uid: u32, gid: u32) -> Result<(Lines, OwnedFd)> {
    stream_pipe(uid, gid).map(|(reader, writer)| (Lines::new(reader, name), writer))
}

fn stream_pipe(uid: u32, gid: u32) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    rustix::io::ioctl_fionbio(&reader, true).context(|| "make a pipe")?;
    rustix::fs::fchown(&writer, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).context(|| "make a pipe")?;
    Ok((reader, writer))
}

/// Both ends of a new terminal of the devpts instance that `multiplexer` belongs to.
pub fn open_terminal(multiplexer: &str) -> Result<(OwnedFd, OwnedFd)> {
    let failed = || "open a terminal";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let leader = rustix::fs::open(multiplexer, flags, Mode::empty()).context(failed)?;
    rustix::pty::unlockpt(&leader).context(failed)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    // Not by its path, which apps could have changed.
    let follower = rustix::pty::ioctl_tiocgptpeer(&leader, flags).context(failed)?;
    Ok((leader, follower))
}

fn open_log(directory: &Path, app: &str) -> Result<File> {
    let path = directory.join("logs").join(format!("{app}.log"));
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::from_raw_mode(0o640))
        .map(File::from)
        .context(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_ends_by_the_term_of_an_orderly_end_was_stopped_cleanly() {
        assert_eq!(recorded_status(Ended::Killed(libc::SIGTERM), true), 0);
        assert_eq!(recorded_status(Ended::Killed(libc::SIGTERM), false), 143);
        assert_eq!(recorded_status(Ended::Killed(libc::SIGKILL), true), 137);
        assert_eq!(recorded_status(Ended::Exited(6), true), 6);
    }

    #[test]
    fn the_pod_ends_with_the_first_failure_and_an_asked_for_end_is_none() {
        assert_eq!(pod_status(None), 0);
        assert_eq!(pod_status(Some(5)), 5);
    }

    #[test]
    fn every_token_survives_its_number() {
        for token in [
            Token::Signals,
            Token::Channel,
            Token::Console,
            Token::Terminal,
            Token::Stream(0, 0),
            Token::Stream(7, 1),
            Token::Report(7),
        ] {
            assert_eq!(format!("{:?}", Token::decode(token.encode())), format!("{token:?}"));
        }
    }
}
