//! One app as pid 1 knows it, from the fork of its main process to the end of its last handler.

mod birth;
mod output;

use super::super::console::Console;
use super::super::control;
use super::super::lines::Lines;
use super::super::log::Log;
use super::super::outside::AppOutside;
use super::attachable::Attachable;
use super::refusals::Refusals;
use super::services::Services;
use sandbox::Result;
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::plan::App;
use sandbox::sys;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

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

    /// How lines of the app are labelled.
    pub fn label(&self) -> String {
        format!("{}[{}]", self.app.name, self.pid)
    }

    /// Ends processes of the app whose system calls are withheld.
    pub fn refuse(&mut self, console: &mut Console) -> Result<()> {
        self.refusals.turn(&self.app.name, &mut self.log, console)
    }

    /// What the main process left behind in the app's cgroup is asked to end, as the reference does.
    pub fn end_remaining(&self) {
        for pid in self.cgroups.processes().into_iter().filter(|&pid| pid > 1) {
            let _ = sys::kill(pid, libc::SIGTERM);
            let _ = sys::kill(pid, libc::SIGCONT);
        }
    }
}
