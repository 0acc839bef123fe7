//! The life of the pod by the rules of the reference (stage1-abi §8): its apps start, end and are ended, and what becomes of it is recorded.

use super::end::{pod_status, recorded_status};
use super::services::Service;
use super::supervised::{Phase, Supervised};
use super::token::Token;
use super::{Init, STOP_SIGNALS, word};
use sandbox::sys::{self, Ended};
use sandbox::{Context, Failure, Result};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a console that blocks may hold up the end of a pod.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(1);

impl Init<'_> {
    /// Whether the pod has ended: with its apps, or when it is told to.
    pub(super) fn is_over(&self) -> bool {
        let goes_on = self.control.is_some() && self.deadline.is_none();
        !goes_on && self.apps.iter().all(|app| app.phase == Phase::Ended)
    }

    pub(super) fn start(&mut self, index: usize) -> Result<()> {
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

    /// Says so, once all apps run and those that tell when they are ready have.
    pub(super) fn tell_ready(&mut self) -> Result<()> {
        if !self.ready && self.apps.iter().all(Supervised::is_settled) {
            self.ready = true;
            // In two steps, so that the link is never seen with another text.
            std::os::unix::fs::symlink("ready", "/rkt/supervisor-status").context(|| "write rkt/supervisor-status")?;
            let _ = self.channel.send(word::READY, None);
        }
        Ok(())
    }

    pub(super) fn handle_signals(&mut self) -> Result<()> {
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
    pub(super) fn stop(&mut self) {
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
    pub(super) fn finish(&mut self) -> i32 {
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
