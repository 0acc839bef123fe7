//! One app as pid 1 knows it, from the fork of its main process to the end of its last handler.

use super::super::app::{Launch, Report, become_app, become_handler, new_session};
use super::super::console::{Console, Lines};
use super::super::outside::AppOutside;
use super::super::state::{MOUNT_NAMESPACES, open_proc};
use super::refusals::Refusals;
use super::streams;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::LinkNameSpaceType;
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::plan::App;
use sandbox::sys::{self, Fork};
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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
    pub log: Option<File>,
    /// What its process says before it becomes the app; none once it is one.
    pub report: Option<OwnedFd>,
    /// System calls that it was not allowed to make.
    pub refusals: Refusals,
    mount_namespace: Option<OwnedFd>,
    cgroups: Entry,
    taken: Vec<Option<OwnedFd>>,
}

impl Supervised {
    /// An app that waits.
    pub fn new(number: usize, app: App, outside: AppOutside) -> Self {
        let AppOutside { cgroups, log, taken } = outside;
        Self {
            number,
            app,
            phase: Phase::Waiting,
            pid: 0,
            streams: [None, None],
            log,
            report: None,
            refusals: Refusals::default(),
            mount_namespace: None,
            cgroups,
            taken,
        }
    }

    /// Whether this process is one that we wait for on behalf of the app.
    pub fn is_represented_by(&self, pid: i32) -> bool {
        self.pid == pid && matches!(self.phase, Phase::Running | Phase::Stopping(_))
    }

    /// How lines of the app are labelled.
    pub fn label(&self) -> String {
        format!("{}[{}]", self.app.name, self.pid)
    }

    /// Starts the main process. `terminal` is the pod's.
    pub fn start(&mut self, terminal: BorrowedFd<'_>, inherited: &Inherited) -> Result<()> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe");
        let (report, report_writer) = pipe()?;
        let (opened, outputs) = streams::open(self.app.stdio, &self.app.user, terminal)?;
        self.streams = outputs;
        let mut listener = None;
        if self.app.names_refusals {
            let (ours, theirs) = Channel::pair().context(|| "make a channel")?;
            self.refusals.expect(ours);
            listener = Some(theirs);
        }
        let launch = Launch {
            app: &self.app,
            taken: std::mem::take(&mut self.taken),
            streams: opened.streams(),
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
        let number = MOUNT_NAMESPACES + self.number as i32;
        let namespace = sys::duplicate_from(namespace.as_fd(), number).context(|| "keep the mount namespace")?;
        if namespace.as_raw_fd() != number {
            return Err(Failure::new(format!("descriptor {number} is taken")));
        }
        self.mount_namespace = Some(namespace);
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
        if let Some(reason) = text.strip_prefix(char::from(Report::Exec as u8)) {
            console.show(format!("Error: {reason}\n").as_bytes());
        } else if let Some(reason) = text.strip_prefix(char::from(Report::Setup as u8)) {
            eprintln!("stage1: app \"{}\": {reason}", self.app.name);
        }
        Ok(())
    }

    /// Ends a process of the app whose system call is withheld.
    pub fn refuse(&mut self, console: &mut Console) {
        self.refusals.handle(&self.app.name, self.log.as_mut(), console);
    }

    /// Hands on what can be read of an output stream now.
    pub fn pump(&mut self, stream: usize, console: &mut Console) {
        let label = self.label();
        let Some(lines) = &mut self.streams[stream] else { return };
        if !lines.pump(&label, self.log.as_mut(), console) {
            // Dropping the last descriptor ends the watch.
            self.streams[stream] = None;
        }
    }

    /// Hands on everything that was written.
    pub fn drain(&mut self, console: &mut Console) {
        let label = self.label();
        for lines in self.streams.iter_mut().flatten() {
            lines.drain(&label, self.log.as_mut(), console);
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
        let Some(exec) = self.app.post_stop.get(handler) else {
            self.phase = Phase::Ended;
            return Ok(false);
        };
        let namespace = self.mount_namespace.as_ref().ok_or_else(|| Failure::new("an app has no mount namespace"))?;
        let (opened, lines) = streams::open_of_handler(self.log.is_some())?;
        match sys::fork_into(0, self.cgroups.birthplace()).context(|| "fork")? {
            Fork::Child => {
                let joined = new_session(&opened.streams()).and_then(|()| {
                    self.cgroups.join()?;
                    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
                        .context(|| "enter the app's mount namespace")
                });
                match joined {
                    Ok(()) => become_handler(&self.app, exec, inherited),
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
            before.drain(&self.label(), self.log.as_mut(), console);
        }
        Ok(true)
    }
}
