//! The processes of an app: how its main process and its handlers are born.

use super::super::super::app::{Launch, Report, become_app, become_handler, new_cgroup_namespace, new_session};
use super::super::super::console::Console;
use super::super::super::control;
use super::super::super::outside::at_number;
use super::super::super::state::open_proc;
use super::super::attachable::Attachable;
use super::super::streams;
use super::{Phase, Supervised};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::LinkNameSpaceType;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::sys::{self, Fork};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

/// The longest report of a process that became no app.
const MAX_REPORT: u64 = 64 << 10;

impl Supervised {
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
