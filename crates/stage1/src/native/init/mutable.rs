//! Apps that come and go while the pod runs.

use super::super::control::{Start, word};
use super::super::handed;
use super::super::log::Log;
use super::super::outside::AppOutside;
use super::control::{Control, Request};
use super::services::Services;
use super::supervised::{Phase, Supervised};
use super::token::Token;
use super::{Init, sockets};
use rustix::event::epoll;
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::sys;
use sandbox::{Context, Failure, Result};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

impl Init<'_> {
    /// Listens for requests, in a pod whose apps come and go.
    pub(super) fn open_control(&mut self) -> Result<()> {
        if self.plan.lifecycle.mutable {
            let control = Control::open()?;
            self.watch(&control, Token::Control)?;
            self.control = Some(control);
        }
        Ok(())
    }

    pub(super) fn accept_session(&mut self) -> Result<()> {
        let Some(control) = &mut self.control else { return Ok(()) };
        let Some(number) = control.accept() else { return Ok(()) };
        match self.control.as_ref().and_then(|control| control.session(number)) {
            Some(fd) => self.watch(fd, Token::Session(number)),
            None => Ok(()),
        }
    }

    /// A word of a session has come.
    pub(super) fn hear_session(&mut self, number: usize) -> Result<()> {
        let Some(control) = &mut self.control else { return Ok(()) };
        let (goes_on, request) = control.hear(number);
        if goes_on {
            return Ok(());
        }
        let Some(request) = request else { return Ok(()) };
        // The channel lives on for the answer.
        let _ = epoll::delete(&self.events, &request.channel);
        let Request { word, app, descriptors, channel } = request;
        let failed = |failure: &Failure| drop(channel.send_text(word::FAILED, &failure.to_string()));
        let index = self.apps.iter().position(|one| one.app.name == app);
        match (word, index) {
            (word::NUMBER, index) => drop(channel.send_text(word::DONE, &self.number_of(index).to_string())),
            (word::START, _) if self.deadline.is_some() => failed(&Failure::new("the pod is ending")),
            (word::START, Some(index)) if self.apps[index].phase == Phase::Running => answer(&channel, word::DONE),
            (word::START, index) => match self.start_later(index, descriptors) {
                Ok(index) => self.apps[index].starter = Some(channel),
                Err(failure) => failed(&failure),
            },
            (word::STOP, Some(index)) => self.stop_app(index, channel),
            (word::REMOVE, Some(index)) => match self.apps[index].phase {
                Phase::Running | Phase::Stopping(_) => failed(&Failure::new(format!("app \"{app}\" is still running"))),
                Phase::Waiting | Phase::Ended => {
                    self.remove_app(index);
                    answer(&channel, word::DONE);
                }
            },
            (word::REMOVE, None) => answer(&channel, word::DONE),
            (word::ENTER, Some(index)) => match self.apps[index].namespace() {
                Some(namespace) => drop(channel.send(word::DONE, Some(namespace))),
                None => answer(&channel, word::NOT_RUNNING),
            },
            _ => answer(&channel, word::NOT_RUNNING),
        }
        Ok(())
    }

    /// The number of an app, or the lowest that is free.
    fn number_of(&self, index: Option<usize>) -> usize {
        let taken = |number: &usize| self.apps.iter().any(|app| app.number == *number);
        index.map_or_else(|| (0..).find(|number| !taken(number)).unwrap_or_default(), |index| self.apps[index].number)
    }

    /// Starts an app that is new, or has ended.
    fn start_later(&mut self, index: Option<usize>, descriptors: Vec<OwnedFd>) -> Result<usize> {
        let (start, outside) = unpack(&self.plan.uuid, descriptors)?;
        if index.is_none() && start.number != self.number_of(None) {
            return Err(Failure::new("another app has come in between"));
        }
        let name = start.app.name.clone();
        self.stage1.write(&format!("rkt/env/{name}"), start.environment.as_bytes(), 0o644)?;
        for file in [format!("/rkt/status/{name}"), format!("/rkt/status/{name}.syscall")] {
            // It has none when it never ran.
            let _ = std::fs::remove_file(file);
        }
        let index = match index {
            Some(index) => {
                self.apps[index].begin_again(start.app, outside, &mut self.console);
                index
            }
            None => {
                let _ = std::fs::remove_dir_all(&start.app.services);
                let services = Services::open(&self.stage1, &start.app)?;
                let sockets = sockets::open(&start.app.sockets)?;
                self.apps.push(Supervised::new(start.number, start.app, outside, services, sockets)?);
                self.apps.len() - 1
            }
        };
        if let Err(failure) = self.start(index) {
            self.apps[index].phase = Phase::Ended;
            return Err(failure);
        }
        Ok(index)
    }

    fn stop_app(&mut self, index: usize, channel: Channel) {
        let app = &mut self.apps[index];
        match app.phase {
            Phase::Waiting | Phase::Ended => return answer(&channel, word::NOT_RUNNING),
            Phase::Running if app.kill_at.is_none() => {
                app.kill_at = Some(Instant::now() + Duration::from_secs(self.plan.lifecycle.grace_seconds.into()));
                // Gone meanwhile is fine. A stopped process takes its TERM when it continues.
                let _ = sys::kill(app.pid, libc::SIGTERM);
                let _ = sys::kill(app.pid, libc::SIGCONT);
                app.end_remaining();
            }
            Phase::Running | Phase::Stopping(_) => {}
        }
        app.waiters.push(channel);
    }

    fn remove_app(&mut self, index: usize) {
        let mut app = self.apps.remove(index);
        app.drain(&mut self.console);
        app.refusals.begin_again();
        let name = &app.app.name;
        let files = ["rkt/env", "rkt/status"].map(|directory| format!("/{directory}/{name}"));
        // Absent is what is wanted.
        for file in files.into_iter().chain([format!("/rkt/status/{name}.syscall")]) {
            let _ = std::fs::remove_file(file);
        }
        for directory in [app.app.services.clone(), format!("/{}/{name}", super::IOTTYMUX)] {
            let _ = std::fs::remove_dir_all(directory);
        }
    }

    /// Kills what was told to end and did not.
    pub(super) fn kill_overdue(&mut self) {
        let now = Instant::now();
        for app in self.apps.iter_mut().filter(|app| app.kill_at.is_some_and(|at| now >= at)) {
            app.kill_all();
            app.kill_at = Some(now + Duration::from_millis(200));
        }
    }
}

fn answer(channel: &Channel, word: u8) {
    // Whoever asked may be gone.
    let _ = channel.send(word, None);
}

/// Reads a start, and puts together what came with it.
fn unpack(uuid: &str, descriptors: Vec<OwnedFd>) -> Result<(Start, AppOutside)> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(|| Failure::new("a descriptor is missing"));
    let start: Start = handed::take(next()?).context(|| "read how to start the app")?;
    let cgroups = start.cgroups.iter().map(|&unified| Ok((next()?, unified))).collect::<Result<Vec<_>>>()?;
    let logs = next()?;
    let plain = start.plain.then(&mut next).transpose()?;
    let journal = start.journal.then(&mut next).transpose()?;
    let log = Log::received(uuid, &start.app.name, logs, plain, journal)?;
    let taken = start.taken.iter().map(|&taken| taken.then(&mut next).transpose()).collect::<Result<_>>()?;
    // Found by asking: there may be more apps than places.
    Ok((start, AppOutside { cgroups: Entry::received(cgroups), log, taken, place: None }))
}
