//! The system calls that an app was not allowed to make: its processes are ended, and the call is named in the log, on the console
//! and beside the app's status.

use super::super::console::Console;
use super::super::lines::notice;
use super::super::log::Log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::channel::{Channel, Received};
use sandbox::seccomp::listener::Listener;
use sandbox::spawn::LISTENER;
use sandbox::sys::Ended;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

/// The status of a process that SIGSYS ended, as shells say it.
const STATUS: i32 = 128 + libc::SIGSYS;

/// What an app may make us remember: what it can vary is only the name of a call.
const MAX_NAMES: usize = 64;

/// The refusals of one app.
#[derive(Default)]
pub struct Refusals {
    /// Comes with the listener before the process becomes the app.
    channel: Option<Channel>,
    listener: Option<Listener>,
    /// Calls that were named already: an app that fails again and again does not fill its log.
    named: BTreeSet<String>,
    /// The call, and the process that was ended, last.
    last: Option<(String, i32)>,
}

impl Refusals {
    /// Of an app whose process will send its listener through the other end of this channel.
    pub fn expect(&mut self, channel: Channel) {
        self.channel = Some(channel);
    }

    /// Takes the listener, once the process has become the app or ended; answers it to be watched when it is new. Without one, the
    /// kernel ends processes itself.
    pub fn take_listener(&mut self) -> Option<&Listener> {
        // Nobody holds the other end any more: this does not wait.
        let Ok(Received::Word(LISTENER, Some(listener))) = self.channel.take()?.receive() else { return None };
        Some(self.listener.insert(Listener::from(listener)))
    }

    /// Gives up the listener when no process has the filter any more; answers it to be watched no longer.
    pub fn give_up(&mut self) -> Option<Listener> {
        self.listener.take_if(|listener| ready(listener.as_fd()).contains(PollFlags::HUP))
    }

    /// Ends the next process whose call waits.
    pub fn handle(&mut self, app: &str, log: &mut Log, console: &mut Console) {
        let Some(listener) = &self.listener else { return };
        // Without a call that waits the listener would keep us waiting.
        if !ready(listener.as_fd()).contains(PollFlags::IN) {
            return;
        }
        let Some(refused) = listener.refuse() else { return };
        if self.named.len() < MAX_NAMES && self.named.insert(refused.name.clone()) {
            let text = format!(
                "app \"{app}\": process {} was ended: system call {} is not allowed",
                refused.process, refused.name
            );
            notice(&text, log, console);
        }
        self.last = Some((refused.name, refused.process));
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
        let refusals = Refusals { last: Some(("mount".to_owned(), 7)), ..Refusals::default() };

        assert_eq!(refusals.cause(159), Some("mount"));
        assert_eq!(refusals.cause(1), None);
        assert_eq!(refusals.correct(7, Ended::Killed(libc::SIGKILL)), Ended::Killed(libc::SIGSYS));
        assert_eq!(refusals.correct(8, Ended::Killed(libc::SIGKILL)), Ended::Killed(libc::SIGKILL));
        assert_eq!(refusals.correct(7, Ended::Exited(0)), Ended::Exited(0));
    }
}
