//! What wakes pid 1, and whom it concerns.

use super::super::lines::Lines;
use super::services::Service;
use super::token::Token;
use super::{Init, word};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use sandbox::channel::Received;
use sandbox::{Context, Result, sys};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

impl Init<'_> {
    pub(super) fn watch(&self, fd: impl AsFd, token: Token) -> Result<()> {
        let data = EventData::new_u64(token.encode());
        epoll::add(&self.events, fd, data, EventFlags::IN).context(|| format!("watch {token:?}"))
    }

    /// How long to wait for events: until the grace ends, and shortly while a terminal that is relayed to is blocked.
    pub(super) fn timeout(&mut self) -> Option<Timespec> {
        let blocked = self.apps.iter_mut().flat_map(|app| app.streams.iter_mut().flatten()).any(Lines::flush_raw);
        let blocked = blocked.then_some(Duration::from_millis(50));
        let grace = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let overdue = self.apps.iter().filter_map(|app| app.kill_at).min();
        let overdue = overdue.map(|at| at.saturating_duration_since(Instant::now()));
        let left = blocked.into_iter().chain(grace).chain(overdue).min()?;
        Some(Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() })
    }

    /// Watches the console exactly while something waits for it: a console that can be written to would wake us for ever.
    pub(super) fn watch_console(&mut self) {
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

    pub(super) fn handle(&mut self, token: Token) -> Result<()> {
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
}

/// Ends the watch of a descriptor that is about to be closed. Closing is not enough: a process that is to become an app, and waits for
/// a handler, has copies, and what has hung up would wake us all the while. One that nobody watches is what we want.
pub(super) fn unwatch(events: &OwnedFd, fd: impl AsFd) {
    let _ = epoll::delete(events, fd);
}
