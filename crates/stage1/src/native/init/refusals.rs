//! The system calls that an app was not allowed to make: its processes are ended, and the call is named in the log, on the console
//! and beside the app's status.

use super::super::console::Console;
use super::super::lines::notice;
use super::super::log::Log;
use super::unwatch;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::channel::{Channel, Received};
use sandbox::seccomp::listener::Listener;
use sandbox::spawn::LISTENER;
use sandbox::sys::Ended;
use sandbox::{Context, Result};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The status of a process that SIGSYS ended, as shells say it.
const STATUS: i32 = 128 + libc::SIGSYS;

/// What an app may make us remember: what it can vary is only the name of a call.
const MAX_NAMES: usize = 64;

/// The refusals of one app.
pub struct Refusals {
    /// Ready when the channel or a listener is.
    events: OwnedFd,
    /// Brings a listener from each process that is about to become the app or a handler of it.
    channel: Option<Channel>,
    /// One a filter that processes have.
    listeners: Vec<Listener>,
    /// Calls that were named already: an app that fails again and again does not fill its log.
    named: BTreeSet<String>,
    /// The call, and the process that was ended, last.
    last: Option<(String, i32)>,
}

impl AsFd for Refusals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Refusals {
    /// Of an app that has no process yet.
    pub fn new() -> Result<Self> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC).context(|| "watch filters")?;
        Ok(Self { events, channel: None, listeners: Vec::new(), named: BTreeSet::new(), last: None })
    }

    /// Forgets what was: the app begins again.
    pub fn begin_again(&mut self) {
        self.channel.take().into_iter().for_each(|channel| unwatch(&self.events, channel));
        self.listeners.drain(..).for_each(|listener| unwatch(&self.events, listener));
        self.named.clear();
        self.last = None;
    }

    /// The way for the next process to hand its listener over. Where it has none, the kernel ends processes itself.
    pub fn expect(&mut self) -> Result<Channel> {
        self.take_listeners()?;
        let (ours, theirs) = Channel::pair().context(|| "make a channel")?;
        self.watch(&ours)?;
        if let Some(before) = self.channel.replace(ours) {
            unwatch(&self.events, before);
        }
        Ok(theirs)
    }

    /// Takes listeners that have come, ends processes whose calls wait, and gives up listeners of filters that no process has any more.
    pub fn turn(&mut self, app: &str, log: &mut Log, console: &mut Console) -> Result<()> {
        self.take_listeners()?;
        for index in (0..self.listeners.len()).rev() {
            let now = ready(self.listeners[index].as_fd());
            if now.contains(PollFlags::HUP) {
                unwatch(&self.events, self.listeners.swap_remove(index));
            } else if now.contains(PollFlags::IN)
                // Without a call that waits the listener would keep us waiting.
                && let Some(refused) = self.listeners[index].refuse()
            {
                if self.named.len() < MAX_NAMES && self.named.insert(refused.name.clone()) {
                    notice(&format!("app \"{app}\": {refused}"), log, console);
                }
                self.last = Some((refused.name, refused.process));
            }
        }
        Ok(())
    }

    fn take_listeners(&mut self) -> Result<()> {
        while let Some(channel) = self.channel.take_if(|channel| !ready(channel.as_fd()).is_empty()) {
            match channel.receive() {
                Ok(Received::Word(LISTENER, Some(listener))) => {
                    self.watch(&listener)?;
                    self.listeners.push(Listener::from(listener));
                }
                Ok(Received::Word(..) | Received::Text(..)) => {}
                // It has become the app, or ended.
                Ok(Received::Closed) | Err(_) => {
                    unwatch(&self.events, channel);
                    break;
                }
            }
            self.channel = Some(channel);
        }
        Ok(())
    }

    fn watch(&self, fd: impl AsFd) -> Result<()> {
        epoll::add(&self.events, fd, EventData::new_u64(0), EventFlags::IN).context(|| "watch a filter")
    }

    /// How the main process ended, where we had to end it otherwise than by SIGSYS.
    pub fn correct(&self, pid: i32, ended: Ended) -> Ended {
        match (&self.last, ended) {
            (Some((_, process)), Ended::Killed(libc::SIGKILL)) if *process == pid => Ended::Killed(libc::SIGSYS),
            _ => ended,
        }
    }

    /// The call that an app with this status died of: its own, or that of a process whose status it took over.
    pub fn cause(&self, status: i32) -> Option<&str> {
        self.last.as_ref().filter(|_| status == STATUS).map(|(name, _)| name.as_str())
    }
}

fn ready(fd: BorrowedFd<'_>) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).map_or(PollFlags::empty(), |_| fds[0].revents())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_the_cause_of_a_status_that_says_so_and_of_no_other() {
        let refusals = Refusals { last: Some(("mount".to_owned(), 7)), ..Refusals::new().unwrap() };

        assert_eq!(refusals.cause(159), Some("mount"));
        assert_eq!(refusals.cause(1), None);
        assert_eq!(refusals.correct(7, Ended::Killed(libc::SIGKILL)), Ended::Killed(libc::SIGSYS));
        assert_eq!(refusals.correct(8, Ended::Killed(libc::SIGKILL)), Ended::Killed(libc::SIGKILL));
        assert_eq!(refusals.correct(7, Ended::Exited(0)), Ended::Exited(0));
    }
}
