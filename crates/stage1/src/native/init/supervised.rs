//! One app as pid 1 knows it, from the fork of its main process to the end of its last handler.

use super::super::app::{Launch, Report, become_app, become_handler, new_cgroup_namespace, new_session};
use super::super::console::Console;
use super::super::control;
use super::super::journal::Record;
use super::super::lines::{Lines, log_text};
use super::super::log::Log;
use super::super::outside::{AppOutside, at_number};
use super::super::state::open_proc;
use super::attachable::Attachable;
use super::refusals::Refusals;
use super::services::{MAX_STREAMS, Service, Services};
use super::streams;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::LinkNameSpaceType;
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::plan::App;
use sandbox::sys::{self, Fork};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// The longest report of a process that became no app.
const MAX_REPORT: u64 = 64 << 10;

/// Where an app is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet.
    Waiting,
    /// Its process runs.
    Running,
    /// It has ended; this many of its handlers were started.
    Stopping(usize),
    /// Everything of it has ended.
    Ended,
}

/// An app under supervision.
pub struct Supervised {
    /// Its number, which means it for as long as the pod lives.
    pub number: usize,
    pub app: App,
    pub phase: Phase,
    /// Of the main process or the handler that runs.
    pub pid: i32,
    pub streams: [Option<Lines>; 2],
    /// The streams that others attach to, while the main process runs and until what it wrote has been told.
    pub attachable: Option<Attachable>,
    /// What its process says before it becomes the app; none once it is one.
    pub report: Option<OwnedFd>,
    /// System calls that it was not allowed to make.
    pub refusals: Refusals,
    pub services: Services,
    /// Its services are watched.
    pub watched: bool,
    /// Whoever started it, until it has become the app.
    pub starter: Option<Channel>,
    /// Who waits for its end.
    pub waiters: Vec<Channel>,
    /// It was told to end, and is killed then.
    pub kill_at: Option<Instant>,
    /// It has said that it is ready, or need not.
    ready: bool,
    log: Log,
    mount_namespace: Option<OwnedFd>,
    cgroups: Entry,
    taken: Vec<Option<OwnedFd>>,
    /// Given to the main process.
    sockets: Vec<OwnedFd>,
}

impl Supervised {
    /// An app that waits. `sockets` are those of its plan.
    pub fn new(
        number: usize,
        app: App,
        outside: AppOutside,
        services: Services,
        sockets: Vec<OwnedFd>,
    ) -> Result<Self> {
        let AppOutside { cgroups, log, taken, place } = outside;
        Ok(Self {
            ready: !app.notifies,
            number,
            app,
            phase: Phase::Waiting,
            pid: 0,
            streams: [None, None],
            attachable: None,
            report: None,
            refusals: Refusals::new()?,
            services,
            watched: false,
            starter: None,
            waiters: Vec::new(),
            kill_at: None,
            log,
            mount_namespace: place,
            cgroups,
            taken,
            sockets,
        })
    }

    /// Makes an app that has ended wait to be started as it is planned now.
    pub fn begin_again(&mut self, app: App, outside: AppOutside, console: &mut Console) {
        self.drain(console);
        let AppOutside { cgroups, log, taken, place } = outside;
        self.ready = !app.notifies;
        self.refusals.begin_again();
        self.streams = [None, None];
        (self.phase, self.app) = (Phase::Waiting, app);
        (self.cgroups, self.log, self.taken) = (cgroups, log, taken);
        self.mount_namespace = place;
    }

    /// The mount namespace of an app that runs.
    pub fn namespace(&self) -> Option<BorrowedFd<'_>> {
        self.mount_namespace.as_ref().filter(|_| self.phase == Phase::Running).map(AsFd::as_fd)
    }

    /// Everything of the app has ended, the pod goes on: whoever waits is told, and nothing keeps its root in use.
    pub fn settle(&mut self, console: &mut Console) {
        self.drain(console);
        self.kill_at = None;
        self.mount_namespace = None;
        for waiter in self.waiters.drain(..) {
            // Gone is fine.
            let _ = waiter.send(control::word::DONE, None);
        }
    }

    /// Kills every process of the app.
    pub fn kill_all(&self) {
        let own = matches!(self.phase, Phase::Running | Phase::Stopping(_)).then_some(self.pid);
        for pid in self.cgroups.processes().into_iter().filter(|&pid| pid > 1).chain(own) {
            let _ = sys::kill(pid, libc::SIGKILL);
        }
    }

    /// Whether this process is one that we wait for on behalf of the app.
    pub fn is_represented_by(&self, pid: i32) -> bool {
        self.pid == pid && matches!(self.phase, Phase::Running | Phase::Stopping(_))
    }

    /// Whether nothing of the app is waited for any more before the pod is ready.
    pub fn is_settled(&self) -> bool {
        let begun = !matches!(self.phase, Phase::Waiting) && self.report.is_none();
        begun && (self.ready || self.phase != Phase::Running)
    }

    /// Whether a process is one of the app's, by the cgroup that it cannot leave.
    fn owns(&self, pid: i32) -> bool {
        let own = format!("{}.service", self.app.name);
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // Below the last scope, which is the pod's: rkt itself may run in the unit of a service of the same name.
        text.lines().filter_map(|line| line.rsplit_once(".scope/system.slice/")).any(|(_, path)| {
            path.strip_prefix(own.as_str()).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }

    /// Hears what the app tells of its state; answers what it says for people. Nobody else can speak for it: a message counts when
    /// the kernel says that one of the app's processes has sent it.
    pub fn hear(&mut self) -> Option<String> {
        let mut status = None;
        for (sender, message) in self.services.notifications() {
            let is_main = sender == self.pid;
            if self.phase != Phase::Running || !(is_main || self.owns(sender)) {
                continue;
            }
            self.ready |= message.ready;
            status = message.status.or(status);
            // Only the main process may name another, and only one of the app's.
            if let Some(pid) = message.main_pid.filter(|&pid| is_main && self.owns(pid)) {
                self.pid = pid;
            }
        }
        status
    }

    /// Logs what has come through a socket of the journal; answers whether there was anything.
    pub fn log_messages(&mut self, service: Service) -> bool {
        let messages = self.services.messages(service);
        for Record { stream, text } in &messages {
            log_text(&mut self.log, stream, text);
        }
        !messages.is_empty()
    }

    /// Logs what has come by a stream of the journal; answers whether there was anything.
    pub fn log_stream(&mut self, number: usize) -> bool {
        let lines = self.services.read_stream(number);
        for Record { stream, text } in &lines {
            log_text(&mut self.log, stream, text);
        }
        !lines.is_empty()
    }

    /// How lines of the app are labelled.
    pub fn label(&self) -> String {
        format!("{}[{}]", self.app.name, self.pid)
    }

    /// Starts the main process. `terminal` is the pod's.
    pub fn start(&mut self, stage1: &Root, terminal: BorrowedFd<'_>, inherited: &Inherited) -> Result<()> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe");
        let (report, report_writer) = pipe()?;
        let (opened, ours) = streams::open(self.app.stdio, &self.app.user, terminal)?;
        self.streams = ours.lines;
        self.attachable = Attachable::listen(stage1, &self.app.name, ours.ends)?;
        let listener = self.expect_listener()?;
        let launch = Launch {
            app: &self.app,
            taken: std::mem::take(&mut self.taken),
            streams: opened.streams(),
            sockets: &self.sockets,
            cgroups: &self.cgroups,
            inherited,
            report: report_writer,
            listener,
            gate: pipe()?,
        };
        let child = match sys::fork_into(libc::CLONE_NEWNS as u64, launch.cgroups.birthplace()).context(|| "fork")? {
            Fork::Child => become_app(launch),
            Fork::Parent(child) => child,
        };
        self.pid = child.pid;
        self.phase = Phase::Running;
        let namespace = open_proc(child.pid, "ns/mnt")?;
        // In the place that was kept for it, if one was.
        let kept = self.mount_namespace.take().is_some();
        self.mount_namespace = Some(if kept { at_number(self.number, namespace)? } else { namespace });
        self.report = Some(report);
        // Closes our ends of its pipes, and with them the gate.
        drop(launch);
        Ok(())
    }

    /// What the process of the app has said: nothing when it has become the app. Shown on the console, or on our own stderr when the
    /// pod cannot be as its plan says.
    pub fn read_report(&mut self, console: &mut Console) -> Result<()> {
        let Some(report) = self.report.take() else { return Ok(()) };
        let mut text = Vec::new();
        File::from(report).take(MAX_REPORT).read_to_end(&mut text).context(|| "read an app's report")?;
        let text = String::from_utf8_lossy(&text);
        if let Some(starter) = self.starter.take() {
            // Gone is fine.
            let _ = match text.get(1..) {
                None => starter.send(control::word::DONE, None),
                Some(reason) => starter.send_text(control::word::FAILED, reason),
            };
        }
        if let Some(reason) = text.strip_prefix(char::from(Report::Exec as u8)) {
            console.show(format!("Error: {reason}\n").as_bytes());
        } else if let Some(reason) = text.strip_prefix(char::from(Report::Setup as u8)) {
            eprintln!("stage1: app \"{}\": {reason}", self.app.name);
        }
        Ok(())
    }

    /// The way for the next process to hand over the listener of its filter, where it is to have one.
    fn expect_listener(&mut self) -> Result<Option<Channel>> {
        self.app.names_refusals.then(|| self.refusals.expect()).transpose()
    }

    /// Ends processes of the app whose system calls are withheld.
    pub fn refuse(&mut self, console: &mut Console) -> Result<()> {
        self.refusals.turn(&self.app.name, &mut self.log, console)
    }

    /// Hands on what can be read of an output stream now.
    /// Answers the stream when it has ended, to be watched no longer.
    pub fn pump(&mut self, stream: usize, console: &mut Console) -> Option<Lines> {
        let label = self.label();
        let ended = !self.streams[stream].as_mut()?.pump(&label, Some(&mut self.log), console);
        self.streams[stream].take_if(|_| ended)
    }

    /// Serves those who are attached.
    pub fn attend(&mut self) {
        if let Some(attachable) = &mut self.attachable {
            attachable.turn();
            if attachable.is_done() {
                self.attachable = None;
            }
        }
    }

    /// Lets nobody attach any more; who is gets what is left and is hung up.
    pub fn detach_clients(&mut self) {
        if let Some(attachable) = &mut self.attachable {
            attachable.end();
        }
        self.attend();
    }

    /// Gives those who were attached a last chance to take what is left.
    pub fn finish_clients(&mut self, until: Instant) {
        self.detach_clients();
        if let Some(attachable) = self.attachable.take() {
            attachable.finish(until);
        }
    }

    /// Hands on everything that was written.
    pub fn drain(&mut self, console: &mut Console) {
        for service in [Service::Syslog, Service::Native] {
            while self.log_messages(service) {}
        }
        for number in 0..MAX_STREAMS {
            while self.log_stream(number) {}
        }
        let label = self.label();
        for lines in self.streams.iter_mut().flatten() {
            lines.drain(&label, Some(&mut self.log), console);
        }
    }

    /// What the main process left behind in the app's cgroup is asked to end, as the reference does.
    pub fn end_remaining(&self) {
        for pid in self.cgroups.processes().into_iter().filter(|&pid| pid > 1) {
            let _ = sys::kill(pid, libc::SIGTERM);
            let _ = sys::kill(pid, libc::SIGCONT);
        }
    }

    /// Starts the handler of that number, if there is one; answers whether the app has a new stream for its standard output.
    pub fn start_post_stop(&mut self, handler: usize, inherited: &Inherited, console: &mut Console) -> Result<bool> {
        if handler >= self.app.post_stop.len() {
            self.phase = Phase::Ended;
            return Ok(false);
        }
        let listener = self.expect_listener()?;
        let exec = &self.app.post_stop[handler];
        let namespace = self.mount_namespace.as_ref().ok_or_else(|| Failure::new("an app has no mount namespace"))?;
        let (opened, lines) = streams::open_of_handler(self.app.stdio.stdout)?;
        match sys::fork_into(0, self.cgroups.birthplace()).context(|| "fork")? {
            Fork::Child => {
                let joined = new_session(&opened.streams()).and_then(|()| {
                    self.cgroups.join()?;
                    new_cgroup_namespace()?;
                    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
                        .context(|| "enter the app's mount namespace")
                });
                match joined {
                    Ok(()) => become_handler(&self.app, exec, listener.as_ref(), inherited),
                    Err(_) => sys::exit_now(crate::FAILURE),
                }
            }
            Fork::Parent(child) => self.pid = child.pid,
        }
        drop(opened);
        self.phase = Phase::Stopping(handler + 1);
        let Some(lines) = lines else { return Ok(false) };
        // What the main process wrote last comes before.
        if let Some(mut before) = self.streams[0].replace(lines) {
            before.drain(&self.label(), Some(&mut self.log), console);
        }
        Ok(true)
    }
}
